//! `restante export`

mod mbox;
mod new_file;
mod target;

use std::collections::HashSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use restante_api::{Client, ClientError, EntryView, ErrorCode, ListQuery};
use restante_types::QueueId;
use serde::Serialize;

use super::exit::Exit;
use super::failure::Failure;
use super::filter::SearchArgs;
use super::human::{counted, size};
use super::limits::{MAX_EXPORT, PAGE};
use super::output::{Output, remark};
use target::Target;

/// How exported messages are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A directory with one ID.eml per message
    Eml,
    /// One file, in the mboxrd variant: lines that look like a separator get one more `>`, and lose it on the way back
    Mbox,
    /// A Maildir, new or existing; messages appear in its new/
    Maildir,
}

/// Copy messages out, byte for byte
///
/// Content is written as it is held: lines end in CRLF, the topmost Received line is ours. Nothing is removed from the
/// queue, and no file is ever overwritten. A file appears under its name only once it is whole and on the disk. A
/// message that is held for several domains is exported once. What arrives meanwhile is left out.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante export --domain example.org --format mbox --output example.org.mbox
  restante export --id 01890a5d-ac96-774b-bcce-b302099a8057 --format eml --output .
  restante export --all --format maildir --output /var/backups/held
  restante export --domain example.org --format mbox --output - | less")]
pub(crate) struct Export {
    /// How to lay the messages out
    #[arg(long, value_enum)]
    pub(crate) format: Format,
    /// Where to: a directory for eml and maildir, a new file for mbox (`-` is standard output)
    #[arg(long, value_name = "PATH")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
}

/// One line of JSON per message.
#[derive(Debug, Serialize)]
struct Exported<'a> {
    id: QueueId,
    path: &'a std::path::Path,
    size: u64,
}

/// What was done so far.
#[derive(Debug, Default)]
struct Tally {
    seen: HashSet<QueueId>,
    messages: u64,
    octets: u64,
    missing: u64,
}

/// Copies them.
pub(crate) async fn run(verb: Export, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let standard = verb.output == std::path::Path::new("-");
    let mut query = ListQuery { filter: verb.search.at(output.clock.now), after: None, limit: Some(PAGE) };
    // Where mail comes in faster than it is written out, there would be no end.
    query.filter.older_than.get_or_insert(output.clock.now);
    let mut target = Target::open(verb.format, &verb.output)?;
    let mut tally = Tally::default();
    loop {
        // Page by page: a list that stays open while messages are fetched would seem forgotten to the server.
        let mut page = Vec::new();
        let end = client.entries(&query).await?.finish(|entry| page.push(entry)).await?;
        for entry in &page {
            one(entry, client, &mut target, &mut tally, output, standard).await?;
        }
        query.after = end.next;
        if query.after.is_none() {
            break;
        }
    }
    target.finish()?;
    tell(&tally, &verb, standard, output)
}

async fn one(
    entry: &EntryView,
    client: &Client,
    target: &mut Target,
    tally: &mut Tally,
    output: &mut Output,
    standard: bool,
) -> Result<(), Failure> {
    if tally.seen.len() >= MAX_EXPORT {
        return Err(Failure::Usage(format!("more than {MAX_EXPORT} messages: export domain by domain")));
    }
    if !tally.seen.insert(entry.id) {
        return Ok(());
    }
    let mut content = match client.content(entry.id, Some(&entry.domain)).await {
        Ok(content) => content,
        Err(ClientError::Refused(refusal)) if is_gone(refusal.code) => {
            tally.missing += 1;
            remark(&format!("{} for {}: {refusal}", entry.id, entry.domain));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let mut message = target.begin(entry)?;
    let mut octets = 0;
    while let Some(piece) = content.next().await? {
        octets += piece.len() as u64;
        message.write(&piece)?;
    }
    let path = message.finish()?;
    tally.messages += 1;
    tally.octets += octets;
    if output.json && !standard {
        output.object(&Exported { id: entry.id, path: &path, size: octets })?;
    }
    Ok(())
}

/// Delivered since it was listed, or damaged on the disk: the others are exported all the same.
const fn is_gone(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotFound | ErrorCode::Damaged)
}

fn tell(tally: &Tally, verb: &Export, standard: bool, output: &mut Output) -> Result<Exit, Failure> {
    let messages = counted(tally.messages, "message", "messages");
    let line = format!("Exported {messages} ({}) to {}.", size(tally.octets), verb.output.display());
    if !standard && !output.json {
        output.line(&line)?;
    }
    if tally.missing > 0 {
        remark(&format!(
            "{} could not be exported, see above.",
            counted(tally.missing, "message", "messages")
        ));
        return Ok(Exit::Data);
    }
    Ok(Exit::Ok)
}
