use std::net::SocketAddr;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::{Message, OpCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, SOA};
use hickory_resolver::proto::rr::{Record, RecordType};
use tokio::net::UdpSocket;

use super::*;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// What the zone says about a name and a type; `None` is trouble.
fn zone(asked: &Name, kind: RecordType) -> Option<(ResponseCode, Vec<Record>)> {
    let record = |owner: &str, data: RData| Record::from_rdata(name(owner), 77, data);
    let a = |owner: &str, last: u8| record(owner, RData::A(A::new(198, 51, 100, last)));
    let mx = |owner: &str, number: u16, host: &str| record(owner, RData::MX(MX::new(number, name(host))));
    let to = |owner: &str, target: &str| record(owner, RData::CNAME(CNAME(name(target))));
    let answers = match (asked.to_ascii().as_str(), kind) {
        ("example.org.", RecordType::MX) => {
            vec![mx("example.org.", 20, "b.example.org."), mx("example.org.", 10, "A.example.org.")]
        }
        ("null.example.", RecordType::MX) => vec![mx("null.example.", 0, ".")],
        ("alias.example.", RecordType::MX) => {
            vec![to("alias.example.", "example.org."), mx("example.org.", 10, "a.example.org.")]
        }
        ("a.example.org.", RecordType::A) => vec![a("a.example.org.", 1), a("a.example.org.", 2)],
        ("a.example.org.", RecordType::AAAA) => {
            let six = AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
            vec![record("a.example.org.", RData::AAAA(six))]
        }
        ("b.example.org.", RecordType::A) => {
            vec![to("b.example.org.", "c.example.org."), a("c.example.org.", 3)]
        }
        ("half.example.", RecordType::A) => vec![a("half.example.", 4)],
        ("half.example.", RecordType::AAAA) | ("trouble.example.", _) => return None,
        ("gone.example.", _) => return Some((ResponseCode::NXDomain, Vec::new())),
        _ => Vec::new(),
    };
    Some((ResponseCode::NoError, answers))
}

fn answer(request: &[u8]) -> Vec<u8> {
    let request = Message::from_vec(request).unwrap();
    let query = request.queries[0].clone();
    let mut response = Message::response(request.metadata.id, OpCode::Query);
    response.metadata.recursion_desired = true;
    response.metadata.recursion_available = true;
    match zone(query.name(), query.query_type()) {
        Some((code, answers)) => {
            response.metadata.response_code = code;
            if answers.is_empty() {
                let soa = SOA::new(name("ns.example."), name("admin.example."), 1, 60, 60, 60, 60);
                response.add_authority(Record::from_rdata(name("example."), 60, RData::SOA(soa)));
            }
            response.insert_answers(answers);
        }
        None => response.metadata.response_code = ResponseCode::ServFail,
    }
    response.add_query(query);
    response.to_vec().unwrap()
}

async fn lookup() -> SystemLookup {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
            socket.send_to(&answer(&buffer[..count]), from).await.unwrap();
        }
    });
    let mut connection = ConnectionConfig::udp();
    connection.port = address.port();
    let server = NameServerConfig::new(address.ip(), true, vec![connection]);
    let config = ResolverConfig::from_name_servers(vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    SystemLookup { resolver: ArcSwapOption::from_pointee(builder.build().unwrap()) }
}

fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

#[test]
fn what_an_mx_names_is_told_apart() {
    assert_eq!(exchange(&name(".")), Exchange::Null);
    assert_eq!(exchange(&name("Mail.Example.org.")), Exchange::Host(domain("mail.example.org")));
    let spaced = Name::from_labels([b"a b".as_slice(), b"example"]).unwrap();
    assert_eq!(exchange(&spaced), Exchange::Unusable);
}

#[tokio::test]
async fn records_come_with_their_time_to_live() {
    let found = lookup().await.mx(&domain("example.org")).await.unwrap();
    let mut records: Vec<_> = found.records.iter().map(|mx| (mx.preference, mx.exchange.clone())).collect();
    records.sort_by_key(|(preference, _)| *preference);
    let host = |text| Exchange::Host(domain(text));
    assert_eq!(records, [(10, host("a.example.org")), (20, host("b.example.org"))]);
    assert!((70..=77).contains(&found.ttl.as_secs()), "{:?}", found.ttl);
}

#[tokio::test]
async fn aliases_are_followed() {
    // [5321-5.1-cname]
    let lookup = lookup().await;
    let found = lookup.mx(&domain("alias.example")).await.unwrap();
    assert_eq!(found.records, [Mx { preference: 10, exchange: Exchange::Host(domain("a.example.org")) }]);
    let found = lookup.addresses(&domain("b.example.org")).await.unwrap();
    assert_eq!(found.records, ["198.51.100.3".parse::<IpAddr>().unwrap()]);
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
async fn without_a_resolver_every_answer_is_not_now() {
    let lookup = SystemLookup { resolver: ArcSwapOption::empty() };
    assert!(matches!(lookup.mx(&domain("example.org")).await, Err(LookupError::Temporary(_))));
}
