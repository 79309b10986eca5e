//! What a route is beside its addresses: from where, by whose DNS, what was left out and why, and how it is shown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use restante_delivery::{DomainDelivery, Lookup, NextHop, NoRoute, Route, RouteView, find_route};
use restante_queue::DrainCause;
use restante_types::DomainMap;

use crate::support::{Script, ScriptedDns, World, domain};

const OWN: &str = "192.0.2.53:53";

fn own() -> SocketAddr {
    OWN.parse().unwrap()
}

async fn find(dns: ScriptedDns, delivery: DomainDelivery) -> Result<Route, NoRoute> {
    let dns: Arc<dyn Lookup> = Arc::new(dns);
    let primary = delivery.primary.clone();
    let mut domains = DomainMap::default();
    domains.insert(domain("example.org"), true, delivery);
    find_route(&dns, &World::settings(domains), &domain("example.org"), &primary).await
}

async fn view(zone: &str, delivery: DomainDelivery) -> RouteView {
    look(zone, delivery, "example.org").await.unwrap()
}

async fn look(zone: &str, delivery: DomainDelivery, of: &str) -> Option<RouteView> {
    let dns: Arc<dyn Lookup> = Arc::new(ScriptedDns::new(zone));
    let mut domains = DomainMap::default();
    domains.insert(domain("example.org"), true, delivery);
    RouteView::look(&dns, &World::settings(domains), &domain(of)).await
}

fn left_out(view: &RouteView) -> Vec<String> {
    view.left_out.iter().map(|left| format!("{}: {}", left.what, left.why)).collect()
}

#[tokio::test]
async fn a_domain_asks_its_own_servers() {
    for (primary, port) in [("mx", 25), ("mail.example.org:2525", 2525)] {
        let dns = ScriptedDns::new("example.org TROUBLE\nmail.example.org A 192.0.2.1");
        dns.beside(&[own()], "example.org MX 10 mail.example.org\nmail.example.org A 10.0.0.1");
        let primary: NextHop = primary.parse().unwrap();
        let delivery = DomainDelivery { primary, resolvers: vec![own()], ..DomainDelivery::default() };
        let found = find(dns, delivery).await.unwrap();
        assert_eq!(found.hops[0].address, SocketAddr::from(([10, 0, 0, 1], port)));
    }
}

#[tokio::test]
async fn servers_that_cannot_be_asked_are_not_replaced_by_others() {
    let dns = ScriptedDns::new("example.org MX 10 mail.example.org\nmail.example.org A 192.0.2.1");
    let delivery = DomainDelivery { resolvers: vec![own()], ..DomainDelivery::default() };
    assert!(matches!(find(dns, delivery).await, Err(NoRoute::Later(_))));
}

#[tokio::test]
async fn the_domains_own_addresses_come_before_the_general_ones() {
    let zone = "mail.example.org A 192.0.2.1\nmail.example.org AAAA 2001:db8::1";
    let primary: NextHop = "mail.example.org".parse().unwrap();
    let delivery = DomainDelivery {
        primary: primary.clone(),
        source_addresses: vec!["198.51.100.9".parse().unwrap()],
        ..DomainDelivery::default()
    };
    let mut domains = DomainMap::default();
    domains.insert(domain("example.org"), true, delivery);
    let mut settings = World::settings(domains);
    settings.source_addresses = vec!["198.51.100.1".parse().unwrap(), "2001:db8::25".parse().unwrap()];
    let dns: Arc<dyn Lookup> = Arc::new(ScriptedDns::new(zone));
    let sources = async |of: &str| {
        let route = find_route(&dns, &settings, &domain(of), &primary).await.unwrap();
        route.hops.iter().map(|hop| hop.source.unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(sources("example.org").await, ["2001:db8::25", "198.51.100.9"]);
    assert_eq!(sources("other.example").await, ["2001:db8::25", "198.51.100.1"]);
}

#[tokio::test]
async fn notices_go_to_the_exchanges_of_their_destination() {
    let dns = ScriptedDns::new(
        "sender.example MX 10 a.sender.example\nsender.example MX 20 mx2.example.net
        a.sender.example A 192.0.2.1",
    );
    let queue = domain("sender.example").notice_queue().unwrap();
    let dns: Arc<dyn Lookup> = Arc::new(dns);
    let settings = World::settings(DomainMap::default());
    let found = find_route(&dns, &settings, &queue, &NextHop::Mx).await.unwrap();
    assert_eq!(found.hops.len(), 1);
    assert_eq!(found.hops[0].address.to_string(), "192.0.2.1:25");
    assert_eq!(found.left_out.len(), 1, "ourselves");
}

#[tokio::test]
async fn the_operator_sees_the_way_and_what_is_left_out() {
    // [5321-5.1-ourselves]
    let zone = "example.org MX 10 a.example.org\nexample.org MX 10 dead.example.org
        example.org MX 10 .\nexample.org MX 10 -bad-\nexample.org MX 20 mx2.example.net
        example.org MX 20 same.example.org\nexample.org MX 30 worse.example.org
        a.example.org A 192.0.2.1\nsame.example.org A 192.0.2.2\nworse.example.org A 192.0.2.3
        dead.example.org TROUBLE";
    let shown = view(zone, DomainDelivery::default()).await;
    assert_eq!(shown.hops.len(), 1);
    assert_eq!(shown.hops[0].to_string(), "a.example.org[192.0.2.1]:25");
    assert_eq!((shown.primary.clone(), shown.problem.clone()), (NextHop::Mx, None));
    assert_eq!(shown.ttl, Some(Duration::from_secs(300)));
    let mut found = left_out(&shown);
    found.sort();
    assert_eq!(
        found,
        [
            "MX 10 (no host name): it names no host",
            "MX 10 .: a null MX means nothing beside others",
            "MX 20 mx2.example.net: this server itself",
            "MX 20 same.example.org: not better than this server",
            "MX 30 worse.example.org: not better than this server",
            "dead.example.org: the DNS did not answer: SERVFAIL",
        ]
    );
}

#[tokio::test]
async fn the_operator_sees_why_there_is_no_way() {
    // [7505-3]
    let shown = view("example.org MX 0 .", DomainDelivery::default()).await;
    assert!(matches!(shown.problem, Some(NoRoute::Misrouted(_))), "{shown:?}");
    assert_eq!(left_out(&shown), ["MX 0 .: a null MX: the domain takes no mail"]);

    let ours = "example.org MX 10 alias.example.org\nexample.org MX 10 other.example.org
        example.org MX 20 worse.example.org\nalias.example.org A 203.0.113.7
        other.example.org A 192.0.2.1\nworse.example.org A 192.0.2.2";
    let shown = view(ours, DomainDelivery::default()).await;
    assert!(matches!(shown.problem, Some(NoRoute::Misrouted(_))), "{shown:?}");
    assert!(shown.hops.is_empty());
    let mut found = left_out(&shown);
    found.sort();
    assert_eq!(
        found,
        [
            "MX 20 worse.example.org: not better than this server",
            "alias.example.org[203.0.113.7]: an address of this server",
            "other.example.org: not better than this server",
        ]
    );

    let shown = view("", DomainDelivery::default()).await;
    assert_eq!(shown.problem, Some(NoRoute::Later("example.org: the name does not exist".to_owned())));

    let pinned = DomainDelivery { primary: "[127.0.0.1]:2525".parse().unwrap(), ..DomainDelivery::default() };
    let shown = view("", pinned).await;
    assert_eq!(left_out(&shown), ["[127.0.0.1]:2525: this server listens there"]);
    assert!(matches!(shown.problem, Some(NoRoute::Misrouted(_))));
}

#[tokio::test]
async fn a_crowd_of_records_is_told_in_bounds() {
    // [5321-5.1-bound]
    let line =
        |n: usize| format!("example.org MX {n} h{n}.example.org\nh{n}.example.org A 192.0.2.{}\n", n % 250);
    let zone: String = (0..500).map(line).collect();
    let shown = view(&zone, DomainDelivery::default()).await;
    assert_eq!(shown.hops.len(), 50);
    assert_eq!(left_out(&shown), ["450 more MX records: only the best 50 are looked at"]);
    let dead = |n: usize| format!("example.org MX 10 h{n}.example.org\n");
    let behind_us: String = (0..500).map(dead).collect();
    let shown =
        view(&format!("{behind_us}example.org MX 5 mx2.example.net"), DomainDelivery::default()).await;
    assert_eq!(shown.left_out.len(), 65);
    assert_eq!(left_out(&shown)[64], "437 more: not listed one by one");
}

#[tokio::test(start_paused = true)]
async fn a_drain_looks_up_once_however_much_it_carries() {
    let dns = Arc::new(ScriptedDns::new("example.org MX 10 a.example.org\na.example.org A 192.0.2.1"));
    let world = World::with_dns(dns.clone(), DomainDelivery::default(), |_, _| Script::default());
    // The book of primaries asks on its own.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = dns.asked("example.org") + dns.asked("a.example.org");
    world.fill(1000);
    world.ask(DrainCause::Etrn);
    world.drains(1).await;
    assert_eq!(world.store.waiting(&world.domain), 0);
    assert_eq!(dns.asked("example.org") + dns.asked("a.example.org"), before + 2);
}

#[tokio::test]
async fn nobody_is_shown_a_domain_that_is_not_held() {
    assert!(look("", DomainDelivery::default(), "other.example").await.is_none());
}
