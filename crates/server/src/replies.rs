//! Our own refusals. Bland on purpose: the cause is in the log.

use restante_queue::StoreError;
use restante_types::{Domain, Reply};

/// More connections at one time than one client may have.
pub(crate) fn too_many_from_client(hostname: &Domain) -> Reply {
    Reply::new(421, (4, 7, 0), format!("{hostname} too many connections from your address"))
}

/// More connections than the listener has room for: it is about us, not about the client (RFC 3463 3.4, X.3.2).
pub(crate) fn too_many(hostname: &Domain) -> Reply {
    Reply::new(421, (4, 3, 2), format!("{hostname} too many connections, try again later"))
}

/// [5321-3.6.2] A domain that is not held here.
pub(crate) fn relaying() -> Reply {
    Reply::new(550, (5, 7, 1), "relaying denied")
}

/// A domain that was held until its configuration got lost.
pub(crate) fn lost_domain() -> Reply {
    Reply::new(450, (4, 3, 0), "mail for this domain cannot be taken now")
}

/// Bare `postmaster` while no domain is configured.
pub(crate) fn no_postmaster() -> Reply {
    Reply::new(450, (4, 3, 0), "nobody is here yet")
}

/// [6531-3.5] The primary is not known to take SMTPUTF8.
pub(crate) fn not_international() -> Reply {
    Reply::new(553, (5, 6, 7), "internationalised mail cannot be handed on to this domain")
}

/// The domain's quota is used up.
pub(crate) fn over_quota() -> Reply {
    Reply::new(452, (4, 2, 2), "mailbox full")
}

/// The domain has as many queues below it as it may have.
pub(crate) fn too_many_queues() -> Reply {
    Reply::new(452, (4, 2, 2), "too many queues below this domain")
}

/// [5321-6.3] More Received lines than `hop-limit`.
pub(crate) fn loops() -> Reply {
    Reply::new(554, (5, 4, 6), "too many hops, this message is looping")
}

/// The store cannot take mail now.
pub(crate) fn store(error: &StoreError) -> Reply {
    match error {
        StoreError::Full => Reply::new(452, (4, 3, 1), "no room for mail now"),
        _ => Reply::new(451, (4, 3, 0), "mail cannot be taken now"),
    }
}

/// [4954-6-454] More want to authenticate at this moment than there is room for.
pub(crate) fn too_many_logins() -> Reply {
    Reply::new(454, (4, 7, 0), "Temporary authentication failure, try again later")
}

/// [2645-7-451] Allowed, and mail may be there, but not now.
pub(crate) fn not_now() -> Reply {
    Reply::new(451, (4, 3, 0), "Unable to process ATRN request now")
}

/// [821-turn-refused] TURN was never promised to anybody.
pub(crate) fn no_turn() -> Reply {
    Reply::new(502, (5, 5, 1), "Command not implemented")
}
