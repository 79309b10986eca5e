//! Outbound delivery: when (dispatch), where (route), how (courier), and what if not (retry, housekeeping); and over
//! connections that were turned (turned, reversals).

mod book;
mod carrier;
mod courier;
mod delivery;
mod dispatch;
mod drain;
mod events;
mod feed;
#[cfg(fuzzing)]
pub mod fuzzing;
mod housekeeping;
pub mod limits;
mod news;
mod notice;
mod requester;
mod resolve;
mod retry;
mod returns;
mod reversals;
mod route;
mod settings;
mod sync;
mod tls;
mod turned;
mod unreached;
mod why;

use std::sync::Arc;

use restante_types::UnixMillis;

pub use book::PrimaryBook;
pub use carrier::{Carrier, Certificates, Errand, Trip};
pub use courier::Courier;
pub use delivery::{Delivery, DeliveryParts};
pub use feed::{Feed, Room, Tally};
pub use news::{News, Nobody, Witness};
pub use notice::{
    Letter, MAX_TEMPLATE, NoticeSettings, PostError, PostRoom, Template, TemplateError, TemplateKind,
    Templates,
};
pub use requester::{NoRequesters, Requester, Requesters};
pub use resolve::{
    DnsSettings, DnsSettingsError, Exchange, Found, Lookup, LookupError, Mx, SystemLookup, Tlsa,
};
pub use retry::{RetryList, RetryListError};
pub use returns::Returns;
pub use route::{Hop, LeftOut, NoRoute, Ourselves, Route, RouteView, find as find_route, is_local_address};
pub use settings::{
    Circuit, DeliverySettings, DomainDelivery, ForwardClient, Mode, NextHop, NextHopError, Notices, On5xx,
    SMTP_PORT, Share, TlsPolicy, TlsTrust,
};
pub use tls::{
    Demand, FetchError, HttpsFetch, PolicyError, PolicyFetch, StsMode, StsPolicy, TlsParts, TlsPolicies,
    Unmet,
};
pub use turned::{Leash, SessionLimits, Turned};
pub use unreached::Unreached;
pub use why::{LastFailure, Side, WhyBook};

/// Tells the time; tests bring their own.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;
