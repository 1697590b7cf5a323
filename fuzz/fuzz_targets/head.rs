//! Any bytes, cut anywhere: the end of a head is found at the same place, and what parses is written anew as one
//! request that parses again, to the same method, target and framing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::logic::http1::head::{HeadScanner, Scan};
use plimsoll::logic::http1::request::{self, FieldRoom};
use plimsoll::logic::http1::rewrite::{Onward, write_request};
use plimsoll::logic::limits::MessageLimits;
use plimsoll::logic::route::Edits;

fuzz_target!(|bytes: &[u8]| {
    let limits = MessageLimits::default();
    let whole = HeadScanner::default().advance(bytes, &limits);
    let mut scanner = HeadScanner::default();
    let mut pieces = Ok(Scan::Partial);
    for end in 1..=bytes.len() {
        pieces = scanner.advance(&bytes[..end], &limits);
        if pieces != Ok(Scan::Partial) {
            break;
        }
    }
    if let Ok(Scan::Complete { .. }) = whole {
        assert_eq!(whole, pieces, "the cut changed the end");
    }
    let Ok(Scan::Complete { start, end }) = whole else { return };
    let mut room = FieldRoom::new();
    let Ok(parsed) = request::parse(&bytes[start..end], &limits, &mut room) else { return };
    if parsed.facts.is_connect || parsed.head.authority.is_empty() {
        return;
    }
    let edits = Edits::default();
    let onward = Onward {
        target: parsed.head.target,
        authority: parsed.head.authority,
        peer: b"192.0.2.1",
        trusted: false,
        request_id: b"0",
        edits: &edits,
    };
    let mut out = Vec::new();
    write_request(&mut out, &parsed, &onward);
    let roomy = MessageLimits { head_bytes_max: 48 * 1024, fields_max: 128, ..limits };
    let Ok(Scan::Complete { start: 0, end }) = HeadScanner::default().advance(&out, &roomy) else {
        panic!("what was written is no head: {:?}", String::from_utf8_lossy(&out));
    };
    assert_eq!(end, out.len(), "more than one head was written");
    let mut room = FieldRoom::new();
    let again = request::parse(&out, &roomy, &mut room).expect("what was written does not parse");
    assert_eq!(again.head.method, parsed.head.method);
    // An empty path before a query is written as `/`.
    let root: &[u8] = if parsed.head.target.starts_with(b"?") { b"/" } else { b"" };
    assert_eq!(again.head.target, [root, parsed.head.target].concat());
    assert_eq!(again.facts.framing, parsed.facts.framing);
});
