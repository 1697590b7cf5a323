//! What the monitor's messages mean: its protocol, version 1 (docs/monitor-protocol.md), as far as events go.
//! Decides and touches nothing; times are handed in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The most events that are kept of a run.
const EVENTS_MAX: usize = 10_000;
/// The longest text of one, in characters.
const TEXT_MAX: usize = 300;

/// The events of a run, by the number that the monitor gave each.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The last event before the run; `None` until the first snapshot.
    before: Option<u64>,
    heard: BTreeMap<u64, Said>,
    /// There were more than are kept.
    full: bool,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// When it was, on this machine's clock.
    pub(super) at: Instant,
    /// `node`, `scale`, `fleet`, `reload`, `audit` or `process`.
    pub(super) kind: String,
    /// A sentence.
    pub(super) text: String,
}

/// What is to be said to the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// No ticks, please: only events.
    Pause,
    /// A snapshot, please: it holds the last events.
    Resume,
}

impl Answer {
    /// The message.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Pause => r#"{"type":"pause"}"#,
            Self::Resume => r#"{"type":"resume"}"#,
        }
    }
}

impl Journal {
    /// Takes in a message that came at `at`.
    pub(super) fn take(&mut self, message: &str, at: Instant) -> Option<Answer> {
        let message: Value = serde_json::from_str(message).ok()?;
        match message.get("type")?.as_str()? {
            "snapshot" => {
                self.take_snapshot(&message, at);
                Some(Answer::Pause)
            }
            "event" => self.take_event(&message, at).then_some(Answer::Resume),
            "lost" => Some(Answer::Resume),
            _ => None,
        }
    }

    /// Whether a snapshot came: every monitor's first message is one.
    pub(super) fn has_begun(&self) -> bool {
        self.before.is_some()
    }

    /// The first one tells what is past; what a later one knows and we do not was lost on the way.
    fn take_snapshot(&mut self, snapshot: &Value, at: Instant) {
        let events = snapshot.get("events").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if !self.has_begun() {
            self.before = Some(events.iter().filter_map(number).max().unwrap_or(0));
            return;
        }
        let now_ms = stamp(snapshot);
        for event in events {
            let age = Duration::from_millis(now_ms.saturating_sub(stamp(event)));
            self.keep(event, at.checked_sub(age).unwrap_or(at));
        }
    }

    /// Whether the one before it is missing.
    fn take_event(&mut self, event: &Value, at: Instant) -> bool {
        let last = self.last();
        self.keep(event, at);
        number(event).is_some_and(|id| id > last.saturating_add(1)) && self.has_begun() && !self.full
    }

    fn keep(&mut self, event: &Value, at: Instant) {
        let Some(id) = number(event).filter(|id| self.before.is_some_and(|before| *id > before)) else {
            return;
        };
        if self.heard.contains_key(&id) {
            return;
        }
        if self.heard.len() == EVENTS_MAX {
            self.full = true;
            return;
        }
        let text = |name| event.get(name).and_then(Value::as_str).map(short).unwrap_or_default();
        self.heard.insert(id, Said { at, kind: text("kind"), text: text("text") });
    }

    fn last(&self) -> u64 {
        let before = self.before.unwrap_or(0);
        self.heard.last_key_value().map_or(before, |(id, _)| *id)
    }

    /// A sentence on what is not there.
    pub(super) fn gap(&self) -> Option<String> {
        if self.full {
            return Some(format!("Only the first {EVENTS_MAX} events of the balancer were kept."));
        }
        let expected = self.last() - self.before.unwrap_or(0);
        match expected.saturating_sub(self.heard.len() as u64) {
            0 => None,
            missing => Some(format!("{missing} events of the balancer were lost on the way.")),
        }
    }

    /// The events, oldest first.
    pub(super) fn into_events(self) -> impl Iterator<Item = Said> {
        self.heard.into_values()
    }
}

fn number(event: &Value) -> Option<u64> {
    event.get("id")?.as_u64()
}

fn stamp(message: &Value) -> u64 {
    message.get("at_ms").and_then(Value::as_u64).unwrap_or(0)
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = r#"{"v":1,"type":"snapshot","at_ms":5000,"events":[{"id":3,"at_ms":1,"kind":"process","text":"old"}]}"#;

    fn event(id: u64) -> String {
        format!(
            r#"{{"v":1,"type":"event","id":{id},"at_ms":6000,"kind":"scale","level":"info","text":"e{id}"}}"#
        )
    }

    fn texts(journal: Journal) -> Vec<String> {
        journal.into_events().map(|said| format!("{}: {}", said.kind, said.text)).collect()
    }

    #[test]
    fn what_was_before_the_run_is_not_of_the_run() {
        let (mut journal, now) = (Journal::default(), Instant::now());
        assert_eq!(journal.take(&event(3), now), None);
        assert!(!journal.has_begun());
        assert_eq!(journal.take(BEGIN, now), Some(Answer::Pause));
        for message in [r#"{"type":"tick"}"#, r#"{"id":9}"#, "[]", "", "{", r#"{"type":7}"#, &event(2)] {
            assert_eq!(journal.take(message, now), None, "{message}");
        }
        assert_eq!(journal.take(&event(4), now), None);
        assert_eq!(journal.take(&event(4), now), None, "the same once more");
        assert_eq!(journal.gap(), None);
        assert_eq!(texts(journal), ["scale: e4"]);
    }

    #[test]
    fn what_was_lost_comes_back_with_a_snapshot_and_at_its_own_time() {
        let (mut journal, now) = (Journal::default(), Instant::now());
        journal.take(BEGIN, now);
        assert_eq!(journal.take(&event(6), now), Some(Answer::Resume), "4 and 5 are missing");
        assert_eq!(journal.gap().as_deref(), Some("2 events of the balancer were lost on the way."));
        let later = now + Duration::from_secs(10);
        let snapshot = r#"{"type":"snapshot","at_ms":15000,"events":[
            {"id":4,"at_ms":12000,"kind":"node","text":"up"},{"id":5,"at_ms":14000,"kind":"node","text":"down"},
            {"id":6,"at_ms":14500,"kind":"scale","text":"again"}]}"#;
        assert_eq!(journal.take(snapshot, later), Some(Answer::Pause));
        assert_eq!(journal.gap(), None);
        let all: Vec<Said> = journal.into_events().collect();
        assert_eq!(all[0].at, later - Duration::from_secs(3));
        assert_eq!(all.iter().map(|said| said.text.as_str()).collect::<Vec<_>>(), ["up", "down", "e6"]);
    }

    #[test]
    fn a_slow_reader_asks_for_what_it_lost() {
        let mut journal = Journal::default();
        assert_eq!(
            journal.take(r#"{"v":1,"type":"lost","frames":12}"#, Instant::now()),
            Some(Answer::Resume)
        );
    }

    #[test]
    fn texts_are_short_and_on_one_line_and_events_are_bounded() {
        let (mut journal, now) = (Journal::default(), Instant::now());
        journal.take(BEGIN, now);
        let long = format!(r#"{{"type":"event","id":4,"kind":"a\nb","text":"{}"}}"#, "x".repeat(5000));
        journal.take(&long, now);
        for id in 5..(EVENTS_MAX as u64 + 20) {
            journal.take(&event(id), now);
        }
        assert!(journal.gap().is_some_and(|words| words.contains("Only the first 10000")));
        let all: Vec<Said> = journal.into_events().collect();
        assert_eq!((all[0].kind.as_str(), all[0].text.len(), all.len()), ("ab", TEXT_MAX, EVENTS_MAX));
    }
}
