//! A monotonic clock that all threads share.

use std::sync::LazyLock;
use std::time::Instant;

/// Milliseconds since the clock was first looked at, plus one: never 0, so that 0 can stand for "never".
pub fn now_ms() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
}
