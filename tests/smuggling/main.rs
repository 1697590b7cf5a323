//! Request and response smuggling: hostile bytes at every place, and the origin as the judge.
//!
//! An attack is sent on a connection of its own. Whatever reaches the origin must be a sequence of unambiguous requests
//! that each carry the balancer's mark, and the next client must get its own answer. A bounded part runs by default;
//! `PLIMSOLL_LONG=1` runs every byte at every place and a million mutants.

#[path = "../harness/harness.rs"]
mod harness;

mod families;
mod mutants;
mod places;
mod range;
mod replies;

use std::io::Write as _;
use std::sync::LazyLock;

/// Nothing is skipped.
const SKIPS: &[(&str, &str)] = &[];

/// Is the long run asked for? Says once what is left out where it is not.
fn is_long() -> bool {
    static LONG: LazyLock<bool> = LazyLock::new(|| {
        let long = std::env::var_os("PLIMSOLL_LONG").is_some_and(|v| v == "1");
        if !long {
            let _ = writeln!(std::io::stderr(), "left out: the whole smuggling matrix: PLIMSOLL_LONG=1");
        }
        long
    });
    *LONG
}

/// The byte values to try: all of them in a long run, otherwise those that some parser treats in a way of its own.
fn bytes() -> Vec<u8> {
    let telling = b"\0\x01\t\n\x0b\x0c\r\x1b\x1c\x1f !\"#$'()*+,-./059:;<=>?@AGZ[\\]_`agxz{|}~\x7f\x80\x85\xa0\xad\xc2\xff";
    if is_long() { (0..=255).collect() } else { telling.to_vec() }
}
