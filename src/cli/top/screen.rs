//! From the board to lines with colours. Draws nothing itself, so that a test can read the screen.

use std::collections::VecDeque;

use crossterm::style::Color;
use serde_json::Value;

use super::board::{Board, Order};
use crate::cli::admin_client::clean;
use crate::cli::nodes::duration;

/// A line: texts with their colours.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<(Color, String)>);

impl Line {
    fn plain(text: impl Into<String>) -> Self {
        Self(vec![(Color::Reset, text.into())])
    }

    fn and(mut self, colour: Color, text: impl Into<String>) -> Self {
        self.0.push((colour, text.into()));
        self
    }

    pub(super) fn spans(&self) -> &[(Color, String)] {
        &self.0
    }

    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    fn cut(self, width: usize) -> Self {
        let mut left = width;
        let spans = self.0.into_iter().map(|(colour, text)| {
            let kept: String = text.chars().take(left).collect();
            left -= kept.chars().count();
            (colour, kept)
        });
        Self(spans.collect())
    }
}

/// The screen, at most `height` lines of `width` columns.
pub(super) fn draw(board: &Board, width: usize, height: usize) -> Vec<Line> {
    let mut lines = head(board);
    lines.extend(troubles(board));
    lines.extend(charts(board));
    lines.push(Line::default());
    let mut foot = vec![Line::default()];
    foot.extend(board.events.iter().map(event));
    foot.push(Line::default());
    foot.push(prompt(board));
    let room = height.saturating_sub(lines.len() + foot.len());
    lines.extend(table(board, room));
    lines.extend(foot);
    lines.truncate(height);
    lines.into_iter().map(|line| line.cut(width)).collect()
}

fn head(board: &Board) -> Vec<Line> {
    let tick = board.newest();
    let totals = &tick["totals"];
    let text = |value: &Value| clean(value.as_str().unwrap_or("?"));
    let paused = if board.paused { "  PAUSED" } else { "" };
    let first = Line::plain(format!(
        "plimsoll {}  {}  {}  up {}s",
        text(&board.process["version"]),
        text(&board.process["driver"]),
        text(&tick["phase"]),
        tick["uptime_ms"].as_u64().unwrap_or(0) / 1000,
    ));
    let second = format!(
        "{:.0} rps  p50 {}  p99 {}  p99.9 {}  {} in flight  {} queued  {} connections  ",
        totals["rps"].as_f64().unwrap_or(0.0),
        duration(totals["p50_us"].as_u64()),
        duration(totals["p99_us"].as_u64()),
        duration(totals["p999_us"].as_u64()),
        totals["in_flight"].as_u64().unwrap_or(0),
        totals["queued"].as_u64().unwrap_or(0),
        totals["connections"].as_u64().unwrap_or(0),
    );
    let errors = totals["classes"]["5xx"].as_u64().unwrap_or(0);
    let colour = if errors > 0 { Color::Red } else { Color::DarkGrey };
    vec![first.and(Color::Yellow, paused), Line::plain(second).and(colour, format!("{errors} errors"))]
}

/// A line for each backend whose fleet is not as it should be.
fn troubles(board: &Board) -> Vec<Line> {
    let line = |backend: &Value| {
        let (name, trouble) = (backend["name"].as_str()?, backend["trouble"].as_str()?);
        Some(Line::default().and(Color::Red, format!("{}: {}", clean(name), clean(trouble))))
    };
    board.newest()["backends"].as_array().into_iter().flatten().filter_map(line).collect()
}

fn charts(board: &Board) -> Vec<Line> {
    let chart = |name: &str, column: &VecDeque<f64>, most: String| {
        Line::plain(format!("{name:7}"))
            .and(Color::Cyan, sparkline(column))
            .and(Color::DarkGrey, format!("  at most {most}"))
    };
    let most = |column: &VecDeque<f64>| column.iter().copied().fold(0.0, f64::max);
    // Microseconds of a duration that fits the scale of the histograms.
    let slowest = most(&board.p99_us) as u64;
    vec![
        chart("rps", &board.rps, format!("{:.0}", most(&board.rps))),
        chart("p99", &board.p99_us, duration(Some(slowest))),
        chart("errors", &board.errors, format!("{:.0}", most(&board.errors))),
    ]
}

/// One character a value, as tall as its part of the largest.
fn sparkline(values: &VecDeque<f64>) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| {
        let part = if most > 0.0 { value / most } else { 0.0 };
        BARS[((part * 7.0).round() as usize).min(7)]
    };
    values.iter().map(bar).collect()
}

fn table(board: &Board, room: usize) -> Vec<Line> {
    let order = match board.order {
        Order::Name => "configuration",
        Order::Rps => "rps",
        Order::P99 => "p99",
        Order::Errors => "errors",
    };
    let header = format!(
        "  {:32} {:10} {:>6} {:>9} {:>9} {:>8} {:>8}  WHY (by {order})",
        "NODE", "STATE", "WEIGHT", "IN FLIGHT", "RPS", "P99", "ERR/S"
    );
    let nodes = board.nodes();
    let shown = room.saturating_sub(1).max(1);
    // The selected one is always on the screen.
    let first = board.selected.saturating_sub(shown.saturating_sub(1));
    let rows = nodes.iter().enumerate().skip(first).take(shown);
    let rows = rows.map(|(at, node)| row(node, at == board.selected));
    std::iter::once(Line(vec![(Color::DarkGrey, header)])).chain(rows).collect()
}

fn row(node: &Value, selected: bool) -> Line {
    let text = |key: &str| clean(node[key].as_str().unwrap_or("-"));
    let (mark, colour) = match node["state"].as_str() {
        Some("serving") => ('●', Color::Green),
        Some("starting" | "warming" | "draining") => ('◐', Color::Yellow),
        _ => ('▲', Color::Red),
    };
    let cursor = if selected { '>' } else { ' ' };
    Line::plain(format!("{cursor} {:32} ", text("id")))
        .and(colour, format!("{mark} {:8} ", text("state")))
        .and(
            Color::Reset,
            format!(
                "{:>6} {:>9} {:>9.1} {:>8} {:>8.1}  {}",
                node["weight"].as_u64().unwrap_or(0),
                node["in_flight"].as_u64().unwrap_or(0),
                node["rps"].as_f64().unwrap_or(0.0),
                duration(node["p99_us"].as_u64()),
                node["errors_per_s"].as_f64().unwrap_or(0.0),
                text("reason"),
            ),
        )
}

fn event(event: &Value) -> Line {
    let colour = match event["level"].as_str() {
        Some("error") => Color::Red,
        Some("warning") => Color::Yellow,
        _ => Color::DarkGrey,
    };
    let text = |key: &str| clean(event[key].as_str().unwrap_or_default());
    Line(vec![(colour, format!("{:8}{}", text("kind"), text("text")))])
}

fn prompt(board: &Board) -> Line {
    match &board.asked {
        Some((node, "drain")) => Line(vec![(
            Color::Yellow,
            format!("{} takes no new requests from now on; what is in flight finishes. y / n", clean(node)),
        )]),
        Some((node, _)) => {
            Line(vec![(Color::Yellow, format!("{} takes requests again. y / n", clean(node)))])
        }
        None if board.said.is_empty() => {
            Line(vec![(Color::DarkGrey, "q leave  ↑↓ select  s sort  p pause  d drain  r ready".into())])
        }
        None => Line::plain(clean(&board.said)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn board(nodes: usize) -> Board {
        let node = |at: usize| {
            json!({
                "id": format!("api/10.0.0.{at}:80"), "state": if at == 1 { "down" } else { "serving" }, "weight": 1,
                "in_flight": 2, "rps": 10.0, "p99_us": 1500, "errors_per_s": 0.0, "reason": "probed\u{1b}[2J",
            })
        };
        let mut board = Board::default();
        board.take(json!({
            "type": "snapshot", "process": { "version": "1", "driver": "io_uring" }, "phase": "running",
            "totals": { "rps": 20.0, "p99_us": 1500, "classes": { "5xx": 3 } },
            "nodes": (0..nodes).map(node).collect::<Vec<_>>(),
            "backends": [{ "name": "api", "trouble": "no engine\u{7}" }, { "name": "web", "trouble": null }],
            "events": [{ "kind": "node", "level": "warning", "text": "<img onerror=x>\u{7}" }],
        }));
        board
    }

    #[test]
    fn everything_is_on_the_screen_and_nothing_that_a_terminal_obeys() {
        let text: Vec<_> = draw(&board(2), 200, 40).iter().map(Line::text).collect();
        let all = text.join("\n");
        for part in [
            "20 rps",
            "3 errors",
            "api: no engine",
            "api/10.0.0.0:80",
            "▲ down",
            "● serving",
            "1.5ms",
            "<img onerror=x>",
            "q leave",
        ] {
            assert!(all.contains(part), "{part} is not in\n{all}");
        }
        assert!(!text.iter().any(|line| line.chars().any(char::is_control)));
    }

    #[test]
    fn a_small_terminal_gets_what_fits_with_the_selected_node() {
        let mut board = board(100);
        board.selected = 60;
        let lines = draw(&board, 40, 16);
        assert!(lines.len() <= 16 && lines.iter().all(|line| line.text().chars().count() <= 40));
        assert!(lines.iter().any(|line| line.text().starts_with("> api/10.0.0.60:80")));
        assert!(draw(&board, 0, 0).is_empty());
    }

    #[test]
    fn a_sparkline_is_as_tall_as_its_part_of_the_largest() {
        assert_eq!(sparkline(&VecDeque::from([0.0, 5.0, 10.0])), "▁▅█");
        assert_eq!(sparkline(&VecDeque::from([0.0, 0.0])), "▁▁");
    }
}
