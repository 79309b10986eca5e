//! The offline commands on logs that are whole, damaged, torn and in use.

use std::path::Path;

use tokio::sync::oneshot;

use super::*;
use crate::content::ContentBuffer;
use crate::disk::RealDisk;
use crate::entry::{Destination, NewMessage};
use crate::log::{ContentLog, LogOptions, LowWater, Mark, Place, StateByte};

fn no_progress() -> impl FnMut(u64, u64) {
    |done, total| assert!(done <= total)
}

fn id(number: u8) -> QueueId {
    QueueId::from_bytes([number; 16])
}

fn new_message(number: u8, content: crate::SealedContent) -> NewMessage {
    use restante_types::{Body, ClientFacts, Envelope, ReversePath, UnixMillis};
    let recipient = |name: &str| name.parse::<restante_types::Mailbox>().unwrap().into();
    NewMessage {
        vouched: restante_types::Vouched::Unchecked,
        id: id(number),
        envelope: Envelope {
            sender: ReversePath::Mailbox("sender@example.net".parse().unwrap()),
            recipients: vec![recipient("a@example.org"), recipient("b@example.com")],
            body: Body::EightBitMime,
            smtputf8: false,
            ret: None,
            envid: None,
        },
        client: ClientFacts {
            address: "192.0.2.9".parse().unwrap(),
            helo: "client.example".into(),
            identity: None,
            tls: None,
        },
        arrived: UnixMillis(1_700_000_000_123),
        content,
        destinations: vec![
            Destination {
                domain: "example.org".parse().unwrap(),
                recipients: vec![0],
                first_attempt: None,
                dead: false,
            },
            Destination {
                domain: "example.com".parse().unwrap(),
                recipients: vec![1],
                first_attempt: None,
                dead: false,
            },
        ],
    }
}

const HEAD: usize = 1000;

fn body(number: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(number)).collect()
}

/// Messages 1 to 9 (the third large), the fifth of them delivered; returns where they are. The log is closed in order.
fn spool(dir: &Path) -> Vec<Place> {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let places = std::sync::Arc::clone(&seen);
    let low_water = LowWater { percent: 0, octets: 0 };
    let options =
        LogOptions { segment_size: 16 << 10, inline_max: 4 << 10, low_water, ..LogOptions::default() };
    let on_durable = move |group: Vec<crate::log::Durable>| {
        places.lock().unwrap().extend(group.iter().map(|one| one.place))
    };
    let (log, _) = ContentLog::open(dir, options, Box::new(on_durable)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for number in 1..10 {
            let mut buffer: ContentBuffer = log.begin_content();
            let all = body(number, if number == 3 { 9000 } else { 2500 });
            // Every third has a head.
            let (head, rest) = all.split_at(if number % 3 == 0 { HEAD } else { 0 });
            buffer.append(rest);
            let content = buffer.seal().await.unwrap().with_head(head.to_vec().into());
            let (done, answer) = oneshot::channel();
            log.append(new_message(number, content), done);
            answer.await.unwrap().unwrap();
        }
        let place = seen.lock().unwrap()[4];
        let state = StateByte::new(restante_types::DeliveryState::Delivered);
        let held =
            Mark { place: seen.lock().unwrap()[5], recipient: 1, state: StateByte::QUEUED.with_held(true) };
        let mut marks: Vec<_> = (0..2).map(|recipient| Mark { place, recipient, state }).collect();
        marks.push(held);
        let (done, answer) = oneshot::channel();
        log.mark(marks, done);
        answer.await.unwrap().unwrap();
    });
    log.close();
    seen.lock().unwrap().clone()
}

fn segment_path(data: &Path, number: u64) -> std::path::PathBuf {
    let segments = find_all(&RealDisk, &data.join("log")).unwrap();
    segments.iter().find(|segment| segment.number == number).unwrap().path.clone()
}

fn flip(path: &Path, at: usize) {
    let mut octets = std::fs::read(path).unwrap();
    octets[at] ^= 0x10;
    std::fs::write(path, octets).unwrap();
}

/// Everything under a directory: names and octets.
fn everything(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for name in ["log", "large", "incoming"] {
        for entry in std::fs::read_dir(dir.join(name)).unwrap() {
            let path = entry.unwrap().path();
            files.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn a_whole_spool_is_whole_and_is_copied_out_octet_for_octet() {
    let dir = tempfile::tempdir().unwrap();
    spool(dir.path());
    let before = everything(dir.path());
    let report = verify(dir.path(), &mut no_progress()).unwrap();
    assert!(report.is_whole());
    assert_eq!((report.messages, report.dead, report.large, report.unclean), (8, 1, 1, 0));
    assert_eq!((report.octets, report.torn_octets, report.left_over_files), (7 * 2500 + 9000, 0, 0));
    let to = dir.path().join("out/deep");
    let exported = export(dir.path(), &to, &mut no_progress()).unwrap();
    assert_eq!((exported.messages, exported.octets, exported.damage), (8, 7 * 2500 + 9000, 0));
    for number in (1..10).filter(|number| *number != 5) {
        let content = std::fs::read(to.join(format!("{}.eml", id(number)))).unwrap();
        assert_eq!(content, body(number, if number == 3 { 9000 } else { 2500 }));
    }
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 16, "the delivered one is not copied");
    assert_eq!(everything(dir.path()), before, "nothing is written to the log");
}

#[test]
fn the_envelope_says_who_when_and_where_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    spool(dir.path());
    let to = dir.path().join("out");
    export(dir.path(), &to, &mut no_progress()).unwrap();
    let text = std::fs::read_to_string(to.join(format!("{}.json", id(6)))).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({
        "id": id(6).to_string(), "sender": "sender@example.net", "size": 2500,
        "arrived": "2023-11-14T22:13:20.123Z", "client": "192.0.2.9", "helo": "client.example",
        "identity": null, "tls": null, "eight_bit": true, "smtputf8": false, "ret": null, "envid": null,
        "vouched": "unchecked",
        "recipients": [
            {"address": "a@example.org", "domain": "example.org", "state": "queued", "held": false,
             "notify": null, "original": null},
            {"address": "b@example.com", "domain": "example.com", "state": "queued", "held": true,
             "notify": null, "original": null},
        ],
    });
    assert_eq!(json, expected);
}

#[test]
fn damage_is_listed_and_what_is_left_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let places = spool(dir.path());
    let record = |at: usize, behind: usize| {
        (segment_path(dir.path(), places[at].segment), places[at].offset as usize + behind)
    };
    // Content of the first, envelope of the second, header of the fourth; the large file of the third is gone.
    for (path, at) in [record(0, 1500), record(1, 80), record(3, 5)] {
        flip(&path, at);
    }
    let large = std::fs::read_dir(dir.path().join("large")).unwrap().next().unwrap().unwrap().path();
    std::fs::rename(&large, dir.path().join("elsewhere")).unwrap();
    let report = verify(dir.path(), &mut no_progress()).unwrap();
    assert!(!report.is_whole());
    let found: Vec<_> = report.damaged.iter().map(|one| (one.segment, one.offset, one.id)).collect();
    let expected: Vec<_> = [(0, Some(id(1))), (1, Some(id(2))), (2, Some(id(3))), (3, None)]
        .map(|(at, id): (usize, _)| (places[at].segment, places[at].offset, id))
        .into();
    assert_eq!((found, report.damage), (expected, 4));
    assert_eq!(report.messages, 7, "the fourth cannot be told from nothing");
    let to = dir.path().join("out");
    let exported = export(dir.path(), &to, &mut no_progress()).unwrap();
    assert_eq!((exported.messages, exported.damage), (7, 4));
    let content = std::fs::read(to.join(format!("{}.eml", id(2)))).unwrap();
    assert_eq!(content, body(2, 2500), "the content is whole though the envelope is not");
    let content = std::fs::read(to.join(format!("{}.eml", id(3)))).unwrap();
    assert_eq!(content, body(3, HEAD), "what stands in the record is there though the file is not");
    let json = std::fs::read_to_string(to.join(format!("{}.json", id(1)))).unwrap();
    assert!(json.contains("\"damage\": \"content differs"), "{json}");
    let json = std::fs::read_to_string(to.join(format!("{}.json", id(2)))).unwrap();
    assert!(json.contains("\"damage\"") && !json.contains("sender"), "{json}");
}

#[test]
fn a_torn_tail_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let places = spool(dir.path());
    let last = places[8];
    let path = segment_path(dir.path(), last.segment);
    let octets = std::fs::read(&path).unwrap();
    std::fs::write(&path, &octets[..last.offset as usize + 700]).unwrap();
    std::fs::write(dir.path().join("incoming/0.tmp"), b"left over").unwrap();
    let report = verify(dir.path(), &mut no_progress()).unwrap();
    assert!(report.is_whole());
    assert_eq!((report.messages, report.unclean, report.left_over_files), (7, 1, 1));
    assert!(report.torn_octets > 0);
}

#[test]
fn a_directory_in_use_or_none_at_all_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(verify(dir.path(), &mut no_progress()), Err(SpoolError::NotADataDirectory(_))));
    spool(dir.path());
    let lock = DirLock::take(dir.path()).unwrap().unwrap();
    assert!(matches!(verify(dir.path(), &mut no_progress()), Err(SpoolError::InUse(_))));
    assert!(matches!(
        export(dir.path(), &dir.path().join("out"), &mut no_progress()),
        Err(SpoolError::InUse(_))
    ));
    drop(lock);
    assert!(verify(dir.path(), &mut no_progress()).is_ok());
}
