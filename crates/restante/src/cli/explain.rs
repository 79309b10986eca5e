//! `restante explain`

use std::net::IpAddr;

use clap::{Args, Subcommand};
use restante_api::{Client, ExplainQuery, ExplainReport};

use super::exit::Exit;
use super::failure::Failure;
use super::human::safe;
use super::output::Output;

/// Say what a client would be answered, and by which rule
///
/// The running server decides as it would for that client in clear, without an account. Nothing is stored or counted.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante explain rcpt a@example.org --client 192.0.2.7
  restante explain rcpt postmaster --client 2001:db8::7 --from b@example.net --helo mail.example.net")]
pub(crate) struct Explain {
    #[command(subcommand)]
    pub(crate) what: What,
}

/// What can be explained.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    Rcpt(Rcpt),
}

/// Say whether a recipient would be taken
///
/// Exit code 0: it would; 75: not now (4yz); 65: no (5yz).
#[derive(Debug, Args)]
pub(crate) struct Rcpt {
    /// The recipient, or postmaster
    #[arg(value_name = "ADDRESS")]
    recipient: String,
    /// The client's address
    #[arg(long, value_name = "IP")]
    client: IpAddr,
    /// The sender; without it, the empty one of notices
    #[arg(long, value_name = "SENDER")]
    from: Option<String>,
    /// What the client calls itself
    #[arg(long, value_name = "NAME")]
    helo: Option<String>,
}

/// Says it.
pub(crate) async fn run(verb: Explain, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let What::Rcpt(Rcpt { recipient, client: address, from, helo }) = verb.what;
    let report = client.explain(&ExplainQuery { recipient, client: address, from, helo }).await?;
    if output.json {
        output.object(&report)?;
    } else {
        output.line(&safe(&report.reply))?;
        output.line(&told(&report))?;
    }
    Ok(match report.code {
        _ if report.accepted => Exit::Ok,
        400..=499 => Exit::TryAgain,
        _ => Exit::Data,
    })
}

fn told(report: &ExplainReport) -> String {
    let how = if report.accepted { "taken" } else { "refused" };
    format!("{} is {how}, rule {}: {}.", report.command.to_uppercase(), safe(&report.rule), safe(&report.why))
}
