//! One Maildir for everything: written in `tmp`, synced, then moved to `new`.
//!
//! As final delivery it puts Return-Path on top ([5321-4.4-final]), and the recipients as Delivered-To, which nothing else would
//! remember. Line ends are those of this system.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use restante_types::{Envelope, Recipient, Reply};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::LocalTrouble;
use crate::events;

/// A Maildir that is being delivered to.
#[derive(Debug)]
pub(crate) struct Maildir {
    root: PathBuf,
    host: String,
    head: String,
    open: Option<Open>,
    delivered: AtomicU64,
}

/// A file in `tmp`.
#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    name: String,
    /// The last octet was a CR that is not written yet.
    carriage_return: bool,
}

impl Maildir {
    /// Makes what is missing of its three directories.
    pub(crate) async fn open(root: &Path) -> Result<Self, LocalTrouble> {
        let trouble =
            |error: std::io::Error| LocalTrouble::Maildir(root.display().to_string(), error.to_string());
        for directory in ["tmp", "new", "cur"] {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(root.join(directory)).await.map_err(trouble)?;
        }
        let names = nix::sys::utsname::uname().ok();
        let host =
            names.and_then(|names| names.nodename().to_str().map(ToOwned::to_owned)).unwrap_or_default();
        let host = host.replace('/', "\\057").replace(':', "\\072");
        Ok(Self {
            root: root.to_owned(),
            host,
            head: String::new(),
            open: None,
            delivered: AtomicU64::new(0),
        })
    }

    pub(crate) async fn mail(&mut self, envelope: &Envelope) {
        self.abandon().await;
        self.head = format!("Return-Path: <{}>\n", envelope.sender);
    }

    pub(crate) fn recipient(&mut self, recipient: &Recipient) {
        self.head.push_str(&format!("Delivered-To: {}\n", recipient.mailbox));
    }

    pub(crate) async fn begin(&mut self) -> Result<(), Reply> {
        let name = self.unique();
        let path = self.root.join("tmp").join(&name);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).await;
        let mut file = opened.map_err(|error| refusal(&path, &error))?;
        let written = file.write_all(self.head.as_bytes()).await;
        self.open = Some(Open { file, path: path.clone(), name, carriage_return: false });
        self.checked(written, &path).await
    }

    pub(crate) async fn content(&mut self, octets: &[u8]) -> Result<(), Reply> {
        let Some(open) = &mut self.open else { return Err(vanished()) };
        let here = with_line_feeds(octets, &mut open.carriage_return);
        let (written, path) = (open.file.write_all(&here).await, open.path.clone());
        self.checked(written, &path).await
    }

    /// Synced, moved, and the move synced: then it is delivered.
    pub(crate) async fn end(&mut self) -> Result<Reply, Reply> {
        let Some(open) = &mut self.open else { return Err(vanished()) };
        let (path, name) = (open.path.clone(), open.name.clone());
        let place = self.root.join("new").join(&name);
        let written = async {
            if open.carriage_return {
                open.file.write_all(b"\r").await?;
            }
            open.file.flush().await?;
            open.file.sync_all().await?;
            fs::rename(&open.path, &place).await?;
            File::open(self.root.join("new")).await?.sync_all().await
        }
        .await;
        self.checked(written, &path).await?;
        self.open = None;
        Ok(Reply::new(250, (2, 0, 0), format!("delivered as {name}")))
    }

    pub(crate) async fn abandon(&mut self) {
        if let Some(open) = self.open.take() {
            drop(open.file);
            // Whoever reads the Maildir removes what is old in tmp.
            let _ = fs::remove_file(&open.path).await;
        }
    }

    async fn checked(&mut self, done: std::io::Result<()>, path: &Path) -> Result<(), Reply> {
        let Err(error) = done else { return Ok(()) };
        self.abandon().await;
        Err(refusal(path, &error))
    }

    /// Time, process and a count: unique among all that deliver here.
    fn unique(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let count = self.delivered.fetch_add(1, Ordering::Relaxed);
        let address = std::ptr::from_ref(self).addr();
        format!(
            "{}.M{}P{}Q{count}X{address:x}.{}",
            now.as_secs(),
            now.subsec_micros(),
            std::process::id(),
            self.host
        )
    }
}

/// CRLF becomes LF, wherever the pieces are cut; the content is canonical, so no other CR is there to be lost.
fn with_line_feeds(octets: &[u8], carriage_return: &mut bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    for octet in octets {
        if std::mem::take(carriage_return) && *octet != b'\n' {
            out.push(b'\r');
        }
        if *octet == b'\r' { *carriage_return = true } else { out.push(*octet) }
    }
    out
}

fn refusal(path: &Path, error: &std::io::Error) -> Reply {
    events::local_lost(&format!("{}: {error}", path.display()));
    let full = error.kind() == ErrorKind::StorageFull
        || error.kind() == ErrorKind::QuotaExceeded
        || error.raw_os_error() == Some(Errno::EDQUOT as i32);
    if full {
        Reply::new(452, (4, 3, 1), "The mailbox has no room now")
    } else {
        Reply::new(451, (4, 3, 0), "The mailbox cannot be written now")
    }
}

fn vanished() -> Reply {
    Reply::new(451, (4, 3, 0), "The mailbox cannot be written now")
}

#[cfg(test)]
mod tests {
    use super::*;
    use restante_types::{Body, Mailbox, ReversePath};

    fn envelope() -> Envelope {
        let sender = ReversePath::Mailbox("a@example.com".parse().unwrap());
        Envelope {
            sender,
            recipients: Vec::new(),
            body: Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        }
    }

    fn files(root: &Path, directory: &str) -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(root.join(directory)).unwrap();
        entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    /// [5321-4.4-final]
    #[tokio::test]
    async fn a_message_is_in_new_only_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("box");
        let mut maildir = Maildir::open(&root).await.unwrap();
        for cut in 1..10 {
            maildir.mail(&envelope()).await;
            maildir.recipient(&Recipient::from("b@example.org".parse::<Mailbox>().unwrap()));
            maildir.begin().await.unwrap();
            for piece in b"A: b\r\n\r\nx\r\n".chunks(cut) {
                maildir.content(piece).await.unwrap();
            }
            assert_eq!(files(&root, "new").len(), cut - 1);
            assert_eq!(maildir.end().await.unwrap().code.get(), 250);
        }
        let whole = b"Return-Path: <a@example.com>\nDelivered-To: b@example.org\nA: b\n\nx\n";
        assert!(files(&root, "new").iter().all(|file| file == whole));
        assert!(files(&root, "tmp").is_empty());
    }

    #[tokio::test]
    async fn what_breaks_off_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut maildir = Maildir::open(dir.path()).await.unwrap();
        maildir.mail(&envelope()).await;
        maildir.begin().await.unwrap();
        maildir.content(b"half").await.unwrap();
        maildir.abandon().await;
        assert!(files(dir.path(), "new").is_empty() && files(dir.path(), "tmp").is_empty());
        assert_eq!(maildir.end().await.unwrap_err().code.get(), 451);
    }

    #[tokio::test]
    async fn a_maildir_that_goes_away_puts_mail_off() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("box");
        let mut maildir = Maildir::open(&root).await.unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        maildir.mail(&envelope()).await;
        assert_eq!(maildir.begin().await.unwrap_err().code.get(), 451);
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(Maildir::open(&file).await.is_err());
    }
}
