//! `GET /openapi.json`: what can be asked, for programs that read it.

use axum::http::header;
use axum::response::IntoResponse;

/// Written by hand; a test holds it against the routes.
pub(crate) const DOCUMENT: &str = include_str!("openapi.json");

pub(crate) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
