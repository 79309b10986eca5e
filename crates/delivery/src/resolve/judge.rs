//! What a response means: records, an alias, their absence, or nothing that may be believed.

use std::time::Duration;

use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::{DnsResponse, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::{LookupError, dname};

/// What was answered to one question.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) said: Said,
    /// Proven by DNSSEC.
    pub(super) secure: bool,
    pub(super) ttl: Duration,
}

/// Without the case of an error.
#[derive(Debug, Clone)]
pub(super) enum Said {
    Records(Vec<RData>),
    /// The name stands for another.
    Alias(Name),
    /// The name has no such records; or does not exist, where it says so.
    Nothing {
        name_exists: bool,
    },
}

/// Judges the response to a question for `kind` records of `name`.
///
/// With `proven`: [7672-2.1.1-insecure] what is known to be unsigned is an answer like any other, only not secure;
/// [7672-2.1.1-bogus] what is neither that nor proven (bogus or indeterminate) is no answer.
pub(super) fn judge(
    name: &Name,
    kind: RecordType,
    proven: bool,
    response: Result<DnsResponse, NetError>,
) -> Result<Answer, LookupError> {
    match response {
        Ok(response) => judge_response(name, kind, proven, &response),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) if !proven => {
            absence(none.response_code, false, none.negative_ttl)
        }
        // Proven by so much work that nobody asks for it (RFC 9276 3.2).
        Err(NetError::Dns(DnsError::Nsec { response, proof: Proof::Insecure, .. })) => {
            absence(response.response_code, false, response.negative_ttl())
        }
        Err(NetError::Dns(DnsError::Nsec { .. })) => {
            Err(LookupError::Bogus(format!("nothing proves that {name} has no {kind} records")))
        }
        Err(NetError::Dns(DnsError::DnssecBogus)) => Err(unproven(name, kind)),
        Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(LookupError::Temporary(code_text(code))),
        Err(error) => Err(LookupError::Temporary(error.to_string())),
    }
}

fn judge_response(
    name: &Name,
    kind: RecordType,
    proven: bool,
    response: &DnsResponse,
) -> Result<Answer, LookupError> {
    let owned = || response.answers.iter().filter(|record| record.name == *name);
    let of = |kind| owned().filter(move |record| record.record_type() == kind);
    let found = if of(kind).next().is_some() { kind } else { RecordType::CNAME };
    let Some(ttl) = of(found).map(|record| record.ttl).min() else {
        let secure = response.authorities.iter().any(|record| record.proof == Proof::Secure);
        return absence(response.response_code, proven && secure, response.negative_ttl());
    };
    let mut data = of(found).map(|record| record.data.clone());
    let said = if found == kind {
        Said::Records(data.collect())
    } else {
        match data.next() {
            Some(RData::CNAME(target)) => Said::Alias(target.0),
            _ => return Err(LookupError::Temporary(format!("{name} has a CNAME that cannot be read"))),
        }
    };
    let (mut ttl, mut proof) = (ttl, of(found).map(|record| record.proof).min().unwrap_or_default());
    if let Said::Alias(target) = &said
        && let Some(its) = dname::proves(name, target, &response.answers)
    {
        (ttl, proof) = (ttl.min(its), Proof::Secure);
    }
    if proven && !matches!(proof, Proof::Secure | Proof::Insecure) {
        return Err(unproven(name, kind));
    }
    let ttl = Duration::from_secs(ttl.into());
    Ok(Answer { said, secure: proven && proof == Proof::Secure, ttl })
}

fn absence(code: ResponseCode, secure: bool, ttl: Option<u32>) -> Result<Answer, LookupError> {
    let name_exists = match code {
        ResponseCode::NoError => true,
        ResponseCode::NXDomain => false,
        code => return Err(LookupError::Temporary(code_text(code))),
    };
    // Without an SOA record it must not be kept (RFC 2308 5).
    let ttl = Duration::from_secs(ttl.unwrap_or(0).into());
    Ok(Answer { said: Said::Nothing { name_exists }, secure, ttl })
}

fn unproven(name: &Name, kind: RecordType) -> LookupError {
    LookupError::Bogus(format!(
        "no signatures prove the {kind} records of {name}, or their keys cannot be had"
    ))
}

fn code_text(code: ResponseCode) -> String {
    match code {
        ResponseCode::ServFail => "the servers failed (SERVFAIL)".to_owned(),
        ResponseCode::Refused => "the servers refuse to answer (REFUSED)".to_owned(),
        code => format!("the servers say {code}"),
    }
}
