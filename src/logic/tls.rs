//! TLS as it passes by: which name a client asks for, and where that name leads. Nothing is decrypted, and nothing changed.

pub mod hello;
pub mod names;

/// A fatal `unrecognized_name` (RFC 6066, 3) in a record of its own: what a client is told whose name leads nowhere.
pub const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 1, 0, 2, 2, 112];
