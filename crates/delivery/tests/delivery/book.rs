//! The primaries' addresses: never waited for, never forgotten for a resolver's trouble.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use restante_delivery::DomainDelivery;
use restante_types::Domain;
use tokio::time::sleep;

use crate::support::{Script, ScriptedDns, SlowDns, World, domain};

const MX: &str = "example.org MX 10 a.example.org\nexample.org MX 20 mx2.example.net
    example.org MX 30 worse.example.org\na.example.org A 192.0.2.1\nworse.example.org A 192.0.2.3";

fn world(dns: &Arc<ScriptedDns>, primary: &str) -> World {
    let delivery = DomainDelivery { primary: primary.parse().unwrap(), ..DomainDelivery::default() };
    World::with_dns(dns.clone(), delivery, |_, _| Script::default())
}

fn known(world: &World, name: &Domain) -> Option<Vec<IpAddr>> {
    world.delivery.book().addresses(name).map(|addresses| addresses.to_vec())
}

fn ips(texts: &[&str]) -> Option<Vec<IpAddr>> {
    Some(texts.iter().map(|text| text.parse().unwrap()).collect())
}

#[tokio::test(start_paused = true)]
async fn cold_it_knows_nothing_then_only_what_is_better_than_we() {
    // [1985-primary] an ETRN is authorised by the primary's addresses without waiting for the DNS
    let dns = Arc::new(ScriptedDns::new(MX));
    let world = world(&dns, "mx");
    assert_eq!(known(&world, &world.domain), None);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(known(&world, &world.domain), ips(&["192.0.2.1"]));
    assert_eq!(known(&world, &domain("other.example")), None);
}

#[tokio::test(start_paused = true)]
async fn a_literal_is_known_at_once_and_the_dns_is_left_alone() {
    let dns = Arc::new(ScriptedDns::new(MX));
    let world = world(&dns, "[192.0.2.9]:2525");
    assert_eq!(known(&world, &world.domain), ips(&["192.0.2.9"]));
    assert_eq!(known(&world, &domain("sub.example.org")), ips(&["192.0.2.9"]));
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(dns.asked("example.org"), 0);
}

#[tokio::test(start_paused = true)]
async fn asking_never_waits_for_a_dead_dns() {
    let delivery = DomainDelivery::default();
    let world = World::with_dns(Arc::new(SlowDns), delivery, |_, _| Script::default());
    sleep(Duration::from_secs(5)).await;
    assert_eq!(known(&world, &world.domain), None);
}

#[tokio::test(start_paused = true)]
async fn the_last_known_addresses_outlive_trouble_and_follow_changes() {
    let dns = Arc::new(ScriptedDns::new("mail.example.org A 192.0.2.1"));
    let world = world(&dns, "mail.example.org");
    sleep(Duration::from_millis(10)).await;
    assert_eq!(known(&world, &world.domain), ips(&["192.0.2.1"]));
    dns.add("mail.example.org TROUBLE");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(known(&world, &world.domain), ips(&["192.0.2.1"]));
    dns.clear("mail.example.org");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(known(&world, &world.domain), ips(&["192.0.2.1"]));
    dns.add("mail.example.org A 192.0.2.2");
    sleep(Duration::from_secs(120)).await;
    assert_eq!(known(&world, &world.domain), ips(&["192.0.2.2"]));
}

#[tokio::test(start_paused = true)]
async fn refreshing_keeps_between_a_minute_and_a_quarter_of_an_hour() {
    for (ttl, least, most) in [(1, 50, 60), (300, 11, 12), (86_400, 3, 4)] {
        let dns = Arc::new(ScriptedDns::new("mail.example.org A 192.0.2.1"));
        dns.set_ttl(Duration::from_secs(ttl));
        let _world = world(&dns, "mail.example.org");
        sleep(Duration::from_secs(3600)).await;
        let asked = dns.asked("mail.example.org") - 1;
        assert!((least..=most).contains(&asked), "ttl {ttl}: {asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_subdomain_is_looked_up_only_once_it_holds_mail() {
    let dns = Arc::new(ScriptedDns::new(MX));
    dns.add("sub.example.org MX 5 b.example.org");
    dns.add("b.example.org A 192.0.2.5");
    let world = world(&dns, "mx");
    let sub = domain("sub.example.org");
    for _ in 0..10 {
        assert_eq!(known(&world, &sub), None);
        sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(dns.asked("sub.example.org"), 0);
    world.queue(&sub, 1, 1, None);
    assert_eq!(known(&world, &sub), None);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(known(&world, &sub), ips(&["192.0.2.5"]));
}

#[tokio::test(start_paused = true)]
async fn a_reload_looks_up_what_is_new_and_forgets_what_is_gone() {
    let dns = Arc::new(ScriptedDns::new("mail.example.org A 192.0.2.1\nnew.example.org A 192.0.2.7"));
    let world = world(&dns, "mail.example.org");
    sleep(Duration::from_secs(2)).await;
    let mut domains = restante_types::DomainMap::default();
    let primary = "new.example.org".parse().unwrap();
    domains.insert(domain("example.com"), false, DomainDelivery { primary, ..DomainDelivery::default() });
    world.settings.store(Arc::new(World::settings(domains)));
    world.delivery.reloaded();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(known(&world, &domain("example.com")), ips(&["192.0.2.7"]));
    assert_eq!(known(&world, &world.domain), None);
    let before = dns.asked("mail.example.org");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(dns.asked("mail.example.org"), before);
}

#[tokio::test(start_paused = true)]
async fn a_reload_asks_again_whatever_its_time_to_live() {
    let dns = Arc::new(ScriptedDns::new("mail.example.org A 192.0.2.1"));
    dns.set_ttl(Duration::from_secs(86_400));
    let world = world(&dns, "mail.example.org");
    sleep(Duration::from_secs(2)).await;
    dns.clear("mail.example.org");
    dns.add("mail.example.org A 192.0.2.2");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(known(&world, &world.domain), ips(&["192.0.2.1"]));
    world.delivery.reloaded();
    assert_eq!(known(&world, &world.domain), ips(&["192.0.2.1"]), "known until there is an answer");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(known(&world, &world.domain), ips(&["192.0.2.2"]));
}
