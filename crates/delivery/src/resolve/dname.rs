//! Aliases that a DNAME record makes for everything below its owner (RFC 6672).

use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::proto::serialize::binary::BinDecodable;

/// Whether a proven DNAME record among `answers` makes `alias` an alias of `target`; then its time to live.
///
/// [7672-2.1.3-dname] The CNAME record that comes with it has no signature of its own: it follows from the DNAME.
pub(super) fn proves(alias: &Name, target: &Name, answers: &[Record]) -> Option<u32> {
    let proven = answers.iter().filter(|record| record.proof == Proof::Secure);
    proven
        .filter(|record| redirects(record, alias).is_some_and(|made| made == *target))
        .map(|record| record.ttl)
        .min()
}

/// What a DNAME record makes of a name below its owner.
fn redirects(record: &Record, name: &Name) -> Option<Name> {
    let RData::Unknown { code: RecordType::DNAME, rdata } = &record.data else { return None };
    let (owner, above) = (&record.name, usize::from(record.name.num_labels()));
    let below = name.iter().count().checked_sub(above).filter(|below| *below > 0 && owner.zone_of(name))?;
    let kept = Name::from_labels(name.iter().take(below)).ok()?;
    kept.append_domain(&Name::from_bytes(&rdata.anything).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::NULL;
    use hickory_resolver::proto::serialize::binary::BinEncodable;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn dname(owner: &str, target: &str, proof: Proof) -> Record {
        let rdata = NULL::with(name(target).to_bytes().unwrap());
        let mut record =
            Record::from_rdata(name(owner), 60, RData::Unknown { code: RecordType::DNAME, rdata });
        record.proof = proof;
        record
    }

    #[test]
    fn only_what_is_below_its_owner_and_proven() {
        // [7672-2.1.3-dname]
        let made = |owner, target, alias, to| {
            let records = [dname(owner, target, Proof::Secure)];
            proves(&name(alias), &name(to), &records).is_some()
        };
        assert!(made("old.example.", "new.example.", "a.b.old.example.", "a.b.new.example."));
        assert!(made("Old.Example.", ".", "a.old.example.", "a."));
        assert!(!made("old.example.", "new.example.", "old.example.", "new.example."));
        assert!(!made("old.example.", "new.example.", "a.cold.example.", "a.new.example."));
        assert!(!made("old.example.", "new.example.", "a.old.example.", "b.new.example."));
        assert!(!made("old.example.", "new.example.", "a.old.example.", "new.example."));
        let long = format!("{}.example.", ["a".repeat(60), "b".repeat(60), "c".repeat(60)].join("."));
        let alias = format!("{}.old.example.", "d".repeat(63));
        assert!(!made("old.example.", &long, &alias, "a.new.example."), "the name it makes is too long");
        for proof in [Proof::Insecure, Proof::Bogus, Proof::Indeterminate] {
            let records = [dname("old.example.", "new.example.", proof)];
            assert_eq!(proves(&name("a.old.example."), &name("a.new.example."), &records), None);
        }
    }
}
