//! Those who collect: their accounts, and what they are collecting.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use restante_delivery::{Requester, Requesters};
use restante_turn::{Account, Accounts, Drains, NewAccounts, RequesterHops, TurnDesk};
use restante_types::Domain;
use tokio::task::spawn_blocking;

use super::events;
use crate::accounts::{self, Stamp};
use crate::config::Config;

/// The accounts in force, and what goes on for them.
pub(super) struct Collectors {
    /// Who can prove to be whom.
    pub(super) accounts: Arc<Accounts>,
    /// Who drains over a connection of its own.
    pub(super) drains: Drains,
    /// Whose address waits for a drain.
    pub(super) hops: Arc<RequesterHops>,
    /// The accounts file as it was when it was last read, well or badly.
    stamp: Option<Stamp>,
}

impl Collectors {
    /// Those of a configuration that was just read. The data directory is there.
    ///
    /// # Errors
    /// When the installation's secret can be neither read nor made.
    pub(super) async fn open(config: &Config) -> io::Result<Self> {
        let (data_dir, written) = (config.top.data_dir.clone(), written(config));
        let opened = spawn_blocking(move || {
            let accounts = Accounts::new(accounts::install(&data_dir)?);
            accounts.load(written);
            Ok::<_, io::Error>(accounts)
        });
        let accounts = Arc::new(opened.await.map_err(io::Error::other)??);
        let stamp = config.accounts_stamp;
        Ok(Self { accounts, drains: Drains::default(), hops: Arc::default(), stamp })
    }

    /// The accounts of a configuration, worked out but not in force.
    ///
    /// # Errors
    /// When there is no thread left for it.
    pub(super) async fn prepare(&self, config: &Config) -> io::Result<NewAccounts> {
        let (accounts, written) = (self.accounts.clone(), written(config));
        spawn_blocking(move || accounts.prepare(written)).await.map_err(io::Error::other)
    }

    /// Whether the file is another one than was last read. Remembers it as it is now.
    pub(super) async fn changed(&mut self, config: &Config) -> Option<PathBuf> {
        let file = accounts::file(config);
        let looked = file.clone();
        // A look that was cancelled with the runtime needs no answer.
        let stamp = spawn_blocking(move || Stamp::of(&looked)).await.ok()?;
        let changed = stamp != self.stamp;
        self.stamp = stamp;
        changed.then_some(file)
    }

    /// The file was read on another occasion.
    pub(super) const fn read(&mut self, config: &Config) {
        self.stamp = config.accounts_stamp;
    }

    /// [4954-9-revoked] Ends what goes on for accounts that lost their right to it.
    pub(super) fn enforce(&self, desk: &TurnDesk) {
        let ended = self.drains.end_unless(|identity, queue| desk.owns(identity, queue));
        if ended > 0 {
            events::drains_ended(ended);
        }
        self.hops.end_unless(|hop, queue| desk.may_go_to(hop, queue));
    }
}

fn written(config: &Config) -> Vec<Account> {
    config.accounts.iter().map(|account| account.value.clone()).collect()
}

/// The addresses of those who asked, as delivery asks for them.
pub(super) struct Hops(pub(super) Arc<RequesterHops>);

impl Requesters for Hops {
    fn take(&self, domain: &Domain) -> Option<Requester> {
        let hop = self.0.take(domain, Instant::now())?;
        Some(Requester { address: hop.address, certificates: hop.certificates })
    }
}
