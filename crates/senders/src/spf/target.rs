//! The names that macros make.

use mail_auth::spf::{Macro, Variable, Variables};

use super::evaluation::Asked;

/// Whether what a macro makes depends on more than the address and the domain that are asked about.
pub(crate) fn is_personal(name: &Macro) -> bool {
    holds(name, |letter| {
        matches!(letter, Variable::Sender | Variable::SenderLocalPart | Variable::HeloDomain)
    })
}

/// Whether it needs the client's name.
pub(crate) fn needs_client_name(name: &Macro) -> bool {
    holds(name, |letter| letter == Variable::ValidatedDomain)
}

fn holds(name: &Macro, wanted: impl Fn(Variable) -> bool + Copy) -> bool {
    match name {
        Macro::Variable { letter, .. } => wanted(*letter),
        Macro::List(list) => list.iter().any(|one| holds(one, wanted)),
        Macro::Literal(_) | Macro::None => false,
    }
}

/// [7208-7.1] The name that a term asks for while `domain`'s record is evaluated; `None` where it is no name at all.
pub(crate) fn expand(name: &Macro, asked: &Asked, domain: &str, client_name: &str) -> Option<String> {
    let mut variables = Variables::new();
    variables.set_ip(&asked.address);
    // The first @ would be taken for the one before the domain; a local part with one in it is too rare to be right.
    let local = asked.local.replace('@', "_");
    variables.set_sender(format!("{local}@{}", asked.domain).into_bytes());
    variables.set_domain(domain.as_bytes().to_vec());
    variables.set_helo_domain(asked.helo.clone().into_bytes());
    variables.set_validated_domain(client_name.as_bytes().to_vec());
    let expanded = name.eval(&variables, domain, false);
    fit(&expanded)
}

/// [7208-7.3] Labels are taken away from the left until it is short enough.
fn fit(name: &str) -> Option<String> {
    let mut name = name.strip_suffix('.').unwrap_or(name);
    while name.len() > 253 {
        name = name.split_once('.')?.1;
    }
    is_name(name).then(|| name.to_ascii_lowercase())
}

/// [7208-4.3] Whether it can be asked about: ASCII, more than one label, none empty or too long.
pub(crate) fn is_name(name: &str) -> bool {
    let graphic = name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\\');
    let labels = || name.split('.');
    graphic
        && name.len() <= 253
        && labels().count() > 1
        && labels().all(|label| (1..=63).contains(&label.len()))
}

#[cfg(test)]
mod tests {
    use mail_auth::common::parse::TxtRecordParser;
    use mail_auth::spf::{Mechanism, Spf};
    use proptest::prelude::*;

    use super::*;

    fn expanded(text: &str, address: &str) -> Option<String> {
        let spf = Spf::parse(format!("v=spf1 exists:{text}").as_bytes()).unwrap();
        let Mechanism::Exists { macro_string } = &spf.directives[0].mechanism else { panic!("an exists") };
        let asked = Asked {
            address: address.parse().unwrap(),
            helo: "mail.example.net".into(),
            local: "strong-bad".into(),
            domain: "email.example.com".parse().unwrap(),
        };
        expand(macro_string, &asked, "email.example.com", "mx.example.org")
    }

    // [7208-7.1] The examples of RFC 7208 7.4.
    #[test]
    fn the_rfcs_examples_expand() {
        for (text, name) in [
            ("%{d}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{dr}", "com.example.email"),
            ("%{l}.x", "strong-bad.x"),
            ("%{lr-}.x", "bad.strong.x"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
            ("%{h}", "mail.example.net"),
            ("%{p}", "mx.example.org"),
            ("%{o}", "email.example.com"),
        ] {
            assert_eq!(expanded(text, "192.0.2.3").as_deref(), Some(name), "{text}");
        }
        let six = "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com";
        assert_eq!(expanded("%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01").as_deref(), Some(six));
    }

    // [7208-7.3]
    #[test]
    fn what_grows_too_long_loses_its_left_end() {
        let bomb = "%{d}.".repeat(2000) + "example.org";
        let name = expanded(&bomb, "192.0.2.3").unwrap();
        assert!(name.len() <= 253 && name.ends_with(".example.com.example.org"), "{name}");
        assert_eq!(expanded("%{d}..x", "192.0.2.3"), None);
        assert_eq!(expanded(&"x".repeat(300), "192.0.2.3"), None);
        assert_eq!(expanded("single", "192.0.2.3"), None);
    }

    proptest! {
        /// Whatever a record says, its names can be asked about, or are none.
        #[test]
        fn any_record_makes_names_or_none(words in prop::collection::vec(prop::sample::select(vec![
            "a", "mx", "exists", "include", "redirect", "exp", "ip4", "ptr", "all", ":", "=", "/", "//", "%", "{", "}",
            "%{", "s", "l", "o", "d", "i", "p", "h", "r", "c", "t", "0", "1", "99999999999", "+", "-", "_", ".", "..", "%%",
            "%_", "%-", " ", "192.0.2.1", "2001:db8::1", "example.org", "\u{fc}", "~", "?",
        ]), 0..30)) {
            let record = format!("v=spf1 {}", words.concat()).into_bytes();
            let Ok(Some(spf)) = super::super::record::choose(&[record]) else { return Ok(()) };
            let asked = Asked {
                address: "2001:db8::1".parse().unwrap(),
                helo: "a b\u{fc}".into(),
                local: "\u{fc}@\"x".into(),
                domain: "example.org".parse().unwrap(),
            };
            for directive in &spf.directives {
                let (Mechanism::A { macro_string, .. }
                | Mechanism::Mx { macro_string, .. }
                | Mechanism::Exists { macro_string }
                | Mechanism::Ptr { macro_string }
                | Mechanism::Include { macro_string }) = &directive.mechanism
                else {
                    continue;
                };
                if let Some(name) = expand(macro_string, &asked, "example.org", "unknown") {
                    prop_assert!(is_name(&name), "{}", name);
                }
            }
        }
    }
}
