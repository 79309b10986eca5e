//! Who is let in over TCP, to read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use restante_admin::{Http, Token};

use super::error::StartError;
use crate::config::Config;
use crate::limits::MAX_TOKEN;

/// Where monitors are let in, if anywhere.
///
/// # Errors
/// When there is no token that can be used; without one nobody may be let in.
pub(super) fn http(config: &Config) -> Result<Option<Http>, StartError> {
    let Some(address) = config.admin.http else { return Ok(None) };
    let file = config.admin.token_file.clone().unwrap_or_default();
    let token = token(&file).map_err(|error| StartError::Token(file, error))?;
    Ok(Some(Http { address, token, hostname: config.hostname.clone() }))
}

/// The token in the first line of a file that nobody else can read.
///
/// # Errors
/// When it cannot be read, can be read by others, or is too weak.
fn token(file: &Path) -> io::Result<Token> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let open = File::open(file)?;
    if open.metadata()?.mode() & 0o077 != 0 {
        return Err(wrong("other users can read it; chmod 600"));
    }
    let mut text = String::new();
    open.take(MAX_TOKEN).read_to_string(&mut text)?;
    let line = text.lines().next().unwrap_or_default().trim();
    Token::new(line).ok_or_else(|| wrong("a token is 16 or more letters, digits and signs without spaces"))
}

/// Whether the token in a file can be used.
///
/// # Errors
/// Why it cannot.
pub(crate) fn check(file: &Path) -> io::Result<()> {
    token(file).map(drop)
}
