//! What the tests bring instead of the world.

mod carrier;
mod dns;
mod store;
mod world;

pub(crate) use carrier::Script;
pub(crate) use dns::{ScriptedDns, SlowDns};
pub(crate) use world::{World, domain, reply};
