//! HTTP/1.1 as a strict intermediary (RFC 9110, RFC 9112).
