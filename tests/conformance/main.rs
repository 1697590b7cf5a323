//! HTTP/1.1 conformance of the real binary: raw sockets on both sides, on both I/O drivers.
//!
//! A case's name begins with the section of the RFC that it holds the balancer to; cases of our own contract begin
//! with the word that the contract uses. The oracle is the origin: see `harness/stage.rs`.

#[path = "../harness/harness.rs"]
mod harness;

mod bodies;
mod chunked_requests;
mod chunked_responses;
mod connect_and_options;
mod connection;
mod content_length;
mod expect;
mod failures;
mod fields;
mod forwarding;
mod hop_by_hop;
mod host;
mod http10;
mod interim;
mod limits;
mod own_answers;
mod pipelining;
mod pool;
mod request_line;
mod responses;
mod rewriting;
mod routing;
mod targets;
mod timeouts;
mod transfer_encoding;
mod upgrade;

/// Cases that are not run, by name, each with its reason.
const SKIPS: &[(&str, &str)] = &[];
