//! What the tests bring instead of the world.

mod carrier;
mod dns;
mod sink;
mod store;
mod world;

pub(crate) use carrier::Script;
pub(crate) use dns::{ScriptedDns, SlowDns};
pub(crate) use sink::{Manner, Sink};
pub(crate) use store::content;
pub(crate) use world::{World, domain, reply};
