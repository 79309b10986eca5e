//! Bounds of the program, each with its reason.

use std::time::Duration;

/// Octets of one configuration file: a hundred thousand domains fit.
pub(crate) const MAX_CONFIG_FILE: u64 = 32 << 20;

/// Files in `domains.d`, of any name: a directory larger than this is a mistake.
pub(crate) const MAX_DOMAIN_FILES: usize = 50_000;

/// Octets of a group's name: what `ETRN #name` can carry here.
pub(crate) const MAX_GROUP_NAME: usize = 64;

/// Octets of the admin socket's path: `sun_path` has 108 with its NUL (unix(7)).
pub(crate) const MAX_SOCKET_PATH: usize = 107;

/// Recipients of one message: all of them may be of one domain, and the queue keeps no more in one entry.
pub(crate) const MAX_RECIPIENTS: usize = 8_000;

/// Connections of a listener: each is a descriptor, and the kernel's own ceiling of those is about this (`fs.nr_open`).
pub(crate) const MAX_CONNECTIONS: usize = 1_000_000;

/// Least octets of the index's cache: sled divides it by its shards, and panics when nothing is left.
pub(crate) const LEAST_INDEX_CACHE: u64 = 1 << 20;

/// How long a domain that is gone from the configuration answers 450 instead of 550.
pub(crate) const LOST_FOR: Duration = Duration::from_secs(7 * 86_400);

/// How often lost domains, waiting mail and the disk are looked at.
pub(crate) const ROUNDS: Duration = Duration::from_secs(60);

/// How long a shutdown waits for what is in flight; below systemd's usual 90 s.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

/// How often the accounts file is looked at: an account that was taken away must not go on for long.
pub(crate) const ACCOUNTS_LOOK: Duration = Duration::from_secs(2);

/// Where mail is taken (RFC 5321 4.5.4.2).
pub(crate) const SMTP_PORT: u16 = 25;

/// Turned connections on their way from the front end to delivery.
pub(crate) const CALLS_WAITING: usize = 16;

/// How often it is asked whether the index failed: until it is opened again no mail is taken.
pub(crate) const INDEX_LOOK: Duration = Duration::from_secs(1);

/// How long sessions may take to end before a store whose index failed is opened again: they can store nothing anyway.
pub(crate) const REOPEN_GRACE: Duration = Duration::from_millis(500);

/// The first pause before the store is opened again, and the longest: each try reads the index.
pub(crate) const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// See [`REOPEN_PAUSE`].
pub(crate) const REOPEN_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Where DNS servers answer (RFC 1035 4.2).
pub(crate) const DNS_PORT: u16 = 53;

/// Recipients that one share of a circuit looks at: what they were answered is remembered until all have come.
pub(crate) const MAX_CIRCUIT_SAMPLE: u32 = 10_000;

/// Octets of a webhook's URL; servers take no more.
pub(crate) const MAX_WEBHOOK: usize = 2_048;

/// Octets of a text for notices: it stands in front of each of them.
pub(crate) const MAX_TEMPLATE: u64 = restante_delivery::MAX_TEMPLATE as u64;

/// How often alarms are looked at: that mail waits is told within this.
pub(crate) const ALARMS_LOOK: Duration = Duration::from_secs(5);

/// A look at the alarms may take this part of the time, one in so many: a server with a million queues looks less often.
pub(crate) const ALARMS_SHARE: u32 = 20;

/// How often our certificate is looked at.
pub(crate) const CERTIFICATE_DATE_LOOK: Duration = Duration::from_secs(3600);

/// How often what changes all the time (who asked when) is written down.
pub(crate) const HABITS_SAVED: Duration = Duration::from_secs(300);

/// How long alarms wait for the disk before they are told all the same: it may be the disk that fails.
pub(crate) const ALARMS_SAVING: Duration = Duration::from_secs(5);

/// Calls of the webhook that wait: ten alarms of a hundred domains. The oldest goes for one more.
pub(crate) const MAX_CALLS: usize = 1000;

/// A call that nobody took for this long is given up; by then somebody has noticed.
pub(crate) const CALL_LIFE: Duration = Duration::from_secs(86_400);

/// A call takes no longer, from the name's look-up to the last octet of the answer's head.
pub(crate) const CALL_TIME: Duration = Duration::from_secs(10);

/// The pause after a call that failed, and the longest.
pub(crate) const CALL_PAUSE: Duration = Duration::from_secs(5);

/// See [`CALL_PAUSE`].
pub(crate) const CALL_PAUSE_MAX: Duration = Duration::from_secs(900);

/// Octets of the file of alarms that are read: all alarms of a hundred thousand domains.
pub(crate) const MAX_ALARMS_FILE: u64 = 64 << 20;

/// Octets of an alarm's line for people.
pub(crate) const MAX_DETAIL: usize = 512;

/// Letters posted after one look: the rest go after the next.
pub(crate) const LETTERS_AT_ONCE: usize = 50;

/// How long to wait when the store took no letter.
pub(crate) const LETTERS_PAUSE: Duration = Duration::from_secs(60);

/// Octets of the file of a webhook's secret: it is one line.
pub(crate) const MAX_SECRET: u64 = 4096;

/// Octets of the file of a monitor's token, likewise.
pub(crate) const MAX_TOKEN: u64 = 4096;

/// Octets of our certificate's file that are read when its date is looked at.
pub(crate) const MAX_CERTIFICATE: u64 = 1 << 20;

/// Queues looked at in one step, where all are.
pub(crate) const QUEUES_AT_ONCE: usize = 1_000;

/// Days whose longest pause between two requests is remembered: a week, and today.
pub(crate) const HABIT_DAYS: u64 = 8;
