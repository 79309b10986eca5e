//! The one filter language of every verb.

use clap::Args;
use jiff::Timestamp;
use restante_api::EntryFilter;
use restante_types::{DeliveryState, Domain, QueueId};

use super::value::{Moment, Size};

/// Which entries. All conditions that are given must hold.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filter")]
pub(crate) struct FilterArgs {
    /// Only these domains; several with commas, or by repeating it
    #[arg(long, value_name = "DOMAIN", value_delimiter = ',')]
    pub(crate) domain: Vec<Domain>,
    /// Part of the sender's address, in any case; `<>` is the empty sender of notices
    #[arg(long, value_name = "TEXT")]
    pub(crate) from: Option<String>,
    /// Part of a recipient's address, in any case
    #[arg(long, value_name = "TEXT")]
    pub(crate) to: Option<String>,
    /// Arrived before: a span back from now (90m, 12h, 3d, 2w) or a time (2026-01-31, 2026-01-31T12:00:00Z)
    #[arg(long, value_name = "WHEN")]
    pub(crate) older: Option<Moment>,
    /// Arrived after: a span back from now or a time, as for --older
    #[arg(long, value_name = "WHEN")]
    pub(crate) younger: Option<Moment>,
    /// More octets of content than this: 4096, 500kB, 10MB, 1GiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) larger: Option<Size>,
    /// Fewer octets of content than this
    #[arg(long, value_name = "SIZE")]
    pub(crate) smaller: Option<Size>,
    /// Only these states, several with commas: queued, deferred, failed, expired, misrouted, damaged, orphaned, dead, deleted
    ///
    /// Without it, everything but deleted entries.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    pub(crate) state: Vec<DeliveryState>,
    /// Only these messages; several with commas, or by repeating it
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) id: Vec<QueueId>,
    /// Part of what was said last about a recipient, or of the reason of a hold
    #[arg(long, value_name = "TEXT")]
    pub(crate) last_reply: Option<String>,
    /// Everything; verbs that change entries want a filter or this
    #[arg(long)]
    pub(crate) all: bool,
}

/// A filter for verbs that only look, where `--reason` is free to mean the reason an entry is still here.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Part of what was said last about a recipient, or of the reason of a hold (the same as --last-reply)
    #[arg(long, value_name = "TEXT", conflicts_with = "last_reply", help_heading = "Filter")]
    pub(crate) reason: Option<String>,
}

impl FilterArgs {
    /// The filter as the server takes it; spans are counted back from `now`.
    pub(crate) fn at(&self, now: Timestamp) -> EntryFilter {
        EntryFilter {
            domains: self.domain.clone(),
            ids: self.id.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            older_than: self.older.map(|moment| moment.at(now)),
            younger_than: self.younger.map(|moment| moment.at(now)),
            larger: self.larger.map(|size| size.0),
            smaller: self.smaller.map(|size| size.0),
            states: self.state.clone(),
            reason: self.last_reply.clone(),
        }
    }
}

impl SearchArgs {
    /// The filter as the server takes it; spans are counted back from `now`.
    pub(crate) fn at(&self, now: Timestamp) -> EntryFilter {
        let mut filter = self.filter.at(now);
        filter.reason = filter.reason.or_else(|| self.reason.clone());
        filter
    }
}
