//! What viewers follow: one topic a filter, its frames encoded once for all who follow it.

use std::collections::BTreeMap;

use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::lines::{Fresh, LineFacts};
use crate::logic::limits::{VIEWER_FILTERS_MAX, VIEWER_FRAMES_MAX};
use crate::logic::log_filter::Filter;

/// The topics, by the text of their filters.
#[derive(Debug, Default)]
pub(super) struct Topics(BTreeMap<String, Topic>);

#[derive(Debug)]
struct Topic {
    filter: Filter,
    frames: broadcast::Sender<Utf8Bytes>,
}

/// More filters than are followed at a time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Topics {
    /// Joins those who follow this filter.
    pub(super) fn follow(&mut self, filter: Filter) -> Result<broadcast::Receiver<Utf8Bytes>, TooMany> {
        self.sweep();
        if let Some(topic) = self.0.get(filter.source()) {
            return Ok(topic.frames.subscribe());
        }
        if self.0.len() >= VIEWER_FILTERS_MAX {
            return Err(TooMany);
        }
        let (frames, receiver) = broadcast::channel(VIEWER_FRAMES_MAX);
        self.0.insert(filter.source().to_owned(), Topic { filter, frames });
        Ok(receiver)
    }

    /// Forgets what nobody follows any more. True where there was something.
    pub(super) fn sweep(&mut self) -> bool {
        let before = self.0.len();
        self.0.retain(|_, topic| topic.frames.receiver_count() > 0);
        self.0.len() != before
    }

    /// What workers have to look for.
    pub(super) fn filters(&self) -> Vec<Filter> {
        self.0.values().map(|topic| topic.filter.clone()).collect()
    }

    /// Gives each topic the lines that it wants.
    pub(super) fn publish(&self, fresh: &Fresh) {
        if self.0.is_empty() || (fresh.lines.is_empty() && fresh.left_out == 0) {
            return;
        }
        let facts: Vec<_> = fresh.lines.iter().map(|line| LineFacts::read(&line.text)).collect();
        for topic in self.0.values() {
            let wanted = fresh.lines.iter().zip(&facts);
            let wanted =
                wanted.filter(|(_, facts)| facts.as_ref().is_some_and(|facts| topic.filter.matches(facts)));
            let lines: Vec<&str> = wanted.map(|(line, _)| &*line.text).collect();
            if !lines.is_empty() || fresh.left_out > 0 {
                let _ = topic.frames.send(frame(&lines, fresh.left_out));
            }
        }
    }
}

fn frame(lines: &[&str], left_out: u64) -> Utf8Bytes {
    format!("{{\"v\":1,\"type\":\"log\",\"lines\":[{}],\"left_out\":{left_out}}}", lines.join(",")).into()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::lines::tests::fresh;
    use super::*;
    use crate::logic::access::AccessRecord;
    use crate::logic::access::tests::sample;

    fn filter(text: &str) -> Filter {
        Filter::parse(text).unwrap()
    }

    #[test]
    fn each_topic_gets_its_lines_in_one_frame() {
        let mut topics = Topics::default();
        let mut all = topics.follow(filter("")).unwrap();
        let mut errors = topics.follow(filter("status=5xx")).unwrap();
        let mut same_errors = topics.follow(filter(" status=5xx ")).unwrap();
        topics.publish(&fresh(&[(1, sample()), (2, AccessRecord { status: 502, ..sample() })]));
        let lines = |receiver: &mut broadcast::Receiver<Utf8Bytes>| {
            let frame: Value = serde_json::from_str(&receiver.try_recv().unwrap()).unwrap();
            frame["lines"].as_array().unwrap().iter().map(|line| line["status"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(lines(&mut all), [200, 502]);
        assert_eq!(lines(&mut errors), [502]);
        assert_eq!(lines(&mut same_errors), [502]);
        assert!(errors.try_recv().is_err());
    }

    #[test]
    fn a_topic_ends_with_its_last_follower_and_there_are_only_so_many() {
        let mut topics = Topics::default();
        let followers: Vec<_> =
            (0..VIEWER_FILTERS_MAX).map(|at| topics.follow(filter(&format!("ms>{at}"))).unwrap()).collect();
        assert!(topics.follow(filter("ms>0")).is_ok());
        assert_eq!(topics.follow(filter("ms>99")).unwrap_err(), TooMany);
        drop(followers);
        assert!(topics.sweep());
        assert!(topics.filters().is_empty());
        assert!(topics.follow(filter("ms>99")).is_ok());
    }
}
