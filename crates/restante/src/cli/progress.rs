//! Progress, on standard error and only for people.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// Something is under way, and nobody knows how long it takes.
pub(crate) fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(TURN);
    spinner
}

/// So many of so many.
pub(crate) fn bar(length: u64, title: String) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix}  [{bar:30}] {pos}/{len}  {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_prefix(title)
}
