//! RFC 7672, as an administrator demands it: mandatory (RFC 7672 2.2, 6). Mail goes only to whom usable TLSA records
//! vouch for.

use restante_net::{Dane, DaneRecord, Trust};
use restante_types::Domain;

use super::demand::{Demand, Unmet};
use crate::limits::TLSA_RECORDS;
use crate::resolve::{Found, Lookup, LookupError, Tlsa};
use crate::route::Hop;

/// What the TLSA records of a hop demand.
pub(super) async fn demand(lookup: &dyn Lookup, hop: &Hop) -> Result<Demand, Unmet> {
    // [7672-2.2-literal] DANE speaks of names.
    let Some(host) = &hop.name else {
        return Err(Unmet::policy(
            "dane needs a host by its name, and this next hop is an address".to_owned(),
        ));
    };
    // [7672-2.2.1] [7672-2.2.2] Without proof of the way to it, whoever forged the way could bring TLSA records of his own.
    if !hop.secure || hop.tlsa_bases.is_empty() {
        return Err(Unmet::policy(format!(
            "dane needs DNSSEC, and the DNS records that lead to {host} are not signed"
        )));
    }
    let port = hop.address.port();
    // [7672-2.2.3] The first with signed records is the base domain.
    for base in &hop.tlsa_bases {
        match lookup.tlsa(base, port).await {
            Ok(found) if found.secure => return of_records(found, base, port, hop),
            Ok(_) | Err(LookupError::NoRecords | LookupError::NoName) => {}
            // [7672-2.1.2] Somebody may be keeping them from us: not over this hop.
            Err(error) => {
                return Err(Unmet::policy(format!(
                    "the TLSA records at {} cannot be had: {error}",
                    owner(base, port)
                )));
            }
        }
    }
    // [7672-6] Proven to be absent, which is no reason to go on with less.
    let places: Vec<String> = hop.tlsa_bases.iter().map(|base| owner(base, port)).collect();
    Err(Unmet::policy(format!("there are no signed TLSA records at {}", places.join(" or "))))
}

fn of_records(found: Found<Tlsa>, base: &Domain, port: u16, hop: &Hop) -> Result<Demand, Unmet> {
    let count = found.records.len();
    let usable = found.records.into_iter().filter_map(|Tlsa { usage, selector, matching, data }| {
        DaneRecord::new(usage, selector, matching, data)
    });
    let records: Vec<DaneRecord> = usable.take(TLSA_RECORDS).collect();
    // [7672-6] Encrypted and unverified is what RFC 7672 2.2 does with them where DANE is used as it comes.
    if records.is_empty() {
        let why = format!("none of the {count} TLSA records at {} can be used for mail", owner(base, port));
        return Err(Unmet::policy(why));
    }
    let shown: Vec<String> = records.iter().take(4).map(ToString::to_string).collect();
    let more = if records.len() > shown.len() { ", …" } else { "" };
    let words = format!("dane: TLSA {}{more} at {}", shown.join(", "), owner(base, port));
    // [7672-3.2.2] The base domain, and the domain whose mail it is.
    let mut names = vec![base.clone()];
    names.extend(hop.references.iter().filter(|name| *name != base).cloned());
    // [7672-8.1] The server is asked for by its base domain.
    Ok(Demand::verified(Trust::Dane(Dane { records, names }), super::certified(base)?, words))
}

fn owner(base: &Domain, port: u16) -> String {
    format!("_{port}._tcp.{base}")
}
