//! One round over one connection: takes messages from the feed while the window has room, hands in what came of them.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use restante_net::ClientConnection;
use restante_queue::{ContentReader, EntryKey, Outcome, StoreError, Work};
use restante_smtp::{ClientEvent, End, Finished, MailJob, Room as Window, Stage, TransactionId};
use restante_types::{Domain, Envelope, QueueId, Reply};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::introduction::{Introduction, Standing};
use super::now;
use super::parcels::{Group, Over, Parcels, Return, deferred};
use crate::events;
use crate::feed::{Feed, Room};
use crate::limits::ANSWERS_BEFORE;
use crate::settings::ForwardClient;

/// How a round ended.
#[derive(Debug)]
pub(super) struct RoundEnd {
    /// As the machine saw it.
    pub(super) end: End,
    /// At least one message was tried.
    pub(super) tried: bool,
    /// Our own store failed, and the round was ended for that.
    pub(super) store: Option<StoreError>,
}

/// The content that is being sent.
struct Loading {
    transaction: TransactionId,
    id: QueueId,
    content: ContentReader,
    piece: Bytes,
}

/// A message whose content ended before its time.
struct Broken {
    transaction: TransactionId,
    id: QueueId,
    error: StoreError,
    /// When the answers before it are waited for no longer.
    until: Instant,
}

/// How far the machine was filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    /// There is a message to send.
    More,
    /// Nothing is left to do but wait for the network.
    Enough,
    /// The network was waited for already.
    Looked,
}

pub(super) struct Round<'a, S> {
    connection: ClientConnection<S>,
    feed: &'a Feed,
    hop: &'a str,
    cut: watch::Receiver<bool>,
    parcels: Parcels,
    introduction: Introduction,
    loading: Option<Loading>,
    /// Nothing more is sent; the connection ends when everything before this is answered.
    broken: Option<Broken>,
    /// The feed has nothing that fits at the moment.
    dry: bool,
    /// Nothing more is taken.
    closing: bool,
    /// It was told that this next hop cannot take what is held for it.
    alarmed: bool,
    tried: bool,
    store: Option<StoreError>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Round<'a, S> {
    pub(super) fn new(connection: ClientConnection<S>, feed: &'a Feed, hop: &'a str) -> Self {
        let cut = feed.cut();
        Self {
            connection,
            feed,
            hop,
            cut,
            parcels: Parcels::default(),
            introduction: Introduction::default(),
            loading: None,
            broken: None,
            dry: false,
            closing: false,
            alarmed: false,
            tried: false,
            store: None,
        }
    }

    /// What the server is told about the clients that handed messages in.
    pub(super) fn telling(self, forward: ForwardClient) -> Self {
        Self { introduction: Introduction::new(forward), ..self }
    }

    /// To its end. The machine's deadlines bound every wait on the network.
    pub(super) async fn run(mut self) -> RoundEnd {
        loop {
            while let Some(event) = self.connection.poll_event() {
                match event {
                    ClientEvent::Finished(finished) => self.finish(finished).await,
                    ClientEvent::Ended(end) => return self.leave(end).await,
                    ClientEvent::Ready => self.introduction.granted(),
                    ClientEvent::IntroductionRefused(reply) => {
                        events::not_introduced(self.feed.domain(), self.hop, &reply);
                        if !self.introduction.refused() {
                            self.turn_back();
                        }
                    }
                    // Asked for before a round or by the agent, never in it.
                    _ => {}
                }
            }
            if self.is_over_before_broken() {
                self.break_off().await;
                continue;
            }
            if self.fill().await == Filled::Looked || self.connection.session().has_events() {
                continue;
            }
            if self.closing && self.parcels.is_empty() && self.connection.session().is_idle() {
                self.connection.session_mut().quit(now());
            }
            let patience = self.broken.as_ref().map(|broken| broken.until);
            let cut = tokio::select! {
                biased;
                cut = self.cut.wait_for(|cut| *cut) => cut.is_ok(),
                () = self.connection.exchange() => false,
                () = at(patience) => false,
            };
            if cut {
                return self.leave_now().await;
            }
        }
    }

    /// Whatever was answered so far counts; nothing else is waited for.
    async fn leave_now(mut self) -> RoundEnd {
        self.connection.session_mut().abandon();
        while let Some(event) = self.connection.poll_event() {
            if let ClientEvent::Finished(finished) = event {
                self.finish(finished).await;
            }
        }
        self.leave(End::Abandoned).await
    }

    /// Hands the machine whatever it takes.
    async fn fill(&mut self) -> Filled {
        while self.broken.is_none() && self.connection.is_hungry() && !self.connection.session().has_events()
        {
            if self.connection.session().wants_content().is_some() {
                self.pump().await;
                continue;
            }
            let window = self.connection.session().room();
            if window.is_none() {
                return Filled::Enough;
            }
            if self.parcels.next().is_none() {
                match self.take_work(window).await {
                    Filled::More => {}
                    other => return other,
                }
            }
            let fits = |(group, work): (&Group, &Work)| window.takes(work.size, group.recipients.len());
            if !self.parcels.next().is_some_and(fits) {
                return Filled::Enough;
            }
            if let Some((_, work)) = self.parcels.next() {
                match self.introduction.standing(&mut self.connection, work) {
                    Standing::Stands => {}
                    Standing::Waits => return Filled::Enough,
                    Standing::Elsewhere => return self.turn_back(),
                }
            }
            self.send_next().await;
        }
        Filled::Enough
    }

    /// Gets the next message.
    async fn take_work(&mut self, window: Window) -> Filled {
        let alone = self.parcels.is_empty();
        if self.closing || (self.dry && !alone) {
            return Filled::Enough;
        }
        let room = Room { messages: window.messages, octets: window.octets, alone };
        let work = tokio::select! {
            biased;
            work = self.feed.next(room) => work,
            // Answers are heard while a page is read; both sides of this may be dropped.
            () = self.connection.exchange() => return Filled::Looked,
        };
        match work {
            Some(work) => {
                self.parcels.take(work);
                return Filled::More;
            }
            None if alone => self.closing = true,
            None => self.dry = true,
        }
        Filled::Enough
    }

    /// What is at hand must not go over this connection: it ends as soon as everything is answered.
    fn turn_back(&mut self) -> Filled {
        self.closing = true;
        if self.connection.session().is_idle() {
            self.connection.session_mut().quit(now());
        }
        Filled::Enough
    }

    /// Begins a transaction for the next group, once its content is open and its first piece is read: what is damaged
    /// shows before anything was said about it.
    async fn send_next(&mut self) {
        let Some((group, work)) = self.parcels.next() else { return };
        let id = group.id;
        let job = MailJob {
            envelope: work.envelope.clone(),
            recipients: group.recipients.clone(),
            size: work.size,
            origin: self.introduction.forwarded(&self.connection, work),
        };
        if let Err(reason) = self.connection.session().check(&job) {
            return match reason.reply() {
                Some(reply) => self.fail_next(reply).await,
                None => self.withdraw(id, true).await,
            };
        }
        let (content, piece) = match open(self.feed, work).await {
            Ok(opened) => opened,
            Err(error) => return self.spoil(id, error).await,
        };
        match self.connection.session_mut().send(now(), job) {
            Ok(transaction) => {
                self.tried = true;
                self.parcels.sent(transaction);
                self.loading = Some(Loading { transaction, id, content, piece });
            }
            // The window was asked just before; whatever this is, the message must not be asked about for ever.
            Err(_) => self.withdraw(id, true).await,
        }
    }

    /// Hands over one piece of content.
    async fn pump(&mut self) {
        let Some((wanted, _)) = self.connection.session().wants_content() else { return };
        let Some(loading) = self.loading.as_mut().filter(|loading| loading.transaction == wanted) else {
            return self.connection.session_mut().abandon();
        };
        if loading.piece.is_empty() {
            match loading.content.next().await {
                Ok(Some(piece)) => loading.piece = piece,
                Ok(None) => {
                    return self.stop_short(wanted, StoreError::Damaged("shorter than it was".to_owned()));
                }
                Err(error) => return self.stop_short(wanted, error),
            }
        }
        let taken = self.connection.session_mut().content(now(), &loading.piece);
        loading.piece.advance(taken);
        let over = self.connection.session().wants_content().is_none_or(|(next, _)| next != wanted);
        if over {
            self.loading = None;
        }
    }

    /// A message that this next hop can never take is parked with the reason; one alarm for all of a connection's.
    async fn fail_next(&mut self, reply: Reply) {
        if !std::mem::replace(&mut self.alarmed, true) {
            events::incapable(self.feed.domain(), self.hop, &reply);
        }
        let over = self.parcels.settle_next(&Outcome::Failed { reply });
        self.report(over, None).await;
    }

    async fn spoil(&mut self, id: QueueId, error: StoreError) {
        events::unreadable(self.feed.domain_of(id, None), id, &error);
        let spoiled = matches!(error, StoreError::Damaged(_) | StoreError::NotFound);
        if !spoiled {
            self.store = Some(error);
            self.closing = true;
        }
        self.withdraw(id, spoiled).await;
    }

    /// In the middle of content nothing can be taken back but the connection. But what went before it may be taken
    /// already, and would go twice: those answers are waited for.
    fn stop_short(&mut self, transaction: TransactionId, error: StoreError) {
        self.closing = true;
        let loading = self.loading.take();
        let until = Instant::now() + ANSWERS_BEFORE;
        self.broken = loading.map(|Loading { id, .. }| Broken { transaction, id, error, until });
    }

    /// Whether everything before content that broke off is answered, or will not be.
    fn is_over_before_broken(&self) -> bool {
        let Some(Broken { transaction, until, .. }) = &self.broken else { return false };
        self.connection.session().oldest() == Some(*transaction) || *until <= Instant::now()
    }

    async fn break_off(&mut self) {
        self.connection.session_mut().abandon();
        if let Some(Broken { id, error, .. }) = self.broken.take() {
            self.spoil(id, error).await;
        }
    }

    async fn withdraw(&mut self, id: QueueId, spoiled: bool) {
        let back = self.parcels.withdraw(id, spoiled);
        self.give_back(back).await;
    }

    async fn finish(&mut self, finished: Finished) {
        self.dry = false;
        let reply = finished.reply.clone();
        let over = self.parcels.finished(finished);
        self.report(over, reply).await;
    }

    /// Tells the log about each recipient, and hands in the message if it is through. `last` is what was said after the
    /// content.
    async fn report(&self, over: Option<Over>, last: Option<Reply>) {
        let Some(Over { id, envelope, outcomes, back }) = over else { return };
        let hop = self.hop;
        for (index, outcome) in &outcomes {
            let domain = self.feed.domain_of(id, Some(*index));
            let Some(recipient) = envelope.recipients.get(usize::from(*index)) else { continue };
            let mailbox = &recipient.mailbox;
            match (outcome, &last) {
                (Outcome::Delivered, Some(reply)) => events::delivered(domain, id, mailbox, hop, reply),
                (Outcome::Delivered, None) => {}
                (Outcome::Deferred { reply, .. }, _) => events::deferred(domain, id, mailbox, hop, reply),
                (Outcome::Failed { reply }, _) => {
                    events::failed(domain, id, mailbox, hop, reply);
                    self.feed.clerk().refused(domain, id, hop);
                }
            }
        }
        if !self.connection.session().capabilities().dsn {
            self.tell_relayed(id, &envelope, &outcomes, last.as_ref()).await;
        }
        self.give_back(back).await;
    }

    /// [3461-5.2.2-b] Nobody behind this next hop will tell senders that wanted to know.
    async fn tell_relayed(
        &self,
        id: QueueId,
        envelope: &Envelope,
        outcomes: &[(u16, Outcome)],
        last: Option<&Reply>,
    ) {
        let mut taken: BTreeMap<&Domain, Vec<u16>> = BTreeMap::new();
        for (index, outcome) in outcomes {
            let recipient = envelope.recipients.get(usize::from(*index));
            let asked = recipient.is_some_and(|one| one.notify.is_some_and(|notify| notify.success));
            if asked && *outcome == Outcome::Delivered {
                taken.entry(self.feed.domain_of(id, Some(*index))).or_default().push(*index);
            }
        }
        for (domain, taken) in taken {
            let key = EntryKey { domain: domain.clone(), id };
            self.feed.clerk().relayed(&key, &taken, last, self.hop).await;
        }
    }

    /// Everything that was not answered goes back. But the message that the server was at when it fell silent has been
    /// tried: it is noted as deferred, so that a message that kills its receiver does not meet every courier in turn.
    async fn leave(mut self, end: End) -> RoundEnd {
        if let Some(Broken { id, error, .. }) = self.broken.take() {
            self.spoil(id, error).await;
        }
        let was_at_it = matches!(end, End::TimedOut(_) | End::Protocol(_) | End::Lost(Stage::Content));
        if let Some(reply) = super::said(&end, self.hop).filter(|_| was_at_it) {
            let over = self.parcels.settle_oldest(&deferred(reply));
            self.report(over, None).await;
        }
        for back in self.parcels.give_up() {
            self.give_back(Some(back)).await;
        }
        if let Some(trouble) = self.connection.trouble() {
            events::connection_lost(self.feed.domain(), self.hop, trouble);
        }
        let Self { connection, tried, store, cut, .. } = self;
        if !*cut.borrow() {
            connection.close().await;
        }
        RoundEnd { end, tried, store }
    }

    async fn give_back(&self, back: Option<Return>) {
        match back {
            Some(Return::Done(settlement)) => self.feed.done(settlement).await,
            Some(Return::PutBack(work)) => self.feed.put_back(work),
            Some(Return::Skip(id)) => self.feed.skip(id),
            None => {}
        }
    }
}

/// At this moment, if there is one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn open(feed: &Feed, work: &Work) -> Result<(ContentReader, Bytes), StoreError> {
    let mut content = feed.open_content(work).await?;
    if content.remaining() != work.size {
        return Err(StoreError::Damaged(format!("{} octets instead of {}", content.remaining(), work.size)));
    }
    let piece = content.next().await?.unwrap_or_default();
    Ok((content, piece))
}
