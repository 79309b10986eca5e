//! Work on the log of a server that is stopped. These use what `serving.rs` leaves to the library's own tests: the
//! command line, its output and its exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::Command;

fn spool(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_restante"));
    let output = command.arg("spool").args(args).env_remove("RESTANTE_CONFIG").output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_is_no_data_directory_is_said_to_be_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    for args in [&["verify", "--data-dir", path][..], &["export", path, "--data-dir", path]] {
        let (code, _, error) = spool(args);
        assert_eq!(code, Some(65), "{error}");
        assert!(error.contains("is no data directory"), "{error}");
    }
}

#[test]
fn an_empty_log_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("log")).unwrap();
    let path = directory.path().to_str().unwrap();
    let (code, text, error) = spool(&["verify", "--data-dir", path]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(text.starts_with("0 messages in 0 segments"), "{text}");
    let (code, json, _) = spool(&["verify", "--json", "--data-dir", path]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["messages"], &json["damage"]), (Some(0), &0.into(), &0.into()));
}

#[test]
fn the_data_directory_is_the_configurations() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("restante.toml");
    let data = directory.path().join("data");
    fs::create_dir_all(data.join("log")).unwrap();
    fs::write(&config, format!("hostname = \"a.example\"\ndata-dir = \"{}\"\n", data.display())).unwrap();
    let (code, text, error) = spool(&["verify", "--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("0 damaged"), "{text}");
    fs::write(&config, "colour = 1\n").unwrap();
    let (code, _, error) = spool(&["verify", "--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(78));
    assert!(error.contains("--data-dir") && error.contains("colour"), "{error}");
    assert!(!Path::new("log").exists());
}
