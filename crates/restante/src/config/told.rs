//! Who is told what happens, and who may ask: what does not fit together there.

use std::path::Path;

use super::fields::Fields;
use super::report::Grade;
use super::sections::{Admin, Events};
use crate::alarms;
use crate::serve;

/// Reports what cannot be told to anybody.
pub(super) fn events(fields: &Fields<'_>, events: &Events) {
    let secret = events.secret_file.as_deref();
    usable(fields, "secret-file", secret, |file| {
        alarms::check_secret(file).map_err(|error| error.to_string())
    });
    match (&events.webhook, &events.secret_file) {
        (Some(_), None) => {
            let what = "a webhook without secret-file: whoever gets the posts cannot tell ours from others";
            let meant = "write secret-file = \"/etc/restante/webhook.secret\"";
            fields.find(Grade::Warning, "webhook", what, meant);
        }
        (None, Some(_)) if fields.place_if_written("webhook").is_none() => {
            let what = "a secret without a webhook";
            fields.find(Grade::Warning, "secret-file", what, "write webhook, or leave it out");
        }
        _ => {}
    }
    if events.mail_to.is_some() && !events.mail {
        let what = "with mail = false nobody is told by mail";
        fields.find(Grade::Warning, "mail-to", what, "write mail = true, or leave it out");
    }
}

/// Reports a door for monitors that cannot be opened, or that is open to many.
pub(super) fn monitors(fields: &Fields<'_>, admin: &Admin) {
    let Some(http) = admin.http else {
        if admin.token_file.is_some() {
            let what = "a token, and nothing to let in with it";
            fields.find(
                Grade::Warning,
                "token-file",
                what,
                "write http = \"127.0.0.1:8025\", or leave it out",
            );
        }
        return;
    };
    if admin.token_file.is_none() {
        let meant =
            "write token-file = \"/etc/restante/monitor.token\", with 16 or more letters and digits in it";
        fields.find(
            Grade::Error,
            "http",
            "http without token-file: everybody on this machine could ask",
            meant,
        );
    }
    let token = admin.token_file.as_deref();
    usable(fields, "token-file", token, |file| serve::check_token(file).map_err(|error| error.to_string()));
    if !http.ip().is_loopback() {
        let what = format!("http on {http}: the token and what it opens cross the net readable");
        let meant = "write an address of loopback, and let a proxy with TLS or a tunnel lead there";
        fields.find(Grade::Warning, "http", what, meant);
    }
}

fn usable(fields: &Fields<'_>, key: &str, file: Option<&Path>, check: impl Fn(&Path) -> Result<(), String>) {
    let Some(file) = file else { return };
    if let Err(error) = check(file) {
        let what = format!("{key}: {} cannot be used: {error}", file.display());
        let meant = "write the path of a file that this user may read, and no other";
        fields.find(Grade::Error, key, what, meant);
    }
}
