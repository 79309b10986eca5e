//! `spool`: work on the content log of a server that is stopped.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use restante_queue::spool::{ExportReport, SpoolDamage, SpoolError, VerifyReport, export, verify};
use restante_types::Printable;
use serde::Serialize;

use crate::args;
use crate::cli::{Exit, Options, bar, counted, size};
use crate::complain;
use crate::config::{Machine, file, load};

/// Does what the command says.
pub(crate) fn run(what: args::Spool, options: &Options) -> Exit {
    match what {
        args::Spool::Probe { directory } => probe(&directory),
        args::Spool::Verify { data_dir } => on_data(data_dir, options, |data| {
            let report = with_progress("checked", |progress| verify(data, progress))?;
            Ok(told(options.json, &report, &report.damaged, report.damage, &verified(&report)))
        }),
        args::Spool::Export { directory, data_dir } => on_data(data_dir, options, |data| {
            let report = with_progress("copied", |progress| export(data, &directory, progress))?;
            Ok(told(options.json, &report, &report.damaged, report.damage, &exported(&report, &directory)))
        }),
    }
}

/// The child of a server that was not stopped in order; see `restante_queue::ProbeCommand`.
fn probe(directory: &Path) -> Exit {
    match restante_queue::probe(directory) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            complain(&error.to_string());
            Exit::Data
        }
    }
}

fn on_data(
    said: Option<PathBuf>,
    options: &Options,
    work: impl FnOnce(&Path) -> Result<Exit, SpoolError>,
) -> Exit {
    let data = match said {
        Some(data) => data,
        None => {
            let (config, report) = load(&file(None, options), &Machine::this());
            let Some(config) = config else {
                complain(&format!(
                    "the configuration does not tell the data directory; name it with --data-dir\n{report}"
                ));
                return Exit::Configuration;
            };
            config.top.data_dir
        }
    };
    work(&data).unwrap_or_else(|error| {
        complain(&error.to_string());
        match error {
            SpoolError::InUse(_) => Exit::TryAgain,
            SpoolError::NotADataDirectory(_) | SpoolError::Log(_) => Exit::Data,
            SpoolError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Exit::NotAllowed
            }
            SpoolError::Io { .. } => Exit::TryAgain,
        }
    })
}

fn with_progress<T>(
    title: &str,
    work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> Result<T, SpoolError>,
) -> Result<T, SpoolError> {
    let shown: ProgressBar = bar(0, title.to_owned());
    let done = work(&mut |done, total| {
        shown.set_length(total);
        shown.set_position(done);
    });
    shown.finish_and_clear();
    done
}

/// Prints the report; 65 if anything is damaged.
fn told(json: bool, report: &impl Serialize, damaged: &[SpoolDamage], damage: u64, summary: &str) -> Exit {
    let mut out = io::stdout().lock();
    let written = if json {
        serde_json::to_writer(&mut out, report).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        let mut lines = damaged.iter().map(line);
        lines.try_for_each(|line| writeln!(out, "{line}")).and_then(|()| writeln!(out, "{summary}"))
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::TryAgain,
        _ if damage > 0 => Exit::Data,
        _ => Exit::Ok,
    }
}

fn line(damage: &SpoolDamage) -> String {
    let id = damage.id.map_or_else(|| "unknown message".to_owned(), |id| id.to_string());
    let SpoolDamage { segment, offset, octets, what, .. } = damage;
    format!(
        "damaged: {id}: segment {segment}, offset {offset}, {octets} octets: {}",
        Printable::from(what.as_str())
    )
}

fn verified(report: &VerifyReport) -> String {
    let mut text = format!(
        "{} in {} ({}), {} large, {} done and not yet swept, {} damaged",
        counted(report.messages, "message", "messages"),
        counted(report.segments, "segment", "segments"),
        size(report.octets),
        report.large,
        report.dead,
        report.damage,
    );
    if report.unclean > 0 {
        text += &format!(
            "\nthe server was not stopped in order; its next start mends {} ({} never acknowledged, {} left over)",
            counted(report.unclean, "segment", "segments"),
            size(report.torn_octets),
            counted(report.left_over_files, "file", "files"),
        );
    }
    text
}

fn exported(report: &ExportReport, to: &Path) -> String {
    let messages = counted(report.messages, "message", "messages");
    format!("{messages} ({}) copied to {}, {} damaged", size(report.octets), to.display(), report.damage)
}
