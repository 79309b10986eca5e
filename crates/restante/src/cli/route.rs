//! `restante route`

use clap::Args;
use restante_api::{Client, HopView, RouteReport};
use restante_types::Domain;

use super::exit::Exit;
use super::failure::Failure;
use super::human::{NOTHING, because, or_nothing, safe};
use super::output::Output;
use super::table::{Column, Rows};

/// Show where a domain's mail would go now
///
/// The names are looked up for the answer, as a drain would: the addresses in the order to try, what was left out and why,
/// and what TLS each must show. Nothing is connected to.
///
/// Exit code 0: there is a way; 75: not now; 65: the domain leads to this server itself or takes no mail.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  restante route example.org
  restante route --json example.org | jq '.hops[].address'")]
pub(crate) struct Route {
    /// The domain
    pub(crate) domain: Domain,
}

const COLUMNS: [Column; 6] = [
    Column::Left("ADDRESS"),
    Column::Left("HOST"),
    Column::Right("PREFERENCE"),
    Column::Left("FROM"),
    Column::Left("DNSSEC"),
    Column::Left("TLS"),
];

/// Shows it.
pub(crate) async fn run(verb: Route, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let report = client.route(&verb.domain).await?;
    if output.json {
        output.object(&report)?;
    } else {
        describe(&report, output)?;
    }
    Ok(exit(&report))
}

fn exit(report: &RouteReport) -> Exit {
    match &report.problem {
        Some(problem) if problem.kind == "misrouted" => Exit::Data,
        Some(_) => Exit::TryAgain,
        None if report.hops.iter().any(|hop| hop.tls_possible) => Exit::Ok,
        None => Exit::TryAgain,
    }
}

fn describe(report: &RouteReport, output: &mut Output) -> Result<(), Failure> {
    let resolvers = match report.resolvers.as_slice() {
        [] => "the system's".to_owned(),
        servers => servers.join(", "),
    };
    let proven = if report.secure { ", proven by DNSSEC" } else { "" };
    output.line(&format!("domain        {}", report.domain))?;
    output.line(&format!("primary       {}{proven}", safe(&report.primary)))?;
    output.line(&format!("tls-policy    {}", safe(&report.tls_policy)))?;
    output.line(&format!("resolver      {resolvers}"))?;
    if let Some(ttl) = report.ttl {
        output.line(&format!("good for      {ttl}s"))?;
    }
    if let Some(hold) = &report.hold {
        output.line(&format!("stopped       {}{}", safe(&hold.kind), because(&hold.reason)))?;
    }
    if !report.hops.is_empty() {
        output.line("")?;
        let mut rows = Rows::new(COLUMNS);
        for hop in &report.hops {
            rows.row(cells(hop), output)?;
        }
        rows.finish(output)?;
    }
    if !report.left_out.is_empty() {
        output.line("\nLeft out:")?;
    }
    for left in &report.left_out {
        output.line(&format!("  {}: {}", safe(&left.what), safe(&left.why)))?;
    }
    if let Some(problem) = &report.problem {
        output.line("")?;
        output.line(&told(&report.domain, &problem.kind, &safe(&problem.reason)))?;
    }
    output.flush()
}

fn cells(hop: &HopView) -> [String; 6] {
    let tls = if hop.tls_possible { safe(&hop.tls) } else { format!("not possible: {}", safe(&hop.tls)) };
    [
        hop.address.clone(),
        or_nothing(hop.name.as_ref().map(ToString::to_string)),
        if hop.name.is_some() { hop.preference.to_string() } else { NOTHING.to_owned() },
        or_nothing(hop.source.map(|source| source.to_string())),
        if hop.secure { "yes" } else { "no" }.to_owned(),
        tls,
    ]
}

fn told(domain: &Domain, kind: &str, reason: &str) -> String {
    if kind == "misrouted" {
        return format!(
            "Misrouted: {reason}. Nothing is bounced for it: the domain is stopped when its mail is to leave. Pin its \
             primary, or mend the DNS; then `restante release {domain}`."
        );
    }
    format!("No way now: {reason}. Mail waits, and the way is looked up again with the next attempt.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Shared;
    use restante_api::{LeftOutView, ProblemView};

    fn example() -> RouteReport {
        let hop = HopView {
            name: Some("mx1.example.org".parse().unwrap()),
            address: "192.0.2.1:25".to_owned(),
            preference: 10,
            source: Some("192.0.2.9".parse().unwrap()),
            secure: true,
            tls: "require: encrypted".to_owned(),
            tls_possible: true,
        };
        RouteReport {
            domain: "example.org".parse().unwrap(),
            primary: "mx".to_owned(),
            resolvers: vec!["192.0.2.53:53".to_owned()],
            tls_policy: "require".to_owned(),
            hops: vec![
                hop.clone(),
                HopView { name: None, source: None, secure: false, tls_possible: false, ..hop },
            ],
            ttl: Some(300),
            secure: true,
            left_out: vec![LeftOutView {
                what: "20 mx2.example.net".to_owned(),
                why: "it is us\u{7}".to_owned(),
            }],
            problem: None,
            hold: None,
        }
    }

    #[test]
    fn the_way_is_told_whole_and_safely() {
        let shared = Shared::default();
        let mut output = Output::to(shared.clone(), false, jiff::Timestamp::UNIX_EPOCH);
        describe(&example(), &mut output).unwrap();
        let expected = "\
domain        example.org
primary       mx, proven by DNSSEC
tls-policy    require
resolver      192.0.2.53:53
good for      300s

ADDRESS       HOST             PREFERENCE  FROM       DNSSEC  TLS
192.0.2.1:25  mx1.example.org          10  192.0.2.9  yes     require: encrypted
192.0.2.1:25  -                         -  -          no      not possible: require: encrypted

Left out:
  20 mx2.example.net: it is us\\u{7}
";
        assert_eq!(shared.text(), expected);
    }

    #[test]
    fn scripts_can_tell_whether_there_is_a_way() {
        let problem = |kind: &str| RouteReport {
            hops: Vec::new(),
            problem: Some(ProblemView { kind: kind.to_owned(), reason: "x".to_owned() }),
            ..example()
        };
        assert_eq!(exit(&example()), Exit::Ok);
        assert_eq!(exit(&problem("misrouted")), Exit::Data);
        assert_eq!(exit(&problem("later")), Exit::TryAgain);
        let mut barred = example();
        barred.hops.iter_mut().for_each(|hop| hop.tls_possible = false);
        assert_eq!(exit(&barred), Exit::TryAgain);
        assert!(told(&example().domain, "misrouted", "x").contains("restante release example.org"));
    }
}
