//! A log filter of any text: refused with a place in it, or read; what is read is written so that it reads as the same,
//! and matches without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::logic::access::{AccessRecord, End, Hedged};
use plimsoll::logic::log_filter::Filter;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let filter = match Filter::parse(text) {
        Ok(filter) => filter,
        Err(bad) => {
            assert!(bad.at <= text.len());
            return;
        }
    };
    // Single spaces and quotes can make the text longer than the limit that it was read under.
    if let Ok(again) = Filter::parse(filter.source()) {
        assert_eq!(again, filter);
    }
    let record = AccessRecord {
        time_ms: 0,
        client: "192.0.2.7",
        protocol: "HTTP/1.1",
        method: b"GET",
        authority: b"example.com",
        target: bytes,
        user_agent: bytes,
        referer: b"",
        request_id: b"",
        traceparent: b"",
        listener: "web",
        route: "/*",
        backend: "api",
        node: "api/[::1]:80",
        status: 200,
        bytes_in: 0,
        bytes_out: 1,
        retries: 0,
        hedged: Hedged::No,
        queue_us: 0,
        connect_us: 0,
        first_byte_us: 1,
        total_us: 2,
        end: End::Complete,
    };
    let _ = filter.matches(&record);
});
