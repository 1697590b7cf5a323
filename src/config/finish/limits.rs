//! Retries, queues and rates: what the words of the file come to.

use std::time::Duration;

use super::{Notes, Place};
use crate::config::leaf::word::RetryOn;
use crate::config::problem::Problem;
use crate::config::raw::{self, BackendKeys};
use crate::logic::concurrency::AdaptiveSettings;
use crate::logic::hedge::HedgePolicy;
use crate::logic::limits::{ADAPTIVE_MAX_DEFAULT, ADAPTIVE_MIN_DEFAULT};
use crate::logic::queue::QueueSettings;
use crate::logic::rate_limit::{Rate, RateKey, RateLimit};
use crate::logic::retry::{self, RetryPolicy};

/// `retry:`. Without it nothing is sent twice; with it, its own keys have defaults.
pub(super) fn retry(raw: Option<&raw::Retry>) -> RetryPolicy {
    let Some(raw) = raw else { return RetryPolicy::OFF };
    let defaults = RetryPolicy::default();
    RetryPolicy {
        attempts: raw.attempts.unwrap_or(defaults.attempts),
        on: raw.on.as_deref().map_or(defaults.on, conditions),
        budget_permille: raw.budget.as_ref().map_or(defaults.budget_permille, |budget| budget.permille()),
    }
}

fn conditions(all: &[RetryOn]) -> retry::RetryOn {
    all.iter().fold(retry::RetryOn::NOTHING, |on, one| match one {
        // They always are: nothing of the request was read.
        RetryOn::Connect => on,
        RetryOn::Reset => on.with_reset(),
        RetryOn::Status(status) => on.with_status(*status),
    })
}

/// `hedge:`. It may send a client's request to another node than the client's own, which is what other keys forbid.
pub(super) fn hedge(keys: BackendKeys<'_>, place: &Place<'_>, notes: &mut Notes) -> Option<HedgePolicy> {
    let raw = keys.hedge?;
    let ties = if keys.sticky.is_some() {
        Some("`sticky` keeps a client on one node, and `hedge` asks a second one")
    } else if keys.strategy == Some(raw::Strategy::IpHash) {
        Some("`ip_hash` keeps a client on one node, and `hedge` asks a second one")
    } else {
        None
    };
    if let Some(message) = ties {
        notes.error(&place.key("hedge"), message, "remove one of them");
    }
    Some(raw.after.map_or_else(HedgePolicy::default, |after| HedgePolicy { after_permille: after.0 }))
}

/// `queue:`.
pub(super) fn queue(raw: Option<&raw::Queue>) -> QueueSettings {
    let defaults = QueueSettings::default();
    QueueSettings {
        max: raw.and_then(|raw| raw.max).unwrap_or(defaults.max),
        timeout: raw.and_then(|raw| raw.timeout.as_ref()).map_or(defaults.timeout, |timeout| timeout.0),
    }
}

/// `adaptive_limit:`.
pub(super) fn adaptive(
    keys: BackendKeys<'_>,
    place: &Place<'_>,
    notes: &mut Notes,
) -> Option<AdaptiveSettings> {
    let raw = keys.adaptive_limit?;
    let settings = AdaptiveSettings {
        min: raw.min.unwrap_or(ADAPTIVE_MIN_DEFAULT),
        max: raw.max.unwrap_or(ADAPTIVE_MAX_DEFAULT),
    };
    if settings.min > settings.max {
        let message = format!("`min` ({}) is larger than `max` ({})", settings.min, settings.max);
        notes.error(&place.key("adaptive_limit"), message, "raise `max`, or lower `min`");
    }
    Some(settings)
}

/// A queue before servers that have no limit stays empty, and whoever wrote it expects something of it.
pub(super) fn check_queue(keys: BackendKeys<'_>, place: &Place<'_>, notes: &mut Notes) {
    let servers = place.key("servers");
    let limited = keys.adaptive_limit.is_some()
        || super::fleet::in_flight_max(keys).is_some()
        || keys.servers.iter().enumerate().any(|(at, server)| {
            server.max_connections.is_some_and(|max| max > 0)
                || servers.item(at).key("max_connections").is_broken()
        });
    if keys.queue.is_some() && !limited {
        let message = "nothing ever waits in this queue: no server has a limit";
        notes.problem(
            Problem::warning(place.key("queue").key_span(), message).help(
                "give the servers `max_connections`, or the backend `adaptive_limit`, or remove `queue`",
            ),
        );
    }
}

/// `rate_limit:`.
pub(super) fn rate_limit(
    raw: Option<&raw::RateLimit>,
    place: &Place<'_>,
    notes: &mut Notes,
) -> Option<RateLimit> {
    let raw = raw?;
    let Some(requests) = raw.requests else {
        notes.missing(place, "requests", "`rate_limit`", "write `requests: 100`");
        return None;
    };
    let per = raw.per.as_ref().map_or(Duration::from_secs(1), |per| per.0);
    Some(RateLimit {
        rate: Rate::new(requests, per, raw.burst.unwrap_or(0)),
        key: raw.key.as_ref().map_or(RateKey::ClientIp, |key| key.0.clone()),
    })
}
