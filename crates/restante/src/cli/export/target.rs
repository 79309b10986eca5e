//! Where exported messages go, by format.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use restante_api::EntryView;

use super::mbox::{self, Quoting};
use super::new_file::NewFile;
use super::{Failure, Format};

/// What messages are written to, one after the other.
pub(super) enum Target {
    Eml { directory: PathBuf },
    Maildir { directory: PathBuf },
    Mbox { path: PathBuf, file: NewFile },
    Stream { to: Box<dyn Write> },
}

/// One message that is being written.
pub(super) enum Message<'a> {
    File { path: PathBuf, file: NewFile },
    Mbox { path: PathBuf, to: &'a mut dyn Write, quoting: Quoting },
}

impl Target {
    pub(super) fn open(format: Format, path: &Path) -> Result<Self, Failure> {
        let standard = path == Path::new("-");
        match format {
            Format::Mbox if standard => Ok(Self::Stream { to: Box::new(io::BufWriter::new(io::stdout())) }),
            Format::Eml | Format::Maildir if standard => {
                Err(Failure::Usage("only an mbox can be written to standard output".to_owned()))
            }
            Format::Mbox => {
                let file = NewFile::begin(partial(path), path.to_owned()).map_err(taken(path))?;
                Ok(Self::Mbox { path: path.to_owned(), file })
            }
            Format::Eml => {
                directory(path)?;
                Ok(Self::Eml { directory: path.to_owned() })
            }
            Format::Maildir => {
                for part in ["", "tmp", "new", "cur"] {
                    directory(&path.join(part))?;
                }
                Ok(Self::Maildir { directory: path.to_owned() })
            }
        }
    }

    /// Begins a message.
    pub(super) fn begin(&mut self, entry: &EntryView) -> Result<Message<'_>, Failure> {
        match self {
            Self::Eml { directory } => {
                let path = directory.join(format!("{}.eml", entry.id));
                Message::file(partial(&path), path)
            }
            Self::Maildir { directory } => {
                let name = format!("{}.{}.restante", entry.arrived.as_second(), entry.id);
                Message::file(directory.join("tmp").join(&name), directory.join("new").join(&name))
            }
            Self::Mbox { path, file } => Message::mbox(path.clone(), file, entry),
            Self::Stream { to } => Message::mbox(PathBuf::from("-"), to, entry),
        }
    }

    /// Everything is written.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Eml { .. } | Self::Maildir { .. } => Ok(()),
            Self::Mbox { path, file } => file.finish().map_err(taken(&path)),
            Self::Stream { mut to } => Ok(to.flush()?),
        }
    }
}

impl<'a> Message<'a> {
    fn file(temporary: PathBuf, path: PathBuf) -> Result<Self, Failure> {
        let file = NewFile::begin(temporary, path.clone()).map_err(taken(&path))?;
        Ok(Self::File { path, file })
    }

    fn mbox(path: PathBuf, mut to: &'a mut dyn Write, entry: &EntryView) -> Result<Self, Failure> {
        mbox::begin(&mut to, &entry.sender, entry.arrived).map_err(writing(&path))?;
        Ok(Self::Mbox { path, to, quoting: Quoting::new() })
    }

    /// Some of its content.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        match self {
            Self::File { path, file } => file.write_all(piece).map_err(writing(path)),
            Self::Mbox { path, to, quoting } => quoting.write(to, piece).map_err(writing(path)),
        }
    }

    /// All of it is written; says where it is.
    pub(super) fn finish(self) -> Result<PathBuf, Failure> {
        match self {
            Self::File { path, file } => file.finish().map_err(taken(&path)).map(|()| path),
            Self::Mbox { path, mut to, quoting } => {
                quoting.end(&mut to).map_err(writing(&path)).map(|()| path)
            }
        }
    }
}

fn partial(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.partial", std::process::id()))
}

fn directory(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).create(path).map_err(Failure::file(path))?;
    fs::File::open(path).and_then(|directory| directory.sync_all()).map_err(Failure::file(path))
}

fn taken(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::Data(format!("{} is there already; nothing is overwritten", path.display()))
        }
        _ => Failure::File { path, error },
    }
}

/// A reader of standard output that went away is no failure of a file.
fn writing(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::NobodyReads,
        _ => Failure::File { path, error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::list::tests::example;

    const CONTENT: &[u8] = b"Subject: x\r\n\r\nFrom here\r\n\xff\x00.\r\n";

    fn export(format: Format, path: &Path) -> Result<PathBuf, Failure> {
        let mut target = Target::open(format, path)?;
        let mut message = target.begin(&example())?;
        message.write(&CONTENT[..20])?;
        message.write(&CONTENT[20..])?;
        let written = message.finish()?;
        target.finish().map(|()| written)
    }

    fn names(path: &Path) -> Vec<String> {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn an_eml_is_the_content_byte_for_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        export(Format::Eml, &path).unwrap();
        assert_eq!(names(&path), ["01890a5d-ac96-774b-bcce-b302099a8057.eml"]);
        assert_eq!(fs::read(path.join("01890a5d-ac96-774b-bcce-b302099a8057.eml")).unwrap(), CONTENT);
        let again = export(Format::Eml, &path).unwrap_err();
        assert!(again.to_string().ends_with("is there already; nothing is overwritten"), "{again}");
        assert_eq!(names(&path).len(), 1, "nothing half done is left");
    }

    #[test]
    fn a_maildir_gets_it_in_new() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let written = export(Format::Maildir, &path).unwrap();
        assert_eq!(names(&path.join("new")), ["1769857200.01890a5d-ac96-774b-bcce-b302099a8057.restante"]);
        assert_eq!(fs::read(written).unwrap(), CONTENT);
        assert!(names(&path.join("tmp")).is_empty() && names(&path.join("cur")).is_empty());
        assert!(export(Format::Maildir, &path).is_err());
    }

    #[test]
    fn an_mbox_is_quoted_and_appears_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.mbox");
        let mut target = Target::open(Format::Mbox, &path).unwrap();
        target.begin(&example()).unwrap().finish().unwrap();
        assert!(!path.exists());
        drop(target);
        assert!(names(dir.path()).is_empty());
        export(Format::Mbox, &path).unwrap();
        let expected =
            b"From MAILER-DAEMON Sat Jan 31 11:00:00 2026\nSubject: x\r\n\r\n>From here\r\n\xff\x00.\r\n\n"
                .to_vec();
        assert_eq!(fs::read(&path).unwrap(), expected);
        assert!(export(Format::Mbox, &path).is_err());
        assert_eq!(fs::read(&path).unwrap(), expected);
    }

    #[test]
    fn standard_output_takes_one_stream() {
        assert!(matches!(Target::open(Format::Eml, Path::new("-")), Err(Failure::Usage(_))));
    }
}
