//! Who asked for what: kept by whoever wants to know whether those who ask still do.

use restante_queue::DrainCause;
use restante_types::Domain;

/// Is told of every request that was allowed, and of every answer. Must not wait: it is called before the answer goes out.
pub trait Ledger: Send + Sync + 'static {
    /// Somebody who may asked for these queues, whether or not something waits in them.
    fn asked(&self, cause: DrainCause, queues: &mut dyn Iterator<Item = &Domain>);

    /// A request was answered with this reply code, also one that was refused.
    fn answered(&self, cause: DrainCause, code: u16);
}

/// Nobody keeps it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unkept;

impl Ledger for Unkept {
    fn asked(&self, _: DrainCause, _: &mut dyn Iterator<Item = &Domain>) {}
    fn answered(&self, _: DrainCause, _: u16) {}
}
