//! Commands as they go over the wire, with the parameters that the server knows.

use restante_types::{Body, Domain, Envelope, Recipient, Ret};

use super::job::MailJob;
use crate::capabilities::Capabilities;
use crate::server::EtrnTarget;

/// `MAIL FROM:<…>` without its line end.
pub(super) fn mail(job: &MailJob, server: &Capabilities) -> String {
    mail_of(&job.envelope, Some(job.size), job.needs_smtputf8(), server)
}

/// The same for an envelope whose recipients and size need not be known yet.
pub(crate) fn mail_of(envelope: &Envelope, size: Option<u64>, utf8: bool, server: &Capabilities) -> String {
    let mut line = format!("MAIL FROM:<{}>", envelope.sender);
    // [1870-5]
    if let Some(size) = size.filter(|_| server.size.is_some()) {
        line.push_str(&format!(" SIZE={size}"));
    }
    // [6152-a-client]
    if server.eight_bit_mime && envelope.body == Body::EightBitMime {
        line.push_str(" BODY=8BITMIME");
    }
    // [6531-3.4]
    if server.smtputf8 && utf8 {
        line.push_str(" SMTPUTF8");
    }
    // [3461-5.2.1]: RET and ENVID are passed on as they came, and only to who speaks DSN.
    if server.dsn {
        match envelope.ret {
            Some(Ret::Full) => line.push_str(" RET=FULL"),
            Some(Ret::Headers) => line.push_str(" RET=HDRS"),
            None => {}
        }
        if let Some(envid) = &envelope.envid {
            line.push_str(&format!(" ENVID={}", envid.as_str()));
        }
    }
    line
}

/// `RCPT TO:<…>` without its line end.
pub(crate) fn rcpt(recipient: &Recipient, server: &Capabilities) -> String {
    let mut line = format!("RCPT TO:<{}>", recipient.mailbox);
    // [3461-5.2.1]: NOTIFY and ORCPT likewise.
    if server.dsn {
        if let Some(notify) = &recipient.notify {
            line.push_str(&format!(" NOTIFY={notify}"));
        }
        if let Some(original) = &recipient.original {
            line.push_str(&format!(" ORCPT={}", original.as_str()));
        }
    }
    line
}

/// `ETRN …` without its line end ([1985-4]).
pub(crate) fn etrn(target: &EtrnTarget) -> String {
    match target {
        EtrnTarget::Node(domain) => format!("ETRN {domain}"),
        EtrnTarget::Subtree(domain) => format!("ETRN @{domain}"),
        EtrnTarget::Group(name) => format!("ETRN #{name}"),
    }
}

/// `ATRN …` without its line end ([2645-5.2.1-client]).
pub(crate) fn atrn(domains: &[Domain]) -> String {
    let mut line = "ATRN".to_owned();
    for (index, domain) in domains.iter().enumerate() {
        line.push(if index == 0 { ' ' } else { ',' });
        line.push_str(domain.as_str());
    }
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use restante_types::{Envelope, Notify, ReversePath, Xtext};

    use super::*;

    fn job() -> MailJob {
        let recipient = Recipient {
            mailbox: "b@example.org".parse().unwrap(),
            notify: Some(Notify { success: false, failure: true, delay: true }),
            original: Some(Xtext::new("rfc822;b+2Bx@example.org", 500).unwrap()),
        };
        let envelope = Envelope {
            sender: ReversePath::Mailbox("\"a b\"@example.com".parse().unwrap()),
            recipients: vec![recipient],
            body: Body::EightBitMime,
            smtputf8: true,
            ret: Some(Ret::Headers),
            envid: Some(Xtext::new("QQ314159", 100).unwrap()),
        };
        MailJob { envelope: Arc::new(envelope), recipients: vec![0], size: 1234, origin: None }
    }

    fn everything() -> Capabilities {
        Capabilities::parse("x\nPIPELINING\nCHUNKING\nSIZE 0\n8BITMIME\nSMTPUTF8\nDSN")
    }

    /// [3461-5.2.1] [1870-5] [6152-a-client] [6531-3.4]
    #[test]
    fn parameters_go_only_where_they_are_offered() {
        let job = job();
        let recipient = &job.envelope.recipients[0];
        assert_eq!(
            mail(&job, &everything()),
            "MAIL FROM:<\"a b\"@example.com> SIZE=1234 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ314159"
        );
        assert_eq!(
            rcpt(recipient, &everything()),
            "RCPT TO:<b@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b+2Bx@example.org"
        );
        let nothing = Capabilities::default();
        assert_eq!(mail(&job, &nothing), "MAIL FROM:<\"a b\"@example.com>");
        assert_eq!(rcpt(recipient, &nothing), "RCPT TO:<b@example.org>");
    }

    #[test]
    fn what_was_not_said_is_not_invented() {
        let envelope = Envelope {
            sender: ReversePath::Null,
            recipients: vec![Recipient::from("b@example.org".parse::<restante_types::Mailbox>().unwrap())],
            body: Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        };
        let job = MailJob { envelope: Arc::new(envelope), recipients: vec![0], size: 7, origin: None };
        assert_eq!(mail(&job, &everything()), "MAIL FROM:<> SIZE=7");
        assert_eq!(rcpt(&job.envelope.recipients[0], &everything()), "RCPT TO:<b@example.org>");
    }

    /// [1985-4]
    #[test]
    fn etrn_has_three_forms() {
        let domain: restante_types::Domain = "example.org".parse().unwrap();
        assert_eq!(etrn(&EtrnTarget::Node(domain.clone())), "ETRN example.org");
        assert_eq!(etrn(&EtrnTarget::Subtree(domain)), "ETRN @example.org");
        assert_eq!(etrn(&EtrnTarget::Group("customer42".into())), "ETRN #customer42");
    }
}
