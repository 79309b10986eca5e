//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS: RFC 5802 with the hash of RFC 7677 ([7677-3]) and the channel binding of RFC 9266.
//!
//! ```text
//! C: n,,n=user,r=C                        C: p=tls-exporter,,n=user,r=C
//! S: r=CS,s=salt,i=4096                   S: the same
//! C: c=biws,r=CS,p=proof                  C: c=base64(p=tls-exporter,, and 32 octets of TLS),r=CS,p=proof
//! S: v=signature                          S: the same
//! ```

pub(super) mod client;
mod message;
pub(super) mod server;

#[cfg(test)]
mod tests;

/// The one channel binding that is spoken, RFC 9266.
const TLS_EXPORTER: &str = "tls-exporter";

/// [5802-6] The first field of a client's first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Binding {
    /// `n`: it does not speak channel binding.
    Unsupported,
    /// `y`: it does, and thinks that we do not.
    NotOffered,
    /// `p=tls-exporter`
    Exporter,
    /// `p=` something else
    Other,
}

/// [5802-3] What both sides sign: client-first without its header, server-first, client-final without its proof.
fn auth_message(client_first_bare: &str, server_first: &str, without_proof: &str) -> String {
    format!("{client_first_bare},{server_first},{without_proof}")
}
