//! Only what answers the question gets through: the step between the wire and whoever judges an answer.
//!
//! [7672-2.1.1-denial] A response may hold anything. What is about other names is dropped before DNSSEC is looked at: the validator takes
//! a response whose authority records all lie in unsigned zones for a believable denial, and looks at DS records
//! without their names, so that records of a zone elsewhere must not stand beside it. Aliases are followed one step
//! at a time, each with a question of its own, and what a response says beyond its first alias is dropped too.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, RRSIG};
use hickory_resolver::proto::op::{DnsRequest, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// Narrows what another handle answers.
#[derive(Clone)]
pub(super) struct Narrow<H>(pub(super) H);

impl<H: DnsHandle> DnsHandle for Narrow<H> {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = H::Runtime;

    fn send(&self, mut request: DnsRequest) -> Self::Response {
        // Whoever wants signatures checks them: a validating server must not keep what is bogus to itself, or it
        // cannot be told from a failure (RFC 6840 5.9).
        if request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok) {
            request.metadata.checking_disabled = true;
        }
        let Some(query) = request.queries.first().cloned() else { return self.0.send(request).boxed() };
        self.0.send(request).map(move |answer| narrow(&query, answer)).boxed()
    }
}

fn narrow(query: &Query, answer: Result<DnsResponse, NetError>) -> Result<DnsResponse, NetError> {
    // UDP is checked below us; over TCP only the id is.
    let is_it = |asked: &Query| asked.name() == query.name() && asked.query_type() == query.query_type();
    let other = || NetError::from("the answer is to another question");
    match answer {
        Ok(response) if response.queries.first().is_some_and(is_it) => narrow_response(query, response),
        Err(NetError::Dns(DnsError::NoRecordsFound(mut none))) if is_it(&none.query) => {
            none.ns = None;
            none.soa = none.soa.filter(|soa| soa.name.zone_of(query.name()));
            if none.soa.is_none() {
                none.negative_ttl = None;
            }
            let mut kept = none.authorities.take().map(|all| all.to_vec()).unwrap_or_default();
            keep_denial(query.name(), &mut kept);
            none.authorities = (!kept.is_empty()).then(|| Arc::from(kept));
            Err(NetError::Dns(DnsError::NoRecordsFound(none)))
        }
        Ok(_) | Err(NetError::Dns(DnsError::NoRecordsFound(_))) => Err(other()),
        Err(error) => Err(error),
    }
}

fn narrow_response(query: &Query, response: DnsResponse) -> Result<DnsResponse, NetError> {
    let mut message = response.into_message();
    let (name, kind) = (query.name(), query.query_type());
    let has = |message: &[Record], kind| message.iter().any(|r| r.name == *name && r.record_type() == kind);
    // The validator's own questions are about zone cuts, where no alias can be.
    let follows = !matches!(kind, RecordType::DS | RecordType::DNSKEY | RecordType::NS);
    let wanted = if has(&message.answers, kind) || !follows { kind } else { RecordType::CNAME };
    // The CNAME that a DNAME makes is proven by the DNAME, whose owner stands above the name.
    let makes_it = |record: &Record| {
        wanted == RecordType::CNAME && is_of(record, RecordType::DNAME) && record.name.zone_of(name)
    };
    message.answers.retain(|record| record.name == *name && is_of(record, wanted) || makes_it(record));
    if !message.answers.iter().any(|record| record.record_type() == wanted) {
        message.answers.clear();
    }
    message.additionals.clear();
    if message.answers.is_empty() {
        let is_cut = |record: &Record| kind == RecordType::NS && record.name == *name && is_of(record, kind);
        let (cut, mut rest) = std::mem::take(&mut message.authorities).into_iter().partition(is_cut);
        keep_denial(name, &mut rest);
        message.authorities = cut;
        message.authorities.append(&mut rest);
    } else {
        // The code is about the name at the end of the aliases.
        if wanted == RecordType::CNAME && message.metadata.response_code == ResponseCode::NXDomain {
            message.metadata.response_code = ResponseCode::NoError;
        }
        // What a wildcard gave is proven by the absence of anything nearer.
        let expanded = |record: &Record| {
            signature(record).is_some_and(|rrsig| rrsig.input().num_labels < record.name.num_labels())
        };
        if message.answers.iter().any(expanded) {
            keep_denial(name, &mut message.authorities);
            message.authorities.retain(|record| !is_of(record, RecordType::SOA));
        } else {
            message.authorities.clear();
        }
    }
    Ok(DnsResponse::from_message(message)?)
}

/// Keeps the authority records that can say something about a name: those of a zone that could hold it.
fn keep_denial(name: &Name, records: &mut Vec<Record>) {
    let signed_above = |rrsig: &RRSIG| rrsig.input().signer_name.zone_of(name);
    records.retain(|record| signature(record).is_none_or(signed_above));
    // The owner of an NSEC record can be any name of its zone; which zone that is only the signature says.
    let signs_nsec = |record: &Record| record.record_type().is_rrsig() && is_of(record, RecordType::NSEC);
    let signed: HashSet<Name> = records.iter().filter(|r| signs_nsec(r)).map(|r| r.name.clone()).collect();
    records.retain(|record| {
        is_of(record, RecordType::SOA) && record.name.zone_of(name)
            || is_of(record, RecordType::NSEC3) && record.name.base_name().zone_of(name)
            || is_of(record, RecordType::NSEC) && signed.contains(&record.name)
    });
}

/// Whether a record is of a type, or signs records of that type.
fn is_of(record: &Record, kind: RecordType) -> bool {
    record.record_type() == kind || signature(record).is_some_and(|rrsig| rrsig.input().type_covered == kind)
}

fn signature(record: &Record) -> Option<&RRSIG> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) => Some(rrsig),
        _ => None,
    }
}
