//! Bounds of delivery, each with its clause or reason.

use std::time::Duration;

/// Entries of the first page of a drain: few, so that the first message leaves at once.
pub const FIRST_PAGE: usize = 32;
/// Entries of every further page; a page is read while the one before it is being sent.
pub const PAGE: usize = 128;
/// With fewer entries than this at hand the next page is fetched.
pub const LOW_PAGE: usize = 64;
/// Outcomes on their way to the store, per drain; couriers wait when the store is this far behind.
pub const OUTCOMES_AHEAD: usize = 512;
/// Outcomes settled together: one disk flush is shared by as many messages.
pub const SETTLE_BATCH: usize = 128;
/// How long the first outcome of a batch waits for company; a crash within it repeats these messages.
pub const SETTLE_LINGER: Duration = Duration::from_millis(4);
/// Messages at the head of a drain whose content is read before a courier asks for it.
pub const AHEAD_MESSAGES: usize = 16;
/// Octets of a content that is read ahead: one piece of a reader, so that it is read with one look at the disk.
pub const AHEAD_OCTETS: u64 = 64 * 1024;
/// Octets that all drains together hold of content read ahead.
pub const AHEAD_TOTAL: usize = 16 * 1024 * 1024;
/// Messages of one drain that were handed out and are not recorded yet, on all its connections together: what a crash may
/// deliver twice. As many as one connection's window takes at most; where the disk is slow, couriers wait.
pub const UNRECORDED: usize = 1024;
/// Until the answers to what went before content that broke off: a server that hoards them while it waits for the rest of
/// that content must not hold the drain, and then these messages go twice.
pub const ANSWERS_BEFORE: Duration = Duration::from_secs(60);
/// How often a batch of outcomes is offered to a store that is unavailable before the drain gives up.
pub const SETTLE_TRIES: u32 = 8;
/// The first pause between those tries; it doubles.
pub const SETTLE_PAUSE: Duration = Duration::from_millis(100);
/// How often one drain looks from the beginning because somebody asked again; then the lease is given back and the
/// request stands in line like every other.
pub const PASSES: u32 = 32;
/// Entries at the head of a queue that show why their domain could not be reached. The cost of an unreachable
/// primary must not grow with its queue.
pub const HEAD: usize = 4;
/// MX records looked at, best first (a response may hold thousands).
pub const MX_RECORDS: usize = 50;
/// Addresses tried for one drain.
pub const ADDRESSES: usize = 50;
/// Things on a way that are not tried and are told one by one.
pub const LEFT_OUT: usize = 64;
/// Names resolved at the same time for one route.
pub const LOOKUPS_AT_ONCE: usize = 8;
/// Answers of one set of DNS servers that are kept.
pub const DNS_ANSWERS: usize = 10_000;
/// How long an answer is kept at most, whatever its time to live says.
pub const DNS_TTL_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long the absence of records is kept at most (RFC 2308 5 suggests one to three hours).
pub const DNS_ABSENCE_MAX: Duration = Duration::from_secs(3600);
/// How long a failure is kept, so that a crowd of drains does not ask a dead server one by one (RFC 9520 3.2).
pub const DNS_FAILURE: Duration = Duration::from_secs(1);
/// Aliases followed for one name.
pub const ALIASES: usize = 8;
/// Signature checks of one set of DNS servers that are remembered.
pub const DNSSEC_CHECKS: usize = 10_000;
/// How long a failed check is remembered: a key that could not be fetched once must not cost its zone a minute.
pub const DNSSEC_DOUBT: Duration = Duration::from_secs(2);
/// Sets of DNS servers of domains that have their own; beyond it one is forgotten with what it knew.
pub const OWN_RESOLVERS: usize = 256;
/// Octets of a file of trust anchors.
pub const TRUST_ANCHOR_FILE: u64 = 256 * 1024;
/// For one DNS question with its retries; longer than the resolver's own patience.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);
/// For a TCP connection to the last address that is left (RFC 5321 4.5.3.2 names no time for it).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// For a TCP connection when other addresses are left, so that a dead IPv6 path costs seconds, not minutes.
pub const CONNECT_TIMEOUT_SHORT: Duration = Duration::from_secs(8);
/// Drains at the same time; further domains stand in line. A drain costs its pages, not its queue.
pub const DRAINS: usize = 1000;
/// Of these, drains of notices: strangers choose their servers, which may be slow on purpose, and the domains that we
/// hold must not wait for them.
pub const NOTICES_DRAINS: usize = DRAINS / 4;
/// Domains looked at when the schedule is asked what is due; the rest is due at the next tick too.
pub const DUE_DOMAINS: usize = 256;
/// How often the schedule is asked whether something is due. The question costs nothing; new mail of a domain with
/// `mode = "push"` waits at most this long.
pub const SCHEDULE_TICK: Duration = Duration::from_millis(250);
/// Messages on which the connections so far must agree that they work, each, before one more is opened.
pub const RAMP: u64 = 8;
/// Messages that must be waiting for one more connection to pay.
pub const WORTH_A_CONNECTION: usize = 32;
/// How long a domain that must not leave on its own, but has entries from a time when it did, is left out of the
/// schedule.
pub const NOT_SCHEDULED: Duration = Duration::from_secs(3600);
/// After the grace of a shutdown: to record what was already said.
pub const LAST_SETTLE: Duration = Duration::from_secs(5);
/// A primary's addresses are looked up again no sooner than this, whatever their TTL.
pub const BOOK_REFRESH_MIN: Duration = Duration::from_secs(60);
/// And no later.
pub const BOOK_REFRESH_MAX: Duration = Duration::from_secs(15 * 60);
/// Primaries looked up at the same time in the background.
pub const BOOK_LOOKUPS: usize = 8;
/// Between two rounds of the book.
pub const BOOK_PAUSE: Duration = Duration::from_secs(1);
/// Subdomains that wait to be entered into the book; a name that finds no room is entered when it is asked for again.
pub const BOOK_WANTED: usize = 256;
/// Primaries in the book besides the configured ones: those of subdomains with a queue of their own.
pub const BOOK_SUBDOMAINS: usize = 100_000;
/// Between two rounds of housekeeping.
pub const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(60);
/// Domains looked at together, then others get a turn.
pub const HOUSEKEEPING_DOMAINS: usize = 64;
/// Entries expired or purged with one call.
pub const HOUSEKEEPING_ENTRIES: usize = 256;
/// Such calls for one domain in one round; what is left waits for the next round.
pub const HOUSEKEEPING_CALLS: usize = 64;
/// Between two calls that found something.
pub const HOUSEKEEPING_PAUSE: Duration = Duration::from_millis(20);
/// What failed or expired is kept for as long at least, whatever `parked-retention` says: a refusal may be withheld for
/// half an hour ([`WITHHELD`]), and must be reported before it goes.
pub const PARKED_MIN: Duration = Duration::from_secs(2 * 3600);
/// Deleted entries can be restored for this long.
pub const RESTORABLE: Duration = Duration::from_secs(24 * 3600);
/// Turned connections drained at the same time; beyond it customers are told to come later.
pub const TURNED_DRAINS: usize = 1000;
/// Turned connections on their way from the server.
pub const TURNED_WAITING: usize = 16;
/// Messages over one turned connection; a customer with more calls again.
pub const TURNED_MESSAGES: u64 = 100_000;
/// Octets of content over one turned connection.
pub const TURNED_OCTETS: u64 = 64 * 1024 * 1024 * 1024;
/// How long a turned connection is used; a line that crawls must not hold its domains for ever.
pub const TURNED_TIME: Duration = Duration::from_secs(12 * 3600);
/// For what is under way when a turned drain is cancelled. The customer that called again waits for it.
pub const CANCEL_GRACE: Duration = Duration::from_secs(2);
/// A refusal is reported after this long, whether or not the circuit's sample is complete: a sender should know within
/// the hour.
pub const WITHHELD: Duration = Duration::from_secs(30 * 60);
/// A refusal is counted by the circuit and recorded by the store at slightly different times.
pub const WITHHELD_SLACK: Duration = Duration::from_secs(2);
/// Messages of our own that wait for one destination: a flood of mail that fails, with one sender's domain in all of
/// it, must not become a flood of notices to that domain. What finds no room becomes a dead letter.
pub const NOTICES_WAITING: u64 = 1000;
/// Dead letters of one owner beyond which no notices of delay and of success are added to them: strangers decide how many
/// there could be, and nobody has a claim to more than anybody can look through.
pub const DEAD_NOTICES: u64 = 1000;
/// Lines of the dialogue that is kept of a failed attempt: greeting, EHLO, TLS and the transaction that failed.
pub const WHY_LINES: usize = 64;
/// Of these, from its beginning; the others are from its end, where it failed.
pub const WHY_HEAD: usize = 16;
/// Octets of each line: that of a reply (RFC 5321 4.5.3.1.5).
pub const WHY_LINE: usize = 512;
/// Domains whose last failed attempt is kept.
pub const WHY_DOMAINS: usize = 10_000;
/// Octets of all of them together: usual ones have 1 KiB, and a hostile primary must not take the memory.
pub const WHY_TOTAL: usize = 16 << 20;
/// TLSA records of one host that are used; a signed zone may hold thousands.
pub const TLSA_RECORDS: usize = 32;
/// [8461-3.3-bounds] For fetching an MTA-STS policy, from the look for its host on: what RFC 8461 3.3 suggests.
pub const STS_FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// [8461-3.3-bounds] Octets of a policy, likewise.
pub const STS_BODY: usize = 64 * 1024;
/// Octets of the head of a policy host's answer.
pub const STS_HEAD: usize = 16 * 1024;
/// Addresses of a policy host that are tried.
pub const STS_ADDRESSES: usize = 4;
/// How long a policy is kept at most (RFC 8461 3.2): a year.
pub const STS_MAX_AGE: Duration = Duration::from_secs(31_557_600);
/// The DNS is asked for a new policy no sooner than this after the last look.
pub const STS_LOOK_PAUSE: Duration = Duration::from_secs(60);
/// [8461-3.3-pause] A policy that could not be fetched is not tried again before this.
pub const STS_FETCH_PAUSE: Duration = Duration::from_secs(300);
/// [8461-3.3-renew] A policy is renewed when it was kept for this long.
pub const STS_RENEW: Duration = Duration::from_secs(24 * 3600);
/// Between two looks after all policies.
pub const STS_ROUND: Duration = Duration::from_secs(3600);
/// Policies that are looked after at the same time in the background.
pub const STS_AT_ONCE: usize = 8;
/// Domains whose policies are kept; beyond it the one that ends first goes.
pub const STS_DOMAINS: usize = 10_000;
/// Octets of the file of policies that are read: as many policies of an unusual length.
pub const STS_FILE: u64 = 64 * 1024 * 1024;
/// Drains in a row that find nobody before a primary counts as down: one or two are a restart.
pub const DOWN_AFTER_DRAINS: u32 = 3;
/// Or this long after the first of them: what is tried once an hour must not take three.
pub const DOWN_AFTER: Duration = Duration::from_secs(600);
/// A primary that comes and goes is told of at most once in this time.
pub const FLAPPING: Duration = Duration::from_secs(60);
/// Octets of what a primary said that are kept, for people.
pub const REASON: usize = 512;
/// Messages that a primary puts off one after the other, after an outage, before it counts as not back yet.
pub const CANARIES: u32 = 5;
/// By so much a message may go too early where messages are counted by the minute: what a timer rounds.
pub const RATE_SLACK: Duration = Duration::from_millis(20);
/// Mail has been waiting for this long when a primary that asks for it counts as returning from an outage.
pub const OUTAGE_AGE: Duration = Duration::from_secs(3600);
/// And none of it was answered for this long.
pub const OUTAGE_SILENCE: Duration = Duration::from_secs(24 * 3600);
/// Domains that are remembered to wait for a next hop; the others go by their retry list.
pub const HOSTS_WAITED_FOR: usize = 100_000;
/// Next hops of one domain that it waits for, best first.
pub const HOST_HOPS: usize = 8;
/// Domains that the first message of another wakes when their common next hop is back; each wakes as many in turn.
pub const RETURN_WAKES: usize = 16;
/// Entries of an open circuit released together.
pub const RELEASE_PAGE: usize = 128;
/// Until a release that failed, or that a drain was still in the way of, is tried again.
pub const RELEASE_PAUSE: Duration = Duration::from_secs(5);
/// Entries whose failure somebody is to be told of, and as many refusals whose circumstances are remembered. What finds
/// no room is found in the store.
pub const NOTED: usize = 10_000;
/// Entries read at once for notices.
pub const NOTICES_PAGE: usize = 64;
/// How soon what had to wait is looked at again: a stop was lifted, a sample is complete.
pub const NOTICES_LATER: Duration = Duration::from_secs(10);
/// And the time between two such looks is so many times what one takes.
pub const NOTICES_SHARE: u32 = 20;
/// How often everything parked is looked through, whatever was said.
pub const NOTICES_ROUND: Duration = Duration::from_secs(15 * 60);
/// Pages of one domain's mail looked at for delays in one round; more wait for the next.
pub const DELAYED_PAGES: usize = 64;
