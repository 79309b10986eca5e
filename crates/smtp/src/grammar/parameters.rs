//! [5321-4.1.1.11] ESMTP parameters: `esmtp-keyword ["=" esmtp-value]`, separated by spaces (RFC 5321 4.1.2).

use nom::Parser;
use nom::bytes::complete::take_while1;
use nom::character::complete::{char, satisfy};
use nom::combinator::{all_consuming, opt, recognize};
use nom::multi::many0_count;
use nom::sequence::preceded;

use super::Fault;

/// One parameter: keyword and value.
pub(crate) type Parameter<'a> = (&'a str, Option<&'a str>);

/// The parameters behind a path. There must be a space between the path and the first; more spaces are tolerated.
pub(crate) fn parameters(input: &str) -> Result<impl Iterator<Item = Result<Parameter<'_>, Fault>>, Fault> {
    if !input.is_empty() && !input.starts_with(' ') {
        return Err(Fault::Parameter);
    }
    Ok(input.split(' ').filter(|text| !text.is_empty()).map(parameter))
}

fn parameter(text: &str) -> Result<Parameter<'_>, Fault> {
    let letter = |c: char| c.is_ascii_alphanumeric();
    let keyword = recognize((satisfy(letter), many0_count(satisfy(|c| letter(c) || c == '-'))));
    // RFC 6531 3.3 adds all of UTF-8 to what RFC 5321 allows.
    let value =
        take_while1(|c: char| matches!(c, '!'..='<' | '>'..='~') || (!c.is_ascii() && !c.is_control()));
    all_consuming((keyword, opt(preceded(char('='), value))))
        .parse(text)
        .map(|(_, parameter)| parameter)
        .map_err(|_: nom::Err<nom::error::Error<&str>>| Fault::Parameter)
}

/// Fills a place that a parameter has once; twice is a fault.
pub(crate) fn once<T>(place: &mut Option<T>, value: Option<T>) -> Result<(), Fault> {
    match (value, &place) {
        (Some(value), None) => {
            *place = Some(value);
            Ok(())
        }
        _ => Err(Fault::Parameter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(input: &str) -> Result<Vec<Parameter<'_>>, Fault> {
        parameters(input)?.collect()
    }

    #[test]
    fn parameters_are_split() {
        assert_eq!(all(""), Ok(vec![]));
        assert_eq!(all(" SIZE=5  X-Y "), Ok(vec![("SIZE", Some("5")), ("X-Y", None)]));
        assert_eq!(all(" A=b;c,d:e"), Ok(vec![("A", Some("b;c,d:e"))]));
        for text in ["SIZE=5", " =5", " A=", " A==b", " -A", " A\tB", " A=b=c", " Ä=1"] {
            assert_eq!(all(text), Err(Fault::Parameter), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(list in proptest::collection::vec(("[A-Z][A-Z0-9-]{0,5}", proptest::option::of("[!-<>-~]{1,9}")), 0..5)) {
            let text: String = list.iter().map(|(keyword, value)| {
                value.as_ref().map_or_else(|| format!(" {keyword}"), |value| format!(" {keyword}={value}"))
            }).collect();
            let want: Vec<Parameter<'_>> = list.iter().map(|(keyword, value)| (keyword.as_str(), value.as_deref())).collect();
            prop_assert_eq!(all(&text), Ok(want));
        }
    }
}
