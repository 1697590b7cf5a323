//! Any bytes, cut anywhere: how a connection begins is told alike, no answer is taken back, and what is named stays in bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::logic::limits::HELLO_PROTOCOLS_MAX;
use plimsoll::logic::tls::hello::{Opening, read};

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes);
    for end in 0..bytes.len() {
        let part = read(&bytes[..end]);
        assert!(part == Ok(None) || part == whole, "cut at {end}: {part:?}, then {whole:?}");
    }
    if let Ok(Some(Opening::Tls(hello))) = whole {
        assert!(hello.protocols.len() <= HELLO_PROTOCOLS_MAX);
        assert!(hello.protocols.iter().all(|one| (1..=255).contains(&one.len())));
        assert!(hello.name.is_none_or(|name| name.len() <= 255 && !name.iter().any(u8::is_ascii_uppercase)));
    }
});
