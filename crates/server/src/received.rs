//! The one line that we put on top of a message.

use std::fmt::{self, Display, Write};

use restante_types::{ClientFacts, Domain, Envelope, MailboxHost, QueueId, UnixMillis};

use crate::limits::HELO_SHOWN;

/// What a Received line tells.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    pub(crate) hostname: &'a Domain,
    pub(crate) client: &'a ClientFacts,
    pub(crate) esmtp: bool,
    pub(crate) envelope: &'a Envelope,
    pub(crate) id: QueueId,
    pub(crate) arrived: UnixMillis,
}

impl Received<'_> {
    /// The line with its CRLFs, folded so that each part has a line of its own: no part is longer than RFC 5322
    /// 2.1.1 allows.
    pub(crate) fn line(&self) -> String {
        let mut line = String::with_capacity(320);
        self.write(&mut line).expect("writing to a string does not fail");
        line
    }

    // [5321-4.4] time-stamp-line: From-domain By-domain Opt-info ";" FWS date-time
    fn write(&self, out: &mut String) -> fmt::Result {
        let from = MailboxHost::Literal(self.client.address);
        if is_plain(&self.client.helo) {
            write!(out, "Received: from {} ({from})\r\n", self.client.helo)?;
        } else {
            // What is no domain may not stand where a domain does; a comment may say what it was.
            write!(out, "Received: from {from} (helo {})\r\n", Harmless(&self.client.helo))?;
        }
        write!(out, "\tby {} with {}", self.hostname, self.with())?;
        if let Some(tls) = &self.client.tls {
            write!(out, "\r\n\t({} {})", Harmless(&tls.version), Harmless(&tls.cipher))?;
        }
        write!(out, "\r\n\tid {}", self.id)?;
        // [5321-7.6] More than one would tell each recipient of the others, blind copies included.
        if let [only] = self.envelope.recipients.as_slice() {
            write!(out, "\r\n\tfor <{}>", only.mailbox)?;
        }
        write!(out, ";\r\n\t{}\r\n", Rfc5322Date(self.arrived))
    }

    // [3848-1] [6531-3.7.3] The registered names: TLS and AUTH are told by the ESMTP and UTF8SMTP families only.
    fn with(&self) -> &'static str {
        let (tls, auth) = (self.client.tls.is_some(), self.client.identity.is_some());
        match (self.envelope.smtputf8, self.esmtp, tls, auth) {
            (true, _, false, false) => "UTF8SMTP",
            (true, _, true, false) => "UTF8SMTPS",
            (true, _, false, true) => "UTF8SMTPA",
            (true, _, true, true) => "UTF8SMTPSA",
            (false, true, false, false) => "ESMTP",
            (false, true, true, false) => "ESMTPS",
            (false, true, false, true) => "ESMTPA",
            (false, true, true, true) => "ESMTPSA",
            (false, false, _, _) => "SMTP",
        }
    }
}

/// Whether a HELO name can stand in the line as it is: what a domain name or an address literal is made of.
fn is_plain(helo: &str) -> bool {
    let inner = helo.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let colons = inner.is_some();
    let name = inner.unwrap_or(helo);
    let legal =
        |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet) || (colons && octet == b':');
    !name.is_empty() && name.len() <= HELO_SHOWN && name.bytes().all(legal)
}

/// Text from the network inside a comment: nothing in it can end the comment, the line or the header section.
struct Harmless<'a>(&'a str);

impl Display for Harmless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for octet in self.0.bytes().take(HELO_SHOWN) {
            let harmless = octet.is_ascii_graphic() && !b"()\\\"<>;,".contains(&octet);
            f.write_char(if harmless { char::from(octet) } else { '?' })?;
        }
        Ok(())
    }
}

/// A date as RFC 5322 3.3 writes it, always in UTC: `Sun, 22 Nov 2026 01:53:49 +0000`.
struct Rfc5322Date(UnixMillis);

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY: u64 = 86_400;

impl Display for Rfc5322Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.0 / 1000;
        let (days, of_day) = (seconds / DAY, seconds % DAY);
        let (year, month, day) = civil(days);
        let weekday = DAYS[(days % 7) as usize];
        let month = MONTHS[month];
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{weekday}, {day} {month} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
    }
}

/// Year, month from 0, day from 1, of a number of days since 1970-01-01 in the Gregorian calendar.
fn civil(days: u64) -> (u64, usize, u64) {
    // Counted from 0000-03-01, so that the leap day is the last of a year and the 400-year cycle starts at 0.
    let since = days + 719_468;
    let (cycle, of_cycle) = (since / 146_097, since % 146_097);
    let year_of_cycle = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = ((month_from_march + 2) % 12) as usize;
    let year = cycle * 400 + year_of_cycle + u64::from(month < 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use restante_types::{Body, Mailbox, Recipient, ReversePath, TlsFacts};

    use super::*;

    fn envelope(recipients: &[&str], smtputf8: bool) -> Envelope {
        let recipients = recipients.iter().map(|text| Recipient::from(text.parse::<Mailbox>().unwrap()));
        Envelope {
            sender: ReversePath::Null,
            recipients: recipients.collect(),
            body: Body::default(),
            smtputf8,
            ret: None,
            envid: None,
        }
    }

    fn line(helo: &str, tls: bool, esmtp: bool, envelope: &Envelope) -> String {
        let tls = tls.then(|| TlsFacts {
            version: "TLS1.3".into(),
            cipher: "TLS_AES_256_GCM_SHA384".into(),
            peer_fingerprint: None,
        });
        let client =
            ClientFacts { address: "192.0.2.7".parse().unwrap(), helo: helo.into(), identity: None, tls };
        let hostname = Domain::parse("mx2.example.net").unwrap();
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let arrived = UnixMillis(1_795_312_429_000);
        Received { hostname: &hostname, client: &client, esmtp, envelope, id, arrived }.line()
    }

    // [5321-4.4]
    #[test]
    fn the_line_is_folded_and_complete() {
        let line = line("client.example", true, true, &envelope(&["a@example.org"], false));
        let expected = "Received: from client.example ([192.0.2.7])\r\n\tby mx2.example.net with ESMTPS\r\n\t(TLS1.3 \
                        TLS_AES_256_GCM_SHA384)\r\n\tid 01890a5d-ac96-774b-bcce-b302099a8057\r\n\tfor \
                        <a@example.org>;\r\n\tSun, 22 Nov 2026 01:53:49 +0000\r\n";
        assert_eq!(line, expected);
    }

    // [5321-7.6]
    #[test]
    fn several_recipients_are_not_told() {
        let line = line("c.example", false, true, &envelope(&["a@example.org", "b@example.org"], false));
        assert!(!line.contains("for"), "{line}");
    }

    // [3848-1] [6531-3.7.3]
    #[test]
    fn with_names_the_protocol() {
        let (plain, utf8) = (envelope(&[], false), envelope(&[], true));
        assert!(line("c.example", false, false, &plain).contains("with SMTP\r\n"));
        assert!(line("c.example", false, true, &plain).contains("with ESMTP\r\n"));
        assert!(line("c.example", false, true, &utf8).contains("with UTF8SMTP\r\n"));
        assert!(line("c.example", true, true, &utf8).contains("with UTF8SMTPS\r\n"));
    }

    #[test]
    fn a_hostile_helo_forges_nothing() {
        let long = "x".repeat(2000);
        for helo in [
            "a\r\nX-Forged: yes",
            "a) by evil (",
            "a;\r\n\r\nbody",
            "ü.example",
            "",
            "[1\n]",
            "\u{85}",
            &long,
        ] {
            let line = line(helo, false, true, &envelope(&[], false));
            assert_eq!(line.matches("\r\n").count(), 4, "{helo:?}: {line}");
            assert_eq!(line.replace("\r\n\t", "").matches(['\r', '\n']).count(), 2, "{helo:?}: {line}");
            assert_eq!(line.matches(['(', ')']).count(), 2, "{helo:?}: {line}");
            assert!(line.starts_with("Received: from [192.0.2.7] (helo "), "{line}");
            assert!(line.lines().all(|line| line.len() <= 998));
        }
    }

    #[test]
    fn an_address_literal_is_a_name() {
        let line = line("[IPv6:2001:db8::1]", false, true, &envelope(&[], false));
        assert!(line.starts_with("Received: from [IPv6:2001:db8::1] ([192.0.2.7])\r\n"), "{line}");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let date = |seconds: u64| Rfc5322Date(UnixMillis(seconds * 1000)).to_string();
        assert_eq!(date(0), "Thu, 1 Jan 1970 00:00:00 +0000");
        assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(date(1_709_251_199), "Thu, 29 Feb 2024 23:59:59 +0000");
        assert_eq!(date(1_709_251_200), "Fri, 1 Mar 2024 00:00:00 +0000");
        assert_eq!(date(4_107_542_399), "Sun, 28 Feb 2100 23:59:59 +0000");
        assert_eq!(date(4_107_542_400), "Mon, 1 Mar 2100 00:00:00 +0000");
        assert_eq!(date(1_767_225_599), "Wed, 31 Dec 2025 23:59:59 +0000");
    }
}
