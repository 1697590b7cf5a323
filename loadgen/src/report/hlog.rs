//! `.hlog`: one histogram a second in HdrHistogram's interval log, version 2 compressed. Values are nanoseconds.

use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::{V2DeflateSerializer, interval_log::IntervalLogWriterBuilder};

use crate::result::RunResult;

/// Interval maxima are written in milliseconds, as the log's other writers do.
const MAX_DIVISOR: f64 = 1e6;

/// The log's bytes.
///
/// # Errors
/// A histogram could not be written; says which second it was.
pub fn render(result: &RunResult) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let start = UNIX_EPOCH + Duration::from_millis(result.started_unix_ms);
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment(&format!("response times in ns, written by {}", single_line(&result.program)))
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(MAX_DIVISOR);
    let mut log = builder.begin_log_with(&mut bytes, &mut serializer).map_err(|error| error.to_string())?;
    for second in &result.seconds {
        let (at, length) = (Duration::from_millis(second.start_ms), Duration::from_millis(second.length_ms));
        log.write_histogram(&second.response.to_histogram(), at, length, None)
            .map_err(|error| format!("the second at {} ms: {error:?}", second.start_ms))?;
    }
    drop(log);
    Ok(bytes)
}

/// A comment is one line; a line break in it would begin an entry of its own.
fn single_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::result::{Distribution, Second};

    #[test]
    fn every_second_is_an_interval() {
        let second = |at: u64| Second {
            start_ms: at * 1000,
            length_ms: 1000,
            response: Distribution(vec![(2_000_000, 5)]),
            ..Second::default()
        };
        let result = RunResult {
            program: "x\n1,2,3".into(),
            seconds: (0..3).map(second).collect(),
            ..RunResult::default()
        };
        let bytes = render(&result).unwrap();
        let entries: Vec<_> = IntervalLogIterator::new(&bytes).map(Result::unwrap).collect();
        let starts: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                LogEntry::Interval(interval) => Some(interval.start_timestamp().as_secs()),
                _ => None,
            })
            .collect();
        assert_eq!(starts, [0, 1, 2]);
    }
}
