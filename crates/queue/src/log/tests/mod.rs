//! The log over a disk in memory, driven step by step, without threads.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use restante_types::{Body, ClientFacts, Domain, Envelope, QueueId, Recipient, ReversePath, UnixMillis};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::marker::{MarkCall, Marker};
use super::shared::{Dirs, Shared};
use super::space::Sweeper;
use super::writer::{Append, Writer};
use super::{
    DamagedRecord, LogOptions, LogPosition, LowWater, Mark, OpenReport, Place, Scanned, StateByte,
    StoredMessage, recover,
};
use crate::content::{ContentBuffer, SealedContent};
use crate::disk::Disk;
use crate::disk::sim::SimDisk;
use crate::entry::{Destination, NewMessage};
use crate::error::StoreError;
use crate::receipt::Receipt;

mod damage;
mod faults;
mod large;
mod life;
mod model;
mod power;
mod real;
mod room;

/// Small enough that a few messages fill a segment.
fn small() -> LogOptions {
    LogOptions {
        segment_size: 8 << 10,
        inline_max: 1 << 10,
        memory_budget: 1 << 20,
        low_water: LowWater { percent: 0, octets: 0 },
        room_interval: Duration::ZERO,
        retry_min: Duration::from_secs(1),
        retry_max: Duration::from_secs(4),
        sweep_octets: 1,
        sweep_interval: Duration::from_secs(60),
        durable: LogPosition::START,
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn id(number: u64) -> QueueId {
    let mut octets = [0; 16];
    octets[..6].copy_from_slice(&number.to_be_bytes()[2..]);
    octets[6] = 0x70;
    octets[8] = 0x80;
    QueueId::from_bytes(octets)
}

fn domain() -> Domain {
    "example.org".parse().unwrap()
}

fn envelope(recipients: usize) -> Envelope {
    let recipient = |index| {
        Recipient::from(format!("user{index}@example.org").parse::<restante_types::Mailbox>().unwrap())
    };
    Envelope {
        sender: ReversePath::Null,
        recipients: (0..recipients).map(recipient).collect(),
        body: Body::EightBitMime,
        smtputf8: false,
        ret: None,
        envid: None,
    }
}

fn client() -> ClientFacts {
    ClientFacts {
        address: IpAddr::from([192, 0, 2, 1]),
        helo: "client.example".into(),
        identity: None,
        tls: None,
    }
}

fn message(number: u64, recipients: usize, content: SealedContent) -> NewMessage {
    let all = (0..recipients).map(|index| u16::try_from(index).unwrap()).collect();
    NewMessage {
        vouched: restante_types::Vouched::Unchecked,
        id: id(number),
        envelope: envelope(recipients),
        client: client(),
        arrived: UnixMillis(1_700_000_000_000 + number),
        content,
        destinations: vec![Destination {
            domain: domain(),
            recipients: all,
            first_attempt: None,
            dead: false,
        }],
    }
}

fn data_dir() -> PathBuf {
    PathBuf::from("/data")
}

type Answer = oneshot::Receiver<Result<Receipt, StoreError>>;

/// An open log without threads.
struct Bench {
    disk: Arc<dyn Disk>,
    runtime: Arc<Runtime>,
    shared: Arc<Shared>,
    writer: Writer,
    marker: Marker,
    sweeper: Sweeper,
    report: OpenReport,
    /// Where messages became visible.
    visible: Arc<Mutex<BTreeMap<QueueId, Place>>>,
    now: Instant,
}

impl Bench {
    fn open(sim: &SimDisk, options: LogOptions) -> Result<Self, StoreError> {
        Self::open_in(Arc::new(sim.clone()), &data_dir(), options, Arc::new(runtime()))
    }

    fn open_in(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: LogOptions,
        runtime: Arc<Runtime>,
    ) -> Result<Self, StoreError> {
        let (shared, report) = recover::open(&disk, Dirs::of(dir), options)?;
        let shared = Arc::new(shared);
        let visible = Arc::new(Mutex::new(BTreeMap::new()));
        let seen = Arc::clone(&visible);
        let on_durable = Box::new(move |group: Vec<super::Durable>| {
            seen.lock().unwrap().extend(group.into_iter().map(|one| (one.message.id, one.place)));
        });
        Ok(Self {
            disk,
            runtime,
            writer: Writer::new(Arc::clone(&shared), on_durable),
            marker: Marker::new(Arc::clone(&shared)),
            sweeper: Sweeper::new(Arc::clone(&shared)),
            shared,
            report,
            visible,
            now: Instant::now(),
        })
    }

    fn try_seal(&self, octets: &[u8]) -> Result<SealedContent, StoreError> {
        self.runtime.block_on(async {
            let mut buffer = ContentBuffer::with_spool(self.shared.spool.clone());
            for piece in octets.chunks(700) {
                buffer.append(piece);
                if buffer.wants_relief() {
                    buffer.relieve().await?;
                }
            }
            buffer.seal().await
        })
    }

    /// Writes messages as one group; each answer in its order.
    fn try_append(&mut self, messages: Vec<NewMessage>) -> Vec<Result<Place, StoreError>> {
        let (mut waiting, mut answers): (VecDeque<Append>, Vec<(QueueId, Answer)>) = Default::default();
        for message in messages {
            let (done, answer) = oneshot::channel();
            answers.push((message.id, answer));
            waiting.extend(Append::prepare(message, done));
        }
        self.writer.tick(self.now);
        self.writer.commit(&mut waiting, self.now);
        let visible = self.visible.lock().unwrap();
        let place = |(id, mut answer): (QueueId, Answer)| {
            answer.try_recv().expect("answered").map(|receipt| {
                assert_eq!(receipt.id(), id);
                visible[&id]
            })
        };
        answers.into_iter().map(place).collect()
    }

    fn append(&mut self, number: u64, recipients: usize, octets: &[u8]) -> Place {
        let content = self.try_seal(octets).unwrap();
        self.try_append(vec![message(number, recipients, content)]).remove(0).unwrap()
    }

    fn mark(&mut self, marks: Vec<Mark>) -> Result<(), StoreError> {
        let (done, mut answer) = oneshot::channel();
        self.marker.commit(&mut VecDeque::from([MarkCall { marks, done }]));
        answer.try_recv().expect("answered")
    }

    fn mark_all(&mut self, place: Place, recipients: u16, state: StateByte) {
        let marks = (0..recipients).map(|recipient| Mark { place, recipient, state }).collect();
        self.mark(marks).unwrap();
    }

    fn forget(&mut self, places: impl IntoIterator<Item = Place>) {
        self.sweeper.note(&mut places.into_iter().collect());
        self.sweeper.sweep_all();
    }

    fn read(&self, place: Place) -> Result<StoredMessage, StoreError> {
        self.shared.read(place)
    }

    fn content(&self, place: Place) -> Result<Vec<u8>, StoreError> {
        self.shared.content(place)?.read_all()
    }

    fn scan(&self) -> (BTreeMap<QueueId, (Place, StoredMessage)>, Vec<DamagedRecord>) {
        let (mut live, mut damaged) = (BTreeMap::new(), Vec::new());
        let mut visitor = |scanned| {
            match scanned {
                Scanned::Live { place, message } => {
                    assert!(live.insert(message.id, (place, message)).is_none(), "the same message twice");
                }
                Scanned::Done(_) => {}
                Scanned::Damaged(record) => damaged.push(record),
            }
            ControlFlow::Continue(())
        };
        self.shared.scan(None, &mut visitor, &mut |_, _| {}).unwrap();
        (live, damaged)
    }

    /// Ends the log in order and opens it again.
    fn restart(mut self) -> Self {
        self.writer.finish();
        self.kill()
    }

    /// Drops everything as kill -9 does and opens again.
    fn kill(self) -> Self {
        let Self { disk, runtime, shared, .. } = self;
        let dir = shared.dirs.log.parent().unwrap().to_path_buf();
        Self::open_in(disk, &dir, shared.options.clone(), runtime).unwrap()
    }
}

/// Octets that differ by seed and place, so that a mix-up shows.
fn octets(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (seed.wrapping_mul(31).wrapping_add(at / 7 * 13 + at)) as u8).collect()
}
