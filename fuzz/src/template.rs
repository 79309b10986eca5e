//! Texts of notices: what is filled in stands there as it is, and everything else as it was written.

use restante_delivery::{MAX_TEMPLATE, fuzzing::fill};

/// See the module.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(filled) = fill(text, "{reason} {{") else { return };
    assert!(text.len() <= MAX_TEMPLATE);
    assert!(!filled.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')), "{filled:?}");
    assert!(filled.ends_with('\n') && !filled.trim().is_empty());
    // Without values the text stays: its braces, one for two, and not one more.
    let empty = fill(text, "").expect("it was one");
    let written = text.matches("{{").count() + text.matches("}}").count();
    assert!(empty.matches(['{', '}']).count() <= written, "{empty:?}");
    // Written again with braces doubled it is a text that says just that.
    if !empty.trim().is_empty() && !empty.starts_with('\u{feff}') {
        let again = empty.replace('{', "{{").replace('}', "}}");
        if again.len() <= MAX_TEMPLATE {
            assert_eq!(fill(&again, "x").as_ref(), Some(&empty));
        }
    }
}
