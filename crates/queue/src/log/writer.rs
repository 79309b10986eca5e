//! Writes messages: everything that has arrived is one group, and one sync.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use restante_types::{DeliveryState, QueueId};
use tokio::sync::oneshot;

use super::record::{HEADER, Header, Kind, RECORD_VERSION, aligned};
use super::segment::Segment;
use super::shared::Shared;
use super::wire::{self, WireContent};
use super::{Durable, LogPosition, OnDurable, Place, StateByte, StoredMessage, events, large};
use crate::content::{Body, SealedContent};
use crate::disk::{DiskFile, store_error};
use crate::entry::{Destination, NewMessage};
use crate::error::StoreError;
use crate::limits::{COPIED, IDLE_ROOM_INTERVAL, KEPT_BUFFER, MAX_GROUP, MAX_RECORD, MAX_RECORD_RECIPIENTS};
use crate::receipt::Receipt;

/// Who waits for a message to be durable.
pub(crate) type Done = oneshot::Sender<Result<Receipt, StoreError>>;

/// A message on its way to the log, encoded as far as it can be by whoever hands it in.
#[derive(Debug)]
pub(crate) struct Append {
    message: StoredMessage,
    envelope: Vec<u8>,
    content: SealedContent,
    done: Done,
}

impl Append {
    /// Encodes; answers `done` itself if the message cannot be stored at all.
    pub(crate) fn prepare(message: NewMessage, done: Done) -> Option<Self> {
        match encode(message) {
            Ok((message, envelope, content)) => Some(Self { message, envelope, content, done }),
            Err(error) => {
                done.send(Err(error)).ok();
                None
            }
        }
    }

    /// Says that it was not stored.
    pub(crate) fn refuse(self, error: StoreError) {
        self.done.send(Err(error)).ok();
    }

    const fn inline_len(&self) -> u64 {
        let body = match &self.content.body {
            Body::Memory { octets, .. } => octets.len() as u64,
            Body::File(_) => 0,
        };
        self.content.head.len() as u64 + body
    }

    const fn record_len(&self) -> u64 {
        let before = HEADER as u64 + self.message.states.len() as u64 + self.envelope.len() as u64;
        aligned(before + self.inline_len())
    }
}

fn encode(message: NewMessage) -> Result<(StoredMessage, Vec<u8>, SealedContent), StoreError> {
    let refuse = |why: &str| Err(StoreError::Unavailable(why.into()));
    let NewMessage { id, envelope, client, arrived, content, destinations, vouched } = message;
    let recipients = envelope.recipients.len();
    if recipients == 0 || recipients > MAX_RECORD_RECIPIENTS {
        return refuse("a message has between one and 65535 recipients");
    }
    let wire = match &content.body {
        Body::Memory { .. } => WireContent::Inline,
        Body::File(file) => WireContent::File { size: file.len(), nonce: file.nonce() },
    };
    let octets = wire::encode(&envelope, &client, arrived, wire, &destinations, vouched)
        .map_err(|error| StoreError::Unavailable(format!("encoding the envelope: {error}")))?;
    if octets.len() as u64 + if wire == WireContent::Inline { content.len() } else { 0 } > MAX_RECORD {
        return refuse("longer than a record can be");
    }
    let states = first_states(recipients, &destinations);
    let size = content.len();
    let message = StoredMessage { id, envelope, client, arrived, size, states, destinations, vouched };
    Ok((message, octets, content))
}

/// How each recipient begins.
fn first_states(recipients: usize, destinations: &[Destination]) -> Vec<StateByte> {
    let mut states = vec![StateByte::QUEUED; recipients];
    for index in destinations.iter().filter(|one| one.dead).flat_map(|one| &one.recipients) {
        if let Some(state) = states.get_mut(usize::from(*index)) {
            *state = StateByte::new(DeliveryState::Dead);
        }
    }
    states
}

/// The segment that is written now.
#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    file: Arc<dyn DiskFile>,
    end: u32,
    newest: QueueId,
}

/// A message of the group being written, and where its record begins.
#[derive(Debug)]
struct Member {
    offset: u32,
    append: Append,
}

/// The one writer of the log.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    on_durable: OnDurable,
    active: Option<Active>,
    next_number: u64,
    buffer: Vec<u8>,
    /// While writing fails: when a new segment is tried, and the pause after that.
    retry: Option<(Instant, Duration)>,
}

impl Writer {
    /// Writes to new segments only; what was there before is never appended to.
    pub(crate) fn new(shared: Arc<Shared>, on_durable: OnDurable) -> Self {
        let next_number = shared.first_own;
        Self { shared, on_durable, active: None, next_number, buffer: Vec::new(), retry: None }
    }

    /// When `tick` wants to be called at the latest. Others may fill the disk while no mail comes, so the room is
    /// looked at then too, only less often.
    pub(crate) fn timeout(&self, now: Instant) -> Duration {
        match self.retry {
            Some((at, _)) => at.saturating_duration_since(now),
            None if self.shared.room.is_low() => self.shared.options.room_interval,
            None => self.shared.options.room_interval.max(IDLE_ROOM_INTERVAL),
        }
    }

    /// Looks at the room, and tries a new segment if writing failed and it is time to.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.shared.room.check(now);
        let Some((at, pause)) = self.retry else { return };
        if now < at {
            return;
        }
        match self.new_segment() {
            Ok(active) => {
                self.active = Some(active);
                self.retry = None;
                self.shared.set_intake(None);
            }
            Err(error) => {
                let pause = (pause * 2).min(self.shared.options.retry_max);
                self.retry = Some((now + pause, pause));
                self.shared.set_intake(Some(store_error("making a segment", &error)));
            }
        }
    }

    /// Writes everything that waits, group by group, or says why not.
    pub(crate) fn commit(&mut self, waiting: &mut VecDeque<Append>, now: Instant) {
        while !waiting.is_empty() {
            if self.shared.refusal().is_none()
                && let Err(error) = self.commit_group(waiting)
            {
                let pause = self.shared.options.retry_min;
                self.retry = Some((now + pause, pause));
                self.shared.set_intake(Some(error));
            }
            if let Some(error) = self.shared.refusal() {
                waiting.drain(..).for_each(|append| append.refuse(error.clone()));
            }
        }
    }

    /// Ends the segment in order; the position is then the one that the next start begins with.
    pub(crate) fn finish(&mut self) {
        if let Some(active) = self.active.take() {
            if self.shared.is_failed(active.segment.number) {
                self.cut_back(&active);
                return;
            }
            let segment = Arc::clone(&active.segment);
            self.end_segment(active);
            self.shared.set_position(LogPosition { segment: segment.number, offset: segment.end() });
        }
    }

    fn commit_group(&mut self, waiting: &mut VecDeque<Append>) -> Result<(), StoreError> {
        let first = waiting.front().map_or(0, Append::record_len);
        self.make_room(first).map_err(|error| store_error("making a segment", &error))?;
        let Some(mut active) = self.active.take() else { return Ok(()) };
        let group = self.gather(waiting, &active);
        let end = match self.write_group(&active, &group) {
            Ok(end) => end,
            Err(error) => {
                let answer = store_error("writing", &error);
                for Member { append, .. } in group {
                    self.discard_large(active.segment.number, &append);
                    append.refuse(answer.clone());
                }
                self.give_up(&active, &error);
                return Err(answer);
            }
        };
        self.shared.room.wrote(end - u64::from(active.end));
        active.end = u32::try_from(end).unwrap_or(u32::MAX);
        active.newest = group.iter().map(|member| member.append.message.id).fold(active.newest, QueueId::max);
        active.segment.set_end(active.end);
        let position = LogPosition { segment: active.segment.number, offset: active.end };
        self.active = Some(active);
        self.publish(group, position);
        Ok(())
    }

    /// Makes the group visible, then acknowledges it: from here on the message is ours [5321-4.2.5].
    fn publish(&mut self, group: Vec<Member>, position: LogPosition) {
        if group.is_empty() {
            return;
        }
        let mut receipts = Vec::with_capacity(group.len());
        let mut durable = Vec::with_capacity(group.len());
        for Member { offset, append: Append { message, done, .. } } in group {
            receipts.push((done, Receipt::new(message.id)));
            durable.push(Durable { place: Place { segment: position.segment, offset }, message });
        }
        (self.on_durable)(durable);
        self.shared.set_position(position);
        for (done, receipt) in receipts {
            done.send(Ok(receipt)).ok();
        }
    }

    /// Sees to it that there is a segment with room for a record of this length.
    fn make_room(&mut self, first: u64) -> io::Result<()> {
        if let Some(active) = self.active.take() {
            let full = active.end > HEADER as u32
                && u64::from(active.end) + first > u64::from(self.shared.options.segment_size);
            if self.shared.is_failed(active.segment.number) {
                // A mark could not be written: the segment's earlier records stay, no more come.
                self.cut_back(&active);
            } else if full {
                self.end_segment(active);
            } else {
                self.active = Some(active);
            }
        }
        if self.active.is_none() {
            self.active = Some(self.new_segment()?);
        }
        Ok(())
    }

    /// Takes what fits into the segment and into one group, and gives large content its name.
    fn gather(&self, waiting: &mut VecDeque<Append>, active: &Active) -> Vec<Member> {
        let room = u64::from(self.shared.options.segment_size).saturating_sub(u64::from(active.end));
        let mut taken = Vec::new();
        let mut octets = 0;
        while let Some(next) = waiting.front() {
            let len = next.record_len();
            if !taken.is_empty() && octets + len > room.min(MAX_GROUP) {
                break;
            }
            octets += len;
            taken.extend(waiting.pop_front());
        }
        let mut offset = u64::from(active.end);
        let mut group = Vec::with_capacity(taken.len());
        for append in self.place_large(active.segment.number, taken) {
            // A record is at most a fourth of what 32 bits count, and a segment ends long before that.
            let at = u32::try_from(offset).unwrap_or(u32::MAX);
            offset += append.record_len();
            group.push(Member { offset: at, append });
        }
        group
    }

    /// Renames large content into place and syncs the directory; answers those for whom that fails.
    fn place_large(&self, segment: u64, taken: Vec<Append>) -> Vec<Append> {
        let mut any = false;
        let mut placed = Vec::with_capacity(taken.len());
        for mut append in taken {
            let renamed = match &mut append.content.body {
                Body::Memory { .. } => Ok(()),
                Body::File(file) => {
                    any = true;
                    let id = append.message.id;
                    file.keep_as(&large::path(&self.shared.dirs.large, segment, id, file.nonce()))
                }
            };
            match renamed {
                Ok(()) => placed.push(append),
                Err(error) => append.refuse(store_error("naming large content", &error)),
            }
        }
        if !any {
            return placed;
        }
        let Err(error) = self.shared.disk.sync_dir(&self.shared.dirs.large) else { return placed };
        let (lost, kept) =
            placed.into_iter().partition(|append| matches!(append.content.body, Body::File(_)));
        for append in Vec::<Append>::into_iter(lost) {
            self.discard_large(segment, &append);
            append.refuse(store_error("syncing large content", &error));
        }
        kept
    }

    fn discard_large(&self, segment: u64, append: &Append) {
        if let Body::File(file) = &append.content.body {
            let path = large::path(&self.shared.dirs.large, segment, append.message.id, file.nonce());
            if let Err(error) = self.shared.disk.remove(&path) {
                events::removal_failed(&path, &error);
            }
        }
    }

    /// Writes the group and syncs it; returns where it ends.
    fn write_group(&mut self, active: &Active, group: &[Member]) -> io::Result<u64> {
        self.buffer.clear();
        let mut at = u64::from(active.end);
        for Member { offset, append } in group {
            let end = u64::from(*offset) + append.record_len();
            self.encode_head(&active.segment, active.end, *offset, append);
            if let Body::Memory { octets, .. } = &append.content.body {
                if octets.len() < COPIED {
                    self.buffer.extend_from_slice(octets);
                } else {
                    at = self.write_buffer(&*active.file, at)?;
                    active.file.write_at(octets, at)?;
                    at += octets.len() as u64;
                }
            }
            let padded = usize::try_from(end - at).map_err(io::Error::other)?;
            self.buffer.resize(padded, 0);
            if padded >= KEPT_BUFFER / 2 {
                at = self.write_buffer(&*active.file, at)?;
            }
        }
        if group.is_empty() {
            return Ok(at);
        }
        let end = self.write_buffer(&*active.file, at)?;
        active.file.sync()?;
        // A failed sync elsewhere may have been this group's: then nobody is told that it is durable.
        if self.shared.is_failed(active.segment.number) {
            return Err(io::Error::other("a mark in the same segment could not be written"));
        }
        Ok(end)
    }

    /// Writes what was put together so far; returns where it ends.
    fn write_buffer(&mut self, file: &dyn DiskFile, at: u64) -> io::Result<u64> {
        let len = self.buffer.len() as u64;
        if len > 0 {
            file.write_at(&self.buffer, at)?;
        }
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER);
        Ok(at + len)
    }

    /// Puts everything of a record into the buffer that stands before its content.
    fn encode_head(&mut self, segment: &Segment, group: u32, offset: u32, append: &Append) {
        let as_u32 = |len: u64| u32::try_from(len).unwrap_or(u32::MAX);
        let kind = match &append.content.body {
            Body::Memory { .. } => Kind::Message,
            Body::File(_) => Kind::LargeMessage,
        };
        let header = Header {
            version: RECORD_VERSION,
            kind,
            states: u16::try_from(append.message.states.len()).unwrap_or(u16::MAX),
            offset,
            group,
            envelope: as_u32(append.envelope.len() as u64),
            envelope_crc: crc32c::crc32c(&append.envelope),
            content: as_u32(append.inline_len()),
            content_crc: append.content.crc,
            id: append.message.id,
        };
        self.buffer.extend_from_slice(&header.encode(&segment.magic));
        self.buffer.extend(append.message.states.iter().map(|state| state.to_octet()));
        self.buffer.extend_from_slice(&append.envelope);
        self.buffer.extend_from_slice(&append.content.head);
    }

    /// Makes a segment and makes sure that it is there after a loss of power, and that it can be written.
    fn new_segment(&mut self) -> io::Result<Active> {
        let number = self.next_number;
        self.next_number += 1;
        self.shared.first_open.store(number, Ordering::Release);
        let segment = Segment::new(number, rand::random(), &self.shared.dirs.log, HEADER as u32);
        let made = self.prepare_file(&segment);
        let file = made.inspect_err(|_| {
            // Nothing was ever in it; if it stays, the next start finds an empty segment.
            self.shared.disk.remove(&segment.path).ok();
        })?;
        let segment = Arc::new(segment);
        self.shared.add_segment(Arc::clone(&segment));
        Ok(Active { segment, file, end: HEADER as u32, newest: QueueId::MIN })
    }

    fn prepare_file(&self, segment: &Segment) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.shared.disk.create(&segment.path)?;
        // Only for speed: with the room reserved, a sync has 8 KiB less of the file system's own to write (ext4).
        // Where it cannot be reserved, the writes will tell.
        file.preallocate(u64::from(self.shared.options.segment_size)).ok();
        file.write_at(&segment.head(), 0)?;
        file.sync()?;
        self.shared.disk.sync_dir(&self.shared.dirs.log)?;
        Ok(file)
    }

    /// Says in the segment that everything in it was synced, and gives back what was reserved.
    fn end_segment(&self, active: Active) {
        let end = Header::end(active.end, active.newest).encode(&active.segment.magic);
        let len = u64::from(active.end) + HEADER as u64;
        // The same length again: file systems take that as leave to free what was reserved behind it.
        let ended = active
            .file
            .write_at(&end, u64::from(active.end))
            .and_then(|()| active.file.set_len(len))
            .and_then(|()| active.file.sync());
        match ended {
            Ok(()) => active.segment.set_end(active.end + HEADER as u32),
            // Its records are safe; the next start looks through it and ends it.
            Err(error) => self.shared.fail_segment(active.segment.number, &error),
        }
    }

    /// Leaves a segment to which a group could not be written.
    fn give_up(&self, active: &Active, error: &io::Error) {
        self.shared.fail_segment(active.segment.number, error);
        self.cut_back(active);
    }

    /// Takes back what was written behind the last group that is durable, so that a message that was refused does not
    /// come up after a restart. It may come up all the same when the power fails: a second copy, never a loss.
    fn cut_back(&self, active: &Active) {
        active.file.set_len(u64::from(active.end)).ok();
    }
}
