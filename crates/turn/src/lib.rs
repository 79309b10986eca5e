//! Who may ask for which queue, and what asking does.
//!
//! [`TurnDesk`] answers an ETRN (RFC 1985) at once, from what is in memory: authorisation first, then the state of the
//! store, then the minimum interval. The mail itself flows later and elsewhere. The operator's `flush` takes the same
//! way. [`TurnDesk::atrn`] and [`TurnDesk::turn`] say which queues go over the connection that asked; [`Drains`] knows who
//! runs such a drain, so that a redial or the loss of a right ends it. [`Accounts`] is who can prove to be whom.

mod accounts;
mod collect;
mod desk;
mod drains;
mod events;
mod flush;
mod interval;
mod ledger;
mod limits;
mod pace;
mod requester;
mod rights;
mod settings;
mod targets;

pub use accounts::{
    Account, Accounts, AuthFailure, ClientCertificate, Fingerprint, FingerprintError, Install, Kdf,
    NewAccounts, Pbkdf2, Peer, SecretError, StoredSecret, is_account_name,
};
pub use desk::TurnDesk;
pub use drains::{Drains, RunningDrain};
pub use flush::FlushError;
pub use ledger::Ledger;
pub use limits::{
    DEFAULT_ITERATIONS, MAX_ACCOUNT_NAME, MAX_ATRN_DOMAINS, MAX_INTERVALS, MAX_ITERATIONS, MAX_PASSWORD,
    MAX_QUEUES_LOOKED_AT, MIN_ITERATIONS, NETWORK_TOLD_EVERY, REQUESTER_LIFE, TOLD_AT_ONCE, TOLD_EVERY,
};
pub use pace::Pace;
pub use requester::{RequesterHop, RequesterHops};
pub use rights::{Asker, PrimaryAddresses, Right};
pub use settings::{AccountTurn, DomainTurn, EtrnFrom, EtrnFromError, EtrnReply, TurnSettings};
