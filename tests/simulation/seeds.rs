//! Which runs are made.

use std::env;

/// Seeds of an ordinary run.
const FEW: u64 = 10;
/// Seeds of a long one.
const MANY: u64 = 500;

/// The seeds to run: always the same ones, so that a red run is red again.
pub(crate) fn seeds() -> impl Iterator<Item = u64> {
    let one = env::var("PLIMSOLL_SEED").ok().and_then(|seed| seed.parse().ok());
    let count = if env::var_os("PLIMSOLL_LONG").is_some() { MANY } else { FEW };
    match one {
        Some(seed) => seed..seed + 1,
        None => 1..count + 1,
    }
}
