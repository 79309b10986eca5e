//! What a server offers in its answer to EHLO, RFC 5321 4.1.1.1.

use crate::origin::Attributes;
use crate::sasl::Mechanisms;

/// The service extensions that a client of ours uses. Nothing is offered after HELO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// PIPELINING, RFC 2920.
    pub pipelining: bool,
    /// CHUNKING, RFC 3030.
    pub chunking: bool,
    /// SIZE, RFC 1870: `Some(0)` when it is offered without a limit.
    pub size: Option<u64>,
    /// 8BITMIME, RFC 6152.
    pub eight_bit_mime: bool,
    /// SMTPUTF8, RFC 6531.
    pub smtputf8: bool,
    /// DSN, RFC 3461.
    pub dsn: bool,
    /// STARTTLS, RFC 3207.
    pub starttls: bool,
    /// ETRN, RFC 1985.
    pub etrn: bool,
    /// AUTH, RFC 4954: those of its mechanisms that we know.
    pub auth: Mechanisms,
    /// ATRN, RFC 2645.
    pub atrn: bool,
    /// XCLIENT: whom the session is to be taken for.
    pub xclient: Attributes,
    /// XFORWARD: where a message came from, for the log.
    pub xforward: Attributes,
}

impl Capabilities {
    /// Reads the text of a 250 to EHLO: the first line is the greeting, each further line a keyword with its
    /// parameters. Keywords are compared without case ([5321-4.1.1.1-client]); unknown ones are passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.split('\n').skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "PIPELINING" => all.pipelining = true,
                "CHUNKING" => all.chunking = true,
                "SIZE" => all.size = Some(words.next().and_then(|limit| limit.parse().ok()).unwrap_or(0)),
                "8BITMIME" => all.eight_bit_mime = true,
                "SMTPUTF8" => all.smtputf8 = true,
                "DSN" => all.dsn = true,
                "STARTTLS" => all.starttls = true,
                "ETRN" => all.etrn = true,
                "AUTH" => all.auth = Mechanisms::read(words),
                "ATRN" => all.atrn = true,
                "XCLIENT" => all.xclient = Attributes::read_xclient(words),
                "XFORWARD" => all.xforward = Attributes::read(words),
                _ => {}
            }
        }
        all
    }

    /// The largest content that the server says it takes, where it says so ([1870-4]: 0 is no limit).
    #[must_use]
    pub fn size_limit(&self) -> Option<u64> {
        self.size.filter(|limit| *limit > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [5321-4.1.1.1-client]
    #[test]
    fn keywords_are_read_without_case_and_unknown_ones_passed_over() {
        let text = "primary.example at your service\npipelining\nSize 1000\nXYZZY 1 2\nchunking\n8bitmime\n\nDSN\nSMTPUTF8";
        let read = Capabilities::parse(text);
        let expected = Capabilities {
            pipelining: true,
            chunking: true,
            size: Some(1000),
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            ..Capabilities::default()
        };
        assert_eq!(read, expected);
        assert_eq!(
            Capabilities::parse("CHUNKING\nETRN\nSTARTTLS"),
            Capabilities { etrn: true, starttls: true, ..Default::default() }
        );
    }

    /// A command without a single attribute would be none.
    #[test]
    fn xclient_that_takes_nothing_we_tell_is_not_offered() {
        for (words, offered) in [("IDENT SOURCE", false), ("LOGIN", false), ("", false), ("ident helo", true)]
        {
            let read = Capabilities::parse(&format!("x\nXCLIENT {words}\nXFORWARD IDENT"));
            assert_eq!((read.xclient.is_offered(), read.xforward.is_offered()), (offered, true), "{words}");
        }
    }

    /// [1870-4]
    #[test]
    fn a_size_of_zero_or_nonsense_is_no_limit() {
        for (line, offered, limit) in [
            ("SIZE", Some(0), None),
            ("SIZE 0", Some(0), None),
            ("SIZE many", Some(0), None),
            ("SIZE 99999999999999999999999", Some(0), None),
            ("SIZE 7", Some(7), Some(7)),
        ] {
            let read = Capabilities::parse(&format!("x\n{line}"));
            assert_eq!((read.size, read.size_limit()), (offered, limit), "{line}");
        }
    }
}
