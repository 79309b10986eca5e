//! [7672-3.1.1] [7672-3.1.2] [7672-3.1.3] [7672-3.2.1] [7672-3.2.2] [7672-3.2.3] What TLSA records vouch for.

use restante_net::{ClientTls, Dane, DaneRecord, Trust};
use sha2::{Digest, Sha256, Sha512};

use crate::chain::{Authority, Valid};
use crate::hand::shake;

const HOST: &str = "mail.example.org";

fn tls(records: Vec<DaneRecord>, names: &[&str]) -> ClientTls {
    let names = names.iter().map(|name| name.parse().unwrap()).collect();
    ClientTls::trusting(&Trust::Dane(Dane { records, names }), None).unwrap()
}

/// The record that names this certificate or key in each of the three ways.
fn each(usage: u8, selector: u8, octets: &[u8]) -> [DaneRecord; 3] {
    [
        DaneRecord::new(usage, selector, 0, octets.to_vec()).unwrap(),
        DaneRecord::new(usage, selector, 1, Sha256::digest(octets).to_vec()).unwrap(),
        DaneRecord::new(usage, selector, 2, Sha512::digest(octets).to_vec()).unwrap(),
    ]
}

/// [7672-3.1.1] [7672-3.2.1]
#[tokio::test]
async fn dane_ee_looks_at_nothing_but_the_certificate() {
    let shown = Authority::new("any").issue(&["elsewhere.example"], Valid::Past);
    for record in each(3, 0, &shown.chain[0]).into_iter().chain(each(3, 1, &shown.spki)) {
        shake(&shown, &tls(vec![record], &[HOST]), HOST).await.unwrap();
    }
    // Not another one, and not its issuer under this usage.
    let other = Authority::new("other").issue(&[HOST], Valid::Now);
    for record in each(3, 1, &other.spki).into_iter().chain(each(3, 0, &shown.chain[1])) {
        let why = shake(&shown, &tls(vec![record], &[HOST]), HOST).await.unwrap_err();
        assert_eq!(why, "no TLSA record matches the certificate");
    }
    // One of several is enough, whatever the others say.
    let mut several = Vec::from(each(3, 1, &other.spki));
    several.extend(each(3, 1, &shown.spki));
    shake(&shown, &tls(several, &[HOST]), HOST).await.unwrap();
}

/// [7672-3.1.2]
#[tokio::test]
async fn dane_ta_chains_up_to_the_anchor() {
    let top = Authority::new("top");
    let between = top.below("between");
    let shown = between.issue(&[HOST], Valid::Now);
    let anchors = [(top.der(), top.spki()), (between.der(), between.spki())];
    for (certificate, key) in anchors {
        for record in each(2, 0, &certificate).into_iter().chain(each(2, 1, &key)) {
            shake(&shown, &tls(vec![record], &[HOST]), HOST).await.unwrap();
        }
    }
    let old = between.issue(&[HOST], Valid::Past);
    let [_, record, _] = each(2, 0, &top.der());
    let why = shake(&old, &tls(vec![record], &[HOST]), HOST).await.unwrap_err();
    assert!(why.contains("does not verify: CertExpired"), "{why}");
    // Who only shows the anchor was not issued by it.
    let mut forged = Authority::new("thief").issue(&[HOST], Valid::Now).only(1);
    forged.chain.push(top.der());
    let [_, record, _] = each(2, 0, &top.der());
    let why = shake(&forged, &tls(vec![record], &[HOST]), HOST).await.unwrap_err();
    assert!(why.contains("does not verify: UnknownIssuer"), "{why}");
}

/// [7672-3.1.2] RFC 7671 5.2.2: the anchor may be missing from what is shown only where the DNS has all of it.
#[tokio::test]
async fn an_anchor_that_is_not_shown_must_stand_in_the_dns() {
    let top = Authority::new("top");
    let shown = top.issue(&[HOST], Valid::Now).only(1);
    let [whole, digest, _] = each(2, 0, &top.der());
    shake(&shown, &tls(vec![whole], &[HOST]), HOST).await.unwrap();
    let why = shake(&shown, &tls(vec![digest], &[HOST]), HOST).await.unwrap_err();
    assert_eq!(why, "no TLSA record matches the certificate");
}

/// [7672-3.2.2] [7672-3.2.3]
#[tokio::test]
async fn dane_ta_wants_one_of_the_names() {
    let top = Authority::new("top");
    let record = || vec![each(2, 0, &top.der())[1].clone()];
    let names = [HOST, "example.org", "real.example.net"];
    for name in ["mail.example.org", "*.example.org", "example.org", "real.example.net"] {
        shake(&top.issue(&[name], Valid::Now), &tls(record(), &names), HOST).await.unwrap();
    }
    for name in ["other.example", "*.mail.example.org", "*.org"] {
        let why = shake(&top.issue(&[name], Valid::Now), &tls(record(), &names), HOST).await.unwrap_err();
        assert!(
            why.ends_with("not for mail.example.org or example.org or real.example.net"),
            "{name}: {why}"
        );
    }
}

/// [7672-3.2.3] The name in the subject counts where there is no other.
#[tokio::test]
async fn an_old_certificate_has_its_name_in_its_subject() {
    let top = Authority::new("top");
    let tls = || tls(vec![each(2, 0, &top.der())[1].clone()], &[HOST]);
    for good in [HOST, "Mail.Example.ORG", "*.example.org"] {
        shake(&top.issue_to(good, &[]), &tls(), HOST).await.unwrap();
        shake(&top.issue_to(good, &["192.0.2.1"]), &tls(), HOST).await.unwrap();
        shake(&top.issue_to(good, &["other.example"]), &tls(), HOST).await.unwrap_err();
    }
    for bad in [
        "example.org",
        "*.mail.example.org",
        "*",
        "m*.example.org",
        "x.mail.example.org",
        "mail.example.org\0",
    ] {
        shake(&top.issue_to(bad, &[]), &tls(), HOST).await.unwrap_err();
    }
    // By an authority of the system, as RFC 9525 has it, no subject counts.
    let pkix = ClientTls::trusting(&Trust::Authorities(top.file()), None).unwrap();
    shake(&top.issue_to(HOST, &[]), &pkix, HOST).await.unwrap_err();
}

/// [7672-3.1.3]
#[test]
fn what_cannot_be_used_is_known_before() {
    let shown = Authority::new("any").issue(&[HOST], Valid::Now);
    let digest = vec![1; 32];
    for (usage, selector, matching, data) in [
        (0, 0, 1, digest.clone()),
        (1, 1, 1, digest.clone()),
        (4, 1, 1, digest.clone()),
        (255, 1, 1, digest.clone()),
        (3, 2, 1, digest.clone()),
        (3, 1, 3, digest.clone()),
        (3, 1, 1, vec![1; 31]),
        (3, 1, 2, digest.clone()),
        (3, 1, 0, Vec::new()),
        (2, 0, 0, b"no certificate".to_vec()),
    ] {
        assert_eq!(DaneRecord::new(usage, selector, matching, data), None, "{usage} {selector} {matching}");
    }
    let [whole, short, _] = each(3, 0, &shown.chain[0]);
    assert!(whole.to_string().starts_with("3 0 0 30"), "{whole}");
    assert_eq!(short.to_string().len(), "3 0 1 ".len() + 16 + "…".len());
}
