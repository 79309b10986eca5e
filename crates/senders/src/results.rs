//! The field that tells what was found, RFC 8601.

use std::fmt::{self, Display, Write};

use restante_types::Domain;

use crate::dkim::DkimFinding;
use crate::findings::Findings;
use crate::spf::{SpfFinding, SpfIdentity};

/// Octets of an account's name that are shown.
const NAME_SHOWN: usize = 255;

impl Findings {
    /// [8601-2.2] The Authentication-Results field in our name, with its CRLFs, every method on a line of its own. What
    /// comes from the network stands in it only as a domain in A-label form, as base64, or quoted: nothing in it can end
    /// the field or add to it.
    #[must_use]
    pub fn field(&self, hostname: &Domain, account: Option<&str>) -> String {
        let mut field = String::with_capacity(256);
        self.write(&mut field, hostname, account).expect("writing to a string does not fail");
        field
    }

    fn write(&self, out: &mut String, hostname: &Domain, account: Option<&str>) -> fmt::Result {
        write!(out, "Authentication-Results: {hostname}")?;
        let bare = out.len();
        if let Some(SpfFinding { result, identity }) = &self.spf {
            // [8601-2.7.2] The domain alone: a local part has nothing to do with it.
            let (property, domain) = match identity {
                SpfIdentity::MailFrom(domain) => ("mailfrom", domain),
                SpfIdentity::Helo(domain) => ("helo", domain),
            };
            write!(out, ";\r\n\tspf={result} smtp.{property}={domain}")?;
        }
        for DkimFinding { result, domain, selector, start } in &self.dkim {
            // [8601-2.7.1]
            write!(out, ";\r\n\tdkim={result}")?;
            if let Some(domain) = domain {
                write!(out, " header.d={domain}")?;
            }
            if let Some(selector) = selector {
                write!(out, " header.s={selector}")?;
            }
            if !start.is_empty() {
                write!(out, " header.b={}", Value(start))?;
            }
        }
        // [8601-2.7.4]
        if let Some(account) = account.filter(|name| is_showable(name)) {
            write!(out, ";\r\n\tauth=pass smtp.auth={}", Value(account))?;
        }
        if out.len() == bare {
            out.push_str("; none");
        }
        out.push_str("\r\n");
        Ok(())
    }
}

fn is_showable(name: &str) -> bool {
    let printable = |octet: u8| matches!(octet, b' '..=b'~');
    !name.is_empty() && name.len() <= NAME_SHOWN && name.bytes().all(printable)
}

/// A value as RFC 2045 5.1 writes it: a token, or else quoted.
struct Value<'a>(&'a str);

impl Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = |octet: u8| octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&octet);
        if self.0.bytes().all(token) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use restante_types::Vouched;

    use super::*;
    use crate::dkim::DkimResult;
    use crate::spf::SpfResult;

    fn domain(text: &str) -> Domain {
        text.parse().unwrap()
    }

    fn hostname() -> Domain {
        domain("mx2.example.net")
    }

    // [8601-2.2] [8601-2.7.1] [8601-2.7.2] [8601-2.7.4]
    #[test]
    fn every_method_has_its_line() {
        let identity = SpfIdentity::MailFrom(domain("bücher.example"));
        let dkim = |result, start: &str| DkimFinding {
            result,
            domain: Some(domain("example.org")),
            selector: Some(domain("key.2026")),
            start: start.to_owned(),
        };
        let nothing =
            DkimFinding { result: DkimResult::PermError, domain: None, selector: None, start: String::new() };
        let findings = Findings {
            vouched: Vouched::Spf,
            spf: Some(SpfFinding { result: SpfResult::Pass, identity }),
            dkim: vec![dkim(DkimResult::Pass, "AbCd1234"), dkim(DkimResult::Fail, "Ab/d+23="), nothing],
            wanted: true,
        };
        assert_eq!(
            findings.field(&hostname(), Some("ada")),
            "Authentication-Results: mx2.example.net;\r\n\tspf=pass smtp.mailfrom=xn--bcher-kva.example;\r\n\t\
             dkim=pass header.d=example.org header.s=key.2026 header.b=AbCd1234;\r\n\t\
             dkim=fail header.d=example.org header.s=key.2026 header.b=\"Ab/d+23=\";\r\n\tdkim=permerror;\r\n\t\
             auth=pass smtp.auth=ada\r\n"
        );
        let identity = SpfIdentity::Helo(domain("mail.example.org"));
        let spf = Some(SpfFinding { result: SpfResult::SoftFail, identity });
        let helo = Findings { spf, ..Findings::default() }.field(&hostname(), None);
        assert!(helo.ends_with(";\r\n\tspf=softfail smtp.helo=mail.example.org\r\n"), "{helo}");
    }

    // [8601-2.2]
    #[test]
    fn nothing_found_is_none() {
        let field = Findings::default().field(&hostname(), None);
        assert_eq!(field, "Authentication-Results: mx2.example.net; none\r\n");
    }

    #[test]
    fn a_hostile_account_adds_nothing() {
        for name in ["a\r\nX: y", "a;\tspf=pass", "ü", "a\0", "", &"a".repeat(256)] {
            let field = Findings::default().field(&hostname(), Some(name));
            let inside = field.matches("\r\n").count();
            assert!(field.ends_with("; none\r\n") && inside == 1, "{field}");
        }
        let field = Findings::default().field(&hostname(), Some("a\"; spf=pass \\"));
        assert!(field.ends_with("auth=pass smtp.auth=\"a\\\"; spf=pass \\\\\"\r\n"), "{field}");
    }
}
