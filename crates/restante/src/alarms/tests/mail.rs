//! What people are told by mail.

use super::super::letters;
use super::*;

fn down() -> News {
    News::PrimaryDown { domain: name("example.org"), why: "450 4.4.1 no route".into() }
}

fn up() -> News {
    News::PrimaryUp { domain: name("example.org") }
}

/// The subjects of the letters that are due, taken as sent.
fn sent(world: &World) -> Vec<String> {
    let settings = world.alarms.0.settings.load_full();
    let memory = &mut lock(&world.alarms.0.memory);
    let due = letters::due(memory, &settings, world.now());
    let subjects = due.into_iter().map(|one| {
        letters::sent(memory, one.key, one.open, world.now());
        assert_eq!(one.letter.to.to_string(), "owner@elsewhere.example");
        one.letter.subject
    });
    subjects.collect()
}

const DOWN: &str = "[mx2.example.net] primary-down: example.org";
const UP: &str = "[mx2.example.net] primary-up: example.org";

#[tokio::test]
async fn at_most_one_letter_an_hour_and_then_how_it_stands() {
    let world = World::new(settings()).await;
    world.news(down()).await;
    assert_eq!(sent(&world), [DOWN]);
    world.wait(10 * MINUTE);
    world.news(up()).await;
    assert!(sent(&world).is_empty(), "within the hour");
    world.wait(50 * MINUTE);
    assert_eq!(sent(&world), [UP]);
    world.news(down()).await;
    world.news(up()).await;
    world.wait(2 * HOUR);
    assert!(sent(&world).is_empty(), "came and went within the hour");
    world.news(down()).await;
    assert_eq!(sent(&world), [DOWN]);
    world.wait(2 * HOUR);
    assert!(sent(&world).is_empty(), "once");
}

#[tokio::test]
async fn a_restart_sends_no_letter_twice() {
    let mut world = World::new(settings()).await;
    world.news(down()).await;
    let last = &mut Default::default();
    world.alarms.write_letters(&world.attached, last, world.now()).await;
    let queue = name("elsewhere.example").notice_queue().unwrap();
    assert_eq!(world.attached.store.stats(&queue).messages, 1);
    world.restart(settings());
    world.wait(2 * HOUR);
    world.alarms.write_letters(&world.attached, last, world.now()).await;
    assert_eq!(world.attached.store.stats(&queue).messages, 1);
    assert_eq!(world.open(), ["primary-down"]);
}

#[tokio::test]
async fn a_letter_that_the_store_did_not_take_goes_later() {
    let world = World::new(settings()).await;
    world.news(down()).await;
    world.attached.store.close().await;
    let last = &mut Default::default();
    world.alarms.write_letters(&world.attached, last, world.now()).await;
    assert_eq!(sent(&world), [DOWN]);
}

/// More than any disk has: no mail is taken.
const FULL: LowWater = LowWater { percent: 0, octets: 1 << 60 };
const ROOMY: LowWater = LowWater { percent: 0, octets: 0 };

/// Writes the letters that are due. Returns how many wait in all.
async fn written(world: &World, last: &mut super::super::watch::Last) -> u64 {
    world.alarms.write_letters(&world.attached, last, world.now()).await;
    world.attached.store.stats(&name("elsewhere.example").notice_queue().unwrap()).messages
}

#[tokio::test]
async fn a_full_disk_is_told_in_one_letter_when_it_is_over_and_none_could_go_before() {
    let mut world = World::new(settings()).await;
    let last = &mut Default::default();
    world.attach("full", FULL).await;
    world.look().await;
    assert_eq!((written(&world, last).await, world.open()), (0, vec!["disk-low".to_owned()]));
    world.alarms.saved().await;
    world.restart(settings());
    world.attach("roomy", ROOMY).await;
    let last = &mut Default::default();
    world.wait(3 * HOUR);
    world.look().await;
    assert_eq!(written(&world, last).await, 0, "it is nearly over");
    world.wait(MINUTE);
    world.look().await;
    assert!(world.open().is_empty());
    let settings = world.alarms.0.settings.load_full();
    let due = letters::due(&mut lock(&world.alarms.0.memory), &settings, world.now());
    let [one] = &due[..] else { panic!("{due:?}") };
    assert_eq!(one.letter.subject, "[mx2.example.net] disk-ok: this server");
    for words in ["This is over", "nearly full, from 2026-01-31T12:00:00Z on", "mail is refused"] {
        assert!(one.letter.text.contains(words), "{}", one.letter.text);
    }
    assert_eq!(written(&world, last).await, 1);
    world.wait(3 * HOUR);
    assert_eq!(written(&world, last).await, 1, "once");
}

#[tokio::test]
async fn a_disk_that_still_lacks_room_is_told_as_soon_as_a_letter_can_go() {
    let mut world = World::new(settings()).await;
    let last = &mut Default::default();
    world.attach("full", FULL).await;
    world.look().await;
    assert_eq!(written(&world, last).await, 0);
    // A little room: mail is taken, and the alarm stays.
    world.attach("roomy", ROOMY).await;
    assert_eq!(written(&world, last).await, 0, "the store is not asked at every look");
    world.wait(MINUTE);
    assert_eq!(written(&world, last).await, 1);
    world.look().await;
    world.wait(MINUTE);
    world.look().await;
    assert!(world.open().is_empty());
    assert_eq!(written(&world, last).await, 1, "its end within the hour");
    world.wait(HOUR);
    assert_eq!(sent(&world), ["[mx2.example.net] disk-ok: this server"]);
}

#[tokio::test]
async fn who_wants_no_mail_gets_none() {
    let world = World::new(Settings { mail: false, ..settings() }).await;
    world.news(down()).await;
    assert!(sent(&world).is_empty());
    let mut nobody = settings();
    nobody.domains = DomainMap::default();
    let org = settings().domains.find(&name("example.org")).unwrap().1.clone();
    nobody.domains.insert(name("example.org"), true, Watched { owner: None, ..org });
    world.alarms.reload(nobody);
    assert!(sent(&world).is_empty());
    world.alarms.reload(settings());
    assert_eq!(sent(&world), [DOWN], "what is open is told to who wants to know now");
}

#[tokio::test]
async fn that_mail_waits_is_not_told_by_mail_that_waits() {
    let mut own = settings();
    let org = settings().domains.find(&name("example.org")).unwrap().1.clone();
    own.domains = DomainMap::default();
    own.domains.insert(name("example.org"), true, Watched { owner: "a@example.org".parse().ok(), ..org });
    let world = World::new(own).await;
    world.put("example.org").await;
    world.look().await;
    assert_eq!(world.open(), ["mail-held"]);
    assert!(sent(&world).is_empty());
}

#[tokio::test]
async fn a_letter_tells_what_it_is_about_and_what_to_do() {
    let world = World::new(settings()).await;
    world.news(down()).await;
    world.alarms.store_failed("disk full").await;
    let settings = settings();
    let due = letters::due(&mut lock(&world.alarms.0.memory), &settings, world.now());
    let texts: Vec<&str> = due.iter().map(|one| one.letter.text.as_str()).collect();
    let [store, primary] = texts[..] else { panic!("{texts:?}") };
    assert!(store.contains("disk full") && store.contains("restante health"), "{store}");
    for words in
        ["The primary of example.org cannot be reached", "450 4.4.1 no route", "restante why example.org"]
    {
        assert!(primary.contains(words), "{primary}");
    }
}
