//! Log events, one function for each that an operator greps for.

use std::time::Duration;

/// There is nobody to ask.
pub(crate) fn no_resolver(error: &str) {
    tracing::warn!(event = "no_resolver", for_ = "senders", %error, "senders cannot be checked");
}

/// Nobody answered several times in a row; senders are not checked for a while.
pub(crate) fn dns_away(rest: Duration) {
    tracing::warn!(event = "dns_away", rest_s = rest.as_secs(), "senders are not checked meanwhile");
}

/// It answers again.
pub(crate) fn dns_back() {
    tracing::info!(event = "dns_back");
}
