//! Against servers that answer by a script: what is right, what is wrong, and nothing.

mod lies;
mod server;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{TLSA, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use self::server::{Server, a, aaaa, alias, mx, name, octets, record, respond, soa};
use super::client::exchange;
use super::*;

/// What the zone says about a name and a type; `None` is trouble.
fn zone(asked: &Name, kind: RecordType) -> Option<(ResponseCode, Vec<Record>)> {
    let answers = match (asked.to_ascii().as_str(), kind) {
        ("example.org.", RecordType::MX) => {
            vec![mx("example.org.", 20, "b.example.org."), mx("example.org.", 10, "A.example.org.")]
        }
        ("null.example.", RecordType::MX) => vec![mx("null.example.", 0, ".")],
        ("alias.example.", RecordType::MX) => {
            vec![alias("alias.example.", "Example.ORG."), mx("example.org.", 10, "a.example.org.")]
        }
        ("dangling.example.", _) => vec![alias("dangling.example.", "gone.example.")],
        ("a.example.org.", RecordType::A) => vec![a("a.example.org.", 1), a("a.example.org.", 2)],
        ("a.example.org.", RecordType::AAAA) => vec![aaaa("a.example.org.", 1)],
        ("b.example.org.", RecordType::A) => {
            vec![alias("b.example.org.", "c.example.org."), a("c.example.org.", 3)]
        }
        ("c.example.org.", RecordType::A) => vec![a("c.example.org.", 3)],
        ("half.example.", RecordType::A) => vec![a("half.example.", 4)],
        ("half.example.", RecordType::AAAA) | ("trouble.example.", _) => return None,
        ("gone.example.", _) => return Some((ResponseCode::NXDomain, Vec::new())),
        ("_mta-sts.example.org.", RecordType::TXT) => {
            let text = TXT::new(vec!["v=STSv1; ".to_owned(), "id=1;".to_owned()]);
            vec![record("_mta-sts.example.org.", RData::TXT(text))]
        }
        ("_25._tcp.a.example.org.", RecordType::TLSA) => {
            let data = TLSA::new(3.into(), 1.into(), 1.into(), vec![7; 32]);
            vec![record("_25._tcp.a.example.org.", RData::TLSA(data))]
        }
        _ => Vec::new(),
    };
    Some((ResponseCode::NoError, answers))
}

fn answer(request: &Message, _: bool) -> Vec<Vec<u8>> {
    let query = &request.queries[0];
    let (code, answers) =
        zone(query.name(), query.query_type()).unwrap_or((ResponseCode::ServFail, Vec::new()));
    octets(&respond(request, code, answers))
}

async fn lookup() -> SystemLookup {
    Server::start(answer).await.lookup()
}

fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

fn host(text: &str) -> Exchange {
    Exchange::Host(domain(text))
}

#[test]
fn what_an_mx_names_is_told_apart() {
    assert_eq!(exchange(&name(".")), Exchange::Null);
    assert_eq!(exchange(&name("Mail.Example.org.")), host("mail.example.org"));
    let spaced = Name::from_labels([b"a b".as_slice(), b"example"]).unwrap();
    assert_eq!(exchange(&spaced), Exchange::Unusable);
}

#[tokio::test]
async fn records_come_with_their_time_to_live() {
    let found = lookup().await.mx(&domain("example.org")).await.unwrap();
    let mut records: Vec<_> = found.records.iter().map(|mx| (mx.preference, mx.exchange.clone())).collect();
    records.sort_by_key(|(preference, _)| *preference);
    assert_eq!(records, [(10, host("a.example.org")), (20, host("b.example.org"))]);
    assert!((70..=77).contains(&found.ttl.as_secs()), "{:?}", found.ttl);
    assert!(!found.secure && !found.first_secure);
}

#[tokio::test]
async fn aliases_are_followed() {
    // [5321-5.1-cname]
    let lookup = lookup().await;
    let found = lookup.mx(&domain("alias.example")).await.unwrap();
    assert_eq!(found.records.len(), 2, "the answer of the name at the end, not what stood beside the alias");
    assert_eq!(found.name, domain("example.org"));
    let found = lookup.addresses(&domain("b.example.org")).await.unwrap();
    assert_eq!(found.records, ["198.51.100.3".parse::<IpAddr>().unwrap()]);
    assert_eq!(found.name, domain("c.example.org"));
    assert_eq!(lookup.mx(&domain("dangling.example")).await, Err(LookupError::NoName));
}

#[tokio::test]
async fn both_families_come_and_one_is_enough() {
    let lookup = lookup().await;
    let found = lookup.addresses(&domain("a.example.org")).await.unwrap();
    assert_eq!(found.records.len(), 3);
    let found = lookup.addresses(&domain("half.example")).await.unwrap();
    assert_eq!(found.records, ["198.51.100.4".parse::<IpAddr>().unwrap()]);
}

#[tokio::test]
async fn nothing_no_name_null_and_trouble_are_told_apart() {
    // [5321-5.1-nxdomain] [7505-3]
    let lookup = lookup().await;
    let null = lookup.mx(&domain("null.example")).await.unwrap();
    assert_eq!(null.records, [Mx { preference: 0, exchange: Exchange::Null }]);
    assert_eq!(lookup.mx(&domain("a.example.org")).await, Err(LookupError::NoRecords));
    assert_eq!(lookup.mx(&domain("gone.example")).await, Err(LookupError::NoName));
    assert_eq!(lookup.addresses(&domain("gone.example")).await, Err(LookupError::NoName));
    assert_eq!(lookup.addresses(&domain("empty.example")).await, Err(LookupError::NoRecords));
    assert!(matches!(lookup.mx(&domain("trouble.example")).await, Err(LookupError::Temporary(_))));
    assert!(matches!(lookup.addresses(&domain("trouble.example")).await, Err(LookupError::Temporary(_))));
}

#[tokio::test]
async fn the_strings_of_a_txt_record_are_joined() {
    let found = lookup().await.txt(&domain("_mta-sts.example.org")).await.unwrap();
    assert_eq!(found.records, ["v=STSv1; id=1;"]);
}

#[tokio::test]
async fn tlsa_records_without_proof_are_never_given() {
    // [7672-2.1.1-bogus] The server knows no signatures, so that nothing says whether the zone should be signed.
    let found = lookup().await.tlsa(&domain("a.example.org"), 25).await;
    assert!(matches!(found, Err(LookupError::Bogus(_))), "{found:?}");
    let absent = lookup().await.tlsa(&domain("b.example.org"), 25).await;
    assert!(matches!(absent, Err(LookupError::Bogus(_))), "{absent:?}");
}

#[tokio::test]
async fn whoever_wants_proof_gets_nothing_without() {
    let lookup = lookup().await;
    let proving = lookup.proving().unwrap();
    let unproven = proving.mx(&domain("example.org")).await;
    assert!(matches!(unproven, Err(LookupError::Bogus(_))), "{unproven:?}");
    assert!(lookup.mx(&domain("example.org")).await.is_ok(), "others do not depend on it");
}

#[tokio::test]
async fn the_hosts_file_and_localhost_come_before_the_dns() {
    let lookup = lookup().await;
    let found = lookup.addresses(&domain("localhost")).await.unwrap();
    assert!(found.records.iter().all(IpAddr::is_loopback));
    let found = lookup.addresses(&domain("printer.localhost")).await.unwrap();
    assert!(found.records.iter().all(IpAddr::is_loopback));
}

#[tokio::test(start_paused = true)]
async fn without_a_server_every_answer_is_not_now() {
    let nobody = DnsSettings { servers: vec!["127.0.0.1:1".parse().unwrap()], trust_anchor: None };
    let lookup = SystemLookup::with_settings(nobody).unwrap();
    assert!(matches!(lookup.mx(&domain("example.org")).await, Err(LookupError::Temporary(_))));
}

#[tokio::test]
async fn answers_are_kept_and_a_changed_configuration_counts_at_once() {
    let (one, other) = (
        Server::start(answer).await,
        Server::start(|request, _| {
            octets(&respond(request, ResponseCode::NoError, vec![mx("example.org.", 5, "new.example.org.")]))
        })
        .await,
    );
    let lookup = one.lookup();
    for _ in 0..5 {
        assert_eq!(lookup.mx(&domain("example.org")).await.unwrap().records.len(), 2);
        assert_eq!(lookup.mx(&domain("gone.example")).await, Err(LookupError::NoName));
    }
    assert_eq!(one.asked("example.org.", RecordType::MX), 1);
    assert_eq!(one.asked("gone.example.", RecordType::MX), 1);
    lookup.reload();
    assert!(lookup.mx(&domain("example.org")).await.is_ok());
    assert_eq!(one.asked("example.org.", RecordType::MX), 2, "a reload forgets what was kept");
    lookup.configure(DnsSettings { servers: vec![other.address], trust_anchor: None }).unwrap();
    let found = lookup.mx(&domain("example.org")).await.unwrap();
    assert_eq!(found.records, [Mx { preference: 5, exchange: host("new.example.org") }]);
    assert_eq!(one.asked("example.org.", RecordType::MX), 2);
}

/// RFC 2308 5: an absence is kept for as long as the zone's SOA record says, and not for longer.
#[tokio::test]
async fn an_absence_ends_with_its_time() {
    let server = Server::start(|request: &Message, _| {
        let code = if request.queries[0].query_type() == RecordType::MX {
            ResponseCode::NXDomain
        } else {
            ResponseCode::NoError
        };
        let mut response = respond(request, code, Vec::new());
        response.authorities = vec![soa(".", 1)];
        octets(&response)
    })
    .await;
    let lookup = server.lookup();
    let began = std::time::Instant::now();
    while server.asked("gone.example.", RecordType::MX) < 2
        || server.asked("gone.example.", RecordType::A) < 2
    {
        assert_eq!(lookup.mx(&domain("gone.example")).await, Err(LookupError::NoName));
        assert_eq!(lookup.addresses(&domain("gone.example")).await, Err(LookupError::NoRecords));
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "kept for ever");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn settings_that_cannot_be_used_change_nothing() {
    let server = Server::start(answer).await;
    let lookup = server.lookup();
    let missing = DnsSettings { trust_anchor: Some("/nowhere/root.key".into()), ..DnsSettings::default() };
    assert!(lookup.configure(missing).is_err());
    assert!(lookup.mx(&domain("example.org")).await.is_ok());
}

#[tokio::test]
async fn a_domain_may_have_servers_of_its_own() {
    let general = Server::start(answer).await;
    let inside = Server::start(|request, _| {
        octets(&respond(request, ResponseCode::NoError, vec![mx("example.org.", 1, "inside.example.org.")]))
    })
    .await;
    let lookup = general.lookup();
    let own = lookup.with_servers(&[inside.address]).unwrap();
    let expected = [Mx { preference: 1, exchange: host("inside.example.org") }];
    assert_eq!(own.mx(&domain("example.org")).await.unwrap().records, expected);
    let again = lookup.with_servers(&[inside.address]).unwrap();
    assert_eq!(again.mx(&domain("example.org")).await.unwrap().records, expected);
    assert_eq!(inside.asked("example.org.", RecordType::MX), 1, "what they said is kept with them");
    assert_eq!(general.asked("example.org.", RecordType::MX), 0);
    assert_eq!(lookup.mx(&domain("example.org")).await.unwrap().records.len(), 2);
}

#[tokio::test]
async fn a_crowd_asks_once() {
    let server = Server::start(answer).await;
    let lookup = Arc::new(server.lookup());
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let lookup = lookup.clone();
        crowd.spawn(async move { lookup.mx(&domain("example.org")).await.unwrap().records.len() });
    }
    assert!(crowd.join_all().await.iter().all(|count| *count == 2));
    assert_eq!(server.asked("example.org.", RecordType::MX), 1);
}
