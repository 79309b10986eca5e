//! `config check` and `config show`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::render::render;
use super::{Config, DEFAULT_CONFIG, Grade, Machine, Report, load};
use crate::args;
use crate::cli::{Exit, Options, counted};

/// The file that is meant: as said, as `--config` or `RESTANTE_CONFIG` says, or the site's.
pub(crate) fn file(said: Option<&PathBuf>, options: &Options) -> PathBuf {
    said.or(options.config.as_ref()).cloned().unwrap_or_else(|| DEFAULT_CONFIG.into())
}

/// Does what the command says.
pub(crate) fn run(what: &args::Config, options: &Options) -> Exit {
    let said = match what {
        args::Config::Check { file } | args::Config::Show { file } => file.as_ref(),
    };
    let file = file(said, options);
    let (config, report) = load(&file, &Machine::this());
    let shown = match what {
        args::Config::Check { .. } => check(&file, config.as_ref(), &report, options.json),
        args::Config::Show { .. } => show(config.as_ref(), &report, options.json),
    };
    match (shown, config) {
        (Err(error), _) if error.kind() != io::ErrorKind::BrokenPipe => Exit::TryAgain,
        (_, None) => Exit::Configuration,
        (_, Some(_)) => Exit::Ok,
    }
}

fn check(file: &Path, config: Option<&Config>, report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        return report.findings().try_for_each(|finding| object(&mut out, finding));
    }
    write!(out, "{report}")?;
    match config {
        Some(config) => writeln!(
            out,
            "{}: ok, {}, {}, {}",
            file.display(),
            counted(config.domains.len() as u64, "domain", "domains"),
            counted(config.listen.len() as u64, "listener", "listeners"),
            counted(report.count(Grade::Warning) as u64, "warning", "warnings"),
        ),
        None => {
            let errors = counted(report.count(Grade::Error) as u64, "error", "errors");
            writeln!(out, "{}: {errors}", file.display())
        }
    }
}

fn show(config: Option<&Config>, report: &Report, json: bool) -> io::Result<()> {
    let Some(config) = config else { return write!(io::stderr(), "{report}") };
    let text = render(config);
    let mut out = io::stdout().lock();
    if !json {
        return out.write_all(text.as_bytes());
    }
    let table: toml::Table = toml::from_str(&text).map_err(io::Error::other)?;
    object(&mut out, &table)
}

fn object(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}
