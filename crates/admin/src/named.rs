//! What a path names.

use std::fmt;
use std::str::FromStr;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use restante_types::Printable;

use crate::refusal::Refusal;

/// The one thing that the path of a request names. What is no such thing is refused as everything else is.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Named<T>
where
    T: FromStr,
    T::Err: fmt::Display,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await?;
        let named = text.parse().map_err(|error: T::Err| bad(&error.to_string()))?;
        Ok(Self(named))
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        bad(&rejection.body_text())
    }
}

fn bad(what: &str) -> Refusal {
    Refusal::bad(Printable::from(what).to_string())
}
