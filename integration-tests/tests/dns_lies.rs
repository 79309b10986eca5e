//! Somebody between us and a real, signed DNS who wants TLSA records to be absent, or to be others.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::NULL;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::proto::serialize::binary::BinEncodable;
use restante_delivery::{DnsSettings, Found, Lookup, LookupError, SystemLookup, Tlsa};
use restante_integration_tests::{DNS_PEERS, Dns, Signing, Zone, have};
use restante_types::Domain;

fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// Asks the real server, with signatures and whatever it thinks of them.
#[derive(Clone, Copy)]
struct Truth(SocketAddr);

impl Truth {
    fn ask(self, owner: &str, kind: RecordType) -> Message {
        let mut question = Message::query();
        question.add_query(Query::query(name(owner), kind));
        question.metadata.checking_disabled = true;
        question.edns.get_or_insert_default().enable_dnssec();
        self.exchange(&question.to_vec().unwrap())
    }

    fn exchange(self, question: &[u8]) -> Message {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.send_to(question, self.0).unwrap();
        let mut answer = [0; 4096];
        let count = socket.recv(&mut answer).unwrap();
        Message::from_vec(&answer[..count]).unwrap()
    }
}

type Lie = dyn Fn(Truth, &mut Message) + Send + Sync;

/// A server that passes questions on, and changes what comes back.
fn liar(truth: Truth, lie: Arc<Lie>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 4096];
        while let Ok((count, from)) = socket.recv_from(&mut question) {
            let mut answer = truth.exchange(&question[..count]);
            lie(truth, &mut answer);
            socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
        }
    });
    address
}

/// `org` with NSEC3 and opt-out, `net` with NSEC; below each a signed zone with TLSA records, others without, and
/// unsigned ones.
fn zones() -> Vec<Zone> {
    let tlsa = "TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let records = format!("mx A 192.0.2.1\n_25._tcp.mx {tlsa}\naaa A 192.0.2.2\nzzz A 192.0.2.3\n");
    // Signed by an algorithm that nobody knows, which counts as not signed.
    let odd = format!("odd NS ns.odd\nns.odd A 127.0.0.1\nodd DS 12345 253 2 {}\n", "ab".repeat(32));
    let mut zones = Vec::new();
    for (parent, signing) in [("org", Signing::OptOut), ("net", Signing::Nsec)] {
        zones.push(Zone::new(parent, signing, &odd));
        for (child, signing) in
            [("victim", Signing::Nsec), ("three", Signing::Nsec3), ("evil", Signing::Unsigned)]
        {
            zones.push(Zone::new(&format!("{child}.{parent}"), signing, &records));
        }
    }
    zones
}

const VICTIMS: [&str; 4] = ["victim.org", "victim.net", "three.org", "three.net"];

async fn deceived(dns: &Dns, victim: &str, lie: &Arc<Lie>) -> Result<Found<Tlsa>, LookupError> {
    let servers = vec![liar(Truth(dns.authority()), lie.clone())];
    let settings = DnsSettings { servers, trust_anchor: Some(dns.anchor()) };
    let lookup = SystemLookup::with_settings(settings).unwrap();
    lookup.tlsa(&domain(&format!("mx.{victim}")), 25).await
}

/// A lie about TLSA only.
fn about_tlsa(lie: impl Fn(Truth, &str, &mut Message) + Send + Sync + 'static) -> Arc<Lie> {
    Arc::new(move |truth, answer| {
        let query = answer.queries[0].clone();
        if query.query_type() == RecordType::TLSA {
            let asked = query.name().to_ascii();
            let zone = asked.split_once(".mx.").unwrap().1.to_owned();
            lie(truth, &zone, answer);
        }
    })
}

fn empty(answer: &mut Message, code: ResponseCode) {
    answer.answers.clear();
    answer.authorities.clear();
    answer.additionals.clear();
    answer.metadata.response_code = code;
}

/// Both codes that deny, with the authority records that `from` finds.
fn denying(from: impl Fn(Truth, &str) -> Vec<Record> + Clone + Send + Sync + 'static) -> [Arc<Lie>; 2] {
    [ResponseCode::NoError, ResponseCode::NXDomain].map(|code| {
        let from = from.clone();
        about_tlsa(move |truth, zone, answer| {
            empty(answer, code);
            answer.authorities = from(truth, zone);
        })
    })
}

async fn nobody_is_deceived(what: &str, lies: &[Arc<Lie>]) {
    if !have(what, DNS_PEERS) {
        return;
    }
    let dns = Dns::start(&zones());
    let honest: Arc<Lie> = Arc::new(|_, _| {});
    for victim in VICTIMS {
        let found = deceived(&dns, victim, &honest).await.unwrap();
        assert!(found.secure, "{what}: {victim} without a lie");
        for lie in lies {
            let found = deceived(&dns, victim, lie).await;
            assert!(matches!(found, Err(LookupError::Bogus(_))), "{what}: {victim}: {found:?}");
        }
    }
}

fn authorities(truth: Truth, owner: &str, kind: RecordType) -> Vec<Record> {
    truth.ask(owner, kind).authorities
}

#[tokio::test]
async fn nothing_at_all_is_no_denial() {
    // [7672-2.1.1-denial]
    nobody_is_deceived("nothing_at_all_is_no_denial", &denying(|_, _| Vec::new())).await;
}

#[tokio::test]
async fn the_zone_alone_denies_nothing() {
    let lies = denying(|truth, zone| {
        let mut soa = truth.ask(zone, RecordType::SOA).answers;
        soa.retain(|record| matches!(record.record_type(), RecordType::SOA | RecordType::RRSIG));
        soa
    });
    nobody_is_deceived("the_zone_alone_denies_nothing", &lies).await;
}

#[tokio::test]
async fn records_of_an_unsigned_zone_elsewhere_deny_nothing() {
    // True records, and known to be unsigned: only not about this name.
    let lies = denying(|truth, zone| {
        let top = zone.split_once('.').unwrap().1;
        truth.ask(&format!("evil.{top}"), RecordType::SOA).answers
    });
    nobody_is_deceived("records_of_an_unsigned_zone_elsewhere_deny_nothing", &lies).await;
}

#[tokio::test]
async fn an_unsigned_denial_of_an_unsigned_zone_elsewhere_is_none() {
    let lies = denying(|truth, zone| {
        // The NSEC or NSEC3 of the victim's own top, as though it were of the zone without signatures.
        let top = zone.split_once('.').unwrap().1;
        let mut denial = authorities(truth, &format!("nobody.{top}"), RecordType::A);
        denial.retain(|record| matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3));
        for record in &mut denial {
            record.name = name(&format!("evil.{top}"));
        }
        denial
    });
    nobody_is_deceived("an_unsigned_denial_of_an_unsigned_zone_elsewhere_is_none", &lies).await;
}

#[tokio::test]
async fn the_parent_cannot_deny_what_its_child_holds() {
    // The parent's own NSEC or NSEC3 of the delegation, which is signed and true (RFC 6840 4.1).
    let lies = denying(|truth, zone| {
        // The name right behind the delegation is denied by the record at the delegation.
        let (child, top) = zone.split_once('.').unwrap();
        authorities(truth, &format!("{child}0.{top}"), RecordType::A)
    });
    nobody_is_deceived("the_parent_cannot_deny_what_its_child_holds", &lies).await;
}

#[tokio::test]
async fn a_denial_of_another_name_is_no_denial_of_this() {
    for other in ["aaa", "zzz", "nobody", "_24._tcp.mx", "_tcp.mx"] {
        let lies =
            denying(move |truth, zone| authorities(truth, &format!("{other}.{zone}"), RecordType::TLSA));
        nobody_is_deceived("a_denial_of_another_name_is_no_denial_of_this", &lies).await;
    }
}

#[tokio::test]
async fn records_without_or_with_other_signatures_are_bogus() {
    let unsigned =
        about_tlsa(|_, _, answer| answer.answers.retain(|record| !record.record_type().is_rrsig()));
    let changed = about_tlsa(|_, _, answer| {
        for record in &mut answer.answers {
            if let RData::TLSA(tlsa) = &mut record.data {
                tlsa.cert_data[0] ^= 1;
            }
        }
    });
    let more = about_tlsa(|_, _, answer| {
        let mut second = answer.answers[0].clone();
        if let RData::TLSA(tlsa) = &mut second.data {
            tlsa.cert_data[0] ^= 1;
        }
        answer.answers.push(second);
    });
    let elsewhere = about_tlsa(|truth, zone, answer| {
        let owner = answer.queries[0].name().clone();
        let top = zone.split_once('.').unwrap().1;
        empty(answer, ResponseCode::NoError);
        answer.answers = truth.ask(&format!("_25._tcp.mx.evil.{top}"), RecordType::TLSA).answers;
        answer.answers.iter_mut().for_each(|record| record.name = owner.clone());
    });
    let lies = [unsigned, changed, more, elsewhere];
    nobody_is_deceived("records_without_or_with_other_signatures_are_bogus", &lies).await;
}

#[tokio::test]
async fn an_alias_nobody_signed_leads_nowhere() {
    let by_dname = about_tlsa(|_, zone, answer| {
        // Nor one by a DNAME that nobody signed.
        let owner = answer.queries[0].name().clone();
        let top = zone.split_once('.').unwrap().1;
        let (above, target) = (name(zone), name(&format!("evil.{top}")));
        empty(answer, ResponseCode::NoError);
        let rdata = NULL::with(target.to_bytes().unwrap());
        let made = name(&format!("_25._tcp.mx.evil.{top}"));
        answer.answers = vec![
            Record::from_rdata(above, 60, RData::Unknown { code: RecordType::DNAME, rdata }),
            Record::from_rdata(owner, 60, RData::CNAME(hickory_resolver::proto::rr::rdata::CNAME(made))),
        ];
    });
    let by_cname = about_tlsa(|truth, zone, answer| {
        let owner = answer.queries[0].name().clone();
        let top = zone.split_once('.').unwrap().1;
        let target = name(&format!("_25._tcp.mx.evil.{top}"));
        empty(answer, ResponseCode::NoError);
        let cname = hickory_resolver::proto::rr::rdata::CNAME(target.clone());
        answer.answers = vec![Record::from_rdata(owner, 60, RData::CNAME(cname))];
        answer.answers.extend(truth.ask(&target.to_ascii(), RecordType::TLSA).answers);
    });
    let lies = [by_dname, by_cname];
    nobody_is_deceived("an_alias_nobody_signed_leads_nowhere", &lies).await;
}

#[tokio::test]
async fn a_zone_cannot_be_talked_out_of_its_signatures() {
    // Without signatures anywhere, and the DS records of the victim denied: by nothing, by an unsigned zone beside it,
    // and replaced by those of somebody else.
    let strip = |answer: &mut Message| {
        answer.answers.retain(|record| !record.record_type().is_rrsig());
        answer.authorities.clear();
        answer.answers.retain(|record| record.record_type() != RecordType::DS);
    };
    let bare: Arc<Lie> = Arc::new(move |_, answer| strip(answer));
    let about_ds = |lie: fn(Truth, &str, &mut Message)| -> Arc<Lie> {
        Arc::new(move |truth, answer| {
            let query = answer.queries[0].clone();
            let asked = query.name().to_ascii();
            let is_victim = asked.starts_with("victim.") || asked.starts_with("three.");
            match query.query_type() {
                RecordType::DS if is_victim => lie(truth, &asked, answer),
                RecordType::TLSA => answer.answers.retain(|record| !record.record_type().is_rrsig()),
                _ => {}
            }
        })
    };
    let denied_beside = about_ds(|truth, zone, answer| {
        let top = zone.split_once('.').unwrap().1;
        empty(answer, ResponseCode::NoError);
        answer.authorities = authorities(truth, &format!("evil.{top}"), RecordType::DS);
    });
    let insecure_beside = about_ds(|truth, zone, answer| {
        let top = zone.split_once('.').unwrap().1;
        empty(answer, ResponseCode::NoError);
        answer.authorities = truth.ask(&format!("evil.{top}"), RecordType::SOA).answers;
    });
    let of_another = about_ds(|truth, zone, answer| {
        let (child, top) = zone.split_once('.').unwrap();
        let other = if child == "victim" { "three" } else { "victim" };
        empty(answer, ResponseCode::NoError);
        answer.answers = truth.ask(&format!("{other}.{top}"), RecordType::DS).answers;
    });
    let of_unknown_algorithm = about_ds(|truth, zone, answer| {
        let top = zone.split_once('.').unwrap().1;
        let owner = answer.queries[0].name().clone();
        empty(answer, ResponseCode::NoError);
        let cname = hickory_resolver::proto::rr::rdata::CNAME(name(&format!("odd.{top}")));
        answer.answers = vec![Record::from_rdata(owner, 60, RData::CNAME(cname))];
        answer.answers.extend(truth.ask(&format!("odd.{top}"), RecordType::DS).answers);
    });
    let lies = [bare, denied_beside, insecure_beside, of_another, of_unknown_algorithm];
    nobody_is_deceived("a_zone_cannot_be_talked_out_of_its_signatures", &lies).await;
}
