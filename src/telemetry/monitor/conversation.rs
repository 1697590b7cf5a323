//! What a viewer may say, and how it is answered that it said something else.

use serde::Deserialize;
use serde_json::json;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::logic::limits::{HISTORY_MINUTES, LINES_KEPT_MAX};
use crate::logic::log_filter::BadFilter;

/// Lines that one answer to `logs` may have.
pub(super) const LINES_MAX: usize = 1000;
const LINES_DEFAULT: usize = 200;

/// A message from a viewer. Fields that are not known are passed over.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said {
    Follow {
        #[serde(default)]
        filter: String,
    },
    Unfollow,
    Logs(PastLines),
    History(PastSteps),
    Pause,
    Resume,
}

/// Which lines of the past.
#[derive(Debug, Deserialize, PartialEq)]
pub(super) struct PastLines {
    pub(super) id: Option<u64>,
    #[serde(default)]
    pub(super) filter: String,
    #[serde(default)]
    pub(super) since_ms: Option<u64>,
    #[serde(default)]
    pub(super) until_ms: Option<u64>,
    #[serde(default)]
    limit: Option<usize>,
}

/// Which steps of which series.
#[derive(Debug, Deserialize, PartialEq)]
pub(super) struct PastSteps {
    pub(super) id: Option<u64>,
    pub(super) series: String,
    #[serde(default)]
    pub(super) step: StepName,
    #[serde(default)]
    steps: Option<usize>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize, PartialEq, Eq)]
pub(super) enum StepName {
    #[default]
    #[serde(rename = "1s")]
    Second,
    #[serde(rename = "1m")]
    Minute,
}

impl Said {
    /// `None` for what is no message of the protocol.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl PastLines {
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(LINES_DEFAULT).clamp(1, LINES_MAX)
    }
}

impl PastSteps {
    pub(super) fn most(&self) -> usize {
        self.steps.unwrap_or(usize::MAX).min(HISTORY_MINUTES)
    }
}

/// Why a message was not carried out.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) id: Option<u64>,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: &'static str,
    /// Byte offset in a filter.
    pub(super) at: Option<usize>,
}

impl Mistake {
    pub(super) fn no_message() -> Self {
        Self {
            id: None,
            code: "bad_message",
            message: "This is no message of the protocol.".into(),
            hint: "Send one JSON object with a type: follow, unfollow, logs, history, pause or resume.",
            at: None,
        }
    }

    pub(super) fn filter(id: Option<u64>, bad: BadFilter) -> Self {
        Self { id, code: "bad_filter", message: bad.message, hint: bad.hint, at: Some(bad.at) }
    }

    pub(super) fn too_many_filters() -> Self {
        Self {
            id: None,
            code: "too_many_filters",
            message: "Viewers follow too many different filters already.".into(),
            hint: "Use one that another viewer has, or wait until one leaves.",
            at: None,
        }
    }

    pub(super) fn series(id: Option<u64>) -> Self {
        Self {
            id,
            code: "bad_series",
            message: "There is no such kind of series.".into(),
            hint: "Use total, route:NAME, backend:NAME or node:ID.",
            at: None,
        }
    }

    pub(super) fn frame(&self) -> Utf8Bytes {
        let frame = json!({
            "v": 1, "type": "error", "id": self.id, "code": self.code, "message": self.message,
            "hint": self.hint, "at": self.at,
        });
        frame.to_string().into()
    }
}

const _: () = assert!(LINES_MAX <= LINES_KEPT_MAX);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_message_of_the_protocol_is_understood() {
        let read = |text: &str| Said::read(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(read(r#"{"type":"follow","filter":"ms>1"}"#), Said::Follow { filter: "ms>1".to_owned() });
        assert_eq!(read(r#"{"type":"follow"}"#), Said::Follow { filter: String::new() });
        assert_eq!(read(r#"{"type":"unfollow","later":[1]}"#), Said::Unfollow);
        assert_eq!(read(r#"{"v":1,"type":"pause"}"#), Said::Pause);
        assert_eq!(read(r#"{"type":"resume"}"#), Said::Resume);
        let Said::Logs(lines) = read(r#"{"type":"logs","id":4,"filter":"","since_ms":1,"limit":99999}"#)
        else {
            panic!()
        };
        assert_eq!((lines.id, lines.limit(), lines.until_ms), (Some(4), LINES_MAX, None));
        let Said::History(steps) = read(r#"{"type":"history","series":"total","step":"1m","steps":900}"#)
        else {
            panic!()
        };
        assert_eq!((steps.step, steps.most()), (StepName::Minute, 900));
    }

    #[test]
    fn what_is_no_message_is_none() {
        let deep = "[".repeat(100_000);
        for text in
            ["", "null", "{}", "[]", "{\"type\":7}", "{\"type\":\"shutdown\"}", "{\"type\":\"logs\"", &deep]
        {
            assert_eq!(Said::read(text), None);
        }
        assert_eq!(Said::read(r#"{"type":"history","series":"total","step":"1h"}"#), None);
        assert_eq!(Said::read(r#"{"type":"logs","limit":-1}"#), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,200}") {
            let _ = Said::read(&text);
        }
    }
}
