//! Failures as HTTP answers: a status, words that say what to do, and what is known of the outcome.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kv_core::error::RequestError;
use kv_core::request::Reply;
use serde_json::{Value, json};

/// How a surface words its failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `{"detail": …}`.
    Detail,
    /// `{"error": …, "outcome": …}`.
    Error,
}

/// A request that was not carried out, or not for certain.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    body: Value,
}

impl Style {
    /// The style of the surface a path belongs to.
    pub(crate) fn of_path(path: &str) -> Self {
        let first = path.split('/').nth(1).unwrap_or_default();
        match first {
            "items" | "peers" | "config" | "healthcheck" => Self::Detail,
            _ => Self::Error,
        }
    }
}

impl Failure {
    /// Nothing was changed, for this reason.
    pub(crate) fn new(style: Style, status: StatusCode, words: impl Into<String>) -> Self {
        let words = words.into();
        let body = match style {
            Style::Detail => json!({ "detail": words }),
            Style::Error => json!({ "error": words, "outcome": "unchanged" }),
        };
        Self { status, body }
    }

    /// The body does not have the shape it must have: 422 with a list of what is wrong where.
    pub(crate) fn malformed(kind: &str, field: &str, words: &str) -> Self {
        let detail = json!([{ "type": kind, "loc": ["body", field], "msg": words }]);
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, body: json!({ "detail": detail }) }
    }

    /// What the core has answered.
    pub(crate) fn of(style: Style, error: &RequestError) -> Self {
        let status = match error {
            RequestError::Invalid(_) => StatusCode::BAD_REQUEST,
            RequestError::Conflict(_) => StatusCode::CONFLICT,
            RequestError::Unavailable(_) | RequestError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            RequestError::Full => StatusCode::INSUFFICIENT_STORAGE,
            RequestError::Unknown(_) => StatusCode::GATEWAY_TIMEOUT,
        };
        let mut failure = Self::new(style, status, error.to_string());
        if let RequestError::Unknown(_) = error {
            failure.body["outcome"] = "unknown".into();
        }
        failure
    }

    /// The core has answered something else than was asked: a fault of this program.
    pub(crate) fn unexpected(style: Style, reply: &Reply) -> Self {
        tracing::error!(?reply, "an answer that fits no request");
        let words = "internal fault: an answer that fits no request; it may have taken effect";
        let mut failure = Self::new(style, StatusCode::INTERNAL_SERVER_ERROR, words);
        failure.body["outcome"] = "unknown".into();
        failure
    }

    /// The node is on its way out.
    pub(crate) fn stopping(style: Style) -> Self {
        Self::new(style, StatusCode::SERVICE_UNAVAILABLE, "this node is stopping; ask another one")
    }
}

impl From<Failure> for Response {
    fn from(failure: Failure) -> Self {
        failure.into_response()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_outcome_is_never_told_as_a_failure() {
        let failure = Failure::of(Style::Error, &RequestError::Unknown("timed out".into()));
        assert_eq!(failure.status, StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(failure.body["outcome"], "unknown");
        let failure = Failure::of(Style::Detail, &RequestError::Unknown("timed out".into()));
        assert_eq!(failure.body["outcome"], "unknown");
    }

    #[test]
    fn a_busy_node_says_when_to_come_back() {
        let response = Failure::of(Style::Error, &RequestError::Busy).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
