//! Everything that runs, and how it is put together.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use restante_admin::AdminServer;
use restante_delivery::{Clock, PrimaryBook};
use restante_net::ServerTls;
use restante_queue::{EmbeddedOptions, EmbeddedStore, Health, LowWater, ProbeCommand, QueueStore};
use restante_senders::Senders;
use restante_server::{Authority, Parts, Server, ServerSettings};
use restante_turn::{PrimaryAddresses, TurnDesk};
use restante_types::{Domain, UnixMillis};

use super::certificate;
use super::collectors::Collectors;
use super::counted::{CountedAuthority, CountedStore};
use super::current::{Current, Office};
use super::error::{ReloadError, StartError};
use super::known::{Change, KnownDomains};
use super::outbound::Outbound;
use super::{calls, events, monitors, orphans, settings};
use crate::alarms::Alarms;
use crate::config::{Config, DiskMark, Finding, Grade, Machine, Report, load, load_accounts};

/// The running server.
pub(super) struct House {
    store: Arc<dyn QueueStore>,
    desk: Arc<TurnDesk>,
    out: Outbound,
    senders: Arc<Senders>,
    server: Arc<Server>,
    tls: Option<Arc<ServerTls>>,
    admin: AdminServer,
    current: Arc<ArcSwap<Current>>,
    collectors: Collectors,
    known: KnownDomains,
    alarms: Alarms,
}

/// The book of primaries, as the desk asks it.
struct Book(Arc<PrimaryBook>);

impl PrimaryAddresses for Book {
    fn is_primary(&self, domain: &Domain, address: IpAddr) -> bool {
        self.0.addresses(domain).is_some_and(|known| known.contains(&address))
    }
}

impl House {
    /// Opens the store, then everything around it, from the inside out: nobody can talk to us before all is there.
    ///
    /// # Errors
    /// [`StartError`]; what was opened is closed again.
    pub(super) async fn open(config: Config, alarms: &Alarms) -> Result<Self, StartError> {
        let store = open_store(&config, alarms).await?;
        let tls = certificate::load(&config)?;
        if tls.is_none() {
            events::no_certificate();
        }
        let mut known = read_known(&config);
        let change = known.take(settings::names(&config), SystemTime::now().into());
        let current = Arc::new(ArcSwap::from_pointee(Current::new(config)));
        let config = &current.load_full().config;
        tell_change(&change);
        orphans::hold(&*store, &current.load().policies, &change.gone).await;

        let collectors = Collectors::open(config).await.map_err(StartError::Accounts)?;
        let out = Outbound::start(config, &store, &collectors, alarms)?;
        let primaries = Arc::new(Book(out.delivery.book()));
        let desk = TurnDesk::new(store.clone(), primaries, settings::turn(config));
        let desk = desk.with_requesters(collectors.hops.clone()).with_ledger(Arc::new(alarms.clone()));
        let desk = Arc::new(desk);
        let senders = Arc::new(Senders::new(&settings::senders(config)));
        let parts = Parts {
            store: store.clone(),
            desk: desk.clone(),
            accounts: collectors.accounts.clone(),
            drains: collectors.drains.clone(),
            others: Arc::new(calls::Yielding(out.delivery.unreached())),
            senders: Some(senders.clone()),
            calls: calls::join(out.delivery.door()),
            tls: tls.clone(),
        };
        let offer = collectors.accounts.offer();
        let server = start_server(settings::server(config, known.lost(), offer), parts, alarms)?;
        let office = Office {
            current: current.clone(),
            desk: desk.clone(),
            server: server.clone(),
            alarms: alarms.clone(),
            returns: out.delivery.returns(),
            ways: out.ways(),
            post_room: out.delivery.post_room(),
        };
        let admin = restante_admin::start(admin_settings(config)?, store.clone(), Arc::new(office)).await?;
        let house = Self {
            store,
            desk,
            out,
            senders,
            server,
            tls,
            admin,
            current: current.clone(),
            collectors,
            known,
            alarms: alarms.clone(),
        };
        house.remember();
        Ok(house)
    }

    /// Tells the world that we are there.
    pub(super) fn announce(&self) {
        events::ready(&self.server.local_addrs(), self.admin.socket(), &self.current.load().config);
    }

    /// The configuration in force.
    pub(super) fn config(&self) -> Config {
        self.current.load().config.clone()
    }

    /// The condition of the store.
    pub(super) fn health(&self) -> Health {
        self.store.health()
    }

    /// Whether mail would be taken now.
    pub(super) fn takes_mail(&self) -> bool {
        self.store.ready_for_mail(0).is_ok()
    }

    /// Takes up the configuration and the certificate as they are now. If either is bad, all stays as it was.
    pub(super) async fn reload(&mut self, now: UnixMillis) {
        let file = self.current.load().config.file.clone();
        let result = match read_again(&file).await {
            Ok(config) => self.apply(config, now).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => events::reloaded(&self.current.load().config),
            Err(error) => {
                events::reload_failed(&file, &error);
                let warning = format!("the configuration was not reloaded: {error}");
                self.current.store(Arc::new(self.current.load().with_warning(warning)));
            }
        }
    }

    /// First everything that can fail, then everything else.
    async fn apply(&mut self, mut config: Config, now: UnixMillis) -> Result<(), ReloadError> {
        let old = self.current.load_full();
        let changed = keep_for_this_run(&old.config, &mut config);
        let tls = self.certificate_for(&old.config, &config)?;
        let dns = settings::dns(&config);
        dns.check()?;
        let mut known = self.known.clone();
        let change = known.take(settings::names(&config), now);
        let accounts =
            self.collectors.prepare(&config).await.map_err(|error| ReloadError::Thread(error.to_string()))?;
        self.server.reload(settings::server(&config, known.lost(), accounts.offer()), tls.clone())?;
        self.collectors.accounts.take(accounts);
        self.collectors.read(&config);
        changed.into_iter().for_each(events::needs_restart);
        (self.tls, self.known) = (tls, known);
        self.desk.reload(settings::turn(&config));
        self.collectors.enforce(&self.desk);
        self.out.routes.store(Arc::new(settings::delivery(&config)));
        // The file of trust anchors was read a moment ago; where it is gone since, the old settings stay.
        let _read = self.out.lookup.configure(dns);
        self.out.delivery.reloaded();
        self.senders.reload(&settings::senders(&config));
        self.alarms.reload(settings::alarms(&config));
        self.current.store(Arc::new(Current::new(config)));
        tell_change(&change);
        orphans::hold(&*self.store, &self.current.load().policies, &change.gone).await;
        self.remember();
        Ok(())
    }

    /// Takes up the accounts file if it is another one than before; a bad one changes nothing.
    pub(super) async fn look_at_accounts(&mut self) {
        let current = self.current.load_full();
        let Some(file) = self.collectors.changed(&current.config).await else { return };
        let mut config = current.config.clone();
        let read = tokio::task::spawn_blocking(move || (load_accounts(&config), config)).await;
        let result = match read {
            Ok(((accounts, report), old)) => {
                events::findings(&report);
                config = old;
                match accounts {
                    Some(accounts) => {
                        config.accounts = accounts;
                        self.take_accounts(config).await
                    }
                    None => Err(findings(&report)),
                }
            }
            Err(error) => Err(ReloadError::Thread(error.to_string())),
        };
        match result {
            Ok(()) => events::accounts_taken(&file, self.current.load().config.accounts.len()),
            Err(error) => {
                events::accounts_refused(&file, &error);
                let warning = format!("the accounts were not taken up: {error}");
                self.current.store(Arc::new(self.current.load().with_warning(warning)));
            }
        }
    }

    async fn take_accounts(&mut self, config: Config) -> Result<(), ReloadError> {
        let new =
            self.collectors.prepare(&config).await.map_err(|error| ReloadError::Thread(error.to_string()))?;
        self.server.reload(settings::server(&config, self.known.lost(), new.offer()), self.tls.clone())?;
        self.collectors.accounts.take(new);
        self.desk.reload(settings::turn(&config));
        self.collectors.enforce(&self.desk);
        self.current.store(Arc::new(Current::new(config)));
        Ok(())
    }

    fn certificate_for(&self, old: &Config, new: &Config) -> Result<Option<Arc<ServerTls>>, ReloadError> {
        match &self.tls {
            // The same object, so that connections and the watch over its files go on.
            Some(tls)
                if certificate::files(old) == certificate::files(new)
                    && certificate::authority(old).is_none()
                    && certificate::authority(new).is_none() =>
            {
                tls.reload().map_err(certificate::CertificateError::from)?;
                Ok(Some(tls.clone()))
            }
            _ => Ok(certificate::load(new)?),
        }
    }

    /// What is looked at every minute.
    pub(super) async fn round(&mut self, now: UnixMillis) {
        let forgotten = self.known.forget(now);
        if !forgotten.is_empty() {
            orphans::forget(&*self.store, &forgotten).await;
            self.remember();
            let offer = self.collectors.accounts.offer();
            let settings = settings::server(&self.current.load().config, self.known.lost(), offer);
            if let Err(error) = self.server.reload(settings, self.tls.clone()) {
                events::reload_failed(&self.current.load().config.file, &error.into());
            }
        }
        let current = self.current.load_full();
        orphans::hold(&*self.store, &current.policies, &[]).await;
    }

    fn remember(&self) {
        let file = KnownDomains::file(&self.current.load().config.top.data_dir);
        if let Err(error) = self.known.write(&file) {
            events::known_domains(&file, &error);
        }
    }

    /// Closes from the outside in. What is in flight is finished, for at most `grace`.
    pub(super) async fn close(self, grace: Duration) {
        self.alarms.detach();
        tokio::join!(self.server.shutdown(grace), self.out.delivery.shutdown(grace));
        self.admin.stop().await;
        self.store.close().await;
    }
}

/// The store, with what goes through it counted.
async fn open_store(config: &Config, alarms: &Alarms) -> Result<Arc<dyn QueueStore>, StartError> {
    let probe = std::env::current_exe()
        .map(|program| ProbeCommand { program, args: vec!["spool".into(), "probe".into()] });
    let probe = probe.inspect_err(events::no_probe).ok();
    let options = EmbeddedOptions {
        cache_bytes: config.limits.index_cache.0,
        low_water: low_water(config.limits.disk_low_water),
        probe,
        ..EmbeddedOptions::new(&config.top.data_dir)
    };
    let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(options)).await;
    let store = Arc::new(opened.map_err(|error| StartError::StoreThread(error.to_string()))??);
    Ok(Arc::new(CountedStore { store, metrics: alarms.metrics(), alarms: alarms.clone() }))
}

/// The front end, with what it refuses counted.
fn start_server(settings: ServerSettings, parts: Parts, alarms: &Alarms) -> Result<Arc<Server>, StartError> {
    let metrics = alarms.metrics();
    let counted = |authority| Arc::new(CountedAuthority { authority, metrics }) as Arc<dyn Authority>;
    Ok(Arc::new(Server::start_with(settings, parts, |configured| counted(configured))?))
}

/// The time, for whoever must be given it.
pub(super) fn clock() -> Clock {
    Arc::new(|| SystemTime::now().into())
}

fn low_water(mark: DiskMark) -> LowWater {
    match mark {
        DiskMark::Share(percent) => LowWater { percent, ..LowWater::default() },
        DiskMark::Fixed(size) => LowWater { percent: 0, octets: size.0 },
    }
}

fn admin_settings(config: &Config) -> Result<restante_admin::Settings, StartError> {
    Ok(restante_admin::Settings {
        socket: config.admin.socket.clone(),
        group: "restante".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        http: monitors::http(config)?,
    })
}

/// Files are read on a thread of their own: `/etc` may lie on a slow disk.
async fn read_again(file: &std::path::Path) -> Result<Config, ReloadError> {
    let file = file.to_owned();
    let read = tokio::task::spawn_blocking(move || load(&file, &Machine::this())).await;
    let (config, report) = read.map_err(|error| ReloadError::Thread(error.to_string()))?;
    events::findings(&report);
    config.ok_or_else(|| findings(&report))
}

fn findings(report: &Report) -> ReloadError {
    let first = report.findings().next().map(Finding::in_a_line).unwrap_or_default();
    ReloadError::Findings(report.count(Grade::Error), first)
}

/// The domains of the last good start; none where nobody knows any more.
fn read_known(config: &Config) -> KnownDomains {
    let file = KnownDomains::file(&config.top.data_dir);
    KnownDomains::read(&file).unwrap_or_else(|error| {
        events::known_domains(&file, &error);
        // It is written anew in a moment; what is in it must not be lost for that.
        if let Err(error) = std::fs::rename(&file, KnownDomains::aside(&file)) {
            events::known_domains(&file, &error);
        }
        KnownDomains::default()
    })
}

fn tell_change(change: &Change) {
    change.back.iter().for_each(events::domain_back);
}

/// Keys that are read at the start only keep their old value. Returns those that would have changed.
fn keep_for_this_run(old: &Config, new: &mut Config) -> Vec<&'static str> {
    fn keep<T: Clone + PartialEq>(key: &'static str, old: &T, new: &mut T) -> Option<&'static str> {
        (std::mem::replace(new, old.clone()) != *old).then_some(key)
    }
    let kept = [
        keep("data-dir", &old.top.data_dir, &mut new.top.data_dir),
        keep("worker-threads", &old.top.worker_threads, &mut new.top.worker_threads),
        keep("[admin] socket", &old.admin.socket, &mut new.admin.socket),
        keep("[admin] http", &old.admin.http, &mut new.admin.http),
        keep("[admin] token-file", &old.admin.token_file, &mut new.admin.token_file),
        keep("[limits] index-cache", &old.limits.index_cache, &mut new.limits.index_cache),
        keep("[limits] disk-low-water", &old.limits.disk_low_water, &mut new.limits.disk_low_water),
    ];
    kept.into_iter().flatten().collect()
}
