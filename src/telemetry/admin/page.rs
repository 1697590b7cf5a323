//! The status page: three embedded files, no build step, nothing from elsewhere.

use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};

/// Fields of every answer. The page's policy allows its own style, script and calls, and nothing else; on a JSON
/// answer it does no harm, and one rule for all is one rule to check.
pub(super) const SAFE_FIELDS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

pub(super) async fn html() -> Response {
    asset("text/html; charset=utf-8", include_str!("../page/page.html"))
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("../page/page.css"))
}

pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../page/page.js"))
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
