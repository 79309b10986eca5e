//! What is measured when somebody asks: queues, disk, connections, open alarms.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use restante_api::AlarmView;
use restante_queue::{DomainStats, Health, IndexHealth, IntakeHealth, QueueStore};
use restante_types::{DeliveryState, Domain, UnixMillis};

use super::{NOTICES_LABEL, OTHERS_LABEL, label};
use crate::limits::PAGE;
use crate::operations::Operations;

/// States that a message can be parked in.
const PARKED: [DeliveryState; 7] = [
    DeliveryState::Failed,
    DeliveryState::Expired,
    DeliveryState::Misrouted,
    DeliveryState::Damaged,
    DeliveryState::Orphaned,
    DeliveryState::Dead,
    DeliveryState::Deleted,
];

/// The queues of one label.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    messages: u64,
    bytes: u64,
    oldest: Option<UnixMillis>,
    held: bool,
    parked: [u64; PARKED.len()],
}

impl Sum {
    fn add(&mut self, stats: &DomainStats) {
        self.messages += stats.messages;
        self.bytes += stats.bytes;
        let oldest = stats.oldest.filter(|_| stats.messages > 0);
        self.oldest = [self.oldest, oldest].into_iter().flatten().min();
        self.held |= stats.held.is_some();
        for (sum, state) in self.parked.iter_mut().zip(PARKED) {
            *sum += stats.parked.get(&state).copied().unwrap_or(0);
        }
    }
}

/// All of it, at one moment.
pub(super) struct Snapshot {
    now: UnixMillis,
    queues: BTreeMap<String, Sum>,
    configured: BTreeSet<String>,
    alarms: Vec<AlarmView>,
    alarm_events: Vec<(&'static str, bool)>,
    connections: Option<u64>,
    health: Health,
    version: String,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("queues", &self.queues.len()).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Takes it: one look at each queue's counts, none at its entries.
    pub(super) fn take(store: &dyn QueueStore, operations: &dyn Operations, version: &str) -> Self {
        let mut queues = BTreeMap::new();
        let mut configured = BTreeSet::new();
        let mut after: Option<Domain> = None;
        loop {
            let page = operations.domains(after.as_ref(), PAGE);
            let Some(last) = page.last() else { break };
            after = Some(last.domain.clone());
            configured.extend(page.into_iter().map(|policy| policy.domain.to_string()));
        }
        let fixed = [NOTICES_LABEL, OTHERS_LABEL].map(str::to_owned);
        queues.extend(configured.iter().cloned().chain(fixed).map(|label| (label, Sum::default())));
        let mut after: Option<Domain> = None;
        loop {
            let page = store.stats_page(after.as_ref(), PAGE);
            let Some(last) = page.last() else { break };
            after = Some(last.domain.clone());
            for stats in &page {
                let label = label(&stats.domain, operations.covering(&stats.domain).as_ref());
                queues.entry(label).or_insert_with(Sum::default).add(stats);
            }
        }
        Self {
            now: operations.now(),
            queues,
            configured,
            alarms: operations.alarms(),
            alarm_events: operations.alarm_events(),
            connections: operations.connections(),
            health: store.health(),
            version: version.to_owned(),
        }
    }
}

/// One gauge by domain.
fn each(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<Unit>),
    values: impl Iterator<Item = (String, f64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
    for (label, value) in values {
        put(&mut metric, &[("domain", label.as_str())], value)?;
    }
    Ok(())
}

fn put<const N: usize>(
    metric: &mut MetricEncoder<'_>,
    labels: &[(&str, &str); N],
    value: f64,
) -> fmt::Result {
    ConstGauge::new(value).encode(metric.encode_family(labels)?)
}

fn single(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<Unit>),
    value: f64,
) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}

#[expect(clippy::cast_precision_loss, reason = "a monitor reads floats, exact to 2^53")]
const fn float(number: u64) -> f64 {
    number as f64
}

impl Snapshot {
    fn queues(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let of = |value: fn(&Sum, UnixMillis) -> f64| {
            self.queues.iter().map(move |(label, sum)| (label.clone(), value(sum, self.now)))
        };
        let messages = ("queue_messages", "Messages that wait to be collected", None);
        each(encoder, messages, of(|sum, _| float(sum.messages)))?;
        each(
            encoder,
            ("queue", "Octets of their content", Some(Unit::Bytes)),
            of(|sum, _| float(sum.bytes)),
        )?;
        let age = (
            "queue_oldest_age",
            "How long the oldest of them has waited; 0 where none waits",
            Some(Unit::Seconds),
        );
        let waited =
            |sum: &Sum, now: UnixMillis| sum.oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
        each(encoder, age, of(waited))?;
        let held = ("queue_held", "1 where a stop keeps mail from leaving", None);
        each(encoder, held, of(|sum, _| f64::from(u8::from(sum.held))))?;
        let help = "Messages that do not wait, by state";
        let mut metric = encoder.encode_descriptor("parked_messages", help, None, MetricType::Gauge)?;
        for (label, sum) in &self.queues {
            for (state, count) in PARKED.iter().zip(sum.parked) {
                put(&mut metric, &[("domain", label), ("state", state.as_str())], float(count))?;
            }
        }
        Ok(())
    }

    fn open_alarms(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let domain_of =
            |alarm: &AlarmView| alarm.domain.as_ref().map(ToString::to_string).unwrap_or_default();
        let open: BTreeSet<(&str, String)> =
            self.alarms.iter().map(|alarm| (alarm.event.as_str(), domain_of(alarm))).collect();
        let help = "1 while the alarm is open; those of the server as a whole have no domain";
        let mut metric = encoder.encode_descriptor("alarm_open", help, None, MetricType::Gauge)?;
        for (event, of_domain) in &self.alarm_events {
            let none = BTreeSet::from([String::new()]);
            for domain in if *of_domain { &self.configured } else { &none } {
                let is_open = open.contains(&(*event, domain.clone()));
                put(&mut metric, &[("event", event), ("domain", domain)], f64::from(u8::from(is_open)))?;
            }
        }
        Ok(())
    }

    fn server(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(connections) = self.connections {
            single(encoder, ("connections", "Connections of clients", None), float(connections))?;
        }
        if let Some(free) = self.health.free_bytes {
            let name = ("disk_free", "Octets free where mail is kept", Some(Unit::Bytes));
            single(encoder, name, float(free))?;
        }
        if let Some(mark) = self.health.low_water_bytes {
            let name = ("disk_low_water", "Octets free below which no mail is taken", Some(Unit::Bytes));
            single(encoder, name, float(mark))?;
        }
        let open = self.health.intake == IntakeHealth::Open;
        single(encoder, ("intake_open", "1 while mail is taken", None), f64::from(u8::from(open)))?;
        let ready = self.health.index == IndexHealth::Ready;
        single(encoder, ("index_ready", "1 while mail can leave", None), f64::from(u8::from(ready)))?;
        let damaged = ("damaged_records", "Damaged records found since the start", None);
        single(encoder, damaged, float(self.health.damaged))?;
        let doubted = f64::from(u8::from(self.health.clock_doubted));
        single(
            encoder,
            ("clock_doubted", "1 while nothing expires because the clock jumped", None),
            doubted,
        )?;
        let mut metric =
            encoder.encode_descriptor("build", "The version that runs", None, MetricType::Info)?;
        metric.encode_info(&[("version", self.version.as_str())])
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.queues(&mut encoder)?;
        self.open_alarms(&mut encoder)?;
        self.server(&mut encoder)
    }
}
