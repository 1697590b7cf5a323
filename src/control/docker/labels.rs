//! Labels: those that our containers carry, and those by which containers of others ask to join.
//!
//! The second kind is input of strangers. It names a backend, a port and a weight, and nothing else: what is run, where
//! it is mounted, what it may do, and under which address it is reached never comes from a label.

use std::collections::HashMap;

use crate::config::quoted;
use crate::logic::limits::{NAME_BYTES_MAX, WEIGHT_MAX};

pub(super) const MANAGED: &str = "plimsoll.managed";
pub(super) const OWNER: &str = "plimsoll.owner";
pub(super) const BACKEND: &str = "plimsoll.backend";
pub(super) const SPEC: &str = "plimsoll.spec";
pub(super) const PORT: &str = "plimsoll.port";
/// Which start made it: the last part of its name too.
pub(super) const TICKET: &str = "plimsoll.ticket";
pub(super) const WEIGHT: &str = "plimsoll.weight";
pub(super) const ENABLE: &str = "plimsoll.enable";

/// What a container asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) backend: String,
    /// The port inside; `None` is its only exposed one.
    pub(super) port: Option<u16>,
    pub(super) weight: u32,
}

/// Reads a claim. The error says what is wrong, for the one who wrote the label.
pub(super) fn claim(labels: &HashMap<String, String>) -> Result<Claim, String> {
    let backend = labels.get(BACKEND).ok_or_else(|| format!("it has no label `{BACKEND}`"))?;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if backend.is_empty() || backend.len() > NAME_BYTES_MAX || !backend.bytes().all(letter) {
        return Err(format!("`{BACKEND}` is {}, which is not a name of a backend", quoted(backend)));
    }
    if let Some(label) = labels.keys().find(|label| label.starts_with("plimsoll.route.")) {
        return Err(format!("{} asks for a route: routes come from the configuration", quoted(label)));
    }
    Ok(Claim {
        backend: backend.clone(),
        port: number(labels, PORT, 1, u32::from(u16::MAX))?.map(|port| port as u16),
        weight: number(labels, WEIGHT, 1, WEIGHT_MAX)?.unwrap_or(1),
    })
}

fn number(labels: &HashMap<String, String>, name: &str, min: u32, max: u32) -> Result<Option<u32>, String> {
    let Some(text) = labels.get(name) else { return Ok(None) };
    let value = text.parse::<u32>().ok().filter(|value| (min..=max).contains(value));
    let wrong = || format!("`{name}` is {}, which is not a number from {min} to {max}", quoted(text));
    value.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(labels: &[(&str, &str)]) -> Result<Claim, String> {
        claim(&labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_claim_is_a_backend_a_port_and_a_weight() {
        let claim = with(&[(BACKEND, "api"), (PORT, "8080"), (WEIGHT, "3")]);
        assert_eq!(claim, Ok(Claim { backend: "api".into(), port: Some(8080), weight: 3 }));
        assert_eq!(with(&[(BACKEND, "api")]), Ok(Claim { backend: "api".into(), port: None, weight: 1 }));
    }

    #[test]
    fn what_is_out_of_range_or_asks_for_more_is_refused_with_its_reason() {
        for (bad, why) in [
            (vec![], "has no label"),
            (vec![(BACKEND, "a b")], "not a name"),
            (vec![(BACKEND, "<script>")], "not a name"),
            (vec![(BACKEND, "api"), (PORT, "0")], "from 1 to 65535"),
            (vec![(BACKEND, "api"), (PORT, "70000")], "from 1 to 65535"),
            (vec![(BACKEND, "api"), (WEIGHT, "-1")], "from 1 to 1000"),
            (vec![(BACKEND, "api"), (WEIGHT, "9999999999999999999")], "from 1 to 1000"),
            (vec![(BACKEND, "api"), ("plimsoll.route.path", "/*")], "routes come from the configuration"),
        ] {
            let error = with(&bad).unwrap_err();
            assert!(error.contains(why), "{bad:?}: {error}");
        }
    }
}
