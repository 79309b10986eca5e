//! The messages, taken apart: [5802-7].

use super::Binding;
use super::TLS_EXPORTER;
use crate::limits::MAX_AUTH_NAME;
use crate::sasl::secret::prepare;
use crate::sasl::server::Bad;

/// The client's first message.
#[derive(Debug)]
pub(crate) struct ClientFirst {
    pub(super) binding: Binding,
    pub(super) authzid: Option<String>,
    /// Prepared.
    pub(super) name: String,
    pub(super) nonce: String,
    /// Up to and with the second comma: what `c=` repeats.
    pub(super) header: String,
    /// The rest, which is signed.
    pub(super) bare: String,
}

impl ClientFirst {
    pub(super) fn read(message: &[u8]) -> Result<Self, Bad> {
        let text = std::str::from_utf8(message).map_err(|_| Bad::Malformed)?;
        let (flag, rest) = text.split_once(',').ok_or(Bad::Malformed)?;
        let (authzid, bare) = rest.split_once(',').ok_or(Bad::Malformed)?;
        let binding = match flag {
            "n" => Binding::Unsupported,
            "y" => Binding::NotOffered,
            _ => match flag.strip_prefix("p=") {
                Some(TLS_EXPORTER) => Binding::Exporter,
                Some(name) if is_binding_name(name) => Binding::Other,
                _ => return Err(Bad::Malformed),
            },
        };
        let authzid = match authzid.strip_prefix("a=") {
            Some(name) => Some(read_name(name)?),
            None if authzid.is_empty() => None,
            None => return Err(Bad::Malformed),
        };
        let (name, nonce) = read_bare(bare)?;
        let header = text[..text.len() - bare.len()].to_owned();
        Ok(Self { binding, authzid, name, nonce, header, bare: bare.to_owned() })
    }
}

/// `n=` and `r=`; extensions behind them are passed over, [5802-5.1] but `m=` in front of them has to be understood.
fn read_bare(bare: &str) -> Result<(String, String), Bad> {
    let mut fields = bare.split(',');
    let name = fields.next().and_then(|field| field.strip_prefix("n=")).ok_or(Bad::Malformed)?;
    let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(Bad::Malformed)?;
    if !is_printable(nonce) || !fields.all(is_extension) {
        return Err(Bad::Malformed);
    }
    Ok((read_name(name)?, nonce.to_owned()))
}

/// The client's last message.
#[derive(Debug)]
pub(super) struct ClientFinal<'a> {
    /// Base64 of the header and the binding's data.
    pub(super) binding: &'a str,
    pub(super) nonce: &'a str,
    /// Base64.
    pub(super) proof: &'a str,
    /// The rest, which is signed.
    pub(super) without_proof: &'a str,
}

impl<'a> ClientFinal<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Self, Bad> {
        let text = std::str::from_utf8(message).map_err(|_| Bad::Malformed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Bad::Malformed)?;
        let mut fields = without_proof.split(',');
        let binding = fields.next().and_then(|field| field.strip_prefix("c=")).ok_or(Bad::Malformed)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(Bad::Malformed)?;
        if !fields.all(is_extension) {
            return Err(Bad::Malformed);
        }
        Ok(Self { binding, nonce, proof, without_proof })
    }
}

/// The server's first message.
#[derive(Debug)]
pub(super) struct ServerFirst<'a> {
    pub(super) nonce: &'a str,
    /// Base64.
    pub(super) salt: &'a str,
    pub(super) iterations: u32,
}

impl<'a> ServerFirst<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut fields = text.split(',');
        let nonce = fields.next()?.strip_prefix("r=")?;
        let salt = fields.next()?.strip_prefix("s=")?;
        let iterations = fields.next()?.strip_prefix("i=")?;
        let number = iterations.bytes().all(|digit| digit.is_ascii_digit());
        if !is_printable(nonce) || !number || !fields.all(is_extension) {
            return None;
        }
        Some(Self { nonce, salt, iterations: iterations.parse().ok()? })
    }
}

/// [5802-5.1-n] `=2C` and `=3D` stand for comma and equals sign; any other `=` is a fault.
fn read_name(text: &str) -> Result<String, Bad> {
    let mut name = String::with_capacity(text.len());
    let mut parts = text.split('=');
    name.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (sign, rest) = match part.split_at_checked(2) {
            Some(("2C", rest)) => (',', rest),
            Some(("3D", rest)) => ('=', rest),
            _ => return Err(Bad::Malformed),
        };
        name.push(sign);
        name.push_str(rest);
    }
    if name.len() > MAX_AUTH_NAME || name.contains('\0') {
        return Err(Bad::Malformed);
    }
    Ok(prepare(&name)?.into_owned())
}

/// The other way round.
pub(super) fn write_name(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

fn is_binding_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-'))
}

/// A nonce: printable, without a comma.
fn is_printable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b',')
}

/// `letter=value`
fn is_extension(field: &str) -> bool {
    let octets = field.as_bytes();
    octets.len() > 2 && octets[0].is_ascii_alphabetic() && octets[1] == b'=' && !octets.contains(&0)
}
