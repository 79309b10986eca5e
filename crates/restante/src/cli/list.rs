//! `restante list`

use clap::Args;
use restante_api::{Client, EntryView, ListQuery, Streamed};

use super::exit::Exit;
use super::failure::Failure;
use super::filter::SearchArgs;
use super::human::{NOTHING, safe, size};
use super::output::Output;
use super::table::{Column, Rows};

/// List held messages
///
/// One line per entry, in the order of domain, then arrival. A message for two held domains is two entries under one
/// id. Conditions are combined with "and"; without any, everything but deleted entries is listed.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante list --domain example.org --older 3d
  restante list --state failed,expired
  restante list --domain example.org --state dead
  restante list --from '<>' --larger 1MB
  restante list --json --reason 'connection refused' | jq -r .id")]
pub(crate) struct List {
    /// At most this many entries
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
}

const COLUMNS: [Column; 8] = [
    Column::Left("ID"),
    Column::Left("DOMAIN"),
    Column::Left("STATE"),
    Column::Right("SIZE"),
    Column::Left("ARRIVED"),
    Column::Left("FROM"),
    Column::Left("TO"),
    Column::Left("LAST REPLY"),
];

/// Lists them.
pub(crate) async fn run(verb: List, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let filter = verb.search.at(output.clock.now);
    let query = ListQuery { filter, after: None, limit: verb.limit };
    let mut stream = client.entries(&query).await?;
    let mut rows = Rows::new(COLUMNS);
    loop {
        match stream.next().await? {
            Streamed::Item(entry) if output.json => output.object(&entry)?,
            Streamed::Item(entry) => {
                let cells = cells(&entry, output);
                rows.row(cells, output)?;
            }
            Streamed::End(_) => break,
        }
    }
    if !rows.finish(output)? && !output.json {
        output.line("Nothing matches.")?;
    }
    Ok(Exit::Ok)
}

/// Lays out a few entries, for previews.
pub(crate) fn table(entries: &[EntryView], output: &mut Output) -> Result<(), Failure> {
    let mut rows = Rows::new(COLUMNS);
    for entry in entries {
        let cells = cells(entry, output);
        rows.row(cells, output)?;
    }
    rows.finish(output).map(|_| ())
}

fn cells(entry: &EntryView, output: &Output) -> [String; 8] {
    let held = if entry.held { ", held" } else { "" };
    let reply = entry.recipients.iter().find_map(|recipient| recipient.last_reply.as_deref());
    let told = entry.hold_reason.as_deref().filter(|reason| !reason.is_empty()).or(reply);
    [
        entry.id.to_string(),
        entry.domain.to_string(),
        format!("{}{held}", entry.state),
        size(entry.size),
        output.clock.both(entry.arrived),
        sender(&entry.sender),
        recipients(entry),
        told.map_or_else(|| NOTHING.to_owned(), safe),
    ]
}

/// The sender; the empty one in its brackets.
pub(crate) fn sender(sender: &str) -> String {
    if sender.is_empty() { "<>".to_owned() } else { safe(sender) }
}

fn recipients(entry: &EntryView) -> String {
    match entry.recipients.as_slice() {
        [] => NOTHING.to_owned(),
        [only] => safe(&only.address),
        [first, rest @ ..] => format!("{} +{}", safe(&first.address), rest.len()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cli::output::Shared;
    use restante_api::RecipientView;
    use restante_types::DeliveryState;

    pub(crate) fn recipient(address: &str, last_reply: Option<&str>) -> RecipientView {
        RecipientView {
            address: address.to_owned(),
            state: DeliveryState::Deferred,
            attempts: 2,
            last_reply: last_reply.map(str::to_owned),
            notify: None,
            original: None,
        }
    }

    pub(crate) fn example() -> EntryView {
        EntryView {
            id: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            domain: "example.org".parse().unwrap(),
            sender: String::new(),
            recipients: vec![
                recipient("a@example.org", Some("450 4.2.1 later")),
                recipient("b@example.org", None),
            ],
            size: 4321,
            arrived: "2026-01-31T11:00:00Z".parse().unwrap(),
            expires: Some("2026-02-14T11:00:00Z".parse().unwrap()),
            next_attempt: None,
            state: DeliveryState::Deferred,
            client: "192.0.2.1".to_owned(),
            helo: "mx.example.net\u{202e}".to_owned(),
            vouched: "no".to_owned(),
            held: true,
            hold_reason: None,
            identity: None,
            tls: None,
            eight_bit: true,
            smtputf8: false,
            ret: None,
            envid: None,
        }
    }

    #[test]
    fn the_table_is_for_people() {
        let shared = Shared::default();
        let mut output = Output::to(shared.clone(), false, "2026-01-31T12:00:00Z".parse().unwrap());
        table(&[example()], &mut output).unwrap();
        let expected = "\
ID                                    DOMAIN       STATE             SIZE  ARRIVED                    FROM  TO                LAST REPLY
01890a5d-ac96-774b-bcce-b302099a8057  example.org  deferred, held  4.3 kB  2026-01-31 11:00 (1h ago)  <>    a@example.org +1  450 4.2.1 later
";
        assert_eq!(shared.text(), expected);
    }
}
