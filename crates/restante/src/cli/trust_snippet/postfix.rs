//! For Postfix.

use std::net::IpAddr;

use restante_delivery::ForwardClient;

use super::{Facts, alone};

pub(super) fn snippet(facts: &Facts) -> String {
    let Facts { domain, hostname, .. } = facts;
    let table = facts.joined(", ", |address| format!("{{{} permit}}", alone(address)));
    let exceptions = facts.joined(", ", bracketed);
    let mut text = format!(
        "\
# /etc/postfix/main.cf of the primary of {domain}: {hostname} hands over mail that it held.
# Then: postfix check && postfix reload. Inline tables need Postfix 3.7; before it, put the lines of the table into a file.
#
# Not into mynetworks: that would let {hostname} relay through you.

# Past postscreen, which knows {hostname} and not the sender.
postscreen_access_list = permit_mynetworks, cidr:{{{table}}}

# Behind the check of your own domains, before greylisting, SPF and block lists. Keep what else stands in your list; what
# refuses unknown recipients belongs in front of our line.
smtpd_recipient_restrictions = reject_unauth_destination, reject_unlisted_recipient,
    check_client_access cidr:{{{table}}}

# A queue that was held comes fast.
smtpd_client_event_limit_exceptions = $mynetworks, {exceptions}
"
    );
    match facts.forward_client {
        ForwardClient::Off => {}
        ForwardClient::Xclient => text.push_str(&format!(
            "
# forward-client = \"xclient\": the session counts as that of the client that handed the mail in. What it is refused for is
# refused for good, so keep your own checks gentle.
smtpd_authorized_xclient_hosts = {exceptions}
"
        )),
        ForwardClient::Xforward => text.push_str(&format!(
            "
# forward-client = \"xforward\": the log names the client that handed the mail in.
smtpd_authorized_xforward_hosts = {exceptions}
"
        )),
    }
    if facts.authentication_results {
        text.push_str(&format!(
            "
# authentication-results = true: {hostname} tells what SPF and DKIM said. OpenDMARC believes it with, in opendmarc.conf:
#     TrustedAuthservIDs {hostname}
# Only where nobody but {hostname} reaches this server from outside: anybody else could write the same field.
"
        ));
    }
    text
}

/// Postfix's lists want IPv6 in brackets.
fn bracketed(address: &IpAddr) -> String {
    if address.is_ipv4() { address.to_string() } else { format!("[{address}]") }
}
