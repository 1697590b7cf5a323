//! A chunked body in pieces of any size: the same data as in one piece, or refused in both; and what goes out decodes
//! to the same data.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::logic::http1::body::{BACK_ROOM, BodyFlow, FRONT_ROOM};
use plimsoll::logic::http1::chunked::Decoder;
use plimsoll::logic::http1::framing::Framing;

fuzz_target!(|bytes: &[u8]| {
    let Some((&size, bytes)) = bytes.split_first() else { return };
    let size = usize::from(size).max(1);
    let mut whole = bytes.to_vec();
    let expected = Decoder::default().decode(&mut whole);
    let mut flow = BodyFlow::new(Framing::Chunked, true, None);
    let mut out = Vec::new();
    let mut used = 0;
    let mut done = false;
    for piece in bytes.chunks(size) {
        let mut buffer = vec![0; FRONT_ROOM];
        buffer.extend_from_slice(piece);
        let end = buffer.len();
        buffer.extend_from_slice(&[0; BACK_ROOM]);
        let Ok(step) = flow.step(&mut buffer, FRONT_ROOM, end) else {
            assert!(expected.is_err(), "refused in pieces alone");
            return;
        };
        used += step.consumed - FRONT_ROOM;
        out.extend_from_slice(&buffer[step.start..step.end]);
        assert_eq!(&buffer[step.consumed..end], &piece[step.consumed - FRONT_ROOM..], "the next message was touched");
        if step.done {
            done = true;
            if flow.has_tail() {
                flow.tail(&mut out);
            }
            break;
        }
    }
    let Ok(expected) = expected else {
        assert!(!done, "refused in one piece alone");
        return;
    };
    assert_eq!(done, expected.done);
    if done {
        assert_eq!(used, expected.consumed);
        let decoded = Decoder::default().decode(&mut out).expect("what was written is broken");
        assert!(decoded.done && decoded.consumed == out.len());
        assert_eq!(out[..decoded.data], whole[..expected.data]);
    }
});
