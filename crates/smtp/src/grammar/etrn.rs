//! ETRN, RFC 1985 5: `ETRN SP [option] node`.

use restante_types::Domain;

use super::Fault;
use crate::limits::MAX_GROUP;
use crate::server::EtrnTarget;

/// The argument, which is not empty. [1985-5] a node is a fully qualified domain name; [1985-5.3] `@` asks for a
/// subtree, at least two labels so that nobody asks for a whole top-level domain (RFC 1985 8), `#` for a group.
pub(crate) fn parse(argument: &str) -> Result<EtrnTarget, Fault> {
    if let Some(group) = argument.strip_prefix('#') {
        let word = group.bytes().all(|octet| octet.is_ascii_graphic());
        let fits = !group.is_empty() && group.len() <= MAX_GROUP;
        return if word && fits { Ok(EtrnTarget::Group(group.to_owned())) } else { Err(Fault::Argument) };
    }
    let (subtree, name) = argument.strip_prefix('@').map_or((false, argument), |name| (true, name));
    let domain = Domain::parse(name).map_err(|_| Fault::Argument)?;
    if !domain.is_fully_qualified() {
        return Err(Fault::Argument);
    }
    Ok(if subtree { EtrnTarget::Subtree(domain) } else { EtrnTarget::Node(domain) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[test]
    fn nodes_subtrees_and_groups_1985_5() {
        let node = Ok(EtrnTarget::Node(domain("example.org")));
        for text in ["example.org", "EXAMPLE.Org", "example.org."] {
            assert_eq!(parse(text), node, "{text}");
        }
        assert_eq!(parse("bücher.example"), Ok(EtrnTarget::Node(domain("xn--bcher-kva.example"))));
        assert_eq!(parse("@example.org."), Ok(EtrnTarget::Subtree(domain("example.org"))));
        assert_eq!(parse("#Customer42"), Ok(EtrnTarget::Group("Customer42".into())));
        let long = format!("#{}", "a".repeat(65));
        for text in [
            "localname",
            "@com",
            "#",
            "@",
            "!example.org",
            "@@example.org",
            "a b.org",
            "example..org",
            "192.0.2.1",
            "[192.0.2.1]",
            "#a b",
            "#ü",
            &long,
        ] {
            assert_eq!(parse(text), Err(Fault::Argument), "{text}");
        }
    }
}
