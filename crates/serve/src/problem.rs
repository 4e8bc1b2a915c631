//! Errors as RFC 9457 has them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    /// Whether the same may go well in a second.
    again: bool,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Problem { status, detail: detail.into(), again: false }
    }

    /// Not what is asked for here.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// No token, or another one.
    pub(crate) fn no_token() -> Self {
        let detail = "this wants the server's token, which stands in the address that it printed: \"Authorization: Bearer TOKEN\"";
        Problem::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// Asked by a page of somebody else.
    pub(crate) fn foreign(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::FORBIDDEN, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    /// Not now, since something else goes on.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::CONFLICT, detail)
    }

    pub(crate) fn method() -> Self {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take that method")
    }

    /// The client was too slow.
    pub(crate) fn slow(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
    }

    pub(crate) fn large(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// A film that cannot be read.
    pub(crate) fn unreadable(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// As much is asked at once as is done at once.
    pub(crate) fn busy() -> Self {
        let detail = "as many films as are taken at once are being read: ask again in a second";
        Problem { again: true, ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// What should not happen.
    pub(crate) fn broken(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// What is wrong, as a sentence.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether the film is at fault, and another one may do.
    pub(crate) fn is_of_film(&self) -> bool {
        self.status == StatusCode::UNPROCESSABLE_ENTITY
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.again {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
