//! The client's side.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::message::{ServerFirst, write_name};
use super::{TLS_EXPORTER, auth_message};
use crate::client::limits::{MAX_ITERATIONS, MIN_ITERATIONS};
use crate::sasl::client::AuthError;
use crate::sasl::keys;
use crate::sasl::secret::Secret;
use crate::sasl::{decode, encode};

/// What the connection has, and what the server offers, of channel binding.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Terms {
    /// The connection has none.
    Unsupported,
    /// The connection has it, the server does not offer it.
    NotOffered,
    /// `tls-exporter`
    Exporter([u8; 32]),
}

impl Terms {
    /// [5802-6-client] The header says what we would speak and what we were offered, and it is signed: who took the offer
    /// away on the line is found out by the server.
    fn header(self) -> String {
        match self {
            Self::Unsupported => "n,,".to_owned(),
            Self::NotOffered => "y,,".to_owned(),
            Self::Exporter(_) => format!("p={TLS_EXPORTER},,"),
        }
    }
}

/// One exchange.
pub(crate) enum Client {
    /// The challenge is awaited.
    Begun { terms: Terms, nonce: String, bare: String, password: Secret },
    /// The server's proof is awaited.
    Proving([u8; 32]),
    /// The server knows the keys.
    Proven,
    /// Nothing more.
    Over,
}

impl Client {
    /// The first message; name and password are prepared.
    pub(crate) fn begin(terms: Terms, name: &str, password: Secret, nonce: String) -> (Self, Vec<u8>) {
        let bare = format!("n={},r={nonce}", write_name(name));
        let first = format!("{}{bare}", terms.header()).into_bytes();
        (Self::Begun { terms, nonce, bare, password }, first)
    }

    /// The server said something.
    pub(crate) fn challenge(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, AuthError> {
        let text = std::str::from_utf8(challenge).map_err(|_| AuthError::Challenge)?;
        match std::mem::replace(self, Self::Over) {
            Self::Begun { terms, nonce, bare, password } => self.prove(terms, &nonce, &bare, &password, text),
            Self::Proving(signature) => self.check(&signature, text),
            Self::Proven | Self::Over => Err(AuthError::Challenge),
        }
    }

    fn prove(
        &mut self,
        terms: Terms,
        nonce: &str,
        bare: &str,
        password: &Secret,
        said: &str,
    ) -> Result<Zeroizing<Vec<u8>>, AuthError> {
        let first = ServerFirst::read(said).ok_or(AuthError::Challenge)?;
        let salt =
            decode(first.salt.as_bytes()).filter(|salt| !salt.is_empty()).ok_or(AuthError::Challenge)?;
        // [5802-5.1-r] The nonce goes on where ours ends, and does go on.
        if !first.nonce.starts_with(nonce) || first.nonce.len() == nonce.len() {
            return Err(AuthError::Nonce);
        }
        // [7677-4-client] Fewer make the password cheap to guess for who stands in between; more make us work for ever.
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&first.iterations) {
            return Err(AuthError::Iterations(first.iterations));
        }
        let mut bound = terms.header().into_bytes();
        if let Terms::Exporter(binding) = terms {
            bound.extend(binding);
        }
        let without_proof = format!("c={},r={}", encode(&bound), first.nonce);
        let message = auth_message(bare, said, &without_proof);
        let salted = keys::hi(password.expose().as_bytes(), &salt, first.iterations);
        let client_key = Zeroizing::new(keys::hmac(salted.as_slice(), &[b"Client Key"]));
        let stored_key = keys::sha256(client_key.as_slice());
        let proof = keys::xor(&client_key, &keys::hmac(&stored_key, &[message.as_bytes()]));
        let server_key = Zeroizing::new(keys::hmac(salted.as_slice(), &[b"Server Key"]));
        *self = Self::Proving(keys::hmac(server_key.as_slice(), &[message.as_bytes()]));
        Ok(Zeroizing::new(format!("{without_proof},p={}", encode(&proof)).into_bytes()))
    }

    /// [5802-3-client] Only who knows the keys can sign this.
    fn check(&mut self, signature: &[u8; 32], said: &str) -> Result<Zeroizing<Vec<u8>>, AuthError> {
        let fields = said.strip_prefix("v=").ok_or(AuthError::Server)?;
        let shown =
            decode(fields.split(',').next().unwrap_or_default().as_bytes()).ok_or(AuthError::Server)?;
        if !bool::from(shown.ct_eq(signature.as_slice())) {
            return Err(AuthError::Server);
        }
        *self = Self::Proven;
        Ok(Zeroizing::default())
    }

    /// Whether the server has proved that it knows the keys.
    pub(crate) const fn is_proven(&self) -> bool {
        matches!(self, Self::Proven)
    }
}
