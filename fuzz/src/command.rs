//! Command lines.
//!
//! What is understood of a line, our own client says in one line that is no longer than it may be, and that is
//! understood in just the same way.

use restante_smtp::fuzzing::understand;

/// See the module.
pub fn run(data: &[u8]) {
    let Ok(line) = std::str::from_utf8(data) else { return };
    // As the line reader hands it on.
    if line.len() > 2046 || line.contains(['\r', '\n', '\0']) {
        return;
    }
    let Some((understood, said)) = understand(line) else { return };
    assert!(!said.contains(|c: char| c.is_control()), "{said:?}");
    let Some((again, said_again)) = understand(&said) else { panic!("{line:?} is said as {said:?}") };
    assert_eq!((understood, &said), (again, &said_again), "{line:?}");
}
