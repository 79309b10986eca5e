//! For Exchange.

use std::net::IpAddr;

use restante_delivery::ForwardClient;

use super::Facts;

pub(super) fn snippet(facts: &Facts) -> String {
    let Facts { domain, hostname, .. } = facts;
    let list = facts.joined(",", IpAddr::to_string);
    let add = facts.joined(",", |address| format!("\"{address}\""));
    let mut text = format!(
        "\
# Exchange at the primary of {domain}: {hostname} hands over mail that it held.

# --- Exchange Server, in the Management Shell
# Its address counts as one of yours: sender filters look at the client that it names in its Received line.
Set-TransportConfig -InternalSMTPServers @{{Add={add}}}
# A connector of its own, so that limits for strangers do not slow a queue that was held.
New-ReceiveConnector -Name \"restante {hostname}\" -TransportRole FrontendTransport -Usage Custom `
    -Bindings 0.0.0.0:25,[::]:25 -RemoteIPRanges {list} -PermissionGroups AnonymousUsers -AuthMechanism Tls `
    -MaxInboundConnectionPerSource 20 -MessageRateLimit Unlimited -TarpitInterval 00:00:00

# --- Exchange Online, in PowerShell
# Partner, not OnPremises: that could let it relay through you.
New-InboundConnector -Name \"restante {hostname}\" -ConnectorType Partner -SenderDomains * `
    -SenderIPAddresses {list}
# Enhanced filtering: SPF and the like look behind it.
Set-InboundConnector -Identity \"restante {hostname}\" -EFSkipIPs {list}
"
    );
    if facts.forward_client != ForwardClient::Off {
        text.push_str(
            "\n# forward-client: Exchange knows neither XCLIENT nor XFORWARD; say \"off\" to us.\n",
        );
    }
    if facts.authentication_results {
        text.push_str(&format!(
            "
# authentication-results = true: Exchange finds out SPF and DKIM for itself, and takes away what others wrote; what {hostname}
# tells is only for people who read the headers.
"
        ));
    }
    text
}
