//! The drain of a connection that was turned: one courier, several leases, and whoever may end it.

use std::net::SocketAddr;
use std::sync::Arc;

use restante_net::{ClientConnection, Stream};
use restante_queue::{DomainLease, DrainCause, DrainReport};
use restante_smtp::Transcript;
use restante_types::Reply;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Context, Ending, Mode, SHUTTING_DOWN, Stop, report};
use crate::carrier::Trip;
use crate::courier;
use crate::events;
use crate::feed::{Allowance, FeedOwner, LaneEnd, Source, Tally};
use crate::limits::CANCEL_GRACE;
use crate::settings::{DeliverySettings, ForwardClient};
use crate::turned::{Leash, SessionLimits, Turned};

/// Why a drain ended that its owner, or the loss of a right, cancelled.
const CANCELLED: &str = "cancelled: called again, or no longer allowed";

struct Call<'a> {
    context: &'a Context,
    settings: Arc<DeliverySettings>,
    cause: DrainCause,
    leash: Box<dyn Leash>,
    stop: watch::Receiver<Stop>,
    hop: String,
    transcript: Transcript,
}

/// Why the customer is not ready to be sent mail.
enum NotReady {
    /// It said so, or nothing.
    Said(Reply),
    /// We ended it.
    Stopped(&'static str),
}

/// Drains a turned connection to its end. [2645-cut] Whatever was not answered stays where it was, and goes with the
/// customer's next call.
pub(crate) async fn run(context: Arc<Context>, turned: Turned) {
    let Turned { stream, leases, cause, identity, limits, leash } = turned;
    let (peer, started) = (stream.peer(), Instant::now());
    events::turned(&identity, peer, cause, &leases);
    let settings = context.settings.load_full();
    let stop = context.stop.clone();
    let (hop, transcript) = (hop_of(peer), Transcript::default());
    let call = Call { context: &context, settings, cause, leash, stop, hop, transcript };
    let (tally, result) = Box::pin(call.drain(stream, leases, limits)).await;
    events::turned_ended(&identity, peer, cause, &tally, &result, started.elapsed());
}

fn hop_of(peer: SocketAddr) -> String {
    format!("the customer at [{}]:{}", peer.ip(), peer.port())
}

impl Call<'_> {
    async fn drain(
        mut self,
        stream: Stream,
        leases: Vec<DomainLease>,
        limits: SessionLimits,
    ) -> (Tally, String) {
        let connection = match self.greeted(stream).await {
            Ok(connection) => connection,
            Err(why) => {
                let (tally, ending) = why.ending();
                let result = report::sentence(&ending, &tally);
                for lease in leases {
                    self.end(lease, &ending, &tally).await;
                }
                return (tally, result);
            }
        };
        self.leash.greeted();
        let mut leases = leases.into_iter().map(|lease| self.source(lease));
        let Some(first) = leases.next() else {
            // [2645-5.2.1-empty] Turned with nothing held: QUIT after the EHLO.
            let farewell = courier::farewell(connection, &self.hop).await;
            let ending = farewell.map_or(Ending::Through, Ending::unreached);
            return (Tally::default(), report::sentence(&ending, &Tally::default()));
        };
        let others = leases.collect();
        let allowance = Allowance {
            messages: limits.messages,
            octets: limits.octets,
            until: Instant::now() + limits.time,
        };
        let parts = self.context.feed_parts(self.cause);
        let owner = FeedOwner::start_merged(&parts, first, others, allowance);
        let ending = match self.carry(connection, &owner).await {
            Trip::Finished | Trip::Ourselves => Ending::Through,
            Trip::Unused(reply) | Trip::Broken(reply) => Ending::unreached(reply),
        };
        self.settle(owner, ending).await
    }

    fn source(&self, lease: DomainLease) -> Source {
        let delivery = self.settings.domains.find(lease.domain()).map(|(_, delivery)| delivery);
        let pushed = delivery.filter(|delivery| delivery.mode == Mode::Push);
        let retry = pushed.map(|delivery| delivery.retry.clone());
        let conduct = self.context.returns.begin(lease.domain(), delivery, false, self.context.now());
        Source { lease, retry, conduct }
    }

    /// [2645-5.3-greeting] The customer greets, within five minutes; then it is an SMTP server like every other; its TLS stands, so
    /// STARTTLS is not asked for.
    async fn greeted(&mut self, stream: Stream) -> Result<ClientConnection<Stream>, NotReady> {
        let ready = Box::pin(courier::turned_ready(stream, &self.settings, &self.hop, &self.transcript));
        tokio::select! {
            ready = ready => ready.map_err(NotReady::Said),
            () = self.leash.pulled() => Err(NotReady::Stopped(CANCELLED)),
            _ = self.stop.wait_for(|stop| *stop > Stop::Run) => Err(NotReady::Stopped(SHUTTING_DOWN)),
        }
    }

    /// Carries until the feed or the connection ends. Who ends it from outside gives what is under way a moment.
    async fn carry(&mut self, connection: ClientConnection<Stream>, owner: &FeedOwner) -> Trip {
        let feed = owner.feed();
        let mut trip = Box::pin(courier::carry_over(connection, &feed, &self.hop, ForwardClient::Off));
        let (mut level, mut pulled, mut cut) = (Stop::Run, false, false);
        let mut last_moment = Instant::now();
        loop {
            tokio::select! {
                // A cut connection ends as we wanted it to: the feed knows why.
                trip = &mut trip => return if cut { Trip::Finished } else { trip },
                () = self.leash.pulled(), if !pulled => {
                    pulled = true;
                    owner.stop(Some(CANCELLED));
                    last_moment = Instant::now() + CANCEL_GRACE;
                }
                () = sleep_until(last_moment), if pulled && !cut => {
                    owner.cut(Some(CANCELLED));
                    cut = true;
                }
                Ok(stop) = self.stop.wait_for(|stop| *stop > level), if level < Stop::Now => {
                    level = *stop;
                    if level == Stop::Now {
                        owner.cut(Some(SHUTTING_DOWN));
                        cut = true;
                    } else {
                        owner.stop(Some(SHUTTING_DOWN));
                    }
                }
            }
        }
    }

    async fn settle(&self, owner: FeedOwner, ending: Ending) -> (Tally, String) {
        let lanes = owner.finish_all().await;
        let tally = Tally::sum(lanes.iter().map(|lane| lane.tally.clone()));
        for LaneEnd { lease, tally, .. } in lanes {
            if let Some(lease) = lease {
                self.end(lease, &ending, &tally).await;
            }
        }
        let result = report::sentence(&ending, &tally);
        (tally, result)
    }

    async fn end(&self, lease: DomainLease, ending: &Ending, tally: &Tally) {
        self.context.note_answers(lease.domain(), tally);
        let result = report::sentence(ending, tally);
        let verdict = matches!(ending, Ending::Unreached(_)).then(|| result.clone());
        let (at, hop) = ((self.context.clock)(), self.hop.clone());
        self.context.why.tell(lease.domain(), hop, at, verdict, &self.transcript);
        // A customer that hangs up says nothing about the way to its primary, so nothing is put off.
        self.context.end(lease, DrainReport { result, not_before: None, misrouted: false }).await;
    }
}

impl NotReady {
    fn ending(self) -> (Tally, Ending) {
        match self {
            Self::Said(reply) => (Tally::default(), Ending::unreached(reply)),
            Self::Stopped(why) => {
                (Tally { stopped: Some(why.to_owned()), ..Tally::default() }, Ending::Through)
            }
        }
    }
}
