//! Sequences of failures on one request: it ends, and nothing that may not be repeated is sent twice.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::logic::http1::exchange::{Failure, Next, after_failure};
use plimsoll::logic::http1::framing::Framing;
use plimsoll::logic::http1::request::{RequestFacts, Version};

fuzz_target!(|bytes: &[u8]| {
    let Some((&flags, failures)) = bytes.split_first() else { return };
    let facts = RequestFacts {
        version: Version::Http11,
        framing: Framing::None,
        keep_alive: true,
        is_head: false,
        is_connect: false,
        idempotent: flags & 1 == 0,
        expects_continue: false,
        upgrade: false,
        hops_left: None,
        wants_json: false,
    };
    let whole = flags & 2 == 0;
    let mut sent = 0;
    let mut repeats = 0;
    for failure in failures {
        let failure = match failure % 4 {
            0 => Failure::Connect,
            1 => Failure::ConnectTimeout,
            kind => Failure::Broke { reused: kind == 2 },
        };
        if matches!(failure, Failure::Broke { .. }) {
            sent += 1;
        }
        match after_failure(failure, &facts, whole, repeats) {
            Next::Elsewhere => assert!(matches!(failure, Failure::Connect | Failure::ConnectTimeout)),
            Next::Again => {
                assert!(facts.idempotent && whole, "a request that may not be repeated was");
                repeats += 1;
            }
            Next::GiveUp => return assert!(sent <= 2),
        }
        assert!(repeats <= 1 && sent <= 2, "a storm of repeats");
    }
});
