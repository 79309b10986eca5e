//! The texts of MTA-STS.

use std::time::Duration;

use super::policy::{StsMode, StsPolicy, record_id};
use crate::limits::STS_MAX_AGE;

fn id(records: &[&str]) -> Result<String, String> {
    let records: Vec<String> = records.iter().map(|record| (*record).to_owned()).collect();
    record_id(&records).map_err(|error| error.to_string())
}

/// [8461-3.1]
#[test]
fn a_record_announces_a_policy() {
    for record in [
        "v=STSv1; id=20160831085700Z;",
        "v=STSv1;id=20160831085700Z",
        "v=STSv1; \t id=20160831085700Z \t ; ",
        "v=STSv1; ext-1.x=a/b; id=20160831085700Z; id=second; more=x;",
    ] {
        assert_eq!(id(&[record]), Ok("20160831085700Z".to_owned()), "{record:?}");
    }
    let among = ["v=spf1 -all", "v=STSv1; id=a", "v=STSv2; id=b", "", "id=c; v=STSv1;"];
    assert_eq!(id(&among), Ok("a".to_owned()));
    assert_eq!(id(&["v=STSv1; id=12345678901234567890123456789012;"]).unwrap().len(), 32);
}

/// [8461-3.1]
#[test]
fn what_announces_none() {
    for records in [
        &[][..],
        &["v=spf1 -all"],
        &["v=STSv1"],
        &["v=STSv1;"],
        &["V=STSv1; id=a;"],
        &[" v=STSv1; id=a;"],
        &["v=STSv1; id=a;", "v=STSv1; id=a;"],
        &["v=STSv1; id=;"],
        &["v=STSv1; id=a-b;"],
        &["v=STSv1; id=a b;"],
        &["v=STSv1; id=\u{e4};"],
        &["v=STSv1; id=a;; x=y"],
        &["v=STSv1; id=a; word"],
        &["v=STSv1; id=a; -x=y"],
        &["v=STSv1; id=a; x=y=z"],
        &["v=STSv1; id=123456789012345678901234567890123;"],
        &["v=STSv1; x=y;"],
    ] {
        assert!(id(records).is_err(), "{records:?}");
    }
}

/// [8461-3.2]
#[test]
fn a_policy_is_read() {
    let text = "version: STSv1\r\nmode: enforce\r\nmx: Mail.Example.com\r\nmx: *.example.net  \r\n\
                mode: none\r\nx-new: anything at all\r\nmax_age:604800\r\nmax_age: 1\r\n";
    for text in [text.to_owned(), text.replace("\r\n", "\n"), text.trim_end().to_owned()] {
        let policy = StsPolicy::parse(&text).unwrap();
        assert_eq!((policy.mode, policy.max_age), (StsMode::Enforce, Duration::from_secs(604_800)));
        // [8461-4.1]
        for (host, listed) in [
            ("mail.example.com", true),
            ("a.example.net", true),
            ("example.net", false),
            ("a.b.example.net", false),
            ("x.mail.example.com", false),
            ("example.com", false),
        ] {
            assert_eq!(policy.allows(&host.parse().unwrap()), listed, "{host}");
        }
    }
    let none = StsPolicy::parse("version: STSv1\nmode: none\nmax_age: 9999999999\n").unwrap();
    assert_eq!((none.mode, none.max_age), (StsMode::None, STS_MAX_AGE));
}

/// [8461-3.2]
#[test]
fn what_is_no_policy() {
    for text in [
        "",
        "mode: enforce\nmx: a.example\nmax_age: 1\n",
        "version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 1\n",
        "version: STSv1\nmx: a.example\nmax_age: 1\n",
        "version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a.example\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 12345678901\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age:\n",
        "version: STSv1\nmode: enforce\nmx: mx*.example\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx:\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 1\n<html>\n",
    ] {
        assert!(StsPolicy::parse(text).is_err(), "{text:?}");
    }
}

/// What is written to the file is read back as it was.
#[test]
fn a_policy_keeps_its_form() {
    let text = "version: STSv1\nmode: testing\nmx: a.example\nmx: *.b.example\nmax_age: 5\n";
    let policy = StsPolicy::parse(text).unwrap();
    let written = serde_json::to_string(&policy).unwrap();
    assert!(written.contains("\"*.b.example\"") && written.contains("\"testing\""), "{written}");
    assert_eq!(serde_json::from_str::<StsPolicy>(&written).unwrap(), policy);
}
