//! What telemetry tells of the process itself, besides numbers.

use std::fmt::Write;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::config::Settings;
use crate::shared::reload::LastReload;

/// Facts that stand for the life of the process.
#[derive(Debug, Clone)]
pub struct About {
    /// Of the package.
    pub version: &'static str,
    /// `io_uring` or `epoll`.
    pub driver: Arc<str>,
    /// Why this driver, in words for a person: its set-up flags, or what stood in the way of io_uring.
    pub driver_reason: Arc<str>,
    /// Worker threads.
    pub workers: usize,
    /// Wall-clock time of the start, milliseconds since the epoch.
    pub started_ms: u64,
    /// What is listened on, with real ports in place of port 0.
    pub listeners: Vec<Bound>,
}

/// A listener and its addresses.
#[derive(Debug, Clone)]
pub struct Bound {
    /// Its name.
    pub name: Arc<str>,
    /// What is spoken there, as the file has it.
    pub protocol: &'static str,
    /// Its addresses as text: `127.0.0.1:8080`, `unix:/run/x.sock`.
    pub addresses: Vec<String>,
}

/// The configuration that is in force. A reload replaces it whole.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// What it says.
    pub settings: Arc<Settings>,
    /// See [`config_hash`].
    pub hash: String,
    /// Wall-clock time of the reload that brought it, milliseconds since the epoch; `None` since the start.
    pub reloaded_ms: Option<u64>,
    /// The newest attempt to reload, the refused ones too.
    pub last_reload: Option<LastReload>,
}

/// SHA-256 of the file as it stands, in hexadecimal: what `sha256sum plimsoll.yaml` prints. Variables are not yet
/// replaced in it, so a secret that comes from the environment is not in the hash either.
pub fn config_hash(source: &[u8]) -> String {
    Sha256::digest(source).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_sha256sum_prints() {
        assert_eq!(config_hash(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
