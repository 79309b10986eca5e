//! Refusals on their way out.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use restante_api::{ApiError, ErrorCode};
use restante_queue::StoreError;
use restante_types::Printable;

/// A refusal as an HTTP answer.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) ApiError);

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(ApiError::new(code, message))
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Unavailable(_) | StoreError::Full => ErrorCode::Unavailable,
            StoreError::NotFound => ErrorCode::NotFound,
            StoreError::Fenced => ErrorCode::Conflict,
            StoreError::Damaged(_) => ErrorCode::Damaged,
        };
        // A store's cause may quote what a peer sent.
        Self::new(code, Printable::from(error.to_string().as_str()).to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}
