//! What `top` knows: the newest tick, a minute of the past, what is selected.

use std::collections::VecDeque;

use serde_json::Value;

/// Seconds that the sparklines show.
pub(super) const SECONDS: usize = 60;
/// Events at the bottom.
const EVENTS: usize = 5;

/// What nodes are ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Name,
    Rps,
    P99,
    Errors,
}

/// What a key leads to beyond the screen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Nothing,
    Leave,
    Set { node: String, state: &'static str },
}

/// All that is drawn.
#[derive(Debug, Default)]
pub(super) struct Board {
    tick: Value,
    pub(super) process: Value,
    pub(super) rps: VecDeque<f64>,
    pub(super) p99_us: VecDeque<f64>,
    pub(super) errors: VecDeque<f64>,
    pub(super) events: VecDeque<Value>,
    pub(super) order: Order,
    pub(super) selected: usize,
    pub(super) paused: bool,
    /// A change that waits for a yes.
    pub(super) asked: Option<(String, &'static str)>,
    /// What became of the last one.
    pub(super) said: String,
}

impl Board {
    /// Takes a message; what is not known is passed over.
    pub(super) fn take(&mut self, message: Value) {
        match message["type"].as_str() {
            Some("snapshot") => {
                self.process = message["process"].clone();
                self.events = message["events"].as_array().into_iter().flatten().cloned().collect();
                self.shorten_events();
                self.tick(message);
            }
            Some("tick") => self.tick(message),
            Some("event") => {
                self.events.push_back(message);
                self.shorten_events();
            }
            _ => {}
        }
    }

    fn tick(&mut self, tick: Value) {
        let totals = &tick["totals"];
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        let errors = number(&totals["classes"]["5xx"]);
        for (column, value) in [
            (&mut self.rps, number(&totals["rps"])),
            (&mut self.p99_us, number(&totals["p99_us"])),
            (&mut self.errors, errors),
        ] {
            column.push_back(value);
            while column.len() > SECONDS {
                column.pop_front();
            }
        }
        if !self.paused {
            self.tick = tick;
        }
    }

    fn shorten_events(&mut self) {
        while self.events.len() > EVENTS {
            self.events.pop_front();
        }
    }

    pub(super) fn newest(&self) -> &Value {
        &self.tick
    }

    /// The nodes in the order that was asked for; the busiest, slowest, worst first.
    pub(super) fn nodes(&self) -> Vec<&Value> {
        let mut nodes: Vec<_> = self.tick["nodes"].as_array().into_iter().flatten().collect();
        let key = match self.order {
            Order::Name => return nodes,
            Order::Rps => "rps",
            Order::P99 => "p99_us",
            Order::Errors => "errors_per_s",
        };
        let number = |node: &Value| node[key].as_f64().unwrap_or(-1.0);
        nodes.sort_by(|left, right| number(right).total_cmp(&number(left)));
        nodes
    }

    pub(super) fn selected_node(&self) -> Option<String> {
        self.nodes().get(self.selected).and_then(|node| node["id"].as_str()).map(str::to_owned)
    }

    pub(super) fn say(&mut self, what: String) {
        self.said = what;
    }
}
