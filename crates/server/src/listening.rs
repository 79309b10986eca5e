//! One listener: accepting, and a task for each connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use restante_net::{Buffers, Connection, Listener, ServerTls, Stop, Stream, is_lost_connection, serve};
use restante_smtp::ServerConfig;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::events;
use crate::limits::ACCEPT_REST;
use crate::replies;
use crate::session::{Session, Shared};
use crate::settings::ListenSettings;
use crate::slots::{NoRoom, Slot, Slots};

/// What a listener offers to the next connection.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) machine: Arc<ServerConfig>,
    pub(crate) implicit: bool,
    pub(crate) tls: Option<Arc<ServerTls>>,
}

/// A listener that runs.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) settings: ListenSettings,
    pub(crate) local: SocketAddr,
    pub(crate) offer: Arc<ArcSwap<Offer>>,
    task: JoinHandle<()>,
}

/// What all listeners of a server share.
pub(crate) struct House {
    pub(crate) shared: Arc<Shared>,
    pub(crate) buffers: Buffers,
    pub(crate) stop: watch::Sender<Stop>,
    pub(crate) running: Arc<Running>,
}

/// The connections that run, so that a shutdown can wait for them.
#[derive(Debug, Default)]
pub(crate) struct Running {
    count: AtomicUsize,
    none: Notify,
}

impl Running {
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Waits until none runs.
    pub(crate) async fn until_none(&self) {
        loop {
            let none = self.none.notified();
            if self.count() == 0 {
                return;
            }
            none.await;
        }
    }

    fn enter(self: &Arc<Self>) -> Entered {
        self.count.fetch_add(1, Ordering::AcqRel);
        Entered(Arc::clone(self))
    }
}

struct Entered(Arc<Running>);

impl Drop for Entered {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

impl Listening {
    /// Accepts on `listener` until it is dropped.
    pub(crate) fn start(
        house: Arc<House>,
        listener: Listener,
        settings: ListenSettings,
        offer: Offer,
    ) -> Self {
        let local = listener.local().unwrap_or(settings.address);
        let offer = Arc::new(ArcSwap::from_pointee(offer));
        let door = Door { house, local, offer: Arc::clone(&offer), slots: Arc::default() };
        let task = tokio::spawn(door.keep(listener));
        events::listening(local);
        Self { settings, local, offer, task }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        events::listening_ended(self.local);
    }
}

struct Door {
    house: Arc<House>,
    local: SocketAddr,
    offer: Arc<ArcSwap<Offer>>,
    slots: Arc<Slots>,
}

impl Door {
    async fn keep(self, listener: Listener) {
        let mut exhausted = false;
        loop {
            match listener.accept().await {
                Ok(stream) => {
                    if std::mem::take(&mut exhausted) {
                        events::accepting_again(self.local);
                    }
                    self.admit(stream);
                }
                Err(error) if is_lost_connection(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut exhausted, true) {
                        events::accepting_stopped(self.local, &error);
                    }
                    sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    fn admit(&self, stream: Stream) {
        let settings = self.house.shared.settings.load();
        let client = stream.peer().ip();
        match self.slots.take(client, &settings.limits) {
            Ok(slot) => self.open(stream, slot),
            Err(no_room) => {
                let (reply, why) = match no_room {
                    NoRoom::ForClient => (replies::too_many_from_client(&settings.hostname), "client"),
                    NoRoom::AtAll => (replies::too_many(&settings.hostname), "listener"),
                };
                if let Some(untold) = self.slots.worth_telling(Instant::now()) {
                    events::connection_refused(self.local, client, why, untold);
                }
                // Inside implicit TLS there is nothing that could be said without a handshake.
                if !self.offer.load().implicit {
                    stream.dismiss(&reply);
                }
            }
        }
    }

    fn open(&self, stream: Stream, slot: Slot) {
        let offer = self.offer.load();
        let connection = Connection {
            stream,
            config: Arc::clone(&offer.machine),
            tls: offer.tls.clone(),
            implicit: offer.implicit,
            buffers: self.house.buffers.clone(),
            stop: self.house.stop.subscribe(),
        };
        let session = Session::new(Arc::clone(&self.house.shared), slot);
        let entered = self.house.running.enter();
        tokio::spawn(async move {
            run(connection, session).await;
            drop(entered);
        });
    }
}

async fn run(connection: Connection, mut session: Session) {
    let client = connection.stream.peer().ip();
    let ended = serve(connection, &mut session).await;
    events::session_end(client, session.accepted, &ended);
}
