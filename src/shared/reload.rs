//! What became of reading the configuration again.

/// One attempt. The newest is kept for the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReload {
    /// When, milliseconds since the epoch.
    pub at_ms: u64,
    /// Whether the new settings are in force; else the old ones are.
    pub accepted: bool,
    /// What changed, or what is wrong: one sentence each, for a person. Empty where the file is as it was.
    pub lines: Vec<String>,
}
