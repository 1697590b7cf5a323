//! CSV: one line a second, numbers only, for spreadsheets and plots.

use std::fmt::Write;

use crate::result::{RunResult, Second};

/// The columns; units stand at the end of the names.
const HEADER: &str = "start_ms,length_ms,scheduled,sent,completed,errors,bytes_in,bytes_out,in_flight,cpu_percent,\
                      worst_lag_us,mean_us,p50_us,p90_us,p99_us,p99.9_us,max_us";

/// The series as CSV (RFC 4180, line feeds).
#[must_use]
pub fn render(result: &RunResult) -> String {
    let mut out = String::from(HEADER);
    out.push('\n');
    for second in &result.seconds {
        write_second(&mut out, second);
    }
    out
}

fn write_second(out: &mut String, second: &Second) {
    let counts = [
        second.start_ms,
        second.length_ms,
        second.scheduled,
        second.sent,
        second.completed,
        second.errors,
        second.bytes_in,
        second.bytes_out,
        second.in_flight,
    ];
    for count in counts {
        let _ = write!(out, "{count},");
    }
    let response = &second.response;
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let _ = writeln!(
        out,
        "{:.1},{:.1},{:.1},{:.1},{:.1},{:.1},{:.1},{:.1}",
        second.cpu_percent,
        micros(second.worst_lag_ns),
        response.mean_ns() / 1e3,
        micros(response.quantile_ns(0.5)),
        micros(response.quantile_ns(0.9)),
        micros(response.quantile_ns(0.99)),
        micros(response.quantile_ns(0.999)),
        micros(response.max_ns()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Distribution;

    #[test]
    fn every_line_has_every_column() {
        let second = Second {
            start_ms: 1000,
            completed: 4,
            response: Distribution(vec![(1500, 4)]),
            ..Second::default()
        };
        let text = render(&RunResult { seconds: vec![second], ..RunResult::default() });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "1000,0,0,0,4,0,0,0,0,0.0,0.0,1.5,1.5,1.5,1.5,1.5,1.5");
        assert!(lines.iter().all(|line| line.split(',').count() == 17));
    }
}
