//! Bad configurations, from outside: file, line, what is wrong, what was meant, exit code 78.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

fn restante() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_restante"));
    command.env_remove("RESTANTE_CONFIG").env_remove("RESTANTE_SOCKET").env_remove("RESTANTE_LOG");
    command
}

fn file(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("restante.toml");
    fs::write(&path, format!("hostname = \"mx2.example.net\"\n{text}")).unwrap();
    (directory, path)
}

fn said(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let both = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), both)
}

/// `config check` and `serve` say the same and end with 78.
fn refused(text: &str, line: usize, words: &[&str]) {
    let (_directory, path) = file(text);
    let check = said(restante().args(["config", "check"]).arg(&path));
    let serve = said(restante().args(["serve", "--config"]).arg(&path));
    for (code, text) in [check, serve] {
        assert_eq!(code, Some(78), "{text}");
        let place = format!("{}:{line}:", path.display());
        assert!(text.contains(&place), "{place} is not in {text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
    }
}

#[test]
fn an_unknown_key() {
    refused(
        "[limits]\nmesage-size = \"50 MB\"\n",
        3,
        &["unknown key \"mesage-size\"", "did you mean \"message-size\"?"],
    );
}

#[test]
fn a_bad_value() {
    refused("[domain-defaults]\nretention = \"two weeks\"\n", 3, &["\"two weeks\" is no span", "\"14d\""]);
}

#[test]
fn a_missing_certificate() {
    refused(
        "[tls]\ncertificate = \"/nowhere/a\"\nkey = \"/nowhere/b\"\n",
        2,
        &["/nowhere/a cannot be read", "PEM"],
    );
}

#[test]
fn two_listeners_on_one_address() {
    let listener = "[[listen]]\naddress = \"127.0.0.1:2525\"\n";
    refused(
        &format!("{listener}{listener}"),
        5,
        &["127.0.0.1:2525 is taken by the listener in line 3", "another"],
    );
}

#[test]
fn what_is_no_toml() {
    refused("[limits\n", 2, &["TOML"]);
}

#[test]
fn a_policy_that_cannot_be_kept() {
    refused(
        "[[domain]]\nname = \"example.org\"\ntls-policy = \"dane\"\nprimary = \"[192.0.2.1]\"\n",
        4,
        &["TLSA records hang on a name", "\"verify\""],
    );
}

#[test]
fn a_missing_file() {
    for command in
        [["config", "check", "/nowhere/restante.toml"], ["serve", "--config", "/nowhere/restante.toml"]]
    {
        let (code, text) = said(restante().args(command));
        assert_eq!(code, Some(78));
        assert!(text.contains("/nowhere/restante.toml: error: cannot be read"), "{text}");
    }
}

#[test]
fn findings_as_json() {
    let (_directory, path) = file("colour = 1\n");
    let (code, text) = said(restante().args(["config", "check", "--json"]).arg(&path));
    assert_eq!(code, Some(78));
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&first["grade"], &first["line"], &first["column"]), (&"error".into(), &2.into(), &1.into()));
    assert_eq!(first["file"], path.to_str().unwrap());
    assert!(first["what"].as_str().unwrap().contains("colour") && first["meant"].is_string());
}

#[test]
fn a_good_file_is_said_to_be_good_and_shown() {
    let (_directory, path) = file("[[domain]]\nname = \"example.org\"\nprimary = \"[192.0.2.1]\"\n");
    let (code, text) = said(restante().args(["config", "check"]).arg(&path));
    assert_eq!(code, Some(0));
    assert!(text.contains("ok, 1 domain, 1 listener, 1 warning"), "{text}");
    assert!(text.contains("there is no [tls]"), "{text}");
    let (code, shown) = said(restante().args(["config", "show"]).arg(&path));
    assert_eq!(code, Some(0));
    assert!(
        shown.contains("\nretention = \"14d\"\n") && shown.contains("primary = \"[192.0.2.1]:25\""),
        "{shown}"
    );
    // What is shown is a configuration.
    fs::write(&path, &shown).unwrap();
    assert_eq!(said(restante().env("RESTANTE_CONFIG", &path).args(["config", "show"])), (Some(0), shown));
    let (_, json) = said(restante().args(["config", "show", "--json"]).arg(&path));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["domain"][0]["name"], "example.org");
}

#[test]
fn the_command_line_is_checked() {
    assert_eq!(said(restante().arg("serv")).0, Some(64));
    assert_eq!(said(restante().args(["config", "check", "--no-such"])).0, Some(64));
    assert_eq!(said(&mut restante()).0, Some(64));
    assert_eq!(said(restante().arg("--version")).0, Some(0));
    assert_eq!(said(restante().args(["spool", "probe"]).arg(Path::new("/dev/null/x"))).0, Some(65));
}

#[test]
fn a_filter_that_is_none_is_said_to_be_none() {
    let (directory, path) = file("data-dir = \"/nowhere\"\n");
    let (code, text) =
        said(restante().env("RESTANTE_LOG", "restante=loud").args(["serve", "--config"]).arg(&path));
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("RESTANTE_LOG"), "{text}");
    drop(directory);
}

#[test]
fn a_snippet_without_a_configuration_says_where_it_looked_once() {
    let (code, text) = said(restante().args([
        "trust-snippet",
        "example.org",
        "--for",
        "postfix",
        "--config",
        "/nonexistent/restante.toml",
    ]));
    assert_eq!(code, Some(78), "{text}");
    assert_eq!(text.matches("/nonexistent/restante.toml").count(), 1, "{text}");
    assert!(text.contains("cannot be read"), "{text}");
}
