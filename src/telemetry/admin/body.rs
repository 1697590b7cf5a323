//! The body of a write: bounded in size and time, JSON of the type that the call takes, or empty.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::guard::Refusal;
use crate::logic::limits::ADMIN_BODY_BYTES_MAX;

/// The longest that a whole body may take, however steadily it drips.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Reads a body. An empty one is `{}`: calls without arguments need none.
pub(super) async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    let whole = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, ADMIN_BODY_BYTES_MAX).collect()).await;
    let bytes = match whole {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(_)) => return Err(broken()),
        Err(_) => return Err(too_slow()),
    };
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(text).map_err(|error| bad_json(&error))
}

/// serde_json stops at a depth of 128, and says where.
fn bad_json(error: &serde_json::Error) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        code: "bad_json",
        message: format!("The body is not what this call takes: {error}.").into(),
        hint: "GET /api/v1/openapi.json describes the body of each call.".into(),
    }
}

fn too_large() -> Refusal {
    Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        code: "too_large",
        message: "The body has more than 1 MiB.".into(),
        hint: "Send what the call takes, and nothing else.".into(),
    }
}

fn too_slow() -> Refusal {
    Refusal {
        status: StatusCode::REQUEST_TIMEOUT,
        code: "too_slow",
        message: "The body did not come within 20 seconds.".into(),
        hint: "Send it at once.".into(),
    }
}

fn broken() -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        code: "broken_body",
        message: "The body broke off.".into(),
        hint: "Send it whole.".into(),
    }
}
