//! A plain mail of our own, to the owner of a domain.

use restante_types::{Domain, Mailbox, QueueId, UnixMillis};

use super::header;

/// A plain text mail from the mail system to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// To whom.
    pub to: Mailbox,
    /// What it is about. Any text; what cannot stand in a header is encoded.
    pub subject: String,
    /// What it says, in lines that end with LF. Control characters are shown as `?`; text from the network wants to be
    /// made printable before.
    pub text: String,
}

/// Who writes, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) hostname: &'a Domain,
    pub(super) name: Option<&'a str>,
    pub(super) id: QueueId,
    pub(super) now: UnixMillis,
}

impl Sender<'_> {
    /// [3464-2-from] The fields that say who wrote: From, Reply-To, To, Date, Message-ID. A reply reaches the people who
    /// run this server.
    pub(super) fn fields(&self, out: &mut String, to: &Mailbox) {
        let hostname = self.hostname;
        let name = header::phrase(self.name.unwrap_or("Mail Delivery System"));
        header::field(out, "From", &format!("{name} <MAILER-DAEMON@{hostname}>"));
        header::field(out, "Reply-To", &format!("postmaster@{hostname}"));
        header::utf8_field(out, "To", &to.to_string());
        header::field(out, "Date", &header::date(self.now));
        header::field(out, "Message-ID", &format!("<{}@{hostname}>", self.id));
    }
}

impl Letter {
    /// The whole message.
    pub(super) fn write(&self, sender: Sender<'_>) -> String {
        let mut out = String::with_capacity(1024 + self.text.len());
        sender.fields(&mut out, &self.to);
        header::text_field(&mut out, "Subject", header::cut(&self.subject, 300));
        // [3834-5.2] It answers no other message.
        header::field(&mut out, "Auto-Submitted", "auto-generated");
        header::field(&mut out, "MIME-Version", "1.0");
        header::text_part(&mut out, &self.text);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // [3834-5.2] [3464-2-from]
    #[test]
    fn a_letter_is_plain_mail_from_the_mail_system() {
        let letter = Letter {
            to: "postmaster@example.org".parse().unwrap(),
            subject: "example.org: the primary is down\r\nBcc: x@example.net".to_owned(),
            text: "It does not answer.\n".to_owned(),
        };
        let id = QueueId::from_bytes([1; 16]);
        let hostname = "mx2.example.net".parse().unwrap();
        let text =
            letter.write(Sender { hostname: &hostname, name: None, id, now: UnixMillis(1_800_000_000_000) });
        let expected = "From: \"Mail Delivery System\" <MAILER-DAEMON@mx2.example.net>\r\n\
            Reply-To: postmaster@mx2.example.net\r\n\
            To: postmaster@example.org\r\n\
            Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n\
            Message-ID: <01010101-0101-0101-0101-010101010101@mx2.example.net>\r\n\
            Subject: example.org: the primary is down Bcc: x@example.net\r\n\
            Auto-Submitted: auto-generated\r\n\
            MIME-Version: 1.0\r\n\
            Content-Type: text/plain; charset=us-ascii\r\n\
            Content-Transfer-Encoding: 7bit\r\n\r\n\
            It does not answer.\r\n";
        assert_eq!(text, expected);
    }
}
