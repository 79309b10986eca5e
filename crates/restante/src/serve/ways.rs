//! Where mail would go, why it did not, and what a client would be answered, as the administrator's interface tells it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use restante_api::{
    ExplainQuery, ExplainReport, HopView, LeftOutView, ProblemView, RouteReport, SaidView, SpeakerView,
    WhyReport, timestamp,
};
use restante_delivery::{
    DeliverySettings, Hop, LastFailure, Lookup, NoRoute, RouteView, Side, SystemLookup, TlsPolicies, WhyBook,
};
use restante_server::{Question, Server};
use restante_types::{Domain, ForwardPath, ReversePath, Severity};

use crate::config::{Config, written};

/// Knows the ways out.
pub(super) struct Ways {
    settings: Arc<ArcSwap<DeliverySettings>>,
    lookup: Arc<dyn Lookup>,
    tls: Arc<TlsPolicies>,
    why: WhyBook,
}

impl Ways {
    /// By what delivery is told, whom we ask for names, what TLS is demanded, and what went wrong last.
    pub(super) fn new(
        settings: &Arc<ArcSwap<DeliverySettings>>,
        lookup: &Arc<SystemLookup>,
        tls: Arc<TlsPolicies>,
        why: WhyBook,
    ) -> Self {
        Self { settings: settings.clone(), lookup: lookup.clone(), tls, why }
    }

    /// Looks up where a domain's mail would go now.
    pub(super) async fn route(&self, config: &Config, domain: &Domain) -> Option<RouteReport> {
        let settings = self.settings.load_full();
        let view = RouteView::look(&self.lookup, &settings, domain).await?;
        let (_, delivery) = settings.domains.find(domain)?;
        let mut hops = Vec::with_capacity(view.hops.len());
        for hop in &view.hops {
            let (tls, tls_possible) = match self.tls.demand(domain, delivery, hop).await {
                Ok(demand) => (demand.to_string(), true),
                Err(unmet) => (unmet.to_string(), false),
            };
            hops.push(shown(hop, tls, tls_possible));
        }
        let asked = if view.resolvers.is_empty() { config.dns.addresses() } else { view.resolvers };
        let left_out = view.left_out.into_iter();
        Some(RouteReport {
            domain: view.domain,
            primary: written(&view.primary),
            resolvers: asked.iter().map(ToString::to_string).collect(),
            tls_policy: written(&delivery.tls),
            hops,
            ttl: view.ttl.map(|ttl| ttl.as_secs()),
            secure: view.secure,
            left_out: left_out.map(|left| LeftOutView { what: left.what, why: left.why }).collect(),
            problem: view.problem.as_ref().map(problem),
            hold: None,
        })
    }

    /// The last attempt of a domain that failed.
    pub(super) fn why(&self, domain: &Domain) -> Option<WhyReport> {
        let LastFailure { at, hop, verdict, dialogue } = self.why.get(domain)?;
        let said = |(side, text): (Side, String)| SaidView {
            by: match side {
                Side::Client => SpeakerView::Client,
                Side::Server => SpeakerView::Server,
            },
            text,
        };
        Some(WhyReport {
            domain: domain.clone(),
            at: timestamp(at),
            hop: Some(hop).filter(|hop| !hop.is_empty()),
            verdict,
            dialogue: dialogue.into_iter().map(said).collect(),
        })
    }
}

fn shown(hop: &Hop, tls: String, tls_possible: bool) -> HopView {
    HopView {
        name: hop.name.clone(),
        address: hop.address.to_string(),
        preference: hop.preference,
        source: hop.source,
        secure: hop.secure,
        tls,
        tls_possible,
    }
}

fn problem(problem: &NoRoute) -> ProblemView {
    let kind = match problem {
        NoRoute::Misrouted(_) => "misrouted",
        NoRoute::Later(_) => "later",
    };
    ProblemView { kind: kind.to_owned(), reason: problem.to_string() }
}

/// Asks the front end.
///
/// # Errors
/// What of the question makes no sense.
pub(super) async fn explain(server: &Server, query: ExplainQuery) -> Result<ExplainReport, String> {
    let ExplainQuery { recipient, client, from, helo } = query;
    let unquoted = |text: &str| text.trim_start_matches('<').trim_end_matches('>').to_owned();
    let recipient = unquoted(&recipient);
    let path = if recipient.eq_ignore_ascii_case("postmaster") {
        ForwardPath::Postmaster
    } else {
        ForwardPath::Mailbox(recipient.parse().map_err(|error| format!("the recipient: {error}"))?)
    };
    let sender = match from.map(|from| unquoted(&from)).filter(|from| !from.is_empty()) {
        None => ReversePath::Null,
        Some(from) => ReversePath::Mailbox(from.parse().map_err(|error| format!("the sender: {error}"))?),
    };
    let helo = helo.unwrap_or_else(|| format!("[{client}]"));
    let told = server.explain(Question { client, helo, sender, recipient: path }).await;
    let (domain, configured) = told.found.unzip();
    Ok(ExplainReport {
        command: told.command.to_owned(),
        accepted: told.reply.severity() == Severity::Completed,
        reply: told.reply.to_string(),
        code: told.reply.code.get(),
        rule: told.rule.to_owned(),
        why: told.why,
        domain,
        configured,
    })
}
