//! The grammar of commands, one concern per file. What comes in is one line without its end, already free of NUL and
//! bare CR and known to be UTF-8; what comes out are the nouns of `restante-types`.

pub(crate) mod atrn;
pub(crate) mod chunk;
pub(crate) mod etrn;
pub(crate) mod hello;
pub(crate) mod mail;
pub(crate) mod parameters;
pub(crate) mod path;
pub(crate) mod rcpt;
pub(crate) mod verb;

/// What is wrong with a command's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is no argument where one is needed, one where none is allowed, or it is malformed.
    Argument,
    /// `FROM:` or `TO:` is missing.
    Keyword,
    /// MAIL's path is malformed.
    Sender,
    /// RCPT's path is malformed.
    Recipient,
    /// A parameter's value is missing, malformed or out of bounds, or the parameter stands twice.
    Parameter,
    /// A parameter of no extension that is offered.
    UnknownParameter,
    /// `SIZE=` is over the limit.
    TooLarge,
    /// A non-ASCII address without `SMTPUTF8`.
    NotAscii,
}
