//! ETRN, RFC 1985, from the client's side: one plain `ETRN domain` for each domain, one after the other.

use std::time::Instant;

use restante_smtp::{ClientEvent, EtrnTarget};
use restante_types::{Domain, Reply, Severity};

use super::{Connection, ended, next_event, out_of_place, quit};
use crate::events;
use crate::failure::Failure;
use crate::settings::ServerSettings;

/// What a server said of one domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// 251: nothing is waiting.
    Nothing,
    /// It sends; 253 says how many messages.
    Mail(Option<u64>),
}

/// Asks for every domain, whatever was said to the ones before.
pub(super) async fn ask(
    mut connection: Connection,
    server: &ServerSettings,
) -> Result<Vec<Promise>, Failure> {
    let (mut promises, mut refused) = (Vec::new(), Vec::new());
    for domain in &server.domains {
        connection.session_mut().etrn(Instant::now(), &EtrnTarget::Node(domain.clone()));
        match next_event(&mut connection).await {
            ClientEvent::Etrn(reply) => match judge(&reply) {
                Some(promise) => {
                    events::announced(server, domain, &reply);
                    promises.push(promise);
                }
                None => refused.push((domain.clone(), reply)),
            },
            ClientEvent::Ended(end) => return Err(ended(end)),
            other => return Err(out_of_place(&other)),
        }
    }
    quit(connection).await;
    all_or_refused(promises, refused)
}

fn all_or_refused(promises: Vec<Promise>, refused: Vec<(Domain, Reply)>) -> Result<Vec<Promise>, Failure> {
    if refused.is_empty() { Ok(promises) } else { Err(Failure::Etrn(refused)) }
}

/// [1985-5.1-agent] By the first digit, then by the code, never by the text: servers say 250 with an empty queue. Only the
/// number of 253 is in its text, the first that stands there.
fn judge(reply: &Reply) -> Option<Promise> {
    match (reply.severity(), reply.code.get()) {
        (Severity::Completed, 251) => Some(Promise::Nothing),
        (Severity::Completed, 253) => Some(Promise::Mail(number(&reply.text))),
        (Severity::Completed, _) => Some(Promise::Mail(None)),
        _ => None,
    }
}

fn number(text: &str) -> Option<u64> {
    text.split(|c: char| c.is_whitespace() || c == ',').find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [1985-5.1-agent]
    #[test]
    fn answers_are_judged_by_digit_and_code() {
        for (code, text, promise) in [
            (250, "OK, queuing for node example.org started", Some(Promise::Mail(None))),
            (250, "nothing there at all", Some(Promise::Mail(None))),
            (251, "OK, no messages waiting for node example.org", Some(Promise::Nothing)),
            (252, "OK, pending messages for node example.org started", Some(Promise::Mail(None))),
            (253, "OK, 42 pending messages for node example.org started", Some(Promise::Mail(Some(42)))),
            (253, "7 messages", Some(Promise::Mail(Some(7)))),
            (253, "many", Some(Promise::Mail(None))),
            (253, "99999999999999999999999 messages", Some(Promise::Mail(None))),
            (354, "go on", None),
            (458, "Unable to queue messages", None),
            (459, "not allowed", None),
            (501, "what?", None),
        ] {
            assert_eq!(judge(&Reply::bare(code, text)), promise, "{code} {text}");
        }
    }
}
