//! Who is at the other end, and what they may do.

use std::ffi::CString;

use nix::unistd::{Gid, Uid, User, getgrouplist};

/// The credentials of a connection, as the kernel knows them (SO_PEERCRED).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The user.
    pub(crate) uid: u32,
    /// The primary group of its process.
    pub(crate) gid: u32,
}

/// Whom the server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// The user that the server runs as.
    pub(crate) own: u32,
    /// The group of the socket.
    pub(crate) group: u32,
}

impl Access {
    /// Whether the peer may do everything: root, the server's own user, and members of the socket's group. `groups`
    /// tells the groups of a user beside the primary one; it may ask the network, so it is only called when nothing
    /// else decides.
    pub(crate) fn allows(self, peer: Peer, groups: impl FnOnce(Peer) -> Vec<u32>) -> bool {
        peer.uid == 0 || peer.uid == self.own || peer.gid == self.group || groups(peer).contains(&self.group)
    }
}

/// The groups of a peer's user, from the system's user database. A user that is not in it has none.
pub(crate) fn groups_of(peer: Peer) -> Vec<u32> {
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(peer.uid)) else { return Vec::new() };
    let Ok(name) = CString::new(user.name) else { return Vec::new() };
    let groups = getgrouplist(&name, user.gid).unwrap_or_default();
    groups.into_iter().map(Gid::as_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS: Access = Access { own: 990, group: 980 };

    fn allows(uid: u32, gid: u32, groups: &[u32]) -> bool {
        ACCESS.allows(Peer { uid, gid }, |_| groups.to_vec())
    }

    #[test]
    fn root_ourselves_and_the_group_may() {
        assert!(allows(0, 0, &[]));
        assert!(allows(990, 1, &[]));
        assert!(allows(1000, 980, &[]));
        assert!(allows(1000, 1000, &[4, 27, 980]));
    }

    #[test]
    fn nobody_else_may() {
        assert!(!allows(1000, 1000, &[]));
        assert!(!allows(1000, 1000, &[4, 27]));
        assert!(!allows(980, 990, &[]), "a uid is no gid");
    }

    #[test]
    fn the_database_is_only_asked_when_it_decides() {
        assert!(ACCESS.allows(Peer { uid: 0, gid: 0 }, |_| unreachable!("root needs no group")));
        assert!(ACCESS.allows(Peer { uid: 5, gid: 980 }, |_| unreachable!("the primary group is known")));
    }

    #[test]
    fn the_database_knows_root_and_not_everybody() {
        assert!(groups_of(Peer { uid: 0, gid: 0 }).contains(&0));
        assert_eq!(groups_of(Peer { uid: 4_000_000_000, gid: 0 }), Vec::<u32>::new());
    }
}
