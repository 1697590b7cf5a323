//! Answers about the past: `history` and `logs`.

use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Monitor;
use super::conversation::{Mistake, PastLines, PastSteps, StepName};
use super::lines::{Line, LineFacts};
use crate::logic::log_filter::Filter;
use crate::telemetry::history::{History, Row, Step};

const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
const QUANTILES: [&str; 3] = ["p50_us", "p99_us", "p999_us"];

impl Monitor {
    /// The rows of a series; empty where nothing is known of it.
    pub(super) fn history(&self, asked: &PastSteps) -> Result<Utf8Bytes, Mistake> {
        if !History::is_name(&asked.series) {
            return Err(Mistake::series(asked.id));
        }
        let step = match asked.step {
            StepName::Second => Step::Second,
            StepName::Minute => Step::Minute,
        };
        let state = self.state();
        let series = state.history.series(&asked.series);
        let (from_ms, rows) = series.map_or((0, Vec::new()), |series| series.rows(step, asked.most()));
        let answer = json!({
            "v": 1, "type": "history", "id": asked.id, "series": asked.series, "step_ms": step.ms(),
            "from_ms": from_ms, "columns": columns(&rows), "latency": latency(&rows),
        });
        Ok(answer.to_string().into())
    }

    /// Lines that are remembered. Thousands may have to be looked through: that is done on another thread.
    pub(super) async fn past_lines(&self, asked: PastLines) -> Result<Utf8Bytes, Mistake> {
        let filter = Filter::parse(&asked.filter).map_err(|bad| Mistake::filter(asked.id, bad))?;
        let lines =
            self.state().lines.between(asked.since_ms.unwrap_or(0), asked.until_ms.unwrap_or(u64::MAX));
        let looked = tokio::task::spawn_blocking(move || past_lines(&asked, &filter, &lines)).await;
        looked.map_err(|_| Mistake::no_message())
    }
}

fn columns(rows: &[&Row]) -> Map<String, Value> {
    let column = |of: &dyn Fn(&Row) -> Value| rows.iter().map(|row| of(row)).collect::<Value>();
    let mut columns = Map::new();
    columns.insert("requests".into(), column(&|row| row.requests().into()));
    for (at, name) in CLASSES.into_iter().enumerate() {
        columns.insert(name.into(), column(&|row| row.classes()[at].into()));
    }
    for (at, name) in QUANTILES.into_iter().enumerate() {
        columns.insert(name.into(), column(&|row| row.quantiles_us()[at].into()));
    }
    columns.insert("in_flight".into(), column(&|row| row.in_flight.into()));
    columns.insert("queued".into(), column(&|row| row.queued.into()));
    columns.insert("cpu_percent".into(), column(&|row| row.cpu_percent().into()));
    columns
}

fn latency(rows: &[&Row]) -> Value {
    rows.iter()
        .map(|row| row.heat().map(|(bucket, count)| json!([bucket, count])).collect::<Value>())
        .collect()
}

/// The newest that match, oldest first.
fn past_lines(asked: &PastLines, filter: &Filter, lines: &[Line]) -> Utf8Bytes {
    let matches = |line: &&Line| LineFacts::read(&line.text).is_some_and(|facts| filter.matches(&facts));
    let mut newest: Vec<&str> =
        lines.iter().rev().filter(matches).take(asked.limit() + 1).map(|line| &*line.text).collect();
    let more = newest.len() > asked.limit();
    newest.truncate(asked.limit());
    newest.reverse();
    let id = asked.id.map_or_else(|| "null".to_owned(), |id| id.to_string());
    let filter = Value::from(filter.source());
    let lines = newest.join(",");
    format!(
        "{{\"v\":1,\"type\":\"logs\",\"id\":{id},\"filter\":{filter},\"lines\":[{lines}],\"more\":{more}}}"
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::super::lines::tests::fresh;
    use super::*;
    use crate::logic::access::AccessRecord;
    use crate::logic::access::tests::sample;

    #[test]
    fn the_newest_lines_that_match_come_oldest_first() {
        let record = |status| AccessRecord { status, ..sample() };
        let lines = fresh(&[(1, record(500)), (2, record(200)), (3, record(502)), (4, record(503))]).lines;
        let asked = serde_json::from_str(r#"{"id":7,"limit":2}"#).unwrap();
        let answer = past_lines(&asked, &Filter::parse("status=5xx").unwrap(), &lines);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let statuses: Vec<_> =
            answer["lines"].as_array().unwrap().iter().map(|line| &line["status"]).collect();
        assert_eq!((statuses, &answer["more"]), (vec![&json!(502), &json!(503)], &json!(true)));
        assert_eq!((&answer["id"], &answer["filter"]), (&json!(7), &json!("status=5xx")));
    }
}
