//! The server's configuration and the agent's, as TOML.
//!
//! - What is wrong is said, in text that can be shown; nothing panics.
//! - A configuration that is good is rendered as one that is good, and renders the same.

use restante::fuzzing::{agent, configuration};

use crate::cut::Input;
use crate::files::{is_daring, put};

/// See the module.
pub fn run(data: &[u8]) {
    let Some(input) = Input::read(data) else { return };
    if is_daring(input.octets) {
        return;
    }
    if input.has(0) {
        let _ = agent(&put("agent.toml", input.octets));
        return;
    }
    let Ok(shown) = configuration(&put("restante.toml", input.octets)) else { return };
    if shown.contains("(hidden)") || shown.contains("…") {
        return;
    }
    match configuration(&put("restante.toml", shown.as_bytes())) {
        Ok(again) => assert_eq!(shown, again),
        Err(what) => panic!("{what}\n{shown}"),
    }
}
