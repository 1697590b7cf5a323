//! The events that are remembered, each as the JSON that viewers get.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::logic::limits::EVENTS_KEPT_MAX;
use crate::shared::event::{CUT, Event, Kind};

/// What `scale_events_total` tells apart: backend, direction (`up`, `down` or `hold`), and the rule that fired.
type ScaleKey = (Arc<str>, &'static str, &'static str);

/// The newest ones, oldest first.
#[derive(Debug, Default)]
pub(super) struct EventRing {
    kept: VecDeque<Kept>,
    last_id: u64,
    scale: BTreeMap<ScaleKey, u64>,
    /// Requests that were in flight on nodes that ended, by backend.
    cut: BTreeMap<Arc<str>, u64>,
}

#[derive(Debug)]
struct Kept {
    id: u64,
    kind: &'static str,
    fields: String,
}

impl EventRing {
    /// Keeps one, and gives its JSON object.
    pub(super) fn push(&mut self, event: &Event) -> String {
        self.last_id += 1;
        self.count_scale(event);
        self.count_cut(event);
        let fields = fields(event, self.last_id).to_string();
        if self.kept.len() >= EVENTS_KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { id: self.last_id, kind: event.kind.name(), fields: fields.clone() });
        fields
    }

    pub(super) fn newest(&self, after: u64, kind: Option<&str>, most: usize) -> Vec<String> {
        let wanted = |event: &&Kept| event.id > after && kind.is_none_or(|kind| kind == event.kind);
        let mut newest: Vec<_> =
            self.kept.iter().rev().filter(wanted).take(most).map(|event| event.fields.clone()).collect();
        newest.reverse();
        newest
    }

    /// Backend, direction, rule, and how many.
    pub(super) fn scale_events(&self) -> Vec<(Arc<str>, &'static str, &'static str, u64)> {
        let count = |((backend, direction, rule), count): (&ScaleKey, &u64)| {
            (Arc::clone(backend), *direction, *rule, *count)
        };
        self.scale.iter().map(count).collect()
    }

    /// Backend, and how many requests were in flight on nodes that ended.
    pub(super) fn cut(&self) -> Vec<(Arc<str>, u64)> {
        self.cut.iter().map(|(backend, count)| (Arc::clone(backend), *count)).collect()
    }

    /// A decision of the autoscaler says what was and what shall be, `from` and `to`; or by which rule it changes nothing.
    fn count_scale(&mut self, event: &Event) {
        let (Kind::Scale, Some(backend)) = (event.kind, &event.backend) else { return };
        let direction = match (input(event, "from"), input(event, "to")) {
            (Some(from), Some(to)) if to > from => "up",
            (Some(from), Some(to)) if to < from => "down",
            (None, None) if event.rule.is_none() => return,
            _ => "hold",
        };
        let reason = event.rule.unwrap_or("none");
        *self.scale.entry((Arc::clone(backend), direction, reason)).or_default() += 1;
    }

    fn count_cut(&mut self, event: &Event) {
        if let (Some(backend), Some(count)) = (&event.backend, input(event, CUT)) {
            // A number of requests, and so whole.
            *self.cut.entry(Arc::clone(backend)).or_default() += count as u64;
        }
    }
}

fn input(event: &Event, name: &str) -> Option<f64> {
    event.inputs.iter().find(|(known, _)| *known == name).map(|&(_, value)| value)
}

fn fields(event: &Event, id: u64) -> Value {
    // A number that JSON cannot write (a ratio over nothing) is null.
    let inputs: Map<_, _> =
        event.inputs.iter().map(|&(name, value)| (name.to_owned(), json!(value))).collect();
    json!({
        "id": id,
        "at_ms": event.at_ms,
        "kind": event.kind.name(),
        "level": event.level.name(),
        "backend": event.backend.as_deref(),
        "node": event.node.as_deref(),
        "rule": event.rule,
        "text": event.text,
        "inputs": inputs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::event::Level;

    fn scale(from: f64, to: f64) -> Event {
        let event = Event::now(Kind::Scale, Level::Info, "<img onerror=x>").backend(&"api".into());
        event.rule("in_flight").input("from", from).input("to", to).input("ratio", f64::NAN)
    }

    #[test]
    fn an_event_is_what_the_protocol_says() {
        let fields: Value = serde_json::from_str(&EventRing::default().push(&scale(2.0, 3.0))).unwrap();
        assert_eq!(fields["id"], 1);
        assert_eq!((&fields["kind"], &fields["level"]), (&json!("scale"), &json!("info")));
        assert_eq!((&fields["backend"], &fields["node"]), (&json!("api"), &Value::Null));
        assert_eq!((&fields["rule"], &fields["text"]), (&json!("in_flight"), &json!("<img onerror=x>")));
        assert_eq!(fields["inputs"], json!({ "from": 2.0, "to": 3.0, "ratio": null }));
    }

    #[test]
    fn the_newest_are_kept_and_found_by_kind_and_id() {
        let mut ring = EventRing::default();
        for at in 0..EVENTS_KEPT_MAX + 10 {
            let kind = if at % 2 == 0 { Kind::Node } else { Kind::Audit };
            ring.push(&Event::now(kind, Level::Info, "x"));
        }
        assert_eq!(ring.newest(0, None, usize::MAX).len(), EVENTS_KEPT_MAX);
        assert_eq!(ring.newest(0, Some("audit"), usize::MAX).len(), EVENTS_KEPT_MAX / 2);
        let last_two = ring.newest(EVENTS_KEPT_MAX as u64 + 8, None, usize::MAX);
        assert!(last_two[0].contains("\"id\":1009") && last_two[1].contains("\"id\":1010"), "{last_two:?}");
    }

    #[test]
    fn decisions_are_counted_by_direction_and_rule() {
        let mut ring = EventRing::default();
        [scale(2.0, 3.0), scale(3.0, 4.0), scale(4.0, 1.0), scale(1.0, 1.0)].iter().for_each(|event| {
            ring.push(event);
        });
        let counts: Vec<_> =
            ring.scale_events().into_iter().map(|(_, direction, _, count)| (direction, count)).collect();
        assert_eq!(counts, [("down", 1), ("hold", 1), ("up", 2)]);
        // What is no decision is none.
        ring.push(&Event::now(Kind::Scale, Level::Info, "all nodes were replaced").backend(&"api".into()));
        assert_eq!(ring.scale_events().len(), 3);
    }

    #[test]
    fn requests_that_were_cut_are_counted_by_backend() {
        let mut ring = EventRing::default();
        for count in [3.0, 4.0] {
            let event = Event::now(Kind::Fleet, Level::Error, "so many requests were cut");
            ring.push(&event.backend(&"api".into()).input(CUT, count));
        }
        assert_eq!(ring.cut(), [("api".into(), 7)]);
    }
}
