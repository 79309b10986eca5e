//! Where mail goes, against a scripted DNS. The clauses are of RFC 5321 and 7505; see the ids.

use std::collections::HashSet;
use std::sync::Arc;

use restante_delivery::{Lookup, NextHop, NoRoute, Route, find_route};
use restante_types::DomainMap;

use crate::support::{ScriptedDns, World, domain};

async fn find(zone: &str, primary: &str) -> Result<Route, NoRoute> {
    let dns: Arc<dyn Lookup> = Arc::new(ScriptedDns::new(zone));
    let primary: NextHop = primary.parse().unwrap();
    find_route(&dns, &World::settings(DomainMap::default()), &domain("example.org"), &primary).await
}

async fn addresses(zone: &str, primary: &str) -> Vec<String> {
    find(zone, primary).await.unwrap().hops.iter().map(|hop| hop.address.to_string()).collect()
}

async fn misrouted(zone: &str, primary: &str) -> bool {
    match find(zone, primary).await {
        Err(NoRoute::Misrouted(_)) => true,
        Err(NoRoute::Later(_)) => false,
        Ok(route) => panic!("{zone}: {route:?}"),
    }
}

#[tokio::test]
async fn the_lowest_number_comes_first() {
    // [5321-5.1-order]
    let zone =
        "example.org MX 20 b.example.org\nexample.org MX 10 a.example.org\nexample.org MX 30 c.example.org
        a.example.org A 192.0.2.1\nb.example.org A 192.0.2.2\nc.example.org A 192.0.2.3";
    assert_eq!(addresses(zone, "mx").await, ["192.0.2.1:25", "192.0.2.2:25", "192.0.2.3:25"]);
}

#[tokio::test]
async fn equals_come_in_random_order() {
    // [5321-5.1-order]
    let zone = "example.org MX 10 b.example.org\nexample.org MX 10 a.example.org
        a.example.org A 192.0.2.1\nb.example.org A 192.0.2.2";
    let mut first = HashSet::new();
    for _ in 0..100 {
        first.insert(addresses(zone, "mx").await.remove(0));
    }
    assert_eq!(first.len(), 2);
}

#[tokio::test]
async fn without_mx_the_domain_is_its_own_exchange() {
    // [5321-5.1-implicit]
    let zone = "example.org A 192.0.2.1\nexample.org AAAA 2001:db8::1";
    assert_eq!(addresses(zone, "mx").await, ["[2001:db8::1]:25", "192.0.2.1:25"]);
    // Only without any: an MX that leads nowhere is not replaced by the domain itself.
    let zone = "example.org A 192.0.2.1\nexample.org MX 10 gone.example.org";
    assert!(!misrouted(zone, "mx").await);
}

#[tokio::test]
async fn ourselves_and_all_behind_us_are_left_out_by_name() {
    // [5321-5.1-ourselves]
    let zone = "example.org MX 10 a.example.org\nexample.org MX 20 mx2.example.net
        example.org MX 20 same.example.org\nexample.org MX 30 worse.example.org
        a.example.org A 192.0.2.1\nsame.example.org A 192.0.2.2\nworse.example.org A 192.0.2.3";
    assert_eq!(addresses(zone, "mx").await, ["192.0.2.1:25"]);
}

#[tokio::test]
async fn ourselves_and_all_behind_us_are_left_out_by_address() {
    // [5321-5.1-ourselves]
    for own in ["203.0.113.7", "203.0.113.8", "::ffff:203.0.113.7", "127.0.0.1", "0.0.0.0"] {
        let zone = format!(
            "example.org MX 10 a.example.org\nexample.org MX 20 alias.example.org
            example.org MX 20 same.example.org\nexample.org MX 30 worse.example.org
            a.example.org A 192.0.2.1\nalias.example.org A {own}
            same.example.org A 192.0.2.2\nworse.example.org A 192.0.2.3"
        );
        assert_eq!(addresses(&zone, "mx").await, ["192.0.2.1:25"], "{own}");
    }
}

/// Our name in the MX record may be an alias, and whose address nobody knows now may be us: behind it mail could circle.
#[tokio::test]
async fn behind_who_may_be_ourselves_nothing_is_tried() {
    // [5321-5.1-doubt]
    let zone = "example.org MX 10 a.example.org\nexample.org MX 20 alias.example.org
        example.org MX 20 same.example.org\nexample.org MX 30 worse.example.org
        a.example.org A 192.0.2.1\nalias.example.org TROUBLE
        same.example.org A 192.0.2.2\nworse.example.org A 192.0.2.3";
    assert_eq!(addresses(zone, "mx").await, ["192.0.2.1:25", "192.0.2.2:25"]);
    let left_out = find(zone, "mx").await.unwrap().left_out;
    let why = left_out.iter().find(|one| one.what.contains("worse.example.org")).unwrap().why.as_str();
    assert_eq!(why, "not better than alias.example.org, which may be this server");
    // Where it is the best, we wait until it is known.
    let best = zone.replace("MX 10", "MX 25");
    assert_eq!(addresses(&best, "mx").await, ["192.0.2.2:25"]);
    let alone = best.replace("example.org MX 20 same.example.org", "");
    assert!(!misrouted(&alone, "mx").await);

    // A host without an address is none, so it is not us either.
    for known in ["alias.example.org NODATA", ""] {
        let zone = zone.replace("alias.example.org TROUBLE", known);
        assert_eq!(addresses(&zone, "mx").await.len(), 3, "{known}");
    }
    // Where our own name stands further down, it is somebody else.
    let named = format!("{zone}\nexample.org MX 40 mx2.example.net");
    assert_eq!(addresses(&named, "mx").await.len(), 3);
    // Nobody takes us for an exchange of the domains that notices go to.
    let dns: Arc<dyn Lookup> = Arc::new(ScriptedDns::new(zone));
    let settings = World::settings(DomainMap::default());
    let queue = domain("example.org").notice_queue().unwrap();
    let route = find_route(&dns, &settings, &queue, &NextHop::Mx).await.unwrap();
    assert_eq!(route.hops.len(), 3);
}

#[tokio::test]
async fn when_we_are_the_best_the_domain_is_misrouted() {
    for zone in [
        "example.org MX 10 mx2.example.net\nexample.org MX 20 b.example.org\nb.example.org A 192.0.2.2",
        "example.org MX 10 alias.example.org\nalias.example.org A 203.0.113.7",
        "example.org A 203.0.113.7",
    ] {
        assert!(misrouted(zone, "mx").await, "{zone}");
    }
}

#[tokio::test]
async fn a_null_mx_takes_no_mail() {
    // [7505-3]
    assert!(misrouted("example.org MX 0 .", "mx").await);
    // Beside others it means nothing.
    let zone = "example.org MX 0 .\nexample.org MX 10 a.example.org\na.example.org A 192.0.2.1";
    assert_eq!(addresses(zone, "mx").await, ["192.0.2.1:25"]);
}

#[tokio::test]
async fn what_the_dns_cannot_say_now_is_asked_later() {
    // [5321-5.1-nxdomain]
    for zone in [
        "",
        "example.org TROUBLE",
        "example.org NODATA",
        "example.org MX 10 a.example.org",
        "example.org MX 10 a.example.org\na.example.org TROUBLE",
        "example.org MX 10 -bad-",
        "example.org MX 10 a.example.org\na.example.org TROUBLE\nexample.org MX 20 mx2.example.net",
        "example.org MX 10 a.example.org\na.example.org TROUBLE
            example.org MX 20 alias.example.org\nalias.example.org A 203.0.113.7",
    ] {
        assert!(!misrouted(zone, "mx").await, "{zone}");
    }
}

#[tokio::test]
async fn one_dead_name_does_not_stop_the_others() {
    let zone = "example.org MX 10 a.example.org\nexample.org MX 10 b.example.org
        a.example.org TROUBLE\nb.example.org A 192.0.2.2";
    assert_eq!(addresses(zone, "mx").await, ["192.0.2.2:25"]);
}

#[tokio::test]
async fn five_hundred_records_are_bounded_and_we_are_still_found_among_them() {
    // [5321-5.1-bound]
    let crowd = |preference: fn(usize) -> usize| {
        let line = |n: usize| {
            let address = format!("198.51.{}.{}", 100 + n / 250, n % 250);
            format!("example.org MX {} h{n}.example.org\nh{n}.example.org A {address}\n", preference(n))
        };
        (0..500).map(line).collect::<String>()
    };
    let best_first = addresses(&crowd(|n| n), "mx").await;
    assert_eq!(best_first.len(), 50);
    assert_eq!(best_first[0], "198.51.100.0:25");
    assert_eq!(best_first[49], "198.51.100.49:25");
    assert_eq!(addresses(&crowd(|_| 10), "mx").await.len(), 50);
    for _ in 0..20 {
        let among_equals = format!("{}example.org MX 10 mx2.example.net", crowd(|_| 10));
        assert!(misrouted(&among_equals, "mx").await);
    }
}

#[tokio::test]
async fn a_host_with_many_addresses_is_bounded() {
    let mut zone = "example.org MX 10 a.example.org\n".to_owned();
    (0..200).for_each(|n| zone.push_str(&format!("a.example.org A 192.0.2.{n}\n")));
    assert_eq!(addresses(&zone, "mx").await.len(), 50);
    assert_eq!(addresses(&zone, "a.example.org:2525").await.len(), 50);
}

#[tokio::test]
async fn families_take_turns() {
    let zone =
        "mail.example.org A 192.0.2.1\nmail.example.org A 192.0.2.2\nmail.example.org AAAA 2001:db8::1";
    let expected = ["[2001:db8::1]:2525", "192.0.2.1:2525", "192.0.2.2:2525"];
    assert_eq!(addresses(zone, "mail.example.org:2525").await, expected);
}

#[tokio::test]
async fn a_pinned_primary_is_taken_as_it_is() {
    assert_eq!(addresses("", "[192.0.2.1]:2525").await, ["192.0.2.1:2525"]);
    // Beside us on this machine, as long as it is not us.
    assert_eq!(addresses("", "[127.0.0.1]:2526").await, ["127.0.0.1:2526"]);
    assert!(misrouted("", "[127.0.0.1]:2525").await);
    let zone = "mail.example.org A 127.0.0.1";
    assert_eq!(addresses(zone, "mail.example.org:2526").await, ["127.0.0.1:2526"]);
    assert!(misrouted(zone, "mail.example.org:2525").await);
    assert!(!misrouted("", "mail.example.org").await);
    // A pinned host's MX records are not asked for.
    let zone = "mail.example.org A 192.0.2.9\nmail.example.org MX 10 other.example.org";
    assert_eq!(addresses(zone, "mail.example.org").await, ["192.0.2.9:25"]);
}
