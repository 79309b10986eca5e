//! Mail collected by ATRN and TURN: the real server and the real delivery, joined as the program joins them, against
//! customers that do what they are told over loopback.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails where it cannot go on")]

mod caller;
mod certificates;
mod customer;
mod cuts;
mod happy;
mod hostile;
mod redial;
mod turn;
#[path = "../../../restante/src/serve/turned.rs"]
mod turned;
mod world;
