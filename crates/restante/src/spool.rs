//! `spool`: work on the content log of a server that is stopped.

use std::path::Path;

use crate::args;
use crate::cli::{Exit, Options};
use crate::complain;

/// Does what the command says.
pub(crate) fn run(what: args::Spool, _options: &Options) -> Exit {
    match what {
        args::Spool::Probe { directory } => probe(&directory),
        _ => Exit::Unavailable,
    }
}

fn probe(directory: &Path) -> Exit {
    match restante_queue::probe(directory) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            complain(&error.to_string());
            Exit::Data
        }
    }
}
