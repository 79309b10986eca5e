//! A network that loses, cuts, stalls, reorders and repeats, and the books that show what became of every message meanwhile.
//!
//! Every message has a number, every acceptance the id that the server gave it, every arrival the connection it came
//! over, and of every connection through a [`Proxy`] it is known how much of it was passed on. So it can be said of each
//! copy whether our side could have heard that it was taken.

mod courier;
mod crawler;
mod crowd;
mod happened;
mod ledger;
mod letterbox;
mod passage;
mod process;
mod proxy;
mod random;
mod said;
mod scene;
mod weather;

pub use courier::{Attempt, Manner, Sender, request, size_of};
pub use crawler::{Crawler, Slow};
pub use crowd::{Crowd, Dribbled, Visitor};
pub use happened::Happened;
pub use ledger::{Account, Circumstances, Ledger};
pub use letterbox::{Arrival, By, Collector, Letter, Letterbox};
pub use passage::{Direction, Passage};
pub use process::{Usage, usage};
pub use proxy::Proxy;
pub use random::Random;
pub use said::{Entry, Said};
pub use scene::{Paths, Scene, recipients_of};
pub use weather::Weather;
