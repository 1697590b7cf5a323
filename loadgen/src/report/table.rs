//! The final table, for a terminal or a log.

use std::fmt::Write;

use crate::result::{FindMax, Mode, RunResult};

use super::{amount, fairness, verdict};

/// The percentiles of the table.
pub const QUANTILES: [(&str, f64); 7] = [
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
];

/// The most lines of a list that could be long; what is left off is said.
const LIST_MAX: usize = 20;
/// The width of a bar, in characters.
const BAR_LEN: usize = 24;

/// Whether to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// No colour: files, logs, tests.
    pub const PLAIN: Self = Self { on: false };

    /// Colour on a terminal, unless the user does not want any (<https://no-color.org>).
    #[must_use]
    pub fn for_terminal(is_terminal: bool) -> Self {
        Self { on: is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub(crate) fn odd(self, text: &str) -> String {
        self.wrap("33", text)
    }
}

/// The whole table. Every line ends with a line feed.
#[must_use]
pub fn render(result: &RunResult, paint: Paint) -> String {
    let mut table = Table { out: String::new(), paint };
    table.doubts(result);
    table.heading(result);
    table.latencies(result);
    table.volumes(result);
    table.statuses(result);
    table.errors(result);
    table.nodes(result);
    table.client(result);
    table.find_max(result.find_max.as_ref(), result.interrupted);
    table.slo(result);
    table.notes(result);
    table.out
}

struct Table {
    out: String,
    paint: Paint,
}

impl Table {
    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn row(&mut self, name: &str, text: &str) {
        self.line(&format!("  {name:<12} {text}"));
    }

    fn title(&mut self, text: &str) {
        let text = self.paint.bold(text);
        self.line(&format!("\n{text}"));
    }

    /// First of all, because nobody should read the numbers without it.
    fn doubts(&mut self, result: &RunResult) {
        for (at, doubt) in verdict::doubts(result).iter().enumerate() {
            let doubt = amount::harmless(doubt, 300);
            let text = if at == 0 {
                self.paint.bad(&format!("! {doubt}"))
            } else {
                self.paint.odd(&format!("  {doubt}"))
            };
            self.line(&text);
        }
    }

    fn heading(&mut self, result: &RunResult) {
        let settings = &result.settings;
        for target in settings.targets.iter().take(LIST_MAX) {
            let weight = if settings.targets.len() > 1 {
                format!(" (weight {})", target.weight)
            } else {
                String::new()
            };
            let url = self.paint.bold(&amount::harmless(&target.url, 200));
            let line = format!("{} {url}{weight}", amount::harmless(&settings.method, 20));
            self.line(line.trim_start());
        }
        let name = if settings.name.is_empty() { String::new() } else { format!("{} · ", settings.name) };
        let plan = match result.mode {
            Mode::Closed => "closed loop".to_owned(),
            Mode::Open => format!("open loop, {}, {} arrivals", settings.plan, settings.arrivals),
        };
        let keepalive = if settings.keepalive { "" } else { ", no keep-alive" };
        let plural = |n: u32| if n == 1 { "" } else { "s" };
        self.line(&amount::harmless(
            &format!(
                "{name}{plan} · {} connection{}{keepalive} · {} thread{} · {} · {}",
                settings.connections,
                plural(settings.connections),
                settings.threads,
                plural(settings.threads),
                amount::offset(result.elapsed_ms),
                settings.driver,
            ),
            400,
        ));
    }

    fn latencies(&mut self, result: &RunResult) {
        let (response, service) = (&result.response, &result.service);
        self.title(&format!("{:<14} {:>12} {:>12}", "Latency", "response", "service"));
        let mut both = |name: &str, a: String, b: String| self.row(name, &format!("{a:>12} {b:>12}"));
        for (name, quantile) in QUANTILES {
            both(
                name,
                amount::time(response.quantile_ns(quantile)),
                amount::time(service.quantile_ns(quantile)),
            );
        }
        both("max", amount::time(response.max_ns()), amount::time(service.max_ns()));
        both("mean", amount::time_of(response.mean_ns()), amount::time_of(service.mean_ns()));
        both("deviation", amount::time_of(response.deviation_ns()), amount::time_of(service.deviation_ns()));
        let gap = verdict::gap(result);
        for line in wrapped(&gap, 76) {
            let line = self.paint.faint(&line);
            self.line(&format!("  {line}"));
        }
    }

    fn volumes(&mut self, result: &RunResult) {
        let totals = &result.totals;
        let seconds = result.elapsed_s().max(1e-9);
        self.title("Load");
        let throughput = self.paint.bold(&amount::rate(result.throughput()));
        self.row("throughput", &format!("{throughput} answers"));
        self.row(
            "requests",
            &format!(
                "{} scheduled · {} sent · {} answered · {} failed",
                amount::count(totals.scheduled),
                amount::count(totals.sent),
                amount::count(totals.completed),
                amount::count(totals.failed),
            ),
        );
        if result.mode == Mode::Open {
            let share = |n: u64| amount::percent(n as f64 / totals.scheduled.max(1) as f64);
            let (late, dropped) = (totals.late, totals.dropped);
            let text = format!(
                "{} late ({}) · {} never sent",
                amount::count(late),
                share(late),
                amount::count(dropped)
            );
            let text = if dropped > 0 { self.paint.odd(&text) } else { text };
            self.row("schedule", &text);
        }
        let flow = |n: u64| format!("{} ({}/s)", amount::bytes(n as f64), amount::bytes(n as f64 / seconds));
        self.row("bytes", &format!("{} in · {} out", flow(totals.bytes_in), flow(totals.bytes_out)));
        let connect = match result.connect.count() {
            0 => String::new(),
            _ => format!(" · p50 {}", amount::time(result.connect.quantile_ns(0.5))),
        };
        self.row("connects", &format!("{}{connect}", amount::count(totals.connects)));
    }

    fn statuses(&mut self, result: &RunResult) {
        if result.statuses.is_empty() {
            return;
        }
        self.title("Answers by status");
        for (status, &count) in &result.statuses {
            let share = amount::percent(count as f64 / result.totals.completed.max(1) as f64);
            let name = format!("{status:<12}");
            let name = if *status >= 500 { self.paint.bad(&name) } else { name };
            self.line(&format!("  {name} {:>12} {share:>9}", amount::count(count)));
        }
    }

    fn errors(&mut self, result: &RunResult) {
        if result.errors.is_empty() {
            return;
        }
        let share = amount::percent(result.totals.error_ratio());
        let title = self.paint.bad(&format!(
            "{:<22} {:>8} {:>12} {:>12}",
            format!("Errors: {share}"),
            "count",
            "first",
            "last"
        ));
        self.line(&format!("\n{title}"));
        for group in result.errors.iter().take(LIST_MAX) {
            let cause = amount::harmless(&group.cause, 40);
            let (first, last) = (amount::offset(group.first_ms), amount::offset(group.last_ms));
            self.line(&format!("  {cause:<20} {:>8} {first:>12} {last:>12}", amount::count(group.count)));
            if !group.example.is_empty() {
                let example = self.paint.faint(&amount::harmless(&group.example, 100));
                self.line(&format!("    {example}"));
            }
        }
        self.left_off(result.errors.len());
    }

    fn nodes(&mut self, result: &RunResult) {
        let Some(jain) = fairness::jain(&result.nodes) else { return };
        let header = amount::harmless(&result.settings.node_header, 40);
        self.title(&format!(
            "Nodes by {header} · fairness {jain:.3} (Jain: 1 is even, {:.3} is one for all)",
            1.0 / result.nodes.len() as f64
        ));
        let sum: u64 = result.nodes.values().sum();
        let most = result.nodes.values().copied().max().unwrap_or(1).max(1);
        for (node, &count) in result.nodes.iter().take(LIST_MAX) {
            let name = amount::harmless(node, 24);
            let bar = bar(count as f64 / most as f64);
            let share = amount::percent(count as f64 / sum as f64);
            self.line(&format!("  {name:<24} {:>12} {share:>8}  {bar}", amount::count(count)));
        }
        self.left_off(result.nodes.len());
    }

    fn client(&mut self, result: &RunResult) {
        let client = &result.client;
        self.title("The client itself");
        self.row(
            "cpu",
            &format!(
                "{:.0} % of a core · busiest thread {:.0} % · starved {:.1} %",
                client.cpu_percent, client.busiest_thread_percent, client.starved_percent
            ),
        );
        if result.mode == Mode::Open {
            self.row(
                "send lag",
                &format!(
                    "p50 {} · p99 {} · max {}",
                    amount::time(client.lag_p50_ns),
                    amount::time(client.lag_p99_ns),
                    amount::time(client.lag_max_ns)
                ),
            );
        }
        let text = verdict::client(result);
        let text = match client.bottleneck {
            true => self.paint.bad(text),
            false if verdict::is_too_short(result) => text.to_owned(),
            false => self.paint.good(text),
        };
        self.row("verdict", &text);
    }

    fn find_max(&mut self, search: Option<&FindMax>, interrupted: bool) {
        let Some(search) = search else { return };
        let found = search.best_rate.map_or_else(|| "none of the rates tried".to_owned(), amount::rate);
        let so_far = if interrupted { " so far (interrupted)" } else { "" };
        self.title(&format!("Highest rate with {}{so_far}: {found}", amount::harmless(&search.goal, 100)));
        self.line(&format!(
            "  {:>12} {:>12} {:>10} {:>10} {:>9}",
            "asked", "answered", "p50", "p99", "errors"
        ));
        for step in &search.steps {
            let mark = if step.passed { self.paint.good("✓") } else { self.paint.bad("✗") };
            self.line(&format!(
                "  {:>12} {:>12} {:>10} {:>10} {:>9} {mark} {}",
                amount::rate(step.rate),
                amount::rate(step.achieved),
                amount::time(step.p50_ns),
                amount::time(step.p99_ns),
                amount::percent(step.error_ratio),
                amount::harmless(&step.broken.join(", "), 100),
            ));
        }
    }

    fn slo(&mut self, result: &RunResult) {
        if result.slo.is_empty() {
            return;
        }
        self.title("Promises");
        for outcome in &result.slo {
            let mark = if outcome.passed { self.paint.good("✓") } else { self.paint.bad("✗") };
            let condition = amount::harmless(&outcome.condition, 60);
            self.line(&format!(
                "  {mark} {condition:<24} measured {}",
                amount::harmless(&outcome.measured, 60)
            ));
        }
    }

    fn notes(&mut self, result: &RunResult) {
        if result.notes.is_empty() && result.events.is_empty() {
            return;
        }
        self.title("Notes");
        for note in result.notes.iter().take(LIST_MAX) {
            for line in wrapped(&amount::harmless(note, 500), 76) {
                self.line(&format!("  {line}"));
            }
        }
        for event in result.events.iter().take(LIST_MAX) {
            let text = amount::harmless(&format!("{}: {}", event.kind, event.text), 120);
            self.line(&format!("  {:>9.3} s  {text}", event.at_ms as f64 / 1e3));
        }
        self.left_off(result.events.len());
    }

    fn left_off(&mut self, len: usize) {
        if len > LIST_MAX {
            self.line(&format!("  … and {} more (see --json)", len - LIST_MAX));
        }
    }
}

fn bar(share: f64) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (BAR_LEN * 8) as f64).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if let Some(part) = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"].get((eighths % 8).wrapping_sub(1)) {
        bar.push_str(part);
    }
    bar
}

/// Lines of at most `width` characters, cut at spaces.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            let space = if line.is_empty() { "" } else { " " };
            let _ = write!(line, "{space}{word}");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_result_is_a_table_all_the_same() {
        let text = render(&RunResult::default(), Paint::PLAIN);
        assert!(text.contains("p99.99") && text.contains("0.00/s"), "{text}");
    }

    #[test]
    fn bars_grow_by_eighths() {
        assert_eq!(bar(1.0).chars().count(), BAR_LEN);
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(1.0 / 192.0), "▏");
    }

    #[test]
    fn long_sentences_are_cut_at_spaces() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 3), ["unbreakable"]);
    }
}
