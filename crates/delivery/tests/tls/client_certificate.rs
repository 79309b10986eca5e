//! The certificate that we show.

use restante_delivery::{TlsPolicy, TlsTrust};
use sha2::{Digest, Sha256};

use crate::chain::{Authority, Shown, Valid};
use crate::house::{HOST, House, MESSAGES, World, deferred, to_host, trusting};
use crate::primary::{Manner, Primary};
use crate::zone::Zone;

fn print(shown: &Shown) -> Option<[u8; 32]> {
    Some(Sha256::digest(&shown.chain[0]).into())
}

#[tokio::test]
async fn it_is_shown_to_who_asks_and_read_again_when_it_changes() {
    let authority = Authority::new("ours");
    let world = World::new(Zone::default(), &authority.file());
    let (old, new) =
        (authority.issue(&["a.example"], Valid::Now), authority.issue(&["b.example"], Valid::Now));
    let (certificate, key) = old.files();
    let trust = TlsTrust { shown: Some((certificate.clone(), key.clone())), ..TlsTrust::default() };
    for policy in [TlsPolicy::Opportunistic, TlsPolicy::Require, TlsPolicy::Verify] {
        old.write(&certificate, &key);
        let primary = Primary::start(Manner::Works, &authority.issue(&[HOST], Valid::Now));
        let house = House::open(trusting(to_host(&primary, policy), trust.clone()), &world).await;
        assert_eq!(house.drain().await.0, 0);
        assert_eq!(primary.seen().last().unwrap().client, print(&old), "{policy:?}");
        new.write(&certificate, &key);
        house.refill().await;
        assert_eq!(house.drain().await.0, 0);
        assert_eq!(primary.seen().last().unwrap().client, print(&new), "{policy:?}");
        // Half of a new pair: what was read before goes on.
        old.write(&certificate, &key.with_extension("elsewhere"));
        house.refill().await;
        assert_eq!(house.drain().await.0, 0);
        assert_eq!(primary.seen().last().unwrap().client, print(&new), "{policy:?}");
        assert_eq!(primary.taken(), (0, 3 * MESSAGES));
        house.close().await;
    }
}

#[tokio::test]
async fn where_it_cannot_be_read_nothing_goes_without_it() {
    let authority = Authority::new("ours");
    let world = World::new(Zone::default(), &authority.file());
    let primary = Primary::start(Manner::Works, &authority.issue(&[HOST], Valid::Now));
    let shown = Some(("/nowhere/a.crt".into(), "/nowhere/a.key".into()));
    let trust = TlsTrust { shown, ..TlsTrust::default() };
    let why = deferred(trusting(to_host(&primary, TlsPolicy::Require), trust), &world, &primary).await;
    assert!(why.contains("/nowhere/a.crt"), "{why}");
}
