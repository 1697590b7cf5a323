//! What is said when the connections of a run cannot be opened: to whom, why, and what may help.

use super::Failure;
use super::job::Job;
use crate::fault::{Cause, Fault};

/// So many addresses are named.
const NAMED_MAX: usize = 3;

/// No connection could be opened.
#[must_use]
pub(super) fn failure(job: &Job, failed: usize, fault: &Fault) -> Failure {
    let to = addresses(job);
    let what = match failed {
        1 => format!("the connection to {to} could not be opened"),
        many => format!("none of {many} connections to {to} could be opened"),
    };
    Failure(format!("{what}: {fault}. {}", advice(job, fault.cause)))
}

fn addresses(job: &Job) -> String {
    let shown = job.endpoints.iter().take(NAMED_MAX).map(|endpoint| endpoint.address.to_string());
    let mut shown: Vec<String> = shown.collect();
    if job.endpoints.len() > NAMED_MAX {
        shown.push(format!("{} more", job.endpoints.len() - NAMED_MAX));
    }
    shown.join(", ")
}

fn advice(job: &Job, cause: Cause) -> &'static str {
    let shakes_hands = job.endpoints.iter().any(|endpoint| !endpoint.handshake.is_empty());
    match cause {
        Cause::LocalLimit => "This machine has no room for it: that is the client's limit, not the server's.",
        Cause::UnexpectedAnswer | Cause::BadResponse | Cause::ClosedEarly | Cause::Reset if shakes_hands => {
            "The server answers, but not with a WebSocket."
        }
        _ => "Is the server running there?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::job::Endpoint;
    use crate::engine::job::tests::closed_job;
    use crate::engine::socket::Address;

    fn job(handshake: &[u8]) -> Job {
        let endpoint = |port: u16| Endpoint {
            address: Address::Tcp(([127, 0, 0, 1], port).into()),
            mine: Vec::new(),
            connections: Vec::new(),
            handshake: handshake.to_vec(),
            accept: String::new(),
        };
        Job { endpoints: (1..=5).map(endpoint).collect(), ..closed_job(0) }
    }

    #[test]
    fn the_sentence_names_addresses_and_counts_rightly() {
        let mut one = job(b"");
        one.endpoints.truncate(1);
        let refused = Fault::new(Cause::Refused, "");
        assert_eq!(
            failure(&one, 1, &refused).0,
            "the connection to 127.0.0.1:1 could not be opened: connection refused. Is the server running there?"
        );
        let many = failure(&job(b""), 50, &refused).0;
        assert!(many.starts_with("none of 50 connections to 127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:3, 2 more "));
    }

    #[test]
    fn the_server_is_not_looked_for_where_it_answers_or_where_the_client_lacks_something() {
        let said = |handshake: &[u8], cause| failure(&job(handshake), 2, &Fault::new(cause, "x")).0;
        assert!(said(b"GET", Cause::BadResponse).contains("not with a WebSocket"));
        assert!(said(b"", Cause::LocalLimit).contains("client's limit"));
    }
}
