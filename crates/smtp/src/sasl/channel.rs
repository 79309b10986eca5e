//! What a connection lends to authentication.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::encode;

/// What lies below SMTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// TCP.
    Clear,
    /// TLS.
    Tls {
        /// [9266-2] The channel binding `tls-exporter`: 32 octets by the label `EXPORTER-Channel-Binding` and an empty
        /// context. Only TLS 1.3 has it here (RFC 9266 3 and 4.2 want the extended master secret before that).
        binding: Option<[u8; 32]>,
    },
}

impl Layer {
    pub(crate) const fn binding(self) -> Option<[u8; 32]> {
        match self {
            Self::Clear => None,
            Self::Tls { binding } => binding,
        }
    }
}

/// A connection, as far as authentication needs it. The machines have no source of randomness, so it is handed in.
pub struct Channel {
    layer: Layer,
    seed: Zeroizing<[u8; 32]>,
    used: u32,
}

impl Channel {
    /// `seed` is fresh from the system's random source, used for this connection and for nothing else.
    #[must_use]
    pub fn new(layer: Layer, seed: [u8; 32]) -> Self {
        Self { layer, seed: Zeroizing::new(seed), used: 0 }
    }

    /// What lies below SMTP.
    #[must_use]
    pub const fn layer(&self) -> Layer {
        self.layer
    }

    /// A nonce that was never used: 24 characters of base64, 144 bits.
    pub(crate) fn nonce(&mut self) -> String {
        self.used = self.used.wrapping_add(1);
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.seed.as_slice())
            .expect("HMAC takes a key of any length");
        mac.update(&self.used.to_be_bytes());
        encode(&mac.finalize().into_bytes()[..18])
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("layer", &self.layer).finish_non_exhaustive()
    }
}
