//! The filter, the same in a query and in a body.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use restante_types::{DeliveryState, Domain, QueueId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{ApiError, ErrorCode};
use crate::limits::{MAX_FILTER_DOMAINS, MAX_FILTER_TEXT, MAX_IDS};

/// Which entries; all conditions that are there must hold. Lists are written with commas, so that a filter is the same
/// in a query and in a body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EntryFilter {
    /// Only these queues; empty means all.
    #[serde(rename = "domain", with = "commas", skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
    /// Only these messages; empty means all.
    #[serde(rename = "id", with = "commas", skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<QueueId>,
    /// Part of the sender's address; `<>` is the null path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Part of a recipient's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Arrived before.
    #[serde(rename = "older", skip_serializing_if = "Option::is_none")]
    pub older_than: Option<Timestamp>,
    /// Arrived after.
    #[serde(rename = "younger", skip_serializing_if = "Option::is_none")]
    pub younger_than: Option<Timestamp>,
    /// More octets than this.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub larger: Option<u64>,
    /// Fewer octets than this.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub smaller: Option<u64>,
    /// In one of these states; empty means all but deleted.
    #[serde(rename = "state", with = "commas", skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<DeliveryState>,
    /// Part of a recipient's last reply, or of the reason of a hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl EntryFilter {
    /// Whether it has no condition at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it stays within its bounds.
    ///
    /// # Errors
    /// [`ErrorCode::BadRequest`], naming the condition.
    pub fn check(&self) -> Result<(), ApiError> {
        let too = |what: &str| Err(ApiError::new(ErrorCode::BadRequest, format!("the filter names {what}")));
        if self.ids.len() > MAX_IDS {
            return too("too many ids");
        }
        if self.domains.len() > MAX_FILTER_DOMAINS {
            return too("too many domains");
        }
        let texts = [&self.from, &self.to, &self.reason];
        if texts.into_iter().flatten().any(|text| text.is_empty() || text.len() > MAX_FILTER_TEXT) {
            return too("a text that is empty or too long");
        }
        Ok(())
    }
}

/// Values without commas in them, written with commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommaList<T>(pub Vec<T>);

impl<T: fmt::Display> fmt::Display for CommaList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.0.iter().enumerate() {
            let between = if index == 0 { "" } else { "," };
            write!(f, "{between}{value}")?;
        }
        Ok(())
    }
}

impl<T: FromStr> FromStr for CommaList<T> {
    type Err = T::Err;
    fn from_str(text: &str) -> Result<Self, T::Err> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

mod commas {
    use super::{CommaList, Deserialize, Deserializer, FromStr, Serializer, fmt};

    pub(super) fn serialize<T: fmt::Display + Clone, S: Serializer>(
        list: &[T],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(&CommaList(list.to_vec()))
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
    where
        T: FromStr,
        T::Err: fmt::Display,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(from)?;
        text.parse::<CommaList<T>>().map(|list| list.0).map_err(serde::de::Error::custom)
    }
}

/// A number that a query carries as text: a flattened struct does not see the digits as a number.
pub(crate) mod number {
    use super::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        value.serialize(to)
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Digits(String),
        Number(u64),
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        match Option::<Number>::deserialize(from)? {
            None => Ok(None),
            Some(Number::Number(number)) => Ok(Some(number)),
            Some(Number::Digits(text)) => text.parse().map(Some).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> EntryFilter {
        EntryFilter {
            domains: vec!["example.org".parse().unwrap(), "example.com".parse().unwrap()],
            ids: vec!["01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()],
            from: Some("<>".to_owned()),
            to: Some("a b&c=ü".to_owned()),
            older_than: Some("2026-01-31T12:00:00Z".parse().unwrap()),
            younger_than: Some("2026-01-30T12:00:00.5Z".parse().unwrap()),
            larger: Some(10),
            smaller: Some(u64::MAX),
            states: vec![DeliveryState::Failed, DeliveryState::Expired],
            reason: Some("4.4.1".to_owned()),
        }
    }

    #[test]
    fn a_filter_survives_a_body() {
        let text = serde_json::to_string(&full()).unwrap();
        assert!(text.contains(r#""domain":"example.org,example.com""#), "{text}");
        assert!(text.contains(r#""state":"failed,expired""#), "{text}");
        assert_eq!(serde_json::from_str::<EntryFilter>(&text).unwrap(), full());
        assert_eq!(serde_json::from_str::<EntryFilter>("{}").unwrap(), EntryFilter::default());
        assert!(EntryFilter::default().is_empty() && !full().is_empty());
    }

    #[test]
    fn bounds_are_kept() {
        assert!(full().check().is_ok());
        assert!(EntryFilter { ids: vec![QueueId::MIN; MAX_IDS + 1], ..full() }.check().is_err());
        assert!(EntryFilter { to: Some("a".repeat(MAX_FILTER_TEXT + 1)), ..full() }.check().is_err());
        assert!(EntryFilter { from: Some(String::new()), ..full() }.check().is_err());
        assert!(serde_json::from_str::<EntryFilter>(r#"{"state":"gone"}"#).is_err());
    }
}
