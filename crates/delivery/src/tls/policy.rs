//! The texts of MTA-STS: the TXT record and the policy (RFC 8461 3).

use std::fmt;
use std::time::Duration;

use restante_types::Domain;
use serde::{Deserialize, Serialize};

use crate::limits::STS_MAX_AGE;

/// What a domain wants done where its policy is not met (RFC 8461 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StsMode {
    /// Nothing may go there.
    Enforce,
    /// Mail goes all the same.
    Testing,
    /// It has no policy any more.
    None,
}

impl fmt::Display for StsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        })
    }
}

/// A host, or every host right below a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Pattern {
    below: bool,
    domain: Domain,
}

impl TryFrom<String> for Pattern {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Self, PolicyError> {
        let (below, name) = text.strip_prefix("*.").map_or((false, text.as_str()), |name| (true, name));
        let domain = Domain::parse(name).map_err(|_| PolicyError("an mx that is no host name"))?;
        Ok(Self { below, domain })
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        let wildcard = if pattern.below { "*." } else { "" };
        format!("{wildcard}{}", pattern.domain)
    }
}

/// An MTA-STS policy (RFC 8461 3.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StsPolicy {
    /// What is wanted where it is not met.
    pub mode: StsMode,
    /// How long it may be kept from when it was fetched.
    pub max_age: Duration,
    mx: Vec<Pattern>,
}

/// A text that is no policy, or no record that announces one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(&'static str);

impl StsPolicy {
    /// [8461-3.2] Reads a policy. Lines end with CRLF or LF; keys that nobody knows are left out, and of one that is
    /// there twice (but for mx) the first counts.
    ///
    /// # Errors
    /// [`PolicyError`] says what is missing or wrong.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let (mut version, mut mode, mut max_age, mut mx) = (None, None, None, Vec::new());
        for line in text.split('\n').map(|line| line.trim_end_matches([' ', '\t', '\r'])) {
            if line.is_empty() {
                continue;
            }
            let (key, value) = line.split_once(':').ok_or(PolicyError("a line that is no key and value"))?;
            let value = value.trim_start_matches([' ', '\t']);
            match key {
                "version" => version = version.or(Some(value)),
                "mode" => mode = mode.or(Some(value)),
                "max_age" => max_age = max_age.or(Some(value)),
                "mx" => mx.push(Pattern::try_from(value.to_owned())?),
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err(PolicyError("it is not of version STSv1"));
        }
        let mode = match mode {
            Some("enforce") => StsMode::Enforce,
            Some("testing") => StsMode::Testing,
            Some("none") => StsMode::None,
            _ => return Err(PolicyError("it has no mode that is known")),
        };
        let max_age = max_age.and_then(seconds).ok_or(PolicyError("it has no max_age"))?;
        if mx.is_empty() && mode != StsMode::None {
            return Err(PolicyError("it lists no mx"));
        }
        Ok(Self { mode, max_age: max_age.min(STS_MAX_AGE), mx })
    }

    /// [8461-4.1] Whether a host is listed: by its name, or by a wildcard that stands for exactly its first label.
    #[must_use]
    pub fn allows(&self, host: &Domain) -> bool {
        let parent = host.parent();
        self.mx.iter().any(|pattern| {
            if pattern.below { parent.as_ref() == Some(&pattern.domain) } else { pattern.domain == *host }
        })
    }
}

/// `1*10(DIGIT)`
fn seconds(text: &str) -> Option<Duration> {
    let digits = (1..=10).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().map(Duration::from_secs)
}

/// [8461-3.1] The id in the TXT records at `_mta-sts`: there must be exactly one of the version we know, and it must be
/// well-formed.
///
/// # Errors
/// [`PolicyError`]: these announce no policy.
pub(crate) fn record_id(records: &[String]) -> Result<String, PolicyError> {
    let mut of_version = records.iter().filter_map(|record| record.strip_prefix("v=STSv1;"));
    let fields = match (of_version.next(), of_version.next()) {
        (Some(fields), None) => fields,
        (None, _) => return Err(PolicyError("no TXT record there begins with v=STSv1;")),
        (Some(_), Some(_)) => return Err(PolicyError("several TXT records there begin with v=STSv1;")),
    };
    let mut id = None;
    let mut fields = fields.split(';').map(|field| field.trim_matches([' ', '\t'])).peekable();
    while let Some(field) = fields.next() {
        if field.is_empty() && fields.peek().is_none() {
            break;
        }
        let (name, value) = field.split_once('=').ok_or(PolicyError("its TXT record is malformed"))?;
        if !is_name(name) || !is_value(value) {
            return Err(PolicyError("its TXT record is malformed"));
        }
        if name == "id" && id.is_none() {
            let fits = (1..=32).contains(&value.len()) && value.bytes().all(|c| c.is_ascii_alphanumeric());
            id = Some(fits.then_some(value).ok_or(PolicyError("the id in its TXT record is malformed"))?);
        }
    }
    id.map(str::to_owned).ok_or(PolicyError("its TXT record has no id"))
}

fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.'))
}

fn is_value(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| matches!(c, 0x21..=0x3a | 0x3c | 0x3e..=0x7e))
}
