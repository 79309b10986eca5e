//! Which recipients get mail here.

use restante_smtp::{RcptCommand, Transaction};
use restante_types::{Domain, ForwardPath, LocalPart, Mailbox, MailboxHost, Recipient};

use crate::refused::Refused;
use crate::settings::{HeldDomain, ServerSettings};

/// A recipient whose domain is held.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    /// As it will be stored.
    pub(crate) recipient: Recipient,
    /// The queue it belongs to: its own domain, also below one with `subdomains = true`.
    pub(crate) queue: Domain,
    /// The configured domain that it was found by.
    pub(crate) configured: &'a Domain,
    /// What is configured for it.
    pub(crate) held: &'a HeldDomain,
}

/// Finds the queue for a recipient; the state of that queue is looked at elsewhere.
pub(crate) fn find<'a>(
    settings: &'a ServerSettings,
    transaction: &Transaction,
    command: &RcptCommand,
) -> Result<Held<'a>, Refused> {
    let mailbox = match &command.path {
        ForwardPath::Postmaster => our_postmaster(settings)?,
        ForwardPath::Mailbox(mailbox) if is_our_postmaster(settings, mailbox) => our_postmaster(settings)?,
        ForwardPath::Mailbox(mailbox) => mailbox.clone(),
    };
    let MailboxHost::Domain(queue) = &mailbox.host else { return Err(Refused::Literal) };
    if routes_onward(&mailbox.local) {
        return Err(Refused::RoutesOnward);
    }
    let Some((configured, held)) = settings.domains.find(queue) else {
        // A domains.d that got lost must not bounce a customer's mail.
        let lost = settings.lost.find(queue).is_some();
        return Err(if lost { Refused::Lost(queue.clone()) } else { Refused::NotHeld(queue.clone()) });
    };
    let international = transaction.envelope.smtputf8 || !mailbox.local.is_ascii();
    if international && !held.smtputf8 {
        return Err(Refused::International(queue.clone()));
    }
    let queue = queue.clone();
    let recipient = Recipient { mailbox, notify: command.notify, original: command.original.clone() };
    Ok(Held { recipient, queue, configured, held })
}

/// [5321-4.5.1] Bare `postmaster` belongs to the first configured domain.
fn our_postmaster(settings: &ServerSettings) -> Result<Mailbox, Refused> {
    let domain = settings.first_domain.clone().ok_or(Refused::NoPostmaster)?;
    let local = LocalPart::new("postmaster").expect("a local part of ten letters");
    Ok(Mailbox { local, host: MailboxHost::Domain(domain) })
}

/// [5321-4.5.1] `postmaster` at our own name or address is bare `postmaster`, unless that name is held itself.
fn is_our_postmaster(settings: &ServerSettings, mailbox: &Mailbox) -> bool {
    let at_us = match &mailbox.host {
        MailboxHost::Domain(domain) => {
            *domain == settings.hostname && settings.domains.find(domain).is_none()
        }
        MailboxHost::Literal(address) => settings.is_ours(*address),
    };
    at_us && mailbox.local.as_str().eq_ignore_ascii_case("postmaster")
}

/// [5321-3.6.2] `user%host@us`, `host!user@us` and `"user@host"@us` ask the primary, which trusts us, to relay.
fn routes_onward(local: &LocalPart) -> bool {
    local.as_str().contains(['%', '!', '@'])
}

#[cfg(test)]
mod tests {
    use restante_types::{Body, DomainMap, Envelope, ReversePath};

    use super::*;
    use crate::settings::ServerLimits;

    fn domain(text: &str) -> Domain {
        text.parse().unwrap()
    }

    fn settings() -> ServerSettings {
        let mut domains = DomainMap::default();
        let utf8 = HeldDomain { smtputf8: true, subdomains: true, ..HeldDomain::default() };
        domains.insert(domain("example.org"), false, HeldDomain::default());
        domains.insert(domain("example.com"), true, utf8);
        let mut lost = DomainMap::default();
        lost.insert(domain("lost.example"), false, ());
        ServerSettings {
            hostname: domain("mx2.example.net"),
            own_addresses: vec!["203.0.113.5".parse().unwrap()],
            listeners: Vec::new(),
            auth: restante_smtp::AuthOffer::default(),
            turn: false,
            limits: ServerLimits::default(),
            domains,
            first_domain: Some(domain("example.org")),
            lost,
        }
    }

    fn ask_with(settings: &ServerSettings, path: ForwardPath, smtputf8: bool) -> Result<String, u16> {
        let envelope = Envelope {
            sender: ReversePath::Null,
            recipients: Vec::new(),
            body: Body::default(),
            smtputf8,
            ret: None,
            envid: None,
        };
        let transaction = Transaction { envelope, declared_size: None };
        let found = find(settings, &transaction, &RcptCommand { path, notify: None, original: None });
        found
            .map(|held| format!("{} in {}", held.recipient.mailbox, held.queue))
            .map_err(|why| why.reply().code.get())
    }

    fn ask(address: &str) -> Result<String, u16> {
        ask_with(&settings(), ForwardPath::Mailbox(address.parse().unwrap()), false)
    }

    // [5321-3.6.2]
    #[test]
    fn only_configured_domains_get_mail() {
        assert_eq!(ask("a@example.org").unwrap(), "a@example.org in example.org");
        assert_eq!(ask("a@b.example.com").unwrap(), "a@b.example.com in b.example.com");
        assert_eq!(ask("a@b.example.org"), Err(550));
        assert_eq!(ask("a@example.net"), Err(550));
        assert_eq!(ask("a@[192.0.2.1]"), Err(550));
        assert_eq!(ask("a@lost.example"), Err(450));
    }

    // [5321-3.6.2]
    #[test]
    fn nothing_is_relayed_through_a_local_part() {
        for address in ["a%b.net@example.org", "b.net!a@example.org", "\"a@b.net\"@example.org"] {
            assert_eq!(ask(address), Err(550), "{address}");
        }
    }

    // [5321-4.5.1]
    #[test]
    fn postmaster_has_a_home() {
        let home = Ok("postmaster@example.org in example.org".to_owned());
        assert_eq!(ask_with(&settings(), ForwardPath::Postmaster, false), home);
        assert_eq!(ask("PostMaster@mx2.example.net"), home);
        assert_eq!(ask("postmaster@[203.0.113.5]"), home);
        assert_eq!(ask("other@[203.0.113.5]"), Err(550));
        let nowhere = ServerSettings { first_domain: None, domains: DomainMap::default(), ..settings() };
        assert_eq!(ask_with(&nowhere, ForwardPath::Postmaster, false), Err(450));
    }

    // [6531-3.5]
    #[test]
    fn international_mail_goes_only_where_it_is_understood() {
        assert_eq!(ask("ü@example.org"), Err(553));
        assert!(ask("ü@example.com").is_ok());
        let path = |text: &str| ForwardPath::Mailbox(text.parse().unwrap());
        assert_eq!(ask_with(&settings(), path("a@example.org"), true), Err(553));
        assert!(ask_with(&settings(), path("a@example.com"), true).is_ok());
    }
}
