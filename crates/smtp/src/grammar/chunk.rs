//! BDAT, RFC 3030 2: `BDAT SP chunk-size [SP LAST]`.

use nom::Parser;
use nom::bytes::complete::tag_no_case;
use nom::character::complete::{digit1, space1};
use nom::combinator::{all_consuming, opt};
use nom::sequence::preceded;

use super::Fault;
use crate::framing::chunk::Chunk;

/// A count that fits no integer becomes the largest one, which is over every limit.
pub(crate) fn parse(arguments: &str) -> Result<Chunk, Fault> {
    let last = opt(preceded(space1, tag_no_case("LAST")));
    let (_, (digits, last)) = all_consuming((digit1::<&str, nom::error::Error<&str>>, last))
        .parse(arguments)
        .map_err(|_| Fault::Argument)?;
    Ok(Chunk::new(digits.parse().unwrap_or(u64::MAX), last.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_digits_and_bounded() {
        assert_eq!(parse("86 LAST"), Ok(Chunk::new(86, true)));
        assert_eq!(parse("0 last"), Ok(Chunk::new(0, true)));
        assert_eq!(parse("324"), Ok(Chunk::new(324, false)));
        assert_eq!(parse(&"9".repeat(400)), Ok(Chunk::new(u64::MAX, false)));
        for text in ["", "-1", "+1", "1.5", "0x10", "LAST", "5 LAST x", "5LAST", "5 LAS", "٣"] {
            assert_eq!(parse(text), Err(Fault::Argument), "{text:?}");
        }
    }
}
