//! fetchmail's ODMR mode, the other client there is, against a real daemon and into a real Postfix.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use restante_integration_tests::{
    DaemonOptions, Peer, Postfix, Provider, command, eventually, have, run_peer, without_received,
};

const LIMIT: Duration = Duration::from_secs(120);

/// A provider that serves CRAM-MD5 in clear, as fetchmail needs it.
fn provider() -> Provider {
    Provider::start(
        DaemonOptions::default(),
        "tls = \"starttls\"",
        &["--allow-cleartext", "--legacy-cram-md5"],
    )
}

/// Runs fetchmail once; its exit code and what it said.
fn fetchmail(port: u16, smtp: u16, password: &str, domains: &str) -> (Option<i32>, String) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let rc = home.path().join("rc");
    let text = format!(
        "poll 127.0.0.1 protocol ODMR service {port} user \"example-org\" password \"{password}\" \
         fetchdomains {domains} sslproto '' smtphost 127.0.0.1/{smtp}\n"
    );
    std::fs::write(&rc, text).expect("the file can be written");
    std::fs::set_permissions(&rc, std::fs::Permissions::from_mode(0o600)).expect("a file of our own");
    let mut fetchmail = command(Peer::Fetchmail);
    fetchmail.arg("-f").arg(&rc).args(["-v", "--nosyslog"]);
    fetchmail.arg("--pidfile").arg(home.path().join("pid"));
    fetchmail.env("HOME", home.path()).env("FETCHMAILHOME", home.path());
    let output = run_peer(&mut fetchmail, LIMIT);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn fetchmail_collects_into_a_real_postfix() {
    if !have("fetchmail_collects_into_a_real_postfix", &[Peer::Fetchmail, Peer::Postfix]) {
        return;
    }
    let provider = provider();
    let mut sent = provider.fill((0..30).map(|seed| 500 + seed * 1301).chain([2_000_000]));
    let postfix = Postfix::start();
    let (code, said) = fetchmail(provider.odmr(), postfix.port(), provider.password(), "example.org");
    assert_eq!(code, Some(0), "{said}");
    assert!(eventually(LIMIT, || postfix.mailbox().len() == 31), "{} came: {said}", postfix.mailbox().len());
    assert!(eventually(LIMIT, || provider.daemon.waiting("example.org") == 0));
    let mut arrived: Vec<_> =
        postfix.mailbox().iter().map(|file| without_received(&Postfix::as_received(file))).collect();
    arrived.sort();
    sent.sort();
    assert!(arrived == sent, "byte for byte, each once");
    // Nothing left: 453, which is success for it.
    let (code, said) = fetchmail(provider.odmr(), postfix.port(), provider.password(), "example.org");
    assert_eq!(code, Some(0), "{said}");
    assert!(provider.daemon.log().contains("CRAM-MD5"));
}

#[test]
fn fetchmail_without_the_right_gets_nothing() {
    if !have("fetchmail_without_the_right_gets_nothing", &[Peer::Fetchmail, Peer::Postfix]) {
        return;
    }
    let provider = provider();
    let _sent = provider.fill([700]);
    let postfix = Postfix::start();
    for (password, domains, refusal) in
        [("wrong", "example.org", "535 "), (provider.password(), "example.org example.com", "450 ")]
    {
        let (code, said) = fetchmail(provider.odmr(), postfix.port(), password, domains);
        assert!(code != Some(0) && said.contains(refusal), "{code:?}: {said}");
    }
    assert_eq!((provider.daemon.waiting("example.org"), postfix.mailbox().len()), (1, 0));
}

#[test]
fn fetchmail_whose_mail_server_is_missing_loses_nothing() {
    if !have("fetchmail_whose_mail_server_is_missing_loses_nothing", &[Peer::Fetchmail]) {
        return;
    }
    let provider = provider();
    let _sent = provider.fill([700, 800]);
    let nobody = restante_integration_tests::free_port();
    let (_, said) = fetchmail(provider.odmr(), nobody, provider.password(), "example.org");
    assert!(said.contains("OK now reversing"), "{said}");
    let waits = eventually(LIMIT, || provider.daemon.waiting("example.org") == 2);
    assert!(waits, "{} wait: {said}", provider.daemon.waiting("example.org"));
}
