//! The server's side.

use subtle::ConstantTimeEq;

use super::message::{ClientFinal, ClientFirst};
use super::{Binding, auth_message};
use crate::sasl::evidence::Evidence;
use crate::sasl::keys::{self, ScramKeys};
use crate::sasl::mechanism::Mechanism;
use crate::sasl::server::{Bad, Step};
use crate::sasl::{decode, encode};

/// What the connection offers.
#[derive(Debug)]
pub(crate) struct Terms {
    /// Which of the two mechanisms was named.
    pub(crate) mechanism: Mechanism,
    /// SCRAM-SHA-256-PLUS is offered.
    pub(crate) plus_offered: bool,
    /// `tls-exporter` of the connection.
    pub(crate) binding: Option<[u8; 32]>,
    /// Ours, fresh.
    pub(crate) nonce: String,
}

/// One exchange.
#[derive(Debug)]
pub(crate) enum Server {
    /// The client's first message is awaited.
    Begun(Terms),
    /// The keys are awaited.
    Named(Terms, ClientFirst),
    /// The proof is awaited.
    Challenged(Terms, ClientFirst, ScramKeys, String),
    /// The caller's word is awaited; then this proves that we know the keys.
    Proven([u8; 32]),
    /// Nothing more.
    Over,
}

impl Server {
    /// The client said something.
    pub(crate) fn respond(&mut self, response: &[u8]) -> Step {
        match std::mem::replace(self, Self::Over) {
            Self::Begun(terms) => self.first(terms, response),
            Self::Challenged(terms, first, keys, said) => self.last(&terms, first, &keys, &said, response),
            state => {
                *self = state;
                Step::Bad(Bad::Malformed)
            }
        }
    }

    fn first(&mut self, terms: Terms, response: &[u8]) -> Step {
        let first = match ClientFirst::read(response) {
            Ok(first) => first,
            Err(bad) => return Step::Bad(bad),
        };
        // [5802-6-server] Binding and mechanism agree; and who says that we do not offer channel binding while we do
        // was lied to by somebody in between.
        let agrees = match first.binding {
            Binding::Exporter => terms.mechanism == Mechanism::ScramSha256Plus,
            Binding::Unsupported => terms.mechanism == Mechanism::ScramSha256,
            Binding::NotOffered => terms.mechanism == Mechanism::ScramSha256 && !terms.plus_offered,
            Binding::Other => false,
        };
        if !agrees {
            return failed(&terms, first);
        }
        let name = first.name.clone();
        *self = Self::Named(terms, first);
        Step::Keys(name)
    }

    /// The caller has the keys: the challenge.
    pub(crate) fn keys(&mut self, keys: ScramKeys) -> Option<Vec<u8>> {
        match std::mem::replace(self, Self::Over) {
            Self::Named(terms, first) => {
                let said = format!(
                    "r={}{},s={},i={}",
                    first.nonce,
                    terms.nonce,
                    encode(&keys.salt),
                    keys.iterations
                );
                let challenge = said.clone().into_bytes();
                *self = Self::Challenged(terms, first, keys, said);
                Some(challenge)
            }
            state => {
                *self = state;
                None
            }
        }
    }

    fn last(
        &mut self,
        terms: &Terms,
        first: ClientFirst,
        keys: &ScramKeys,
        said: &str,
        response: &[u8],
    ) -> Step {
        let last = match ClientFinal::read(response) {
            Ok(last) => last,
            Err(bad) => return Step::Bad(bad),
        };
        let (Some(bound), Some(proof)) = (decode(last.binding.as_bytes()), decode(last.proof.as_bytes()))
        else {
            return Step::Bad(Bad::Malformed);
        };
        let mut expected = first.header.clone().into_bytes();
        // [5802-6-data] [9266-2] The data of the channel as we see it.
        if first.binding == Binding::Exporter {
            expected.extend(terms.binding.iter().flatten());
        }
        let message = auth_message(&first.bare, said, last.without_proof);
        let signature = keys::hmac(&keys.stored_key, &[message.as_bytes()]);
        // All of it is looked at, whatever is wrong: the time tells nothing.
        let mut fits = bound.ct_eq(&expected);
        fits &= last.nonce.as_bytes().ct_eq(format!("{}{}", first.nonce, terms.nonce).as_bytes());
        // [5802-3-proof] ClientKey := ClientProof XOR ClientSignature; H(ClientKey) is what was stored.
        let proof: [u8; 32] = match proof.as_slice().try_into() {
            Ok(proof) => proof,
            Err(_) => return Step::Bad(Bad::Malformed),
        };
        let client_key = keys::xor(&proof, &signature);
        fits &= keys::sha256(&client_key).ct_eq(&keys.stored_key);
        fits &= u8::from(keys.genuine).ct_eq(&1);
        if !bool::from(fits) {
            return failed(terms, first);
        }
        *self = Self::Proven(keys::hmac(&keys.server_key, &[message.as_bytes()]));
        let ClientFirst { authzid, name, .. } = first;
        Step::Evidence(Evidence::Scram { mechanism: terms.mechanism, authzid, name })
    }

    /// The caller is content: the last word, which proves that we know the keys ([5802-3-server]). `None`: there was no
    /// proof.
    pub(crate) fn success(&mut self) -> Option<Vec<u8>> {
        match std::mem::replace(self, Self::Over) {
            Self::Proven(signature) => Some(format!("v={}", encode(&signature)).into_bytes()),
            _ => None,
        }
    }
}

fn failed(terms: &Terms, first: ClientFirst) -> Step {
    Step::Evidence(Evidence::ScramFailed { mechanism: terms.mechanism, name: first.name })
}
