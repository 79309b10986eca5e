//! The wire types of the admin interface, and a small client.
//!
//! Paths are in [`paths`]; streams are lines of JSON, each a [`Line`]. Keys are only ever added. Times are RFC 3339 in
//! UTC, sizes are octets, addresses are without brackets (so the null path is empty).

mod alarm;
mod change;
mod client;
mod entry;
mod error;
mod explain;
mod filter;
mod flush;
mod health;
mod json;
pub mod limits;
mod line;
pub mod paths;
mod route;
mod status;
mod time;

pub use alarm::AlarmView;
pub use change::{ApplyReport, BackupProgress, BackupReport, BackupRequest, ChangeProgress, ChangeRequest};
pub use client::{Client, ContentStream, LineStream, Streamed};
pub use entry::{ContentQuery, EntryView, ListEnd, ListQuery, MessageView, RecipientView, TlsView};
pub use error::{ApiError, ClientError, ErrorCode};
pub use explain::{ExplainQuery, ExplainReport};
pub use filter::{CommaList, EntryFilter};
pub use flush::{FlushEnd, FlushEvent, FlushRequest};
pub use health::{HealthReport, IndexReport, IntakeReport, Level};
pub use json::write_json;
pub use line::Line;
pub use route::{HopView, LeftOutView, ProblemView, RouteReport, SaidView, SpeakerView, WhyReport};
pub use status::{DomainStatus, DrainView, HoldView, LastDrainView, StatusEnd};
pub use time::{timestamp, unix_millis};
