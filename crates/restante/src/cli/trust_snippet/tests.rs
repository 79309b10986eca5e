//! The texts as they are printed, against files that a person has read. What real servers say of them is asked in the
//! integration tests.

use super::*;

fn facts(forward_client: ForwardClient, authentication_results: bool) -> Facts {
    Facts {
        domain: "example.org".parse().unwrap(),
        hostname: "mx2.example.net".parse().unwrap(),
        addresses: vec!["192.0.2.9".parse().unwrap(), "2001:db8::9".parse().unwrap()],
        forward_client,
        authentication_results,
    }
}

#[test]
fn the_texts_are_those_that_were_read() {
    let full = facts(ForwardClient::Xclient, true);
    for (kind, expected) in [
        (Kind::Postfix, include_str!("expected/postfix.txt")),
        (Kind::Exim, include_str!("expected/exim.txt")),
        (Kind::Rspamd, include_str!("expected/rspamd.txt")),
        (Kind::Exchange, include_str!("expected/exchange.txt")),
    ] {
        assert_eq!(snippet(kind, &full), expected, "{kind:?}");
    }
}

#[test]
fn what_the_domain_does_not_have_is_not_told() {
    for kind in [Kind::Postfix, Kind::Exim, Kind::Rspamd, Kind::Exchange] {
        let plain = snippet(kind, &facts(ForwardClient::Off, false));
        for word in ["xclient", "xforward", "uthentication-results", "forward-client"] {
            assert!(!plain.contains(word), "{word} in {plain}");
        }
    }
    let logged = snippet(Kind::Postfix, &facts(ForwardClient::Xforward, false));
    assert!(logged.contains("smtpd_authorized_xforward_hosts = 192.0.2.9, [2001:db8::9]"), "{logged}");
}
