//! Reading tables key by key, with everything that is wrong collected.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::report::{Grade, Place, Report};

/// A file with its text, for places.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its path as it was given.
    file: Arc<Path>,
    text: String,
    /// Where lines begin: a file of many domains asks for many places.
    lines: Vec<usize>,
}

impl Source {
    /// A file and what it holds.
    pub(crate) fn new(file: &Path, text: String) -> Self {
        let behind = text.match_indices('\n').map(|(end, _)| end + 1);
        let lines = std::iter::once(0).chain(behind).collect();
        Self { file: file.into(), text, lines }
    }

    /// Its path as it was given.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// What the file holds.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The place of an octet.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|begin| *begin <= offset);
        let begin = self.lines[line - 1];
        let before = self.text.get(begin..offset).unwrap_or_default();
        Place { file: self.file.clone(), line, column: before.chars().count() + 1 }
    }
}

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// What is wrong with it.
    pub(crate) what: String,
    /// What was meant, or what would be right.
    pub(crate) meant: String,
    /// Where in an array it stands, if it is an item of one.
    pub(crate) at: Option<Range<usize>>,
}

impl Wrong {
    /// A value that cannot be used, and what could.
    pub(crate) fn new(what: impl Into<String>, meant: impl Into<String>) -> Self {
        Self { what: what.into(), meant: meant.into(), at: None }
    }
}

/// A type that a key's value can have.
pub(crate) trait Setting: Sized {
    /// Reads it.
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong>;

    /// The value as TOML; `None` leaves the key out.
    fn write(&self) -> Option<String>;
}

/// One table while it is read. Whatever key is not asked for by [`finish`](Self::finish) is unknown.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    source: &'a Source,
    table: &'a DeTable<'a>,
    /// How messages call it: `[limits]`.
    name: &'static str,
    span: Range<usize>,
    asked: Vec<&'static str>,
    report: &'a RefCell<Report>,
}

impl<'a> Fields<'a> {
    /// The outermost table of a file.
    pub(crate) fn of_file(
        source: &'a Source,
        table: &'a Spanned<DeTable<'a>>,
        report: &'a RefCell<Report>,
    ) -> Self {
        Self {
            source,
            table: table.get_ref(),
            name: "the configuration",
            span: table.span(),
            asked: Vec::new(),
            report,
        }
    }

    /// The outermost table of an accounts file.
    pub(crate) fn of_accounts(
        source: &'a Source,
        table: &'a Spanned<DeTable<'a>>,
        report: &'a RefCell<Report>,
    ) -> Self {
        Self { name: "the accounts file", ..Self::of_file(source, table, report) }
    }

    /// The outermost table of an agent's configuration.
    pub(crate) fn of_agent(
        source: &'a Source,
        table: &'a Spanned<DeTable<'a>>,
        report: &'a RefCell<Report>,
    ) -> Self {
        Self { name: "the agent's configuration", ..Self::of_file(source, table, report) }
    }

    /// The value of a key. A bad value is reported and counts as absent.
    pub(crate) fn get<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        let value = self.ask(key)?;
        match T::read(value.get_ref()) {
            Ok(setting) => Some(setting),
            Err(wrong) => {
                let place = self.source.place(wrong.at.unwrap_or_else(|| value.span()).start);
                self.report.borrow_mut().error(&place, format!("{key}: {}", wrong.what), wrong.meant);
                None
            }
        }
    }

    /// A table inside, like `[limits]`.
    pub(crate) fn table(&mut self, key: &'static str, name: &'static str) -> Option<Fields<'a>> {
        let value = self.ask(key)?;
        let inner = value.get_ref().as_table();
        if inner.is_none() {
            self.wrong_shape(value, key, &format!("write {name} on a line of its own, its keys below"));
        }
        Some(self.inner(inner?, value.span(), name))
    }

    /// Tables inside, like `[[domain]]`.
    pub(crate) fn tables(&mut self, key: &'static str, name: &'static str) -> Vec<Fields<'a>> {
        let Some(value) = self.ask(key) else { return Vec::new() };
        let meant = format!("write {name} on a line of its own before each, its keys below");
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_shape(value, key, &meant);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(table) => tables.push(self.inner(table, item.span(), name)),
                None => self.wrong_shape(item, key, &meant),
            }
        }
        tables
    }

    fn inner(&self, table: &'a DeTable<'a>, span: Range<usize>, name: &'static str) -> Self {
        Fields { source: self.source, table, name, span, asked: Vec::new(), report: self.report }
    }

    fn wrong_shape(&self, value: &Spanned<DeValue<'_>>, key: &str, meant: &str) {
        let place = self.source.place(value.span().start);
        self.report.borrow_mut().error(&place, format!("{key} is no table"), meant);
    }

    fn ask(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// Where a key's value stands, or else the table.
    pub(crate) fn place_of(&self, key: &str) -> Place {
        self.place_if_written(key).unwrap_or_else(|| self.place())
    }

    /// Where a key's value stands, if it is written at all.
    pub(crate) fn place_if_written(&self, key: &str) -> Option<Place> {
        self.table.get(key).map(|value| self.source.place(value.span().start))
    }

    /// Where the table begins.
    pub(crate) fn place(&self) -> Place {
        self.source.place(self.span.start)
    }

    /// Reports a finding about a key.
    pub(crate) fn find(&self, grade: Grade, key: &str, what: impl Into<String>, meant: impl Into<String>) {
        self.report.borrow_mut().add(grade, self.place_of(key), what, Some(meant.into()));
    }

    /// Reports the keys that nobody asked for. Returns those that were, for the list of all keys.
    pub(crate) fn finish(self) -> Vec<&'static str> {
        for (key, _) in self.table.iter().filter(|(key, _)| !self.asked.contains(&&**key.get_ref())) {
            let meant = match nearest(key.get_ref(), self.asked.iter().copied()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("{} knows {}", self.name, self.asked.join(", ")),
            };
            let what = format!("unknown key \"{}\" in {}", key.get_ref(), self.name);
            self.report.borrow_mut().error(&self.source.place(key.span().start), what, meant);
        }
        self.asked
    }
}
