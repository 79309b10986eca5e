//! What the fuzz targets do: one module for each; its `run` takes octets, and panics where something does not hold that
//! must hold for all octets.
//!
//! The first octets of an input choose a setting and how the rest is cut into pieces (see [`Input`]), so that inputs
//! stay readable: what follows is what would come over the wire or stand in the file.

pub mod accounts;
pub mod admin;
pub mod client;
pub mod command;
pub mod config;
pub mod cut;
mod files;
pub mod framing;
pub mod index;
pub mod log;
pub mod reply;
pub mod scram;
pub mod server;
pub mod sts;
pub mod template;
pub mod tlsa;
pub mod unforged;
pub mod wire;
pub mod xclient;

pub use cut::Input;

#[path = "../../crates/admin/tests/admin/support/fake.rs"]
mod fake;
#[path = "../../crates/smtp/tests/memory/mod.rs"]
mod memory;
#[path = "../../crates/admin/tests/admin/support/program.rs"]
mod program;

/// Counts what is allocated, so that a target can say what something may keep.
#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

/// Octets that go when this goes.
pub fn octets_of<T>(value: T) -> usize {
    let before = ALLOCATOR.allocated();
    drop(value);
    before.saturating_sub(ALLOCATOR.allocated())
}
