//! From the configuration to what each part is told.

use std::time::Duration;

use restante_delivery::{DeliverySettings, DnsSettings, DomainDelivery, Mode, NextHop, Notices, TlsTrust};
use restante_server::{HeldDomain as Held, ListenSettings, ServerLimits, ServerSettings};
use restante_smtp::AuthOffer;
use restante_turn::{Account, AccountTurn, DomainTurn, TurnSettings};
use restante_types::{Domain, DomainMap};

use super::{certificate, notices};
use crate::alarms::{self, Watched};
use crate::config::{Config, DeliverTo, HeldDomain, Listen, Rules, Sited};
use crate::limits::SMTP_PORT;

/// What holds for a name, with what only the program itself wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Its mode.
    pub(crate) mode: Mode,
    /// How long its mail waits.
    pub(crate) retention: Duration,
}

/// The policies by domain.
pub(crate) fn policies(config: &Config) -> DomainMap<Policy> {
    config.per_domain(|rules| Policy { mode: rules.mode, retention: rules.retention.0 })
}

/// What the front end is told. `lost` are domains that were held at the last good start and are missing now; `auth` is what
/// some account can use.
pub(crate) fn server(config: &Config, lost: DomainMap<()>, auth: AuthOffer) -> ServerSettings {
    ServerSettings {
        hostname: config.hostname.clone(),
        own_addresses: config.top.own_addresses.clone(),
        listeners: config.listen.iter().map(listener).collect(),
        auth,
        turn: config.accounts.iter().any(|account| account.value.turn),
        limits: ServerLimits {
            message_size: config.limits.message_size.0,
            recipients: config.limits.recipients,
            connections: config.limits.connections,
            connections_per_client: config.limits.connections_per_client,
            max_subdomains: config.limits.max_subdomains,
            hop_limit: config.top.hop_limit,
        },
        domains: config.per_domain(|rules| Held {
            push: rules.mode == Mode::Push,
            quota: rules.quota.0.map(|size| size.0),
            smtputf8: rules.smtputf8,
            subdomains: rules.subdomains,
            vouched: rules.notices == Notices::Verified,
            authentication_results: rules.authentication_results,
        }),
        first_domain: config.domains.first().map(|domain| domain.value.name.clone()),
        lost,
    }
}

/// Whom delivery asks.
pub(crate) fn dns(config: &Config) -> DnsSettings {
    DnsSettings { servers: config.dns.addresses(), trust_anchor: config.dns.trust_anchor.clone() }
}

/// Whom the front end asks about senders.
pub(crate) fn senders(config: &Config) -> restante_senders::Dns {
    restante_senders::Dns { servers: config.dns.addresses() }
}

fn listener(listen: &Sited<Listen>) -> ListenSettings {
    let Listen { address, service, tls, strict, atrn } = listen.value;
    ListenSettings { address, service, tls, strict, atrn }
}

/// What delivery is told.
pub(crate) fn delivery(config: &Config) -> DeliverySettings {
    let mut domains = config.per_domain(domain_delivery);
    let (name, notice_queue) = notices::queue();
    domains.insert(name, true, notice_queue);
    DeliverySettings {
        hostname: config.hostname.clone(),
        own_addresses: config.top.own_addresses.clone(),
        listeners: config.listen.iter().map(|listen| listen.value.address).collect(),
        source_addresses: Vec::new(),
        is_local: restante_delivery::is_local_address,
        notices: notices::settings(config),
        domains,
    }
}

fn domain_delivery(rules: &Rules) -> DomainDelivery {
    DomainDelivery {
        mode: rules.mode,
        primary: rules.primary.clone(),
        source_addresses: rules.source_address.clone(),
        resolvers: rules.resolver.iter().map(|server| server.0).collect(),
        tls: rules.tls_policy,
        trust: TlsTrust {
            authorities: rules.tls_ca.clone(),
            name: rules.tls_name.clone(),
            fingerprints: rules.tls_fingerprint.iter().map(|fingerprint| fingerprint.0).collect(),
            shown: rules.tls_certificate.clone().zip(rules.tls_key.clone()),
        },
        forward_client: rules.forward_client,
        retention: rules.retention.0,
        retry: rules.retry.clone(),
        connections: rules.connections,
        parked_retention: rules.parked_retention.0,
        delay_notice: rules.delay_notice.0.map(|span| span.0),
        notices: rules.notices,
        on_5xx: rules.on_5xx,
        canary: rules.canary,
        rate: rules.rate.0,
        circuit: rules.circuit,
    }
}

/// Who is told of what.
pub(crate) fn alarms(config: &Config) -> alarms::Settings {
    let webhook = config.events.webhook.as_ref().map(|webhook| alarms::Webhook {
        url: webhook.0.clone(),
        secret_file: config.events.secret_file.clone(),
    });
    alarms::Settings {
        hostname: config.hostname.clone(),
        domains: config.per_domain(|rules| Watched {
            on_demand: rules.mode == Mode::OnDemand,
            retention: rules.retention.0,
            uncollected: rules.uncollected_alarm.0.map(|span| span.0),
            owner: rules.owner.clone(),
        }),
        webhook,
        mail: config.events.mail,
        mail_to: config.events.mail_to.clone(),
        certificate: certificate::files(config).map(|(certificate, _)| certificate),
    }
}

/// What the desk that answers ETRN, ATRN and TURN is told.
pub(crate) fn turn(config: &Config) -> TurnSettings {
    let mut domains = DomainMap::default();
    for domain in &config.domains {
        let HeldDomain { name, rules, .. } = &domain.value;
        domains.insert(name.clone(), rules.subdomains, domain_turn(name, rules, config));
    }
    let known = |account: &Account| AccountTurn {
        turn: account.turn,
        allow_cleartext: account.allow_cleartext,
        certificates: account.certificates.iter().map(|certificate| certificate.0).collect(),
    };
    let accounts = config.accounts.iter().map(|account| &account.value);
    TurnSettings {
        domains,
        groups: config
            .groups
            .iter()
            .map(|group| (group.value.name.clone(), group.value.domains.clone()))
            .collect(),
        accounts: accounts.map(|account| (account.name.clone(), known(account))).collect(),
        own_addresses: config.top.own_addresses.clone(),
        is_local: Some(restante_delivery::is_local_address),
    }
}

fn domain_turn(name: &Domain, rules: &Rules, config: &Config) -> DomainTurn {
    let mut told = DomainTurn {
        subdomains: rules.subdomains,
        etrn_from: rules.etrn_from.clone(),
        etrn_reply: rules.etrn_reply,
        etrn_interval: rules.etrn_interval.0,
        requester_port: (rules.deliver_to == DeliverTo::Requester).then(|| port(&rules.primary)),
        ..DomainTurn::default()
    };
    for owner in config.accounts.iter().map(|account| &account.value).filter(|one| one.domains.contains(name))
    {
        told.identities.insert(owner.name.clone());
        told.certificates.extend(owner.certificates.iter().map(|certificate| certificate.0));
    }
    told
}

/// The port of a primary.
const fn port(primary: &NextHop) -> u16 {
    match primary {
        NextHop::Mx => SMTP_PORT,
        NextHop::Host { port, .. } => *port,
        NextHop::Literal(address) => address.port(),
    }
}

/// The configured names, each with whether it takes subdomains.
pub(crate) fn names(config: &Config) -> Vec<(Domain, bool)> {
    config.domains.iter().map(|domain| (domain.value.name.clone(), domain.value.rules.subdomains)).collect()
}
