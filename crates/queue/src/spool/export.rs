//! `spool export`: one `.eml` and one `.json` per message, from the log alone.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use restante_types::{Body, ClientFacts, Domain, QueueId, Ret, ReversePath};
use serde::Serialize;

use super::{Found, Offline, Progress, SpoolDamage, SpoolError, Visit, io_error, note};
use crate::disk::{Access, DiskFile, read_up_to};
use crate::limits::SEARCH_CHUNK;
use crate::log::offline::{
    DamagedRecord, Header, Kind, Parts, Place, StateByte, StoredMessage, WireContent, large_path, no_record,
    read_parts,
};

/// What was copied out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// Messages copied, damaged ones with what is left of them included.
    pub messages: u64,
    /// Octets of their content.
    pub octets: u64,
    /// How many records or stretches are damaged.
    pub damage: u64,
    /// The damaged ones, at most 10,000 of them.
    pub damaged: Vec<SpoolDamage>,
}

/// Copies every message that is held into a directory: `ID.eml` is its content, octet for octet, `ID.json` its
/// envelope. Files are made readable for the owner only, and are on the disk for good when this returns.
///
/// What is damaged is copied as far as it can be read, and its `.json` says so under `damage`.
///
/// # Errors
/// When the data directory is in use, is none, was written by a newer program or cannot be read, or when the copies
/// cannot be written.
pub fn export(data: &Path, to: &Path, progress: Progress<'_>) -> Result<ExportReport, SpoolError> {
    let log = Offline::open(data)?;
    match DirBuilder::new().recursive(true).mode(0o700).create(to) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io_error(to)(error)),
        _ => {}
    }
    let mut report = ExportReport::default();
    let mut visit = |found: &Found, visit: Visit| match visit {
        Visit::Message(header) => export_one(&log, found, &header, to, &mut report),
        Visit::Unreadable { offset, octets } => {
            report.damage += 1;
            note(&mut report.damaged, no_record(found.segment.number, offset, octets).into());
            Ok(())
        }
    };
    log.walk(progress, &mut |_| {}, &mut visit)?;
    File::open(to).and_then(|dir| Ok(nix::unistd::syncfs(dir)?)).map_err(io_error(to))?;
    Ok(report)
}

fn export_one(
    log: &Offline,
    found: &Found,
    header: &Header,
    to: &Path,
    report: &mut ExportReport,
) -> Result<(), SpoolError> {
    let place = Place { segment: found.segment.number, offset: header.offset };
    let mut damage = None;
    let parts = match read_parts(&*found.file, header) {
        Ok(mut parts) => {
            log.sidecars.overlay(place, &mut parts.message.states);
            if parts.message.states.iter().copied().all(StateByte::is_done) {
                return Ok(());
            }
            Some(parts)
        }
        Err(error) => {
            damage = Some(error.to_string());
            None
        }
    };
    let path = to.join(format!("{}.eml", header.id));
    let mut file = create(&path).map_err(io_error(&path))?;
    let (octets, crc) =
        copy_content(log, found, header, parts.as_ref(), &mut file).map_err(io_error(&path))?;
    if crc != header.content_crc {
        damage.get_or_insert_with(|| "content differs from what was stored, or is gone".into());
    }
    let path = to.join(format!("{}.json", header.id));
    let view = View::new(header.id, parts.map(|parts| parts.message), damage.clone());
    write_view(&path, &view).map_err(io_error(&path))?;
    report.messages += 1;
    report.octets += octets;
    if let Some(what) = damage {
        report.damage += 1;
        let damaged = DamagedRecord { place, octets: header.record_len(), id: Some(header.id), what };
        note(&mut report.damaged, damaged.into());
    }
    Ok(())
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Copies what can be read; returns how much that was and its crc32c. A file that is gone is no octets.
fn copy_content(
    log: &Offline,
    found: &Found,
    header: &Header,
    parts: Option<&Parts>,
    to: &mut File,
) -> io::Result<(u64, u32)> {
    let at = u64::from(header.offset) + header.content_at();
    let before = copy(&*found.file, at, u64::from(header.content), 0, to)?;
    if header.kind == Kind::Message {
        return Ok(before);
    }
    let path = match parts.map(|parts| parts.content) {
        Some(WireContent::File { nonce, .. }) => {
            Some(large_path(&log.dirs.large, found.segment.number, header.id, nonce))
        }
        _ => large_file_of(log, found.segment.number, header.id)?,
    };
    let Some(path) = path else { return Ok(before) };
    match log.disk.open(&path, Access::Read) {
        Ok(file) => {
            let (octets, crc) = copy(&*file, 0, u64::MAX, before.1, to)?;
            Ok((before.0 + octets, crc))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(before),
        Err(error) => Err(error),
    }
}

/// The file of a message whose envelope, which names it, cannot be read.
fn large_file_of(log: &Offline, segment: u64, id: QueueId) -> io::Result<Option<PathBuf>> {
    let prefix = format!("{segment:016x}-{id}-");
    let name = log.disk.list(&log.dirs.large)?.into_iter().find(|name| name.starts_with(&prefix));
    Ok(name.map(|name| log.dirs.large.join(name)))
}

/// Copies, and goes on with a check.
fn copy(from: &dyn DiskFile, at: u64, len: u64, mut crc: u32, to: &mut File) -> io::Result<(u64, u32)> {
    let mut chunk = vec![0; SEARCH_CHUNK];
    let mut done = 0;
    while done < len {
        let want = usize::try_from(len - done).unwrap_or(SEARCH_CHUNK).min(SEARCH_CHUNK);
        // An unreadable sector ends what is left of this message, not the whole export.
        let got = read_up_to(from, &mut chunk[..want], at + done).unwrap_or(0);
        if got == 0 {
            break;
        }
        to.write_all(&chunk[..got])?;
        crc = crc32c::crc32c_append(crc, &chunk[..got]);
        done += got as u64;
    }
    Ok((done, crc))
}

fn write_view(path: &Path, view: &View) -> io::Result<()> {
    let mut file = create(path)?;
    serde_json::to_writer_pretty(&mut file, view)?;
    file.write_all(b"\n")
}

/// The envelope as `.json` shows it; the names are those of `restante list --json` where both have them.
#[derive(Debug, Serialize)]
struct View {
    id: QueueId,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    message: Option<MessageView>,
}

#[derive(Debug, Serialize)]
struct MessageView {
    /// Empty for the null path.
    sender: String,
    recipients: Vec<RecipientView>,
    size: u64,
    arrived: Option<Timestamp>,
    client: String,
    helo: String,
    identity: Option<String>,
    tls: Option<String>,
    eight_bit: bool,
    smtputf8: bool,
    ret: Option<&'static str>,
    envid: Option<String>,
    vouched: String,
}

#[derive(Debug, Serialize)]
struct RecipientView {
    address: String,
    /// Whose queue it stands in.
    domain: Option<Domain>,
    state: &'static str,
    held: bool,
    notify: Option<String>,
    original: Option<String>,
}

impl View {
    fn new(id: QueueId, message: Option<StoredMessage>, damage: Option<String>) -> Self {
        Self { id, damage, message: message.map(MessageView::from) }
    }
}

impl From<StoredMessage> for MessageView {
    fn from(message: StoredMessage) -> Self {
        let StoredMessage { envelope, client, arrived, size, states, destinations, vouched, .. } = message;
        let domain_of = |index: usize| {
            let holds = |recipients: &[u16]| recipients.iter().any(|one| usize::from(*one) == index);
            destinations.iter().find(|one| holds(&one.recipients)).map(|one| one.domain.clone())
        };
        let recipients = envelope.recipients.iter().zip(states).enumerate();
        let recipients = recipients.map(|(index, (recipient, state))| RecipientView {
            address: recipient.mailbox.to_string(),
            domain: domain_of(index),
            state: if state.is_deleted() { "deleted" } else { state.state().as_str() },
            held: state.is_held(),
            notify: recipient.notify.map(|notify| notify.to_string()),
            original: recipient.original.as_ref().map(|original| original.as_str().to_owned()),
        });
        let recipients = recipients.collect();
        let ClientFacts { address, helo, identity, tls } = client;
        Self {
            sender: match &envelope.sender {
                ReversePath::Null => String::new(),
                ReversePath::Mailbox(mailbox) => mailbox.to_string(),
            },
            recipients,
            size,
            arrived: i64::try_from(arrived.0).ok().and_then(|at| Timestamp::from_millisecond(at).ok()),
            client: address.to_string(),
            helo,
            identity,
            tls: tls.map(|tls| format!("{} {}", tls.version, tls.cipher)),
            eight_bit: envelope.body == Body::EightBitMime,
            smtputf8: envelope.smtputf8,
            ret: envelope.ret.map(|ret| match ret {
                Ret::Full => "FULL",
                Ret::Headers => "HDRS",
            }),
            envid: envelope.envid.map(|envid| envid.as_str().to_owned()),
            vouched: vouched.to_string(),
        }
    }
}
