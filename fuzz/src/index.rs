//! A value of the index: what is read is written and read back as the same, and bears everything that happens to entries.

use restante_queue::fuzzing::value;

/// See the module: an id, how many octets of states follow, and the value.
pub fn run(data: &[u8]) {
    let Some((id, [states, rest @ ..])) = data.split_first_chunk::<16>() else { return };
    let (states, octets) = rest.split_at(usize::from(*states % 16).min(rest.len()));
    let Some(written) = value(*id, octets, states) else { return };
    assert!(written.len() <= octets.len() + 8, "{} octets became {}", octets.len(), written.len());
    assert_eq!(value(*id, &written, states).as_ref(), Some(&written));
}
