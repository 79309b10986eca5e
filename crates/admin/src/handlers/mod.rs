//! One file per thing that can be asked.

pub(crate) mod backup;
pub(crate) mod change;
pub(crate) mod domains;
pub(crate) mod entries;
pub(crate) mod flush;
pub(crate) mod health;
pub(crate) mod message;
pub(crate) mod way;
