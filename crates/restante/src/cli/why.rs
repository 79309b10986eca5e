//! `restante why`

use clap::Args;
use restante_api::{Client, SpeakerView, WhyReport};
use restante_types::Domain;

use super::exit::Exit;
use super::failure::Failure;
use super::human::safe;
use super::output::Output;

/// Show why a domain's mail did not leave: the last attempt that failed, and what was said
///
/// Lines of ours begin with C, lines of the next hop with S. Content of messages and secrets are left out. It is kept in
/// memory: after a restart the next attempt tells again.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante why example.org
  restante why --json example.org | jq -r .verdict")]
pub(crate) struct Why {
    /// The domain
    pub(crate) domain: Domain,
}

/// Shows it.
pub(crate) async fn run(verb: Why, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let report = client.why(&verb.domain).await?;
    match &report {
        Some(report) if output.json => output.object(report)?,
        Some(report) => describe(report, output)?,
        None if output.json => {}
        None => {
            output.line(&format!("No attempt for {} has failed since the server started.", verb.domain))?
        }
    }
    Ok(Exit::Ok)
}

fn describe(report: &WhyReport, output: &mut Output) -> Result<(), Failure> {
    let hop = report.hop.as_ref().map_or_else(String::new, |hop| format!(", {}", safe(hop)));
    output.line(&format!("{}: {}{hop}", report.domain, output.clock.exact(report.at)))?;
    output.line(&safe(&report.verdict))?;
    if !report.dialogue.is_empty() {
        output.line("")?;
    }
    for said in &report.dialogue {
        let by = match said.by {
            SpeakerView::Client => "C",
            SpeakerView::Server => "S",
        };
        output.line(&format!("{by}: {}", safe(&said.text)))?;
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Shared;
    use restante_api::SaidView;

    #[test]
    fn the_verdict_comes_first_and_everything_is_safe() {
        let said = |by, text: &str| SaidView { by, text: text.to_owned() };
        let report = WhyReport {
            domain: "example.org".parse().unwrap(),
            at: "2026-01-31T09:00:00Z".parse().unwrap(),
            hop: Some("mx1.example.org[192.0.2.1]:25".to_owned()),
            verdict: "it answered EHLO with 550".to_owned(),
            dialogue: vec![
                said(SpeakerView::Server, "220 ready"),
                said(SpeakerView::Client, "EHLO mx2.example.net"),
                said(SpeakerView::Server, "550 \u{1b}[31mno"),
            ],
        };
        let shared = Shared::default();
        let mut output = Output::to(shared.clone(), false, "2026-01-31T12:00:00Z".parse().unwrap());
        describe(&report, &mut output).unwrap();
        let expected = "\
example.org: 2026-01-31 09:00:00 +00:00 (3h ago), mx1.example.org[192.0.2.1]:25
it answered EHLO with 550

S: 220 ready
C: EHLO mx2.example.net
S: 550 \\u{1b}[31mno
";
        assert_eq!(shared.text(), expected);
    }
}
