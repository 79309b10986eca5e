//! Bounds of this crate, each with its clause or its reason.

use std::time::Duration;

/// How long one question to the DNS may take, repetitions included.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(4);
/// How long one try of a question waits for one server.
pub const LOOKUP_TRY: Duration = Duration::from_secs(2);
/// Answers that the resolver remembers; one may have 64 KiB.
pub const LOOKUPS_KEPT: u64 = 1024;

/// How long the end of a message waits for what is still being found out. Whoever sends waits for 10 minutes (RFC 5321
/// 4.5.3.2.6), so this is about our own slots.
pub const WAIT_AT_END: Duration = Duration::from_secs(5);

/// Domains about which questions were not answered, one after the other, from which on the DNS is taken to be away.
pub const CIRCUIT_FAILURES: u32 = 5;
/// How long it is then not asked: every message meanwhile would wait for nothing.
pub const CIRCUIT_REST: Duration = Duration::from_secs(30);

/// [7208-4.6.4-time] How long one evaluation of SPF may take: RFC 7208 4.6.4 wants at least 20 seconds. It goes on after
/// its message was answered, for the next one's sake.
pub const SPF_TIME: Duration = Duration::from_secs(20);
/// [7208-4.6.4] Terms that ask the DNS, in one evaluation.
pub const SPF_LOOKUPS: u32 = 10;
/// [7208-4.6.4] Answers without records, in one evaluation.
pub const SPF_VOID_LOOKUPS: u32 = 2;
/// [7208-4.6.4] Names of hosts looked up for one `mx` or `ptr`.
pub const SPF_HOSTS: usize = 10;
/// Octets of one SPF record. RFC 7208 3.4 wants records to fit in 512; real ones reach a few thousand.
pub const SPF_RECORD: usize = 16 * 1024;
/// Evaluations of SPF and questions for keys at one time, in all sessions. Beyond it: temperror.
pub const AT_WORK: usize = 512;
/// How long a result is believed; what the DNS says changes rarely faster, and its own TTLs rule below this.
pub const SPF_KEPT: Duration = Duration::from_secs(300);
/// How long a failure is remembered.
pub const SPF_TROUBLE_KEPT: Duration = Duration::from_secs(15);
/// Results remembered, about 150 octets each.
pub const SPF_RESULTS_KEPT: usize = 16 * 1024;

/// Octets of a header section that is looked at for signatures. Signatures of messages with a longer one are not seen.
pub const HEADER_KEPT: usize = 128 * 1024;
/// Octets of header sections kept at one time, in all sessions; beyond it the same holds.
pub const HEADERS_KEPT: usize = 32 * 1024 * 1024;
/// [6376-6.1] Signatures of one message that are verified; RFC 6376 6.1 lets a verifier limit them.
pub const SIGNATURES: usize = 5;
/// Signatures of which it is remembered whom they vouched for, some 60 octets each.
pub const SIGNATURES_KEPT: usize = 64 * 1024;
/// And for how long.
pub const SIGNATURE_KEPT: Duration = Duration::from_secs(24 * 3600);
/// DKIM-Signature fields that are parsed to choose those.
pub const SIGNATURES_READ: usize = 50;
/// Octets of one DKIM-Signature field.
pub const SIGNATURE: usize = 16 * 1024;
/// Names in one `h=`.
pub const SIGNED_FIELDS: usize = 256;
/// [8301-3.2] Bits of an RSA key, at least and at most. Above it verifying costs more than anybody needs to ask of us.
pub const RSA_BITS: std::ops::RangeInclusive<usize> = 1024..=4096;
/// Octets of one key record.
pub const KEY_RECORD: usize = 8 * 1024;
/// Messages whose signatures are verified at one time, on threads that may block.
pub const VERIFIERS: usize = 2;

/// Octets of an Authentication-Results field that are kept until it is known whose it is. Nobody honest writes so much
/// before the name; a field that does is taken out.
pub const FIELD_KEPT: usize = 4096;
