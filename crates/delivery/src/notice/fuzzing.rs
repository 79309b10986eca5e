//! Templates, filled in.

use super::template::Template;

/// A template's text with a value for each place; `None` where it is no template.
pub fn fill(text: &str, value: &str) -> Option<String> {
    let template: Template = text.parse().ok()?;
    Some(template.fill(|_| value.to_owned()))
}
