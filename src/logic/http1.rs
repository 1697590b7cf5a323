//! HTTP/1.1 as a strict intermediary (RFC 9110, RFC 9112).
//!
//! Bytes go in, decisions and bytes come out; nothing here owns a socket. What is forwarded is always written anew in
//! canonical form, so a message that two parsers could read in two ways never leaves this place.

pub mod answer;
pub mod body;
pub mod chunked;
pub mod exchange;
pub mod field;
pub mod framing;
pub mod head;
pub mod request;
pub mod response;
pub mod rewrite;
