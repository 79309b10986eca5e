//! A segment of the log.
//!
//! - Whatever stands in it, the log opens, or says that a newer program wrote it; nothing panics.
//! - A record that is whole before is found afterwards, with its message.
//! - The next start finds the same, and nothing torn any more.

use restante_queue::fuzzing::{open, seal};

use crate::cut::Input;

/// See the module. Where the setting's last bits say so, records are made of the octets first, and some of them are a
/// file of marks.
pub fn run(data: &[u8]) {
    let Some(input) = Input::read(data) else { return };
    let mut octets = input.octets.to_vec();
    let marks = if input.has(1) { octets.split_off(octets.len() - octets.len() / 8) } else { Vec::new() };
    if !input.has(0) {
        seal(&mut octets);
    }
    match open(&octets, &marks) {
        Ok((first, second)) => {
            assert_eq!(first.messages, second.messages);
            assert_eq!(second.torn, 0, "torn again");
        }
        Err(what) => assert!(what.contains("version"), "{what}"),
    }
}
