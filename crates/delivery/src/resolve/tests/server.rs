//! A DNS server of a few lines, on UDP and TCP of one port, that answers what its script says.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, SOA};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::super::{DnsSettings, SystemLookup};

/// What a server does with a question: the datagrams it sends, if any.
pub(super) type Script = dyn Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync;

/// With the identity that each came with.
type Questions = Arc<Mutex<Vec<(u16, Query)>>>;

pub(super) struct Server {
    pub(super) address: SocketAddr,
    questions: Questions,
    pub(super) over_tcp: Arc<AtomicUsize>,
}

impl Server {
    /// `script` is told whether the question came over TCP.
    pub(super) async fn start(
        script: impl Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let (script, questions): (Arc<Script>, Questions) = (Arc::new(script), Arc::default());
        let over_tcp = Arc::new(AtomicUsize::new(0));
        tokio::spawn(serve_udp(udp, script.clone(), questions.clone()));
        tokio::spawn(serve_tcp(tcp, script, over_tcp.clone()));
        Self { address, questions, over_tcp }
    }

    pub(super) fn lookup(&self) -> SystemLookup {
        let settings = DnsSettings { servers: vec![self.address], trust_anchor: None };
        SystemLookup::with_settings(settings).unwrap()
    }

    /// How often something was asked over UDP; what is sent again after a third of a second has the same identity.
    pub(super) fn asked(&self, name: &str, kind: RecordType) -> usize {
        let questions = self.questions.lock().unwrap();
        let is_it = |query: &Query| query.name().to_ascii() == name && query.query_type() == kind;
        let asked = questions.iter().filter(|(_, query)| is_it(query)).map(|(identity, _)| identity);
        asked.collect::<BTreeSet<_>>().len()
    }
}

/// The same free port for both.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn serve_udp(socket: UdpSocket, script: Arc<Script>, questions: Questions) {
    let mut buffer = [0; 4096];
    while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
        let request = Message::from_vec(&buffer[..count]).unwrap();
        questions.lock().unwrap().push((request.metadata.id, request.queries[0].clone()));
        for answer in script(&request, false) {
            socket.send_to(&answer, from).await.unwrap();
        }
    }
}

async fn serve_tcp(listener: TcpListener, script: Arc<Script>, over_tcp: Arc<AtomicUsize>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (script, over_tcp) = (script.clone(), over_tcp.clone());
        tokio::spawn(async move {
            while let Ok(length) = stream.read_u16().await {
                let mut request = vec![0; length.into()];
                stream.read_exact(&mut request).await.unwrap();
                over_tcp.fetch_add(1, Ordering::Relaxed);
                for answer in script(&Message::from_vec(&request).unwrap(), true) {
                    let _ = stream.write_u16(answer.len().try_into().unwrap()).await;
                    let _ = stream.write_all(&answer).await;
                }
            }
        });
    }
}

pub(super) fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

pub(super) fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(name(owner), 77, data)
}

pub(super) fn a(owner: &str, last: u8) -> Record {
    record(owner, RData::A(A::new(198, 51, 100, last)))
}

pub(super) fn aaaa(owner: &str, last: u16) -> Record {
    record(owner, RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)))
}

pub(super) fn mx(owner: &str, number: u16, host: &str) -> Record {
    record(owner, RData::MX(MX::new(number, name(host))))
}

pub(super) fn alias(owner: &str, target: &str) -> Record {
    record(owner, RData::CNAME(CNAME(name(target))))
}

pub(super) fn soa(zone: &str, minimum: u32) -> Record {
    record(zone, RData::SOA(SOA::new(name("ns.example."), name("admin.example."), 1, 60, 60, 60, minimum)))
}

/// A response to `request` with a code and answers; without answers, with an SOA record of the root.
pub(super) fn respond(request: &Message, code: ResponseCode, answers: Vec<Record>) -> Message {
    let mut response = Message::response(request.metadata.id, OpCode::Query);
    response.metadata.recursion_desired = true;
    response.metadata.recursion_available = true;
    response.metadata.response_code = code;
    response.add_query(request.queries[0].clone());
    if answers.is_empty() && matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        response.add_authority(soa(".", 60));
    }
    response.insert_answers(answers);
    response
}

pub(super) fn octets(message: &Message) -> Vec<Vec<u8>> {
    vec![message.to_vec().unwrap()]
}
