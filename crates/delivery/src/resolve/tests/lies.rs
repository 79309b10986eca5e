//! Servers that lie, stay silent, go in circles or say too much.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

fn answering(
    answers: impl Fn(&Message) -> Vec<Record> + Send + Sync + 'static,
) -> impl Fn(&Message, bool) -> Vec<Vec<u8>> {
    move |request, _| octets(&respond(request, ResponseCode::NoError, answers(request)))
}

#[tokio::test]
async fn records_of_another_name_are_no_answer() {
    let server = Server::start(answering(|_| vec![mx("evil.example.", 1, "mx.evil.example.")])).await;
    let found = server.lookup().mx(&domain("example.org")).await;
    assert!(matches!(found, Err(LookupError::NoRecords)), "{found:?}");
}

#[tokio::test]
async fn records_beside_the_answer_are_not_taken() {
    let server = Server::start(answering(|_| {
        vec![
            mx("evil.example.", 1, "mx.evil.example."),
            mx("example.org.", 10, "a.example.org."),
            a("a.example.org.", 66),
        ]
    }))
    .await;
    let found = server.lookup().mx(&domain("example.org")).await.unwrap();
    assert_eq!(found.records, [Mx { preference: 10, exchange: host("a.example.org") }]);
}

#[tokio::test]
async fn an_alias_does_not_bring_its_own_records() {
    // The alias is the server's to tell; what stands behind it is asked for.
    let server = Server::start(|request: &Message, tcp| {
        let query = &request.queries[0];
        if query.name().to_ascii() == "www.example." {
            let answers = vec![alias("www.example.", "a.example.org."), a("a.example.org.", 66)];
            return octets(&respond(request, ResponseCode::NoError, answers));
        }
        answer(request, tcp)
    })
    .await;
    let found = server.lookup().addresses(&domain("www.example")).await.unwrap();
    assert!(!found.records.contains(&"198.51.100.66".parse().unwrap()), "{found:?}");
    assert_eq!(found.records.len(), 3);
}

#[tokio::test]
async fn an_answer_with_another_id_or_to_another_question_is_not_heard() {
    let server = Server::start(|request: &Message, tcp| {
        let mut wrong =
            respond(request, ResponseCode::NoError, vec![mx("example.org.", 1, "mx.evil.example.")]);
        wrong.metadata.id = request.metadata.id.wrapping_add(1);
        let mut other =
            respond(request, ResponseCode::NoError, vec![mx("example.org.", 2, "mx.evil.example.")]);
        other.queries[0].set_name(name("evil.example."));
        let mut all = octets(&wrong);
        all.extend(octets(&other));
        all.extend(answer(request, tcp));
        all
    })
    .await;
    match server.lookup().mx(&domain("example.org")).await {
        Ok(found) => assert!(found.records.iter().all(|mx| mx.preference >= 10), "{found:?}"),
        Err(error) => assert!(matches!(error, LookupError::Temporary(_)), "{error:?}"),
    }
}

#[tokio::test]
async fn over_tcp_the_question_must_be_ours_too() {
    let server = Server::start(|request: &Message, tcp| {
        let mut response = respond(request, ResponseCode::NoError, Vec::new());
        if tcp {
            response.queries[0].set_name(name("evil.example."));
        } else {
            response.metadata.truncation = true;
        }
        octets(&response)
    })
    .await;
    let found = server.lookup().mx(&domain("example.org")).await;
    assert!(matches!(found, Err(LookupError::Temporary(_))), "{found:?}");
    assert!(server.over_tcp.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn aliases_in_a_circle_are_temporary() {
    // [5321-5.1-cname]
    let server = Server::start(answering(|request| {
        match request.queries[0].name().to_ascii().as_str() {
            "one.example." => vec![alias("one.example.", "two.example.")],
            "self.example." => vec![alias("self.example.", "self.example.")],
            // All of the circle in one answer.
            _ => vec![alias("two.example.", "one.example."), alias("one.example.", "two.example.")],
        }
    }))
    .await;
    let lookup = server.lookup();
    for circle in ["one.example", "two.example", "self.example"] {
        let found = lookup.mx(&domain(circle)).await;
        assert!(matches!(found, Err(LookupError::Temporary(_))), "{circle}: {found:?}");
        let found = lookup.addresses(&domain(circle)).await;
        assert!(matches!(found, Err(LookupError::Temporary(_))), "{circle}: {found:?}");
    }
}

#[tokio::test]
async fn aliases_without_end_are_temporary() {
    let count = AtomicUsize::new(0);
    let server = Server::start(answering(move |request| {
        let next = format!("n{}.example.", count.fetch_add(1, Ordering::Relaxed));
        vec![alias(&request.queries[0].name().to_ascii(), &next)]
    }))
    .await;
    let found = server.lookup().txt(&domain("start.example")).await;
    assert!(matches!(found, Err(LookupError::Temporary(_))), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn silence_ends() {
    let server = Server::start(|_, _| Vec::new()).await;
    let lookup = server.lookup();
    let answer = tokio::time::timeout(Duration::from_secs(60), lookup.mx(&domain("example.org"))).await;
    assert!(matches!(answer, Ok(Err(LookupError::Temporary(_)))), "{answer:?}");
}

#[tokio::test]
async fn a_huge_answer_comes_over_tcp_whole() {
    // [5321-5.1-bound] five hundred records; how many of them are used is the route's business
    let server = Server::start(|request: &Message, tcp| {
        let kind = request.queries[0].query_type();
        let all = (0..500).map(|n| mx("many.example.", n, &format!("mx{n}.many.example.")));
        let mut response =
            respond(request, ResponseCode::NoError, if tcp { all.collect() } else { Vec::new() });
        response.metadata.truncation = !tcp && kind == RecordType::MX;
        octets(&response)
    })
    .await;
    let found = server.lookup().mx(&domain("many.example")).await.unwrap();
    assert_eq!(found.records.len(), 500);
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let server = Server::start(|request: &Message, _| {
        let mut octets = request.metadata.id.to_be_bytes().to_vec();
        octets.extend([0x81, 0x80, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0xc0, 0x0c, 0xc0, 0x0c]);
        vec![octets]
    })
    .await;
    let found = server.lookup().mx(&domain("example.org")).await;
    assert!(matches!(found, Err(LookupError::Temporary(_))), "{found:?}");
}

#[tokio::test]
async fn an_absence_that_nobody_vouches_for_is_not_kept() {
    // RFC 2308 5: without an SOA record.
    let server = Server::start(|request: &Message, _| {
        let mut response = respond(request, ResponseCode::NXDomain, Vec::new());
        response.authorities.clear();
        octets(&response)
    })
    .await;
    let lookup = server.lookup();
    for _ in 0..3 {
        assert_eq!(lookup.mx(&domain("gone.example")).await, Err(LookupError::NoName));
    }
    assert_eq!(server.asked("gone.example.", RecordType::MX), 3);
}
