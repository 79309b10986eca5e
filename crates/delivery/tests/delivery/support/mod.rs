//! What the tests bring instead of the world.

mod carrier;
mod dns;
mod moody;
mod row;
mod sink;
mod store;
mod world;

pub(crate) use carrier::Script;
pub(crate) use dns::{ScriptedDns, SlowDns};
pub(crate) use moody::Moody;
pub(crate) use sink::{Manner, Sink};
pub(crate) use store::content;
pub(crate) use world::{World, domain, reply};

/// All of them at the same time, so that they share their syncs.
pub(crate) async fn all_of(all: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        all.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
