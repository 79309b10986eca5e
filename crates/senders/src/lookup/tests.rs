//! Against a server that answers by a script.

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, TXT};
use tokio::net::UdpSocket;

use super::*;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn zone(asked: &str, kind: RecordType) -> Result<Vec<RData>, ResponseCode> {
    Ok(match (asked, kind) {
        ("example.org.", RecordType::TXT) => {
            let text =
                |strings: &[&str]| RData::TXT(TXT::new(strings.iter().map(ToString::to_string).collect()));
            vec![text(&["v=spf1 ", "-all"]), text(&["other"])]
        }
        ("example.org.", RecordType::MX) => vec![RData::MX(MX::new(10, name("mail.example.org.")))],
        ("mail.example.org.", RecordType::A) => vec![RData::A(A::new(192, 0, 2, 1))],
        ("mail.example.org.", RecordType::AAAA) => {
            vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))]
        }
        ("1.2.0.192.in-addr.arpa.", RecordType::PTR) => vec![RData::PTR(PTR(name("mail.example.org.")))],
        ("_key._domainkey.alias.example.", RecordType::TXT) => {
            vec![RData::CNAME(CNAME(name("key.example.")))]
        }
        ("key.example.", RecordType::TXT) => vec![RData::TXT(TXT::new(vec!["p=".into()]))],
        ("nothing.example.", _) => return Err(ResponseCode::NXDomain),
        ("broken.example.", _) => return Err(ResponseCode::ServFail),
        ("refused.example.", _) => return Err(ResponseCode::Refused),
        _ => Vec::new(),
    })
}

async fn serve(socket: UdpSocket) {
    let mut octets = [0; 4096];
    while let Ok((count, from)) = socket.recv_from(&mut octets).await {
        let request = Message::from_vec(&octets[..count]).unwrap();
        let query = request.queries[0].clone();
        let asked = query.name().to_ascii().to_ascii_lowercase();
        if asked == "silent.example." {
            continue;
        }
        let mut response = Message::new(request.metadata.id, MessageType::Response, OpCode::Query);
        response.metadata.recursion_desired = true;
        response.metadata.recursion_available = true;
        match zone(&asked, query.query_type()) {
            Ok(records) => {
                let records =
                    records.into_iter().map(|data| Record::from_rdata(query.name().clone(), 60, data));
                response.add_answers(records);
            }
            Err(code) => response.metadata.response_code = code,
        }
        response.add_query(query);
        socket.send_to(&response.to_vec().unwrap(), from).await.unwrap();
    }
}

async fn resolver() -> Resolver {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    tokio::spawn(serve(socket));
    Resolver::new(&Dns { servers: vec![server] })
}

#[tokio::test]
async fn records_come_as_they_are_asked_for() {
    let dns = resolver().await;
    let text = dns.txt("example.org").await.unwrap();
    assert_eq!(text, [b"v=spf1 -all".to_vec(), b"other".to_vec()]);
    assert_eq!(dns.mx("example.org.").await.unwrap(), [(10, "mail.example.org.".to_owned())]);
    assert_eq!(dns.a("mail.example.org").await.unwrap(), [Ipv4Addr::new(192, 0, 2, 1)]);
    assert_eq!(dns.aaaa("mail.example.org").await.unwrap(), ["2001:db8::1".parse::<Ipv6Addr>().unwrap()]);
    let client = "192.0.2.1".parse().unwrap();
    assert_eq!(dns.ptr(client).await.unwrap(), ["mail.example.org."]);
    assert_eq!(dns.txt("_key._domainkey.alias.example").await.unwrap(), [b"p=".to_vec()]);
}

#[tokio::test]
async fn nothing_is_not_trouble_and_trouble_is_not_silence() {
    let dns = resolver().await;
    for (asked, error) in [
        ("nothing.example", LookupError::Nothing),
        ("empty.example", LookupError::Nothing),
        ("a..b", LookupError::Nothing),
        ("broken.example", LookupError::Temporary),
        ("refused.example", LookupError::Temporary),
        ("silent.example", LookupError::Silent),
    ] {
        assert_eq!(dns.txt(asked).await, Err(error), "{asked}");
    }
}

#[tokio::test]
async fn other_servers_are_asked_after_a_reload() {
    let dns = Resolver::new(&Dns { servers: vec!["127.0.0.1:1".parse().unwrap()] });
    assert_eq!(dns.a("mail.example.org").await, Err(LookupError::Silent));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    dns.reload(&Dns { servers: vec![socket.local_addr().unwrap()] });
    tokio::spawn(serve(socket));
    assert_eq!(dns.a("mail.example.org").await.unwrap().len(), 1);
}
