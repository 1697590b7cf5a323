//! `GET /api/v1/openapi.json`: every call, for programs that make clients. The file is the document; a test holds it to
//! the router.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> Response {
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
