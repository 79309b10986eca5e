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
        memory.mailed.insert(one.key, letters::sent(one.open, world.now()));
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
