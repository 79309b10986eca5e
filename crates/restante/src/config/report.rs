//! What is wrong with a configuration, where, and what was meant.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use restante_types::Printable;
use serde::Serialize;

/// A place in a file, for people: lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Place {
    /// The file.
    #[serde(serialize_with = "as_text")]
    pub(crate) file: Arc<Path>,
    /// The line; 0 means the file as a whole.
    pub(crate) line: usize,
    /// The column, in characters.
    pub(crate) column: usize,
}

fn as_text<S: serde::Serializer>(file: &Arc<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&file.to_string_lossy())
}

impl Place {
    /// The file as a whole.
    pub(crate) fn whole(file: &Path) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.to_string_lossy();
        Printable::from(&*file).fmt(f)?;
        if self.line > 0 { write!(f, ":{}:{}", self.line, self.column) } else { Ok(()) }
    }
}

/// How a file that says nothing is told.
const UNREADABLE: &str = "cannot be read";

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Grade {
    /// The configuration is not used.
    Error,
    /// It is used, but does probably not do what was meant.
    Warning,
    /// It is used; good to know.
    Note,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// How bad.
    pub(crate) grade: Grade,
    /// Where.
    #[serde(flatten)]
    pub(crate) place: Place,
    /// What is wrong.
    pub(crate) what: String,
    /// What was probably meant, or what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) meant: Option<String>,
}

impl Finding {
    /// All of it on one line, for a log.
    pub(crate) fn in_a_line(&self) -> String {
        self.to_string().replace("\n    ", "; ")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.grade, Printable::from(self.what.as_str()))?;
        match &self.meant {
            Some(meant) => write!(f, "\n    {}", Printable::from(meant.as_str())),
            None => Ok(()),
        }
    }
}

/// All findings, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Adds a finding.
    pub(crate) fn add(&mut self, grade: Grade, place: Place, what: impl Into<String>, meant: Option<String>) {
        self.findings.push(Finding { grade, place, what: what.into(), meant });
    }

    /// Adds an error with what to do about it.
    pub(crate) fn error(&mut self, place: &Place, what: impl Into<String>, meant: impl Into<String>) {
        self.add(Grade::Error, place.clone(), what, Some(meant.into()));
    }

    /// Adds a warning with what to do about it.
    pub(crate) fn warning(&mut self, place: &Place, what: impl Into<String>, meant: impl Into<String>) {
        self.add(Grade::Warning, place.clone(), what, Some(meant.into()));
    }

    /// Adds a note.
    pub(crate) fn note(&mut self, file: &Path, what: impl Into<String>) {
        self.add(Grade::Note, Place::whole(file), what, None);
    }

    /// A file that cannot be read.
    pub(crate) fn unreadable(&mut self, file: PathBuf, error: &std::io::Error) {
        self.add(Grade::Error, Place::whole(&file), format!("{UNREADABLE}: {error}"), None);
    }

    /// Whether this file could not be read at all.
    pub(crate) fn is_blind(&self, file: &Path) -> bool {
        self.findings.iter().any(|finding| {
            *finding.place.file == *file && finding.place.line == 0 && finding.what.starts_with(UNREADABLE)
        })
    }

    /// Whether the configuration must not be used.
    pub(crate) fn has_errors(&self) -> bool {
        self.count(Grade::Error) > 0
    }

    /// How many findings there are of a grade.
    pub(crate) fn count(&self, grade: Grade) -> usize {
        self.findings.iter().filter(|finding| finding.grade == grade).count()
    }

    /// The findings, the errors first.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Finding> {
        let of = |grade: Grade| self.findings.iter().filter(move |finding| finding.grade == grade);
        of(Grade::Error).chain(of(Grade::Warning)).chain(of(Grade::Note))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}
