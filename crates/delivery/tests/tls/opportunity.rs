//! STARTTLS that is missing, refused, broken, hanging or injected into, under each policy.

use restante_delivery::{DomainDelivery, TlsPolicy, TlsTrust};
use sha2::{Digest, Sha256};

use crate::chain::{Authority, Shown, Valid};
use crate::house::{HOST, MESSAGES, SHORT, World, deferred, drain, to_address, to_host, trusting};
use crate::journal::Journal;
use crate::mta_sts::{Web, policy};
use crate::primary::{Manner, Primary};
use crate::zone::{Zone, tlsa};

const BAD: [Manner; 8] = [
    Manner::Missing,
    Manner::Refused,
    Manner::Never,
    Manner::Broken,
    Manner::Hangs,
    Manner::Injected,
    Manner::Mute,
    Manner::MuteInside,
];

struct Scene {
    world: World,
    shown: Shown,
}

/// In which every policy is met, were it not for STARTTLS.
fn scene(authority: &Authority) -> Scene {
    let shown = authority.issue(&[HOST], Valid::Now);
    let zone = Zone::default().tlsa(HOST, vec![tlsa(3, 1, 1, Sha256::digest(&shown.spki).to_vec())]);
    zone.txt("_mta-sts.example.org", &["v=STSv1; id=1;"]);
    let mut world = World::new(zone, &authority.file());
    world.fetch = Web::new(&policy("enforce", &[HOST]));
    Scene { world, shown }
}

/// [8461-5-enforce] and every other policy that demands TLS.
#[tokio::test]
async fn without_starttls_nothing_goes_where_it_is_demanded() {
    let authority = Authority::new("ours");
    let Scene { mut world, shown } = scene(&authority);
    world.handshake = SHORT;
    for manner in BAD {
        let primary = Primary::start(manner, &shown);
        for policy in [TlsPolicy::Require, TlsPolicy::Verify, TlsPolicy::Dane, TlsPolicy::MtaSts] {
            let why = deferred(to_host(&primary, policy), &world, &primary).await;
            let wanted = match manner {
                Manner::Missing => "450 4.7.4 ",
                Manner::Refused => "454 4.7.0 not today",
                // Deferred all the same: it is no judgement on the mail.
                Manner::Never => "554 5.7.1 never",
                // [3207-4.2-client]
                Manner::Injected => "450 4.5.0 mail.example.org[127.0.0.1]",
                Manner::Mute | Manner::MuteInside => "450 4.4.2 mail.example.org[127.0.0.1]",
                _ => "450 4.7.5 no TLS with mail.example.org[127.0.0.1]",
            };
            assert!(why.starts_with(wanted), "{policy:?} {manner:?}: {why}");
        }
        let prints = TlsTrust { fingerprints: [[7; 32]].into(), ..TlsTrust::default() };
        deferred(trusting(to_address(&primary, TlsPolicy::Verify), prints), &world, &primary).await;
        // No second connection, in clear or otherwise: one for each drain.
        assert_eq!(primary.seen().len(), 5, "{manner:?}");
    }
}

#[tokio::test]
async fn opportunistic_goes_in_clear_once_but_not_where_somebody_talks_early() {
    let authority = Authority::new("ours");
    let Scene { mut world, shown } = scene(&authority);
    world.handshake = SHORT;
    let journal = Journal::open();
    for (manner, connections) in [
        (Manner::Missing, 1),
        (Manner::Refused, 1),
        (Manner::Never, 1),
        (Manner::Broken, 2),
        (Manner::Hangs, 2),
    ] {
        let primary = Primary::start(manner, &shown);
        let (waiting, why) = drain(to_host(&primary, TlsPolicy::Opportunistic), &world).await;
        assert_eq!((waiting, primary.taken()), (0, (MESSAGES, 0)), "{manner:?}: {why}");
        assert_eq!(primary.seen().len(), connections, "{manner:?}");
    }
    let told = journal.about("tls_failed");
    assert_eq!(told.iter().filter(|line| line.contains("again_in_clear=true")).count(), 2, "{told:?}");
    assert_eq!(told.len(), 2);
    let primary = Primary::start(Manner::Injected, &shown);
    let why = deferred(to_host(&primary, TlsPolicy::Opportunistic), &world, &primary).await;
    assert!(why.contains("between the answer to STARTTLS and the start of TLS"), "{why}");
    assert_eq!(primary.seen().len(), 1);
}

/// [5321-4.5.3.2-client] Silence is left, and is no answer that would let the mail go in clear.
#[tokio::test]
async fn who_falls_silent_around_the_handshake_is_left() {
    let authority = Authority::new("ours");
    let Scene { world, shown } = scene(&authority);
    for (manner, stage) in [(Manner::Mute, "STARTTLS"), (Manner::MuteInside, "EHLO")] {
        let primary = Primary::start(manner, &shown);
        let why = deferred(to_host(&primary, TlsPolicy::Opportunistic), &world, &primary).await;
        assert!(why.starts_with("450 4.4.2 ") && why.contains(stage), "{manner:?}: {why}");
        assert_eq!(primary.seen().len(), 1, "{manner:?}");
    }
}

/// Any certificate: expired, by nobody, for somebody else.
#[tokio::test]
async fn opportunistic_and_require_take_any_certificate() {
    let authority = Authority::new("ours");
    let Scene { world, .. } = scene(&authority);
    let shown = Authority::new("theirs").issue(&["elsewhere.example"], Valid::Past);
    let primary = Primary::start(Manner::Works, &shown);
    let policies = [TlsPolicy::Opportunistic, TlsPolicy::Require];
    let by_name = |policy| to_host(&primary, policy);
    let by_address = |policy| to_address(&primary, policy);
    let ways: [&dyn Fn(TlsPolicy) -> DomainDelivery; 2] = [&by_name, &by_address];
    for policy in policies {
        for way in ways {
            crate::house::delivered(way(policy), &world, &primary).await;
        }
    }
}
