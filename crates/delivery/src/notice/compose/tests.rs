//! Notices, whole. What they look like stands in `golden/`; that they mean what they should is read back by a parser
//! that knows nothing of how they were made.

use std::fmt::Write;

use mail_parser::{MessageParser, PartType};
use proptest::prelude::*;
use restante_types::{ClientFacts, Domain, Notify, QueueId, Recipient, UnixMillis, Xtext};

use super::*;
use crate::notice::header::date;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const ARRIVED: UnixMillis = UnixMillis(1_799_900_000_000);
const MESSAGE: &str = "Received: from client.example.com ([192.0.2.7])\r\n\tby mx2.example.net with ESMTP;\r\n\t\
    Thu, 14 Jan 2027 04:13:20 +0000\r\nFrom: Anna <anna@example.com>\r\nTo: bert@example.org\r\n\
    Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= from the seaside\r\nMessage-ID: <1@example.com>\r\n\r\nHello Bert!\r\n";

/// What a notice is made from, easily changed.
struct Case {
    kind: Kind,
    to: String,
    recipients: Vec<Recipient>,
    replies: Vec<Option<Reply>>,
    expired: bool,
    until: Option<UnixMillis>,
    remote: Option<String>,
    envid: Option<Xtext>,
    helo: String,
    message: Vec<u8>,
    whole: bool,
    smtputf8: bool,
    settings: NoticeSettings,
}

fn recipient(address: &str, original: Option<&str>) -> Recipient {
    Recipient {
        mailbox: address.parse().unwrap(),
        notify: Some(Notify { failure: true, ..Notify::NEVER }),
        original: original.map(|text| Xtext::new(text, 500).unwrap()),
    }
}

impl Default for Case {
    fn default() -> Self {
        Self {
            kind: Kind::Failed,
            to: "anna@example.com".to_owned(),
            recipients: vec![recipient("bert@example.org", None)],
            replies: vec![Some(Reply::new(550, (5, 1, 1), "no such user here"))],
            expired: false,
            until: None,
            remote: Some("mail.example.org".to_owned()),
            envid: None,
            helo: "client.example.com".to_owned(),
            message: MESSAGE.as_bytes().to_vec(),
            whole: false,
            smtputf8: false,
            settings: NoticeSettings::default(),
        }
    }
}

impl Case {
    fn write(&self) -> Notice {
        let hostname: Domain = "mx2.example.net".parse().unwrap();
        let original = Original::new(self.message.clone(), self.whole);
        let client = ClientFacts {
            address: "192.0.2.7".parse().unwrap(),
            helo: self.helo.clone(),
            identity: None,
            tls: None,
        };
        let told: Vec<Told<'_>> = self
            .recipients
            .iter()
            .zip(&self.replies)
            .map(|(recipient, reply)| Told {
                recipient,
                reply: reply.clone(),
                expired: self.expired,
                remote: self.remote.clone(),
                attempted: Some(NOW),
                until: self.until,
            })
            .collect();
        let id = QueueId::from_bytes([1; 16]);
        Report {
            kind: self.kind,
            sender: Sender { hostname: &hostname, name: self.settings.from_name.as_deref(), id, now: NOW },
            settings: &self.settings,
            to: &self.to.parse().unwrap(),
            facts: Facts {
                hostname: &hostname,
                id: QueueId::from_bytes([2; 16]),
                envid: self.envid.as_ref(),
                client: &client,
                arrived: ARRIVED,
            },
            smtputf8: self.smtputf8,
            told: &told,
            original: Some(&original),
        }
        .write()
    }

    fn text(&self) -> String {
        String::from_utf8(self.write().content).unwrap()
    }

    /// The fields of the second part, one group after the other.
    fn status(&self) -> String {
        let content = self.write().content;
        let message = MessageParser::default().parse(&content).unwrap();
        let text = std::str::from_utf8(message.parts[2].contents()).unwrap();
        text.replace("\r\n ", " ").replace("\r\n", "\n")
    }

    fn golden(&self, name: &str) {
        let written = self.text();
        assert!(!written.replace("\r\n", "").contains(['\r', '\n']), "only whole line ends: {written:?}");
        let file = format!("{}/src/notice/golden/{name}.eml", env!("CARGO_MANIFEST_DIR"));
        let written = written.replace("\r\n", "\n");
        if std::env::var_os("WRITE_GOLDEN").is_some() {
            std::fs::write(&file, &written).unwrap();
        }
        assert_eq!(written, std::fs::read_to_string(&file).unwrap(), "{name}");
    }
}

// [3461-6.2] [3461-6.3-a] [3461-6.3-b] [3461-6.3-d] [3461-6.3-e] [3461-6.3-g] [3461-6.3-h] [3461-6.3-i] [3461-9.2]
// [3464-2-b] [3464-2.1] [6522-3]
#[test]
fn failed() {
    Case {
        recipients: vec![
            recipient("bert@example.org", Some("rfc822;Bert+2Bold@example.org")),
            recipient("\"c  d\"@example.org", None),
        ],
        replies: vec![
            Some(Reply::new(550, (5, 1, 1), "no such user here")),
            Some(Reply::bare(552, "full\nsee https://example.org/full")),
        ],
        envid: Some(Xtext::new("Q+3Dq+20x", 100).unwrap()),
        ..Case::default()
    }
    .golden("failed");
}

#[test]
fn expired() {
    let replies =
        vec![Some(Reply::new(450, (4, 4, 1), "connection refused by mail.example.org[192.0.2.1]:25"))];
    Case { expired: true, replies, remote: None, ..Case::default() }.golden("expired");
}

// [3464-2.3.9]
#[test]
fn delayed() {
    let until = Some(UnixMillis(1_801_000_000_000));
    Case { kind: Kind::Delayed, replies: vec![None], remote: None, until, ..Case::default() }
        .golden("delayed");
}

// [3461-5.2.2-b]
#[test]
fn relayed() {
    let replies = vec![Some(Reply::new(250, (2, 0, 0), "queued as 4711"))];
    Case { kind: Kind::Relayed, replies, ..Case::default() }.golden("relayed");
}

// [3461-6.2] [6522-3]
#[test]
fn the_whole_of_an_8_bit_message() {
    let message = MESSAGE.replace("Hello", "Grüß Gott").into_bytes();
    let case = Case { message, whole: true, ..Case::default() };
    assert_eq!(case.write().body, Body::EightBitMime);
    case.golden("whole");
}

// [6533-3-final] [6533-4.1] [6533-4.3]
#[test]
fn international() {
    let case = Case {
        to: "änna@example.com".to_owned(),
        recipients: vec![
            recipient("bért@example.org", Some("utf-8;b\\x{E9}rt@example.org")),
            recipient("carl@example.org", Some("utf-8;\\x{ZZ}@example.org")),
        ],
        replies: vec![Some(Reply::new(550, (5, 1, 1), "wer soll das sein? bért")), None],
        message: MESSAGE.replace("=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße").into_bytes(),
        smtputf8: true,
        ..Case::default()
    };
    assert_eq!(case.write().body, Body::EightBitMime);
    case.golden("international");
    // [6533-4.5] To a reader whose own address is plain it goes in 7 bits, and nothing is lost.
    let plain = Case { to: "anna@example.com".to_owned(), ..case };
    let written = plain.write();
    assert!(written.content.is_ascii() && written.body == Body::SevenBit);
    plain.golden("international-7bit");
}

// [3461-6.3-g]
#[test]
fn the_status_is_the_replys_or_what_its_digits_say() {
    let status = |kind, expired, reply: Option<Reply>| {
        let case = Case { kind, expired, replies: vec![reply], ..Case::default() };
        let status = case.status();
        status.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap().to_owned()
    };
    let bare = |code| Some(Reply::bare(code, "x"));
    for (code, expected) in
        [(550, "5.0.0"), (552, "5.2.2"), (553, "5.1.3"), (554, "5.0.0"), (501, "5.5.4"), (451, "4.3.0")]
    {
        assert_eq!(status(Kind::Failed, false, bare(code)), expected, "{code}");
    }
    assert_eq!(status(Kind::Failed, false, Some(Reply::new(550, (5, 7, 1), "x"))), "5.7.1");
    assert_eq!(
        status(Kind::Failed, false, Some(Reply::new(550, (4, 7, 1), "x"))),
        "5.0.0",
        "of another class"
    );
    assert_eq!(
        status(Kind::Failed, false, Some(Reply::new(550, (5, 1000, 1), "x"))),
        "5.0.0",
        "no such number"
    );
    assert_eq!(status(Kind::Failed, false, None), "5.0.0");
    assert_eq!(status(Kind::Failed, true, None), "4.4.7");
    assert_eq!(status(Kind::Failed, true, Some(Reply::new(450, (4, 4, 1), "x"))), "4.4.1");
    assert_eq!(status(Kind::Delayed, false, None), "4.0.0");
    assert_eq!(status(Kind::Relayed, false, bare(250)), "2.0.0");
}

// [3461-6.3-a] [3464-2.2.1]
#[test]
fn no_parameter_no_field() {
    let status = Case::default().status();
    assert!(!status.contains("Original-Envelope-Id") && !status.contains("Original-Recipient"), "{status}");
    assert!(!status.contains("Will-Retry-Until"), "{status}");
}

// [3464-2.2.4]
#[test]
fn what_is_no_name_is_not_repeated_as_one() {
    for helo in ["", "a b", "x\r\nReporting-MTA: dns; evil", "(a)", "ü"] {
        let status = Case { helo: helo.to_owned(), ..Case::default() }.status();
        assert!(status.contains("Received-From-MTA: dns; [192.0.2.7]\n"), "{status}");
    }
    assert!(Case::default().status().contains("Received-From-MTA: dns; client.example.com ([192.0.2.7])\n"));
}

#[test]
fn a_template_of_ones_own_is_filled_in() {
    let text = |kind: &str| {
        format!(
            "{kind}: {{recipients}}\n{{reason}}\n{{hostname}}|{{domain}}|{{sender}}\n{{arrived}}\n{{expires}}\n{{subject}}|Gruß"
        )
    };
    let mut settings =
        NoticeSettings { from_name: Some("Poststelle Zürich".to_owned()), ..NoticeSettings::default() };
    settings.templates.failed = text("FAILED").parse().unwrap();
    settings.templates.delayed = text("DELAYED").parse().unwrap();
    settings.templates.relayed = text("RELAYED").parse().unwrap();
    let until = UnixMillis(1_801_000_000_000);
    for (kind, name) in
        [(Kind::Failed, "FAILED: "), (Kind::Delayed, "DELAYED: "), (Kind::Relayed, "RELAYED: ")]
    {
        let case = Case { kind, until: Some(until), settings: settings.clone(), ..Case::default() };
        let content = case.write().content;
        let message = MessageParser::default().parse(&content).unwrap();
        assert_eq!(message.from().unwrap().first().unwrap().name(), Some("Poststelle Zürich"));
        let text = message.body_text(0).unwrap().replace(['\r', '\n'], " ");
        assert!(text.starts_with(name), "{text}");
        for part in [
            "<bert@example.org>",
            "550 5.1.1 no such user here",
            " mx2.example.net|example.org|anna@example.com ",
            &date(ARRIVED),
            &date(until),
            "Grüße from the seaside",
            "Gruß",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

// [2046-5.1.1]
#[test]
fn a_boundary_stands_in_no_part() {
    let inside = "=_01010101-0101-0101-0101-010101010101";
    let message =
        format!("Subject: a\r\n\r\n--{inside}\r\nContent-Type: text/plain\r\n\r\nforged\r\n").into_bytes();
    let content = Case { message: message.clone(), whole: true, ..Case::default() }.write().content;
    let parsed = MessageParser::default().parse(&content).unwrap();
    assert_eq!(parsed.root_part().sub_parts().unwrap().len(), 3);
    let returned = &parsed.parts[3];
    assert!(matches!(returned.body, PartType::Message(_)));
    let octets = &content[returned.raw_body_offset() as usize..returned.raw_end_offset() as usize];
    // Parsers differ in whether the CRLF before a boundary belongs to the part.
    assert_eq!(octets.trim_ascii_end(), message.trim_ascii_end());
}

#[test]
fn people_are_shown_a_hundred_recipients_and_programs_all() {
    let recipients: Vec<_> = (0..150).map(|n| recipient(&format!("user{n}@example.org"), None)).collect();
    let replies = vec![Some(Reply::new(550, (5, 1, 1), "no")); 150];
    let case = Case { recipients, replies, ..Case::default() };
    assert!(case.text().contains("and 50 more"));
    assert_eq!(case.status().matches("Final-Recipient").count(), 150);
}

fn hostile() -> impl Strategy<Value = String> {
    "(\r\n|\r|\n|\0|\x1b|: |--=_|\u{2028}|\u{202e}|=\\?utf-8\\?Q\\?|Bcc: a@b\\.c|[ -~]|ü|漢|\\(|\\)|;|\\\\x\\{){0,60}"
}

proptest! {
    /// Whatever the network said, a notice has the fields it should have, three parts, and one address to go to.
    #[test]
    fn any_notice_is_read_as_it_was_meant(
        texts in proptest::collection::vec((hostile(), 400_u16..560), 1..4),
        helo in hostile(),
        remote in hostile(),
        message in hostile(),
        subject in hostile(),
        envid in "[!-*,-<>-~]{1,40}(\\+[0-9A-F]{2}){0,20}",
        original in "(rfc822|utf-8|x400);[!-*,-<>-~]{1,40}(\\+[0-9A-F]{2}){0,20}",
        whole in any::<bool>(),
        utf8 in any::<bool>(),
        kind in prop_oneof![Just(Kind::Failed), Just(Kind::Delayed), Just(Kind::Relayed)],
    ) {
        let replies: Vec<_> =
            texts.iter().map(|(text, code)| restante_types::ReplyCode::new(*code).map(|code| Reply { code, enhanced: None, text: text.clone().into() })).collect();
        let recipients = (0..replies.len()).map(|n| recipient(&format!("ü{n}@example.org"), Some(&original))).collect();
        let case = Case {
            kind,
            to: if utf8 { "änna@example.com" } else { "anna@example.com" }.to_owned(),
            recipients,
            replies,
            remote: Some(remote),
            envid: Xtext::new(&envid, 100).ok(),
            helo,
            message: format!("Subject: {subject}\r\nMessage-ID: {subject}\r\n\r\n{message}").into_bytes(),
            whole,
            smtputf8: utf8,
            ..Case::default()
        };
        let Notice { content, body } = case.write();
        prop_assert!(utf8 || whole || content.is_ascii());
        prop_assert!(content.is_ascii() || body == Body::EightBitMime);
        let parsed = MessageParser::default().parse(&content).unwrap();
        let names: Vec<_> = parsed.headers().iter().map(|header| header.name().to_owned()).collect();
        let mut expected = vec!["From", "Reply-To", "To", "Date", "Message-ID", "Subject", "Auto-Submitted", "MIME-Version", "Content-Type"];
        if names.contains(&"In-Reply-To".to_owned()) {
            expected.splice(6..6, ["In-Reply-To", "References"]);
        }
        if body == Body::EightBitMime {
            expected.push("Content-Transfer-Encoding");
        }
        prop_assert_eq!(names, expected);
        prop_assert_eq!(parsed.to().unwrap().as_list().unwrap().len(), 1);
        prop_assert_eq!(parsed.to().unwrap().first().unwrap().address(), Some(case.to.as_str()));
        prop_assert_eq!(parsed.root_part().sub_parts().unwrap().len(), 3);
        let status = case.status();
        let groups: Vec<_> = status.trim_end().split("\n\n").collect();
        prop_assert_eq!(groups.len(), 1 + case.recipients.len(), "{}", status);
        for group in &groups[1..] {
            prop_assert_eq!(group.matches("Final-Recipient: ").count(), 1);
            prop_assert!(group.lines().all(|line| line.split_once(": ").is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))), "{}", group);
        }
    }
}

#[test]
fn long_lines_of_text_are_wrapped_at_their_words() {
    let mut line = String::from("    ");
    (0..40).for_each(|n| write!(line, "word{n} ").unwrap());
    let wrapped = wrapped(line.trim_end());
    assert!(wrapped.lines().count() > 2);
    assert!(wrapped.lines().all(|line| line.starts_with("    word") && line.len() <= WIDTH), "{wrapped}");
    assert_eq!(super::wrapped(&"x".repeat(200)), "x".repeat(200));
}
