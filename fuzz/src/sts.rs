//! MTA-STS: the policy and the TXT record.
//!
//! - A policy that is read is bounded, stays the same when it is kept in the state file and read again, and does not
//!   depend on how its lines end.
//! - A wildcard stands for exactly one label: what it allows, it allows neither deeper nor higher.
//! - An id is 1 to 32 letters and digits, and there is one only where one record is of the version.

use std::time::Duration;

use restante_delivery::{StsMode, StsPolicy, fuzzing::record_id};
use restante_types::Domain;

/// See the module.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(policy) = StsPolicy::parse(text) {
        assert!(policy.max_age <= Duration::from_secs(31_557_600));
        let kept = serde_json::to_string(&policy).expect("it can be kept");
        assert_eq!(serde_json::from_str::<StsPolicy>(&kept).ok().as_ref(), Some(&policy), "{kept}");
        let unix = text.replace("\r\n", "\n");
        assert_eq!(StsPolicy::parse(&unix).as_ref(), Ok(&policy));
        assert_eq!(StsPolicy::parse(&unix.replace('\n', "\r\n")).as_ref(), Ok(&policy));
        allows(text, &policy);
    }
    let records: Vec<String> = text.split('\n').map(str::to_owned).collect();
    if let Some(id) = record_id(&records) {
        assert!((1..=32).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric()));
        assert_eq!(records.iter().filter(|record| record.starts_with("v=STSv1;")).count(), 1);
    }
}

fn allows(text: &str, policy: &StsPolicy) {
    let names = text.lines().filter_map(|line| line.strip_prefix("mx:")).map(str::trim);
    let mut any = false;
    for name in names {
        any = true;
        if let Some(domain) = name.strip_prefix("*.").and_then(|name| name.parse::<Domain>().ok()) {
            let below = |label: &str| format!("{label}.{domain}").parse::<Domain>();
            if let (Ok(one), Ok(two)) = (below("a"), below("a.b")) {
                assert!(policy.allows(&one));
                // Another line may list it.
                assert!(!policy.allows(&two) || text.matches("mx").count() > 1);
            }
        } else if let Ok(domain) = name.parse::<Domain>() {
            assert!(policy.allows(&domain));
        }
    }
    assert!(any || policy.mode == StsMode::None || text.contains("mx:"));
}
