//! Sequences of failures on one request: it ends, and nothing that may not be repeated is sent twice.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::logic::http1::exchange::Failure;
use plimsoll::logic::http1::framing::Framing;
use plimsoll::logic::http1::request::{RequestFacts, Version};
use plimsoll::logic::retry::{Next, RetryPolicy, Tries, after_failure};

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
        nominates: false,
    };
    let whole = flags & 2 == 0;
    let repeatable = whole && facts.idempotent;
    let written = if flags & 16 == 0 { RetryPolicy::OFF } else { RetryPolicy::default() };
    let policy = RetryPolicy { attempts: 1 + u32::from(flags >> 2 & 3), ..written };
    let mut tries = Tries::default();
    for &byte in failures {
        let failure = match byte % 6 {
            0 => Failure::Connect,
            1 => Failure::ConnectTimeout,
            2 => Failure::Broke { reused: true },
            3 => Failure::Broke { reused: false },
            4 => Failure::ResponseTimeout,
            _ => Failure::Status(500 + u16::from(byte / 6 % 10)),
        };
        let was_sent = !matches!(failure, Failure::Connect | Failure::ConnectTimeout);
        tries.sent += u32::from(was_sent);
        match after_failure(&policy, failure, &facts, whole, tries) {
            Next::Elsewhere if was_sent => {
                assert!(repeatable, "a request that may not be repeated was");
                assert!(tries.sent < policy.attempts, "a storm of repeats");
            }
            Next::Elsewhere => tries.refused += 1,
            Next::Again => {
                assert!(repeatable && failure == Failure::Broke { reused: true });
                assert_eq!(tries.stale, 0, "a storm of repeats");
                tries = Tries { stale: 1, sent: tries.sent - 1, ..tries };
            }
            Next::GiveUp => return,
        }
    }
});
