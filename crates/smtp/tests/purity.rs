//! The machines know no network, no file, no clock and no executor. (wasm32-unknown-unknown would prove it too, but
//! the target is not installed everywhere.)

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The crate without its tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

#[test]
fn no_source_names_what_does_io_or_reads_a_clock() {
    let forbidden = [
        "std::net::Tcp",
        "std::net::Udp",
        "TcpStream",
        "UdpSocket",
        "std::fs",
        "std::io::Read",
        "std::io::stdin",
        "std::os",
        "std::env",
        "std::process",
        "std::thread",
        "Instant::now",
        "SystemTime",
        "tokio",
        "mio::",
        "async fn",
        "rand::",
        "unsafe ",
        "println!",
        "static mut",
        "OnceLock",
        "LazyLock",
        "thread_local",
    ];
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 30, "only {} sources found", found.len());
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = without_tests(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
        for (number, line) in code.enumerate() {
            for word in forbidden {
                assert!(!line.contains(word), "{}:{}: {word}", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn no_dependency_does_io() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-p",
            "restante-smtp",
            "-e",
            "normal",
            "--prefix",
            "none",
            "-f",
            "{p}",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"nom") && names.contains(&"restante-types"), "{names:?}");
    for name in names {
        // libc comes with uuid, which has a random source that nothing here calls.
        let does_io =
            ["tokio", "mio", "socket2", "nix", "rustix", "async-std", "rustls", "sled", "hyper", "rand"];
        assert!(!does_io.contains(&name), "restante-smtp depends on {name}");
    }
}
