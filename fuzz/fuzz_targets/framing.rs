//! Responses: whatever a node says, its head is refused or has one framing, and what the client gets parses to it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::logic::http1::exchange::reply;
use plimsoll::logic::http1::framing::Framing;
use plimsoll::logic::http1::head::{HeadScanner, Scan};
use plimsoll::logic::http1::request::{FieldRoom, RequestFacts, Version};
use plimsoll::logic::http1::response::{self, Kind};
use plimsoll::logic::http1::rewrite::write_response;
use plimsoll::logic::limits::MessageLimits;
use plimsoll::logic::route::Edits;

fuzz_target!(|bytes: &[u8]| {
    let Some((&flags, bytes)) = bytes.split_first() else { return };
    let facts = RequestFacts {
        version: if flags & 1 == 0 { Version::Http11 } else { Version::Http10 },
        framing: Framing::None,
        keep_alive: flags & 2 == 0,
        is_head: flags & 4 != 0,
        is_connect: false,
        idempotent: true,
        expects_continue: false,
        upgrade: flags & 8 != 0,
        hops_left: None,
        wants_json: false,
        nominates: false,
    };
    let limits = MessageLimits::default();
    let Ok(Scan::Complete { start: 0, end }) = HeadScanner::default().advance(bytes, &limits) else { return };
    let mut room = FieldRoom::new();
    let Ok(parsed) = response::parse(&bytes[..end], &facts, &limits, &mut room) else { return };
    let reply = reply(&facts, &parsed, true, false);
    let mut out = Vec::new();
    write_response(&mut out, &parsed, &reply, &Edits::default(), b"Thu, 01 Jan 1970 00:00:00 GMT");
    let roomy = MessageLimits { head_bytes_max: 48 * 1024, fields_max: 128, ..limits };
    let mut room = FieldRoom::new();
    let again = response::parse(&out, &facts, &roomy, &mut room).expect("what was written does not parse");
    let expected = match parsed.framing {
        _ if reply.chunked => Framing::Chunked,
        Framing::Chunked => Framing::UntilClose,
        other => other,
    };
    assert_eq!(again.framing, expected);
    if parsed.kind == Kind::Final && !reply.keep_alive {
        assert!(!again.node_keeps, "the client is not told that the connection ends");
    }
});
