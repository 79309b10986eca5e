//! The loop itself. Every step either goes on or tells how the connection ended.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use restante_smtp::{Ask, Event, Question, QueuedAs, ServerConfig, ServerSession, StartTls};
use restante_types::{ClientFacts, Reply};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::buffers::{Buffer, Buffers};
use crate::limits::{HANDSHAKE_TIMEOUT, LINGER, LONG_CONTENT, TRANSMIT_FLUSH, TRANSMIT_KEPT};
use crate::server_loop::wait::{self, Alarm, Woken};
use crate::server_loop::{Connection, Ended, Reversal, ServerHandler, Stop};
use crate::stream::{Early, Stream};
use crate::tls_server::ServerTls;

/// What was read and not yet taken by the machine.
struct Unread<'b> {
    buffer: Buffer<'b>,
    from: usize,
    to: usize,
}

struct Driver<'b, 'h, H: ServerHandler> {
    stream: Stream,
    session: ServerSession<H::Proof>,
    handler: &'h mut H,
    config: Arc<ServerConfig>,
    tls: Option<Arc<ServerTls>>,
    buffers: &'b Buffers,
    unread: Option<Unread<'b>>,
    transmit: Vec<u8>,
    alarm: Alarm,
    stop: watch::Receiver<Stop>,
    stopped: Stop,
}

pub(super) async fn run<H: ServerHandler>(
    connection: Connection,
    handler: &mut H,
) -> Result<Infallible, Ended> {
    let Connection { mut stream, config, tls, implicit, buffers, mut stop } = connection;
    if implicit {
        stream = handshake(stream, tls.as_deref(), &mut stop).await?;
        handler.secured(&stream);
    }
    let mut session = ServerSession::new(Arc::clone(&config), facts_of(&stream), Instant::now());
    lend(&mut session, &config, &stream);
    let (buffers, alarm) = (&buffers, Alarm::default());
    let mut driver = Driver {
        stream,
        session,
        handler,
        config,
        tls,
        buffers,
        unread: None,
        transmit: Vec::new(),
        alarm,
        stop,
        stopped: Stop::Run,
    };
    driver.greet().await?;
    loop {
        match driver.answer().await? {
            Next::Here => {}
            Next::Tls(tls) => driver = Box::pin(driver.upgrade(&tls)).await?,
            Next::Turned => {
                let Driver { stream, handler, .. } = driver;
                handler.turned(stream).await;
                return Err(Ended::Turned);
            }
        }
        driver.next_octets().await?;
        driver.take_in().await;
    }
}

/// How to go on.
enum Next {
    /// On this layer.
    Here,
    /// Inside TLS.
    Tls(Arc<ServerTls>),
    /// No more: the client is the server now.
    Turned,
}

/// What authentication needs of the connection, where it is offered.
fn lend<R: QueuedAs>(session: &mut ServerSession<R>, config: &ServerConfig, stream: &Stream) {
    if !config.auth.mechanisms.is_empty()
        && let Some(channel) = stream.channel()
    {
        session.set_channel(channel);
    }
}

fn facts_of(stream: &Stream) -> ClientFacts {
    let address = stream.peer().ip();
    ClientFacts { address, helo: String::new(), identity: None, tls: stream.tls().cloned() }
}

async fn handshake(
    stream: Stream,
    tls: Option<&ServerTls>,
    stop: &mut watch::Receiver<Stop>,
) -> Result<Stream, Ended> {
    let Some(tls) = tls else { return Err(Ended::Closed) };
    // Boxed: it is large, and short of life.
    let accepting = Box::pin(stream.accept_tls(tls.acceptor(), HANDSHAKE_TIMEOUT));
    let stopped = async { stop.wait_for(|wanted| *wanted > Stop::Run).await.is_ok() };
    let mut stream = tokio::select! {
        biased;
        accepted = accepting => accepted.map_err(Ended::TlsFailed)?,
        // Nothing is in flight, and inside a handshake there is no place for a 421.
        _ = stopped => return Err(Ended::Stopped),
    };
    if let Some(ca) = tls.client_ca() {
        stream.name_by(ca);
    }
    Ok(stream)
}

impl<H: ServerHandler> Driver<'_, '_, H> {
    /// [5321-4.3.1] The client waits for our greeting; one that does not is no mail server, and what it sent is not
    /// read.
    async fn greet(&mut self) -> Result<(), Ended> {
        if let Err(reply) = self.handler.connected(self.session.client()).await {
            self.session.turn_away(&reply);
            self.flush().await?;
            return Err(self.close(Ended::Closed).await);
        }
        match self.stream.nothing_early() {
            Ok(Early::Nothing) => self.session.greet(),
            Ok(Early::Octets) => {
                return Err(self.talked_early(Ended::EarlyTalker).await?);
            }
            Ok(Early::Closed) => return Err(Ended::Eof),
            Err(error) => return Err(Ended::Broken(error)),
        }
        Ok(())
    }

    /// Deals with every event there is, then writes what there is to say.
    ///
    /// [2920-3.2] Answers to MAIL and RCPT may wait for those of the rest of their group, so that a pipelined envelope
    /// costs one write. Nothing else waits, and these only while there is more to read.
    async fn answer(&mut self) -> Result<Next, Ended> {
        let mut group = false;
        while let Some(event) = self.session.poll_event() {
            group = matches!(event, Event::Mail(..) | Event::Rcpt(..));
            match event {
                Event::Close => {
                    self.flush().await?;
                    return Err(self.close(Ended::Closed).await);
                }
                Event::StartTls(ask) => {
                    if let Some(tls) = self.start_tls(ask).await? {
                        return Ok(Next::Tls(tls));
                    }
                }
                Event::Atrn(ask, domains) => {
                    if Box::pin(self.reverse(ask, Reversal::Atrn(domains))).await? {
                        return Ok(Next::Turned);
                    }
                }
                Event::Turn(ask) => {
                    if Box::pin(self.reverse(ask, Reversal::Turn)).await? {
                        return Ok(Next::Turned);
                    }
                }
                event => self.handler.event(&mut self.session, event).await,
            }
        }
        self.session.poll_transmit(&mut self.transmit);
        if !group || self.unread.is_none() || self.transmit.len() >= TRANSMIT_FLUSH {
            self.flush().await?;
        }
        Ok(Next::Here)
    }

    /// Waits until there is something unread, or the machine has something to say about the waiting.
    async fn next_octets(&mut self) -> Result<(), Ended> {
        if self.unread.is_some() {
            return Ok(());
        }
        if self.session.content_so_far() >= LONG_CONTENT {
            self.stream.acknowledge();
        }
        let deadline = self.session.poll_timeout();
        let (stream, alarm, stop) = (&mut self.stream, &mut self.alarm, &mut self.stop);
        match wait::for_octets(stream, self.buffers, alarm, deadline, stop, self.stopped).await {
            Woken::Read(_, 0) => {
                self.session.handle_eof();
                while let Some(event) = self.session.poll_event() {
                    if !matches!(event, Event::Close | Event::StartTls(_)) {
                        self.handler.event(&mut self.session, event).await;
                    }
                }
                self.flush().await?;
                return Err(self.close(Ended::Eof).await);
            }
            Woken::Read(buffer, to) => self.unread = Some(Unread { buffer, from: 0, to }),
            Woken::Deadline => self.session.handle_timeout(Instant::now()),
            Woken::Stop(Stop::Now) => return Err(Ended::Stopped),
            // [5321-3.8] The machine says 421 as soon as nothing is in flight.
            Woken::Stop(stop) => {
                self.stopped = stop;
                self.session.shut_down();
            }
            Woken::Broken(error) => return Err(Ended::Broken(error)),
        }
        Ok(())
    }

    /// Hands unread octets to the machine, until it wants to be heard or all are taken.
    async fn take_in(&mut self) {
        let Some(unread) = &mut self.unread else { return };
        let octets = &unread.buffer[unread.from..unread.to];
        let taken = self.session.handle_bytes(Instant::now(), octets, self.handler.sink());
        unread.from += taken;
        if unread.from == unread.to {
            self.unread = None;
        }
        self.handler.flowed(&mut self.session).await;
    }

    /// [3207-early] Nothing early crosses the change of layer: what stands behind STARTTLS was sent in clear,
    /// perhaps by somebody in between, and must not be read as if it had come inside TLS. Looking comes last, right
    /// before the 220, because whether octets are there when the *command* is parsed depends on how TCP cut the
    /// stream.
    async fn start_tls(&mut self, ask: Ask<StartTls>) -> Result<Option<Arc<ServerTls>>, Ended> {
        let Some(tls) = self.tls.clone() else {
            let reply = Reply::new(454, (4, 7, 0), "TLS is not available now");
            self.session.refuse(ask, reply);
            return Ok(None);
        };
        self.hear_nothing(Ended::EarlyTls).await?;
        self.session.grant(ask, ());
        self.flush().await?;
        Ok(Some(tls))
    }

    /// [2645-early] Nothing early crosses the change of roles: what a customer sends behind ATRN would pass for its
    /// greeting, whoever put it there. Looking comes last, as before STARTTLS.
    async fn reverse<Q: Question<Proof = ()>>(
        &mut self,
        ask: Ask<Q>,
        wanted: Reversal,
    ) -> Result<bool, Ended> {
        match self.handler.reverse(&self.session, wanted).await {
            Err(reply) => {
                self.session.refuse(ask, reply);
                Ok(false)
            }
            Ok(()) => {
                self.hear_nothing(Ended::EarlyTurn).await?;
                self.session.grant(ask, ());
                self.flush().await?;
                Ok(true)
            }
        }
    }

    /// Ends the connection unless the client is silent.
    async fn hear_nothing(&mut self, talked: Ended) -> Result<(), Ended> {
        self.flush().await?;
        let early = if self.unread.is_some() { Early::Octets } else { self.look()? };
        match early {
            Early::Nothing => Ok(()),
            Early::Closed => Err(Ended::Eof),
            Early::Octets => Err(self.talked_early(talked).await?),
        }
    }

    /// 554 5.5.0, and nothing of what came is read as anything.
    async fn talked_early(&mut self, ended: Ended) -> Result<Ended, Ended> {
        self.session.talked_early();
        while let Some(event) = self.session.poll_event() {
            if let Event::BadCommand(_) = event {
                self.handler.event(&mut self.session, event).await;
            }
        }
        self.flush().await?;
        Ok(self.close(ended).await)
    }

    fn look(&mut self) -> Result<Early, Ended> {
        self.stream.nothing_early().map_err(Ended::Broken)
    }

    /// [3207-4.2] The machine inside TLS is a new one: nothing learnt in clear is known to it.
    async fn upgrade(mut self, tls: &ServerTls) -> Result<Self, Ended> {
        self.stream = handshake(self.stream, Some(tls), &mut self.stop).await?;
        self.session =
            ServerSession::after_tls(Arc::clone(&self.config), facts_of(&self.stream), Instant::now());
        lend(&mut self.session, &self.config, &self.stream);
        self.handler.secured(&self.stream);
        Ok(self)
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        self.session.poll_transmit(&mut self.transmit);
        if self.transmit.is_empty() {
            return Ok(());
        }
        wait::write_all(&mut self.stream, &self.transmit, &mut self.stop).await?;
        self.transmit.clear();
        self.transmit.shrink_to(TRANSMIT_KEPT);
        Ok(())
    }

    async fn close(&mut self, ended: Ended) -> Ended {
        let unread = self.unread.take().is_some() || matches!(self.stream.nothing_early(), Ok(Early::Octets));
        if unread {
            wait::linger(&mut self.stream, self.buffers).await;
        } else {
            let _told = timeout(LINGER, self.stream.shutdown()).await;
        }
        ended
    }
}
