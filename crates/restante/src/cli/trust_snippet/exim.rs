//! For Exim.

use restante_delivery::ForwardClient;

use super::Facts;

pub(super) fn snippet(facts: &Facts) -> String {
    let Facts { domain, hostname, .. } = facts;
    let list = facts.joined(" ; ", ToString::to_string);
    let mut text = format!(
        "\
# Exim at the primary of {domain}: {hostname} hands over mail that it held. Check with: exim -bV
#
# Not into relay_from_hosts: that would let {hostname} relay through you.

# --- main section
hostlist restante = <; {list}
# A queue that was held comes fast.
smtp_reserve_hosts = +restante
"
    );
    if facts.forward_client == ForwardClient::Xclient {
        text.push_str(
            "\
# forward-client = \"xclient\": needs Exim 4.97 or later, built with EXPERIMENTAL_XCLIENT. Without it, say \"off\" to us.
#hosts_xclient = +restante
",
        );
    }
    if facts.forward_client == ForwardClient::Xforward {
        text.push_str("# forward-client = \"xforward\": Exim does not know XFORWARD; say \"off\" to us.\n");
    }
    text.push_str(&format!(
        "
# --- first in the ACL of acl_smtp_rcpt: before greylisting, SPF and block lists
accept  hosts   = +restante
        domains = {domain}
        verify  = recipient
"
    ));
    if facts.authentication_results {
        text.push_str(&format!(
            "
# --- in the ACL of acl_smtp_data, before your own checks of SPF and DKIM
# authentication-results = true: {hostname} tells what SPF and DKIM said. Take those fields away that others wrote in its name:
warn   !hosts   = +restante
        condition = ${{if match{{$rh_authentication-results:}}{{\\N(?i){}|[\\\\]\\N}}}}
        remove_header = authentication-results
",
            hostname.as_str().replace('.', "\\.")
        ));
    }
    text
}
