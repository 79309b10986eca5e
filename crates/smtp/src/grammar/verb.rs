//! The verb of a command.

/// The verbs that are known, offered or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Helo,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Noop,
    Vrfy,
    Expn,
    Help,
    Quit,
    StartTls,
    Etrn,
    Auth,
    Atrn,
    Turn,
}

const NAMES: [(&str, Verb); 17] = [
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("DATA", Verb::Data),
    ("BDAT", Verb::Bdat),
    ("EHLO", Verb::Ehlo),
    ("QUIT", Verb::Quit),
    ("RSET", Verb::Rset),
    ("ETRN", Verb::Etrn),
    ("NOOP", Verb::Noop),
    ("HELO", Verb::Helo),
    ("STARTTLS", Verb::StartTls),
    ("VRFY", Verb::Vrfy),
    ("EXPN", Verb::Expn),
    ("HELP", Verb::Help),
    ("AUTH", Verb::Auth),
    ("ATRN", Verb::Atrn),
    ("TURN", Verb::Turn),
];

/// Splits a line into its verb, in any case ([5321-2.4]), and its arguments without the spaces around them; trailing
/// white space is tolerated (RFC 5321 4.1.1). `None`: the verb is unknown.
pub(crate) fn split(line: &str) -> Option<(Verb, &str)> {
    let (name, arguments) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let verb = of(name.as_bytes())?;
    Some((verb, arguments.trim_matches([' ', '\t'])))
}

/// The verb at the start of what has come of a line.
pub(crate) fn of(start: &[u8]) -> Option<Verb> {
    let end = start.iter().take(9).position(|octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n'));
    let name = &start[..end.unwrap_or(start.len())];
    NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(_, verb)| *verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_found_in_any_case() {
        // [5321-2.4]
        assert_eq!(split("mAiL FROM:<> "), Some((Verb::Mail, "FROM:<>")));
        assert_eq!(split("QUIT"), Some((Verb::Quit, "")));
        assert_eq!(split("starttls  "), Some((Verb::StartTls, "")));
        for line in ["", " QUIT", "QUITS", "MAILFROM:<>", "Mаil"] {
            assert_eq!(split(line), None, "{line:?}");
        }
    }
}
