//! Any bytes, cut anywhere: a PROXY header ends at the same place, no answer is taken back, and what was read is written
//! anew to the same ends.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::logic::proxy_protocol::{Version, read, write};

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes);
    for end in 0..bytes.len() {
        let part = read(&bytes[..end]);
        assert!(part == Ok(None) || part == whole, "cut at {end}: {part:?}, then {whole:?}");
    }
    let Ok(Some(header)) = whole else { return };
    assert!(header.bytes <= bytes.len());
    for version in [Version::V1, Version::V2] {
        let mut out = Vec::new();
        write(version, header.ends, &mut out);
        let again = read(&out).expect("what was written is a header").expect("and whole");
        assert_eq!(again.bytes, out.len());
        assert_eq!(again.ends.is_some(), header.ends.is_some());
    }
});
