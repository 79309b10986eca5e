//! The server's configuration and the agent's, as TOML.
//!
//! - What is wrong is said, in text that can be shown; nothing panics.
//! - A configuration that is good is rendered as one that is good, and renders the same.

use restante::fuzzing::{agent, configuration};

use crate::cut::Input;
use crate::files::{is_daring, put, put_once};

/// What a configuration may name that lies beside it.
const BESIDE: [(&str, &str); 5] = [
    (
        "accounts.toml",
        "[[account]]\nname = \"a\"\ndomains = [\"example.org\"]\nclient-name = \"c.example.org\"\n",
    ),
    ("token", "0123456789abcdef0123\n"),
    ("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"),
    ("notice.txt", "{recipients}\n{reason}\n{{}}\n"),
    ("anchor", ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n"),
];

/// See the module.
pub fn run(data: &[u8]) {
    let Some(input) = Input::read(data) else { return };
    if is_daring(input.octets) {
        return;
    }
    for (name, text) in BESIDE {
        put_once(name, text);
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
