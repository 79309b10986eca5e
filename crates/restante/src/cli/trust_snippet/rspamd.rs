//! For Rspamd.

use super::Facts;

pub(super) fn snippet(facts: &Facts) -> String {
    let Facts { domain, hostname, .. } = facts;
    let list = facts.joined(", ", |address| format!("\"{address}\""));
    let mut text = format!(
        "\
# Rspamd at the primary of {domain}: {hostname} hands over mail that it held. Check with: rspamadm configtest -s
# The primary behind it still has to let {hostname} in: see the text for its mail server.

# --- /etc/rspamd/local.d/external_relay.conf
# SPF, block lists and greylisting look at the client that {hostname} names in its Received line.
enabled = true;
rules {{
  RESTANTE {{
    strategy = \"ip_map\";
    ip_map = [{list}];
    # Rspamd before 3.6 (Debian 12) does not know it (\"config schema error\"): there, these two lines in place of the two
    # above, and the reverse names of the addresses have to be {hostname}.
    #strategy = \"hostname_map\";
    #hostname_map = [\"{hostname}\"];
  }}
}}

# --- /etc/rspamd/local.d/greylist.conf
# It was held for long already, and comes from another address than before.
whitelisted_ip = [{list}];

# --- /etc/rspamd/local.d/ratelimit.conf
# A queue that was held comes fast.
whitelisted_ip = [{list}];
"
    );
    if facts.authentication_results {
        text.push_str(&format!(
            "
# authentication-results = true: {hostname} tells what SPF and DKIM said, and Rspamd finds it out again for itself; nothing
# is to be done for it.
"
        ));
    }
    text
}
