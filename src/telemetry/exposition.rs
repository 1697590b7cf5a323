//! The text formats that Prometheus reads: its own 0.0.4 and OpenMetrics 1.0.
//!
//! Written here rather than with the `prometheus-client` crate, which speaks OpenMetrics alone (old scrapers
//! and promtool expect 0.0.4, where a counter's metadata carries its `_total`) and wants to own live atomics,
//! while our numbers are merged snapshots. An independent parser reads both formats in `tests/admin`.

use std::fmt::{Display, Write};

use super::buckets::Buckets;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Dialect {
    /// What a scraper that sent this `Accept` understands. 0.0.4 is what everybody does.
    pub fn wanted(accept: &str) -> Self {
        let asks = accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_open =
                parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"));
            is_open && !parts.any(is_weight_zero)
        });
        if asks { Self::OpenMetrics } else { Self::Text }
    }

    /// The `content-type` of a page in it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// `q=0`, `q=0.0`: not acceptable (RFC 9110, 12.4.2).
fn is_weight_zero(parameter: &str) -> bool {
    parameter
        .strip_prefix("q=")
        .and_then(|weight| weight.parse::<f32>().ok())
        .is_some_and(|weight| weight <= 0.0)
}

/// What a family of samples is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises; its samples end in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
    /// Facts in labels, with the value 1; its sample ends in `_info`.
    Info,
}

/// A page under construction.
#[derive(Debug)]
pub struct Exposition {
    out: String,
    dialect: Dialect,
}

/// The samples of one family.
#[derive(Debug)]
pub struct Family<'a> {
    out: &'a mut String,
    name: &'a str,
    suffix: &'static str,
}

/// Names and values. Names are ours; values may hold anything.
pub type Labels<'a> = [(&'a str, &'a str)];

impl Exposition {
    /// An empty page.
    pub fn new(dialect: Dialect) -> Self {
        Self { out: String::with_capacity(16 * 1024), dialect }
    }

    /// Begins a family. `name` has no suffix; `help` is one line of plain words.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let (suffix, word) = match (kind, self.dialect) {
            (Kind::Counter, _) => ("_total", "counter"),
            (Kind::Gauge, _) => ("", "gauge"),
            (Kind::Histogram, _) => ("", "histogram"),
            (Kind::Info, Dialect::Text) => ("_info", "gauge"),
            (Kind::Info, Dialect::OpenMetrics) => ("_info", "info"),
        };
        let described = if self.dialect == Dialect::Text { suffix } else { "" };
        put(
            &mut self.out,
            format_args!("# HELP {name}{described} {help}\n# TYPE {name}{described} {word}\n"),
        );
        Family { out: &mut self.out, name, suffix }
    }

    /// The finished page.
    pub fn finish(mut self) -> String {
        if self.dialect == Dialect::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

impl Family<'_> {
    /// One sample.
    pub fn sample(&mut self, labels: &Labels<'_>, value: impl Display) {
        line(self.out, self.name, self.suffix, labels, value);
    }

    /// One histogram.
    pub fn histogram(&mut self, labels: &Labels<'_>, buckets: &Buckets) {
        let mut with_bound = labels.to_vec();
        for (bound, count) in buckets.cumulative().chain([("+Inf", buckets.count())]) {
            with_bound.truncate(labels.len());
            with_bound.push(("le", bound));
            line(self.out, self.name, "_bucket", &with_bound, count);
        }
        line(self.out, self.name, "_sum", labels, buckets.sum_us() as f64 / 1e6);
        line(self.out, self.name, "_count", labels, buckets.count());
    }
}

fn line(out: &mut String, name: &str, suffix: &str, labels: &Labels<'_>, value: impl Display) {
    out.push_str(name);
    out.push_str(suffix);
    for (at, (label, text)) in labels.iter().enumerate() {
        out.push(if at == 0 { '{' } else { ',' });
        out.push_str(label);
        out.push_str("=\"");
        escape(out, text);
        out.push('"');
    }
    out.push_str(if labels.is_empty() { "" } else { "}" });
    put(out, format_args!(" {value}\n"));
}

/// A backslash, a quote and a line feed are all that the formats escape.
fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(character),
        }
    }
}

fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = out.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::report::new_durations;

    #[test]
    fn a_scraper_gets_openmetrics_only_where_it_asks() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(Dialect::wanted(prometheus), Dialect::OpenMetrics);
        for accept in
            ["", "*/*", "text/plain", "application/openmetrics-text; q=0", "x/application/openmetrics-text"]
        {
            assert_eq!(Dialect::wanted(accept), Dialect::Text, "{accept}");
        }
    }

    #[test]
    fn counters_are_described_as_each_format_wants() {
        let page = |dialect| {
            let mut page = Exposition::new(dialect);
            page.family("a", Kind::Counter, "Words.").sample(&[("x", "1")], 5);
            page.finish()
        };
        assert_eq!(
            page(Dialect::Text),
            "# HELP a_total Words.\n# TYPE a_total counter\na_total{x=\"1\"} 5\n"
        );
        assert_eq!(
            page(Dialect::OpenMetrics),
            "# HELP a Words.\n# TYPE a counter\na_total{x=\"1\"} 5\n# EOF\n"
        );
    }

    #[test]
    fn hostile_label_values_stay_inside_their_quotes() {
        let mut page = Exposition::new(Dialect::Text);
        page.family("a", Kind::Gauge, "Words.").sample(&[("x", "\"} 1\n\\"), ("y", "é")], 0);
        assert!(page.finish().ends_with("a{x=\"\\\"} 1\\n\\\\\",y=\"é\"} 0\n"));
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_in_infinity_sum_and_count() {
        let mut durations = new_durations();
        [40, 90, 90, 70_000_000].iter().for_each(|&value| durations.record(value).unwrap());
        let mut buckets = Buckets::default();
        buckets.add(&durations);
        let mut page = Exposition::new(Dialect::Text);
        page.family("a", Kind::Histogram, "Words.").histogram(&[("x", "1")], &buckets);
        let text = page.finish();
        for line in
            ["le=\"5e-05\"} 1", "le=\"0.0001\"} 3", "le=\"60.0\"} 3", "le=\"+Inf\"} 4", "a_count{x=\"1\"} 4"]
        {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        let sum = text.lines().find_map(|line| line.strip_prefix("a_sum{x=\"1\"} ")).unwrap();
        assert!((sum.parse::<f64>().unwrap() - 70.0).abs() < 0.28, "{sum}");
    }
}
