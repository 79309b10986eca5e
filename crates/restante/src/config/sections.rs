//! Every key with its type and its default. A key stands here once; reading, writing, the list of all keys and the
//! test of the sample file follow from it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use restante_delivery::{Circuit, ForwardClient, Mode, NextHop, Notices, On5xx, RetryList, TlsPolicy};
use restante_server::{ListenTls, Service};
use restante_turn::{EtrnFrom, EtrnReply, Fingerprint, StoredSecret};
use restante_types::{Domain, Mailbox};

use super::credentials::Certificates;
use super::fields::{Fields, Setting};
use super::primary::{DnsServer, Rate, Webhook};
use super::values::{DeliverTo, DiskMark, Quota, Size, Span, SpanOrOff, Workers};

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $key:literal $field:ident: $type:ty = $default:expr;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name { $($(#[$field_doc])* pub(crate) $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            /// Its keys, in order.
            #[cfg(test)]
            pub(crate) const KEYS: &'static [&'static str] = &[$($key),*];

            /// Reads what is written; the rest is as in `base`.
            pub(crate) fn read(fields: &mut Fields<'_>, base: &Self) -> Self {
                Self { $($field: fields.get($key).unwrap_or_else(|| base.$field.clone()),)* }
            }

            /// Keys with their values as TOML, in order; those without a value are left out.
            #[allow(dead_code, reason = "not every section is written back")]
            pub(crate) fn write(&self) -> Vec<(&'static str, String)> {
                let all = [$(($key, self.$field.write())),*];
                all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
            }
        }
    };
}

pub(crate) use section;

section! {
    /// What stands before the first table.
    Top {
        /// Our name; absent is the machine's, if that is fully qualified.
        "hostname" hostname: Option<Domain> = None;
        /// Where mail is kept.
        "data-dir" data_dir: PathBuf = "/var/lib/restante".into();
        /// Outside (NAT) addresses that are also us.
        "own-addresses" own_addresses: Vec<IpAddr> = Vec::new();
        /// Received lines of a message at most.
        "hop-limit" hop_limit: usize = 100;
        /// Accounts; a relative path is looked for beside the configuration.
        "accounts-file" accounts_file: PathBuf = "/etc/restante/accounts.toml".into();
        /// Threads that serve connections.
        "worker-threads" worker_threads: Workers = Workers(None);
    }
}

section! {
    /// `[[listen]]`
    Listen {
        /// Where.
        "address" address: SocketAddr = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 25);
        /// What is spoken there.
        "service" service: Service = Service::Smtp;
        /// What is done about TLS; an odmr listener that says nothing requires it.
        "tls" tls: ListenTls = ListenTls::StartTls;
        /// Bare LF or CR is refused instead of normalised.
        "strict" strict: bool = false;
        /// ATRN is offered.
        "atrn" atrn: bool = false;
    }
}

section! {
    /// `[tls]`
    Tls {
        /// Our certificate with its chain, PEM.
        "certificate" certificate: Option<PathBuf> = None;
        /// Its key, PEM.
        "key" key: Option<PathBuf> = None;
        /// Makes a certificate in the data directory at the first start.
        "self-signed" self_signed: bool = false;
        /// Certificates of authorities, PEM, whose client certificates are known by their names.
        "client-ca" client_ca: Option<PathBuf> = None;
    }
}

section! {
    /// `[dns]`
    Dns {
        /// Servers that are asked; none means those of the system.
        "servers" servers: Vec<DnsServer> = Vec::new();
        /// The root's keys, as records; absent is those that came with the program.
        "trust-anchor" trust_anchor: Option<PathBuf> = None;
    }
}

impl Dns {
    /// Where the servers are.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|server| server.0).collect()
    }
}

section! {
    /// `[notices]`: how notices to senders read.
    NoticeTexts {
        /// The name that they come from, beside our address.
        "from-name" from_name: Option<String> = None;
        /// The text when a message was refused, or waited too long.
        "failed" failed: Option<PathBuf> = None;
        /// The text while a message still waits.
        "delayed" delayed: Option<PathBuf> = None;
        /// The text when a message went to a server that sends no notices.
        "relayed" relayed: Option<PathBuf> = None;
    }
}

section! {
    /// `[events]`: who is told when something changes.
    Events {
        /// Where it is posted.
        "webhook" webhook: Option<Webhook> = None;
        /// What the posts are signed with.
        "secret-file" secret_file: Option<PathBuf> = None;
        /// Domains' owners are told by mail.
        "mail" mail: bool = true;
        /// Who is told by mail of what is about the server.
        "mail-to" mail_to: Option<Mailbox> = None;
    }
}

section! {
    /// `[admin]`
    Admin {
        /// Where the command line talks to the server.
        "socket" socket: PathBuf = "/run/restante/admin.sock".into();
        /// Where the web page and the metrics are.
        "http" http: Option<SocketAddr> = None;
        /// What whoever asks there must show.
        "token-file" token_file: Option<PathBuf> = None;
    }
}

section! {
    /// `[limits]`
    Limits {
        /// Octets of a message.
        "message-size" message_size: Size = Size(50_000_000);
        /// Recipients of a message.
        "recipients" recipients: usize = 1000;
        /// Connections at one time, per listener.
        "connections" connections: usize = 2000;
        /// Of these, from one IPv4 address or IPv6 /64.
        "connections-per-client" connections_per_client: usize = 50;
        /// Room below which no mail is taken.
        "disk-low-water" disk_low_water: DiskMark = DiskMark::Share(5);
        /// Queues made by `subdomains = true`, per domain.
        "max-subdomains" max_subdomains: usize = 1000;
        /// Memory for the index.
        "index-cache" index_cache: Size = Size(16 << 20);
    }
}

section! {
    /// What `[[domain]]` and `[domain-defaults]` say.
    Rules {
        /// Every name below it too, each with a queue of its own.
        "subdomains" subdomains: bool = false;
        /// When its mail leaves.
        "mode" mode: Mode = Mode::OnDemand;
        /// Where to.
        "primary" primary: NextHop = NextHop::Mx;
        /// What TLS to the primary must be.
        "tls-policy" tls_policy: TlsPolicy = TlsPolicy::Opportunistic;
        /// Certificates of the authorities that count; absent is those of this system.
        "tls-ca" tls_ca: Option<PathBuf> = None;
        /// The name that its certificate must have; absent is the next hop's.
        "tls-name" tls_name: Option<Domain> = None;
        /// Its certificates.
        "tls-fingerprint" tls_fingerprint: Vec<Fingerprint> = Vec::new();
        /// The certificate that we show.
        "tls-certificate" tls_certificate: Option<PathBuf> = None;
        /// Its key.
        "tls-key" tls_key: Option<PathBuf> = None;
        /// Addresses that we connect from.
        "source-address" source_address: Vec<IpAddr> = Vec::new();
        /// DNS servers of its own.
        "resolver" resolver: Vec<DnsServer> = Vec::new();
        /// How much the primary is told of the client that a message came from.
        "forward-client" forward_client: ForwardClient = ForwardClient::Off;
        /// Authentication-Results stand on top of what comes in.
        "authentication-results" authentication_results: bool = false;
        /// The primary takes internationalised addresses.
        "smtputf8" smtputf8: bool = false;
        /// How long mail waits to be collected.
        "retention" retention: Span = Span::seconds(14 * 86_400);
        /// The waits between attempts of our own.
        "retry" retry: RetryList = RetryList::default();
        /// When the sender is told of a delay.
        "delay-notice" delay_notice: SpanOrOff = SpanOrOff(None);
        /// Which senders are told of failures.
        "notices" notices: Notices = Notices::Verified;
        /// What becomes of mail that the primary refuses for good.
        "on-5xx" on_5xx: On5xx = On5xx::Notice;
        /// After an outage the first message goes alone.
        "canary" canary: bool = true;
        /// Messages per minute.
        "rate" rate: Rate = Rate(None);
        /// When refusals stop the domain.
        "circuit" circuit: Circuit = Circuit::default();
        /// Octets at most, names below it included.
        "quota" quota: Quota = Quota(None);
        /// Connections of one drain.
        "connections" connections: usize = 8;
        /// Who may send ETRN.
        "etrn-from" etrn_from: Vec<EtrnFrom> = vec![EtrnFrom::Primary];
        /// How much the answer to ETRN tells.
        "etrn-reply" etrn_reply: EtrnReply = EtrnReply::Auto;
        /// Least time between two ETRNs of one unauthenticated asker.
        "etrn-interval" etrn_interval: Span = Span::seconds(15);
        /// Where a drain connects to.
        "deliver-to" deliver_to: DeliverTo = DeliverTo::Primary;
        /// Warns when mail has waited this long.
        "uncollected-alarm" uncollected_alarm: SpanOrOff = SpanOrOff(Some(Span::seconds(86_400)));
        /// Who is told about the domain by mail.
        "owner" owner: Option<Mailbox> = None;
        /// How long failed and expired mail, and dead letters, are kept.
        "parked-retention" parked_retention: Span = Span::seconds(30 * 86_400);
    }
}

section! {
    /// `[[group]]`
    GroupKeys {
        /// What stands behind `#`.
        "name" name: Option<String> = None;
        /// Its domains.
        "domains" domains: Vec<Domain> = Vec::new();
    }
}

section! {
    /// `[[account]]` of the accounts file.
    AccountKeys {
        /// Its name.
        "name" name: Option<String> = None;
        /// The domains it owns.
        "domains" domains: Vec<Domain> = Vec::new();
        /// Others may own its domains too.
        "shared" shared: bool = false;
        /// What is kept of its password.
        "secret" secret: Option<StoredSecret> = None;
        /// Its certificates.
        "client-certificate" client_certificate: Certificates = Certificates::default();
        /// The name in a certificate under `client-ca`.
        "client-name" client_name: Option<Domain> = None;
        /// TURN is served.
        "turn" turn: bool = false;
        /// It may come without TLS.
        "allow-cleartext" allow_cleartext: bool = false;
        /// CRAM-MD5 is served.
        "legacy-cram-md5" legacy_cram_md5: bool = false;
    }
}
