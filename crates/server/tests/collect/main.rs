//! Mail collected by ATRN and TURN: the real server and the real delivery, joined as the program joins them, against
//! customers that do what they are told over loopback.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod caller;
mod certificates;
mod customer;
mod cuts;
mod happy;
mod hostile;
mod logins;
mod redial;
mod turn;
mod world;

/// The joint between server and delivery, as the program has it.
#[path = "../../../restante/src/serve/calls.rs"]
mod calls;

mod limits {
    /// As the program has it.
    pub(crate) const CALLS_WAITING: usize = 1;
}
