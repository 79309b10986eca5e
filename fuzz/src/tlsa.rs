//! TLSA records and the certificates that servers show.
//!
//! - Records that cannot be used for mail are none.
//! - A record of the server's own certificate vouches for it whatever it is, and for nothing that differs in one bit.
//! - Nobody is vouched for by records that name no certificate he showed.
//! - An authority vouches for what it signed: a signature that differs in one bit is none.

use restante_net::{Dane, DaneRecord, fuzzing::vouch};
use sha2::{Digest, Sha256, Sha512};

/// See the module: four octets for the record, how long its data is, then data and certificates, each behind two octets
/// of its length.
pub fn run(data: &[u8]) {
    let [usage, selector, matching, length, day, rest @ ..] = data else { return };
    let (data, mut rest) = rest.split_at(usize::from(*length).min(rest.len()));
    let mut chain: Vec<Vec<u8>> = Vec::new();
    while let [high, low, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(behind.len());
        chain.push(behind[..length].to_vec());
        rest = &behind[length..];
    }
    let names = vec!["mail.example.org".parse().unwrap()];
    let dane = |records| Dane { records, names: names.clone() };
    let now = 1_700_000_000 + u64::from(*day) * 10_000_000;

    // What it names is filled in, where the data's first octet says so.
    let named = chain.get(usize::from(data.first().copied().unwrap_or(255)));
    let data = match (named, matching) {
        (Some(named), 0) => named.clone(),
        (Some(named), 1) => Sha256::digest(named).to_vec(),
        (Some(named), 2) => Sha512::digest(named).to_vec(),
        _ => data.to_vec(),
    };
    if let Some(record) = DaneRecord::new(*usage, *selector, *matching, data.clone()) {
        assert!(matches!(usage, 2 | 3) && *selector <= 1 && *matching <= 2);
        assert!(record.to_string().starts_with(&format!("{usage} {selector} {matching} ")));
        let vouched = vouch(&dane(vec![record.clone()]), &chain, now);
        let shown = chain.iter().any(|one| match matching {
            0 => *one == data,
            1 => Sha256::digest(one).as_slice() == data,
            _ => Sha512::digest(one).as_slice() == data,
        });
        let in_the_dns = *usage == 2 && *matching == 0;
        assert!(!vouched || *selector == 1 || shown || in_the_dns, "vouched for a stranger");
        let end_itself = DaneRecord::new(3, *selector, *matching, data).expect("as the other one");
        if vouched && *usage == 2 && !vouch(&dane(vec![end_itself]), &chain, now) {
            let end = chain.first_mut().expect("vouched for");
            *end.last_mut().expect("a certificate") ^= 1;
            assert!(!vouch(&dane(vec![record]), &chain, now), "nobody looked at the signature");
        }
    }
    own(&chain, now, &dane);
}

fn own(chain: &[Vec<u8>], now: u64, dane: &impl Fn(Vec<DaneRecord>) -> Dane) {
    let Some(end) = chain.first() else { return };
    let mut digest = Sha256::digest(end).to_vec();
    let own = DaneRecord::new(3, 0, 1, digest.clone()).expect("a digest");
    assert!(vouch(&dane(vec![own]), chain, now), "its own certificate");
    digest[0] ^= 1;
    let other = DaneRecord::new(3, 0, 1, digest).expect("a digest");
    assert!(!vouch(&dane(vec![other]), chain, now), "another one's");
}
