//! What notices say to people: one text per kind, with a few places to fill in.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Octets of a template at most: a notice is a short text, not a manual.
pub const MAX_TEMPLATE: usize = 16 * 1024;

/// Which notice a template is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TemplateKind {
    /// Mail could not be delivered.
    Failed,
    /// Mail still waits.
    Delayed,
    /// Mail went to a server that sends no notices of success.
    Relayed,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// More than [`MAX_TEMPLATE`].
    #[error("a template has at most {MAX_TEMPLATE} octets")]
    TooLong,
    /// Nothing in it.
    #[error("a template must say something")]
    Empty,
    /// `{` and `}` around something that is no placeholder.
    #[error("line {line}: no such placeholder; one of {}", Place::names())]
    UnknownPlace {
        /// Counted from 1.
        line: usize,
    },
    /// A `{` without its `}` in the same line.
    #[error("line {line}: a {{ without its }}; a brace of the text is written twice")]
    OpenBrace {
        /// Counted from 1.
        line: usize,
    },
    /// Something that is no text.
    #[error("line {line}: a control character")]
    Control {
        /// Counted from 1.
        line: usize,
    },
}

/// A place to fill in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Recipients,
    Reason,
    Hostname,
    Domain,
    Sender,
    Arrived,
    Expires,
    Subject,
}

impl Place {
    const ALL: [Self; 8] = [
        Self::Recipients,
        Self::Reason,
        Self::Hostname,
        Self::Domain,
        Self::Sender,
        Self::Arrived,
        Self::Expires,
        Self::Subject,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Recipients => "recipients",
            Self::Reason => "reason",
            Self::Hostname => "hostname",
            Self::Domain => "domain",
            Self::Sender => "sender",
            Self::Arrived => "arrived",
            Self::Expires => "expires",
            Self::Subject => "subject",
        }
    }

    fn names() -> String {
        Self::ALL.map(|place| format!("{{{}}}", place.name())).join(" ")
    }
}

/// A text with places to fill in: `{recipients} {reason} {hostname} {domain} {sender} {arrived} {expires} {subject}`.
/// `{{` and `}}` are braces.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Arc<[Part]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

impl Template {
    /// Fills it in. What is filled in is not looked at again: braces in it are just braces.
    pub(super) fn fill(&self, value: impl Fn(Place) -> String) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Place(place) => value(*place),
        };
        self.0.iter().map(text).collect()
    }

    /// What is written where nothing is configured.
    #[must_use]
    pub fn built_in(kind: TemplateKind) -> Self {
        let text = match kind {
            TemplateKind::Failed => include_str!("failed.txt"),
            TemplateKind::Delayed => include_str!("delayed.txt"),
            TemplateKind::Relayed => include_str!("relayed.txt"),
        };
        text.parse().expect("the built-in templates are templates, and a test reads each")
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({} parts)", self.0.len())
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(TemplateError::TooLong);
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(TemplateError::Empty);
        }
        let (mut parts, mut plain) = (Vec::new(), String::new());
        for (index, line) in text.lines().enumerate() {
            parse_line(line, index + 1, &mut parts, &mut plain)?;
            plain.push('\n');
        }
        parts.push(Part::Text(plain));
        Ok(Self(parts.into()))
    }
}

fn parse_line(
    line: &str,
    number: usize,
    parts: &mut Vec<Part>,
    plain: &mut String,
) -> Result<(), TemplateError> {
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err(TemplateError::Control { line: number });
    }
    let mut rest = line;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        plain.push_str(before);
        if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
            plain.push_str(&brace[..1]);
            rest = after;
            continue;
        }
        let inside = brace.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let (name, after) = inside.ok_or(TemplateError::OpenBrace { line: number })?;
        let place = Place::ALL.into_iter().find(|place| place.name() == name);
        let place = place.ok_or(TemplateError::UnknownPlace { line: number })?;
        parts.push(Part::Text(std::mem::take(plain)));
        parts.push(Part::Place(place));
        rest = after;
    }
    plain.push_str(rest);
    Ok(())
}

/// One template per kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates {
    /// See [`TemplateKind::Failed`].
    pub failed: Template,
    /// See [`TemplateKind::Delayed`].
    pub delayed: Template,
    /// See [`TemplateKind::Relayed`].
    pub relayed: Template,
}

impl Default for Templates {
    fn default() -> Self {
        Self {
            failed: Template::built_in(TemplateKind::Failed),
            delayed: Template::built_in(TemplateKind::Delayed),
            relayed: Template::built_in(TemplateKind::Relayed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        text.parse::<Template>().unwrap().fill(|place| format!("<{}>", place.name()))
    }

    #[test]
    fn places_are_filled_in_and_braces_stay() {
        assert_eq!(filled("To {recipients}: {reason}"), "To <recipients>: <reason>\n");
        assert_eq!(filled("a {{b}} {domain}{sender}\r\nc"), "a {b} <domain><sender>\nc\n");
        assert_eq!(
            filled("\u{feff}ü\t{hostname} {arrived} {expires} {subject}"),
            "ü\t<hostname> <arrived> <expires> <subject>\n"
        );
    }

    #[test]
    fn what_is_filled_in_is_not_looked_at_again() {
        let template: Template = "{subject}".parse().unwrap();
        assert_eq!(template.fill(|_| "{reason}".to_owned()), "{reason}\n");
    }

    #[test]
    fn slips_are_told_with_their_line() {
        let error = |text: &str| text.parse::<Template>().unwrap_err();
        assert_eq!(error("a\n{nobody}"), TemplateError::UnknownPlace { line: 2 });
        assert_eq!(error("{Domain}"), TemplateError::UnknownPlace { line: 1 });
        for open in ["{domain", "a }", "{\n}"] {
            assert_eq!(error(open), TemplateError::OpenBrace { line: 1 }, "{open:?}");
        }
        assert_eq!(error("a\x1b"), TemplateError::Control { line: 1 });
        assert_eq!(error(" \n"), TemplateError::Empty);
        assert_eq!(error(&"x".repeat(MAX_TEMPLATE + 1)), TemplateError::TooLong);
        assert!(error("{x}").to_string().contains("{recipients} {reason}"));
    }

    #[test]
    fn there_is_one_of_each_kind() {
        let Templates { failed, delayed, relayed } = Templates::default();
        for template in [failed, delayed, relayed] {
            assert!(template.fill(|place| place.name().to_owned()).contains("recipients"));
        }
    }
}
