//! What a client would be answered, and why, for the operator. The same code decides as for a client; nothing is stored,
//! counted or logged.

use std::net::IpAddr;

use restante_queue::HoldNote;
use restante_smtp::{MailCommand, RcptCommand, Transaction};
use restante_types::{
    Body, ClientFacts, Domain, Envelope, ForwardPath, Printable, Reply, ReversePath, canonical,
};

use crate::authority::Authority;
use crate::configured::ConfiguredAuthority;

/// A client, its sender and its recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Where it comes from.
    pub client: IpAddr,
    /// What it calls itself.
    pub helo: String,
    /// Its sender.
    pub sender: ReversePath,
    /// Its recipient.
    pub recipient: ForwardPath,
}

/// What it would be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The command that decides: `connect`, `mail` or `rcpt`.
    pub command: &'static str,
    /// The answer to it.
    pub reply: Reply,
    /// The rule that decides, a word.
    pub rule: &'static str,
    /// The same in a sentence.
    pub why: String,
    /// The queue that the message would stand in, and the configured domain that it was found by.
    pub found: Option<(Domain, Domain)>,
}

impl ConfiguredAuthority {
    /// What a client in clear, without an account, would be answered now.
    pub async fn explain(&self, question: Question) -> Explanation {
        let Question { client, helo, sender, recipient } = question;
        let client = ClientFacts { address: canonical(client), helo, identity: None, tls: None };
        if let Err(reply) = self.connect(&client).made().await {
            return refused("connect", reply);
        }
        let smtputf8 = sender_is_international(&sender);
        let command =
            MailCommand { sender, size: None, body: Body::default(), smtputf8, ret: None, envid: None };
        if let Err(reply) = self.mail(&client, &command).made().await {
            return refused("mail", reply);
        }
        let MailCommand { sender, body, .. } = command;
        let envelope = Envelope { sender, recipients: Vec::new(), body, smtputf8, ret: None, envid: None };
        let transaction = Transaction { envelope, declared_size: None };
        let rcpt = RcptCommand { path: recipient, notify: None, original: None };
        match self.would_take(&transaction, &rcpt) {
            Ok((queue, configured, stop)) => taken(queue, configured, stop.as_ref()),
            Err(why) => Explanation {
                command: "rcpt",
                reply: why.reply(),
                rule: why.rule(),
                why: why.to_string(),
                found: None,
            },
        }
    }
}

fn sender_is_international(sender: &ReversePath) -> bool {
    match sender {
        ReversePath::Null => false,
        ReversePath::Mailbox(mailbox) => !mailbox.local.is_ascii(),
    }
}

fn refused(command: &'static str, reply: Reply) -> Explanation {
    Explanation {
        command,
        reply,
        rule: command,
        why: "the client or its sender is not let in".to_owned(),
        found: None,
    }
}

fn taken(queue: Domain, configured: Domain, stop: Option<&HoldNote>) -> Explanation {
    let below = if queue == configured {
        String::new()
    } else {
        format!(", which is below {configured} and has a queue of its own")
    };
    let stopped = stop.map_or_else(String::new, |note| {
        format!(
            "; the domain is stopped ({}), so that it stays until the stop is released",
            Printable::from(note.reason.as_str())
        )
    });
    Explanation {
        command: "rcpt",
        reply: Reply::new(250, (2, 1, 5), "Recipient ok"),
        rule: "held",
        why: format!("mail is held for {queue}{below}{stopped}"),
        found: Some((queue, configured)),
    }
}
