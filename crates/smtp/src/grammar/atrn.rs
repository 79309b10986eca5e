//! ATRN, RFC 2645 5.2.1: `ATRN [SP domain *("," domain)]`.

use std::collections::HashSet;

use restante_types::Domain;

use super::Fault;

/// The domains, each once, in the order in which they stand. [2645-5.2.1-list] Commas stand between them; spaces there, with
/// or without a comma, are tolerated. Nothing but the line bounds their number. [2645-5.2.1-all] No arguments: all that there are.
pub(crate) fn parse(arguments: &str) -> Result<Vec<Domain>, Fault> {
    if arguments.is_empty() {
        return Ok(Vec::new());
    }
    let mut seen = HashSet::new();
    let mut domains = Vec::new();
    for part in arguments.split(',') {
        let mut words = part.split([' ', '\t']).filter(|word| !word.is_empty()).peekable();
        if words.peek().is_none() {
            return Err(Fault::Argument);
        }
        for word in words {
            let domain = Domain::parse(word).map_err(|_| Fault::Argument)?;
            if !domain.is_fully_qualified() {
                return Err(Fault::Argument);
            }
            if seen.insert(domain.clone()) {
                domains.push(domain);
            }
        }
    }
    Ok(domains)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(text: &str) -> Result<Vec<String>, Fault> {
        parse(text).map(|domains| domains.iter().map(ToString::to_string).collect())
    }

    /// [2645-5.2.1-list]
    #[test]
    fn a_list_is_taken_apart() {
        for text in [
            "a.example,b.example",
            "a.example, b.example",
            "a.example ,b.example",
            "a.example b.example",
            "A.Example. ,\t b.EXAMPLE",
            "a.example,b.example,A.example",
        ] {
            assert_eq!(
                names(text).as_deref(),
                Ok(["a.example".to_owned(), "b.example".into()].as_slice()),
                "{text}"
            );
        }
        assert_eq!(names(""), Ok(vec![]));
        assert_eq!(names("bücher.example"), Ok(vec!["xn--bcher-kva.example".to_owned()]));
        for text in [
            ",",
            "a.example,",
            ",a.example",
            "a.example,,b.example",
            "a.example, ,b.example",
            "localname",
            "a.example;b.example",
            "a@b.example",
            "@a.example",
            "#group",
            "[192.0.2.1]",
            "192.0.2.1",
            "*",
            "a..example",
        ] {
            assert_eq!(names(text), Err(Fault::Argument), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(list in proptest::collection::hash_set("[a-z]{1,8}\\.[a-z]{2,5}", 0..40), gap in ",|, | ,| |\t") {
            let list: Vec<String> = list.into_iter().collect();
            prop_assert_eq!(names(&list.join(&gap)), Ok(list));
        }

        #[test]
        fn anything_is_survived(text in "\\PC{0,80}") {
            let _either = parse(&text);
        }
    }
}
