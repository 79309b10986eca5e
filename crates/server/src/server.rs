//! The front end as a whole: starting, reloading, stopping.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use restante_net::{Buffers, ListenError, Listener, ServerTls, Stop};
use restante_queue::QueueStore;
use restante_senders::Senders;
use restante_turn::{Accounts, Drains, Pace, TurnDesk};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::authority::Authority;
use crate::configured::ConfiguredAuthority;
use crate::events;
use crate::explain::{Explanation, Question};
use crate::limits::{CERTIFICATE_LOOK, LAST_GRACE};
use crate::listening::{House, Listening, Offer, Running};
use crate::session::Shared;
use crate::settings::{ListenSettings, ListenTls, ServerSettings};
use crate::turning::{Others, Turned, Turning};

/// What the front end works with.
#[derive(Clone)]
pub struct Parts {
    /// Where mail goes.
    pub store: Arc<dyn QueueStore>,
    /// Who answers ETRN, ATRN and TURN.
    pub desk: Arc<TurnDesk>,
    /// Who can prove to be whom.
    pub accounts: Arc<Accounts>,
    /// Who drains over a connection of its own.
    pub drains: Drains,
    /// Who drains otherwise.
    pub others: Arc<dyn Others>,
    /// Who finds out about senders; without it nobody does, whatever the domains want.
    pub senders: Option<Arc<Senders>>,
    /// Where connections go that are turned. While it is full nobody is told yes.
    pub calls: mpsc::Sender<Turned>,
    /// The certificate, if there is one.
    pub tls: Option<Arc<ServerTls>>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// Why the front end does not start, or keeps what it has on a reload.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A listener cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A listener that cannot do without a certificate has none.
    #[error("the listener on {0} needs a certificate and there is none")]
    NoCertificate(SocketAddr),
}

/// The SMTP front end. Dropping it stops listening and ends all sessions at once; [`Server::shutdown`] is the polite
/// way.
pub struct Server {
    house: Arc<House>,
    configured: Arc<ConfiguredAuthority>,
    state: Mutex<State>,
}

struct State {
    listening: Vec<Listening>,
    tls: Option<Arc<ServerTls>>,
    watching: Option<Watching>,
}

/// The task that looks at the certificate's files.
struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addresses", &self.local_addrs()).finish_non_exhaustive()
    }
}

impl Server {
    /// Opens all listeners; must be called inside a runtime.
    ///
    /// # Errors
    /// [`ServerError`] names the listener; none is left open then.
    pub fn start(settings: ServerSettings, parts: Parts) -> Result<Self, ServerError> {
        Self::start_with(settings, parts, |configured| configured)
    }

    /// As [`Server::start`], with another authority around the configured one.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(
        settings: ServerSettings,
        parts: Parts,
        wrap: impl FnOnce(Arc<ConfiguredAuthority>) -> Arc<dyn Authority>,
    ) -> Result<Self, ServerError> {
        let Parts { store, desk, accounts, drains, others, senders, calls, tls } = parts;
        let settings = Arc::new(settings);
        let (told, kept) = (Arc::clone(&settings), Arc::clone(&store));
        let configured = Arc::new(ConfiguredAuthority::new(told, kept, desk, accounts));
        let shared = Arc::new(Shared {
            authority: wrap(Arc::clone(&configured)),
            turning: Turning { store: Arc::clone(&store), drains, others, calls },
            store,
            senders,
            settings: ArcSwap::new(Arc::clone(&settings)),
            refusals: Pace::default(),
        });
        let (buffers, running, stop) =
            (Buffers::default(), Arc::new(Running::default()), watch::Sender::default());
        let house = Arc::new(House { shared, buffers, stop, running });
        let state = Mutex::new(State { listening: Vec::new(), tls: None, watching: None });
        let server = Self { house, configured, state };
        server.apply(&settings, tls)?;
        Ok(server)
    }

    /// Where we listen, in the order of the settings, with the ports that the kernel chose.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.lock().listening.iter().map(|listening| listening.local).collect()
    }

    /// Connections that run now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.house.running.count()
    }

    /// What a client in clear, without an account, would be answered now, and why. Nothing is stored for it.
    pub async fn explain(&self, question: Question) -> Explanation {
        self.configured.explain(question).await
    }

    /// Goes on with other settings and another certificate. Domains and limits hold at once, also for sessions that
    /// run; what a listener offers holds for its next connection. Listeners that are new are opened, listeners that
    /// are gone are closed; connections that came in by them go on.
    ///
    /// # Errors
    /// [`ServerError`]: everything stays as it was.
    pub fn reload(&self, settings: ServerSettings, tls: Option<Arc<ServerTls>>) -> Result<(), ServerError> {
        let settings = Arc::new(settings);
        self.apply(&settings, tls)?;
        self.house.shared.settings.store(Arc::clone(&settings));
        self.configured.reload(settings);
        Ok(())
    }

    /// Stops listening, lets every session finish what is in flight and say 421, and waits for that at most `grace`.
    /// Returns how many sessions were cut then.
    pub async fn shutdown(&self, grace: Duration) -> usize {
        let listening = {
            let mut state = self.lock();
            state.watching = None;
            std::mem::take(&mut state.listening)
        };
        drop(listening);
        let running = &self.house.running;
        self.house.stop.send_replace(Stop::Finish);
        if timeout(grace, running.until_none()).await.is_ok() {
            return 0;
        }
        let cut = running.count();
        events::sessions_cut(cut);
        self.house.stop.send_replace(Stop::Now);
        let _noticed = timeout(LAST_GRACE, running.until_none()).await;
        cut
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// First everything that can fail, then everything else.
    fn apply(&self, settings: &ServerSettings, tls: Option<Arc<ServerTls>>) -> Result<(), ServerError> {
        let mut state = self.lock();
        let wanted = &settings.listeners;
        if let (None, Some(lacking)) = (&tls, wanted.iter().find(|listener| listener.needs_certificate())) {
            return Err(ServerError::NoCertificate(lacking.address));
        }
        let known = |address: SocketAddr| state.listening.iter().any(|now| now.settings.address == address);
        let mut opened = Vec::new();
        for wanted in wanted.iter().filter(|wanted| !known(wanted.address)) {
            opened.push((wanted.address, Listener::bind(wanted.address)?));
        }
        let mut before = std::mem::take(&mut state.listening);
        for wanted in wanted.iter().copied() {
            let offer = offer(settings, &wanted, tls.as_ref());
            if let Some(at) = opened.iter().position(|(address, _)| *address == wanted.address) {
                let (_, listener) = opened.remove(at);
                state.listening.push(Listening::start(Arc::clone(&self.house), listener, wanted, offer));
            } else if let Some(at) = before.iter().position(|now| now.settings.address == wanted.address) {
                let mut kept = before.remove(at);
                kept.settings = wanted;
                kept.offer.store(Arc::new(offer));
                state.listening.push(kept);
            }
        }
        state.watch(tls);
        Ok(())
    }
}

impl State {
    fn watch(&mut self, tls: Option<Arc<ServerTls>>) {
        let same = match (&self.tls, &tls) {
            (Some(now), Some(wanted)) => Arc::ptr_eq(now, wanted),
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.watching = tls.clone().map(|tls| Watching(tokio::spawn(tls.watch(CERTIFICATE_LOOK))));
            self.tls = tls;
        }
    }
}

fn offer(settings: &ServerSettings, listener: &ListenSettings, tls: Option<&Arc<ServerTls>>) -> Offer {
    Offer {
        machine: settings.machine(listener, tls.is_some()),
        implicit: listener.tls == ListenTls::Implicit,
        tls: tls.filter(|_| listener.tls != ListenTls::None).cloned(),
    }
}
