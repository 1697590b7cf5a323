//! How many nodes a backend should have: a pure function of what it was asked, of its fleet and of its settings.
//!
//! The need is offered load over what a node should carry, plus **square-root room**: arrivals are random, and a load of
//! `L` requests in flight wanders by about `sqrt(L)` (square-root staffing; Halfin and Whitt, Operations Research 29(3),
//! 1981). A fixed share of room (70 % of every node) is too little for small fleets and a waste for large ones.
//!
//! Growing looks at the last seconds and at the trend, led by the boot time that was measured; where requests already
//! wait, the last second is enough. Shrinking looks at the largest need of the whole `down.window`, with more room than
//! growing asks for: between the two nothing is done, and a steady load never makes the fleet go up and down.

mod gust;
mod need;

use std::time::Duration;

use self::need::{Need, growing, shrinking};
use super::ScaleSettings;
use super::window::History;
use crate::logic::limits::{SCALE_STALE, START_FAILURES_MAX};

/// The nodes of a backend as far as scaling is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FleetView {
    /// Nodes that take requests, or could if they were healthy.
    pub serving: u32,
    /// Nodes on their way there.
    pub starting: u32,
    /// Nodes of others that take requests: they carry a part of the load, and are not ours to start or stop.
    pub joined: u32,
    /// From the order to start to the first request that may be sent, as measured.
    pub boot: Duration,
    /// When nodes were last added.
    pub up_at: Option<Duration>,
    /// When nodes were last taken away.
    pub down_at: Option<Duration>,
    /// Starts that failed in a row.
    pub failures: u32,
    /// No start before then, since the last ones failed.
    pub blocked_until: Option<Duration>,
    /// An operator paused the decisions.
    pub paused: bool,
    /// An operator said how many there shall be.
    pub replicas: Option<u32>,
}

impl FleetView {
    /// Nodes that serve or are going to.
    pub fn there(&self) -> u32 {
        self.serving.saturating_add(self.starting)
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Hold,
    /// Start so many nodes, at least one.
    Up(u32),
    /// Drain and stop so many, at least one.
    Down(u32),
}

/// Why, as a label for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The nodes carry what they should.
    Steady,
    /// Fewer nodes than `min`.
    BelowMin,
    /// More nodes than `max`.
    AboveMax,
    /// More is needed, and `max` is reached.
    AtMax,
    /// Requests in flight.
    InFlight,
    /// Requests a second.
    Rps,
    /// The processors.
    Cpu,
    /// Response times.
    P99,
    /// Requests wait for a node.
    Queue,
    /// The load rises, and nodes take time to boot.
    Trend,
    /// The load jumps now and then: room for the next time.
    Gust,
    /// A request came for a backend without nodes.
    Wake,
    /// Nobody has used it for `idle`.
    Idle,
    /// The load is lower than it was.
    Spare,
    /// A step was taken a moment ago.
    Cooldown,
    /// An operator said so.
    Operator,
    /// An operator paused it.
    Paused,
    /// There is no recent signal.
    Stale,
    /// Nodes fail to start.
    Failing,
}

impl Reason {
    /// Its name in metrics and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::BelowMin => "below_min",
            Self::AboveMax => "above_max",
            Self::AtMax => "at_max",
            Self::InFlight => "in_flight",
            Self::Rps => "rps",
            Self::Cpu => "cpu",
            Self::P99 => "p99",
            Self::Queue => "queue",
            Self::Trend => "trend",
            Self::Gust => "gust",
            Self::Wake => "wake",
            Self::Idle => "idle",
            Self::Spare => "spare",
            Self::Cooldown => "cooldown",
            Self::Operator => "operator",
            Self::Paused => "paused",
            Self::Stale => "stale",
            Self::Failing => "failing",
        }
    }
}

/// A decision that explains itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What is to be done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// How many nodes there should be, were it not for steps, cooldowns and failures.
    pub wanted: u32,
    /// One sentence for a person.
    pub words: String,
    /// What it was decided from, by name.
    pub inputs: Vec<(&'static str, f64)>,
}

/// Decides. Never below `min` (once there), never above `max`, never more than one step.
pub fn decide(history: &History, fleet: &FleetView, settings: &ScaleSettings, now: Duration) -> Decision {
    let desk = Desk { history, fleet, settings, now };
    let mut decision = desk.overridden().or_else(|| desk.bounds()).unwrap_or_else(|| desk.by_need());
    if let Some(until) = fleet.blocked_until.filter(|until| *until > now)
        && matches!(decision.action, Action::Up(_))
    {
        decision.action = Action::Hold;
        decision.reason = Reason::Failing;
        decision.words = format!(
            "{} wanted, but {}: the next try is in {:.0} s",
            nodes(decision.wanted),
            failed_starts(fleet.failures),
            (until - now).as_secs_f64().ceil()
        );
    }
    if let Action::Up(count) = &mut decision.action
        && fleet.failures >= START_FAILURES_MAX
    {
        *count = 1;
    }
    decision.inputs.extend(desk.common_inputs());
    decision
}

/// Everything that a decision is made from.
struct Desk<'a> {
    history: &'a History,
    fleet: &'a FleetView,
    settings: &'a ScaleSettings,
    now: Duration,
}

impl Desk<'_> {
    /// What operators said goes first.
    fn overridden(&self) -> Option<Decision> {
        let there = self.fleet.there();
        if self.fleet.paused {
            return Some(plain(Action::Hold, Reason::Paused, there, "paused by an operator".into()));
        }
        let wanted = self.fleet.replicas?;
        let action = match wanted {
            _ if wanted > there => Action::Up(wanted - there),
            _ if wanted < there => Action::Down(there - wanted),
            _ => Action::Hold,
        };
        Some(plain(action, Reason::Operator, wanted, format!("an operator wants {}", nodes(wanted))))
    }

    /// `min` and `max` hold whatever the load is, and without a signal too.
    fn bounds(&self) -> Option<Decision> {
        let (there, min, max) = (self.fleet.there(), self.settings.min, self.settings.max);
        if there < min {
            let words = format!("{} there, and `min` is {min}", nodes(there));
            return Some(plain(Action::Up(min - there), Reason::BelowMin, min, words));
        }
        if there > max {
            let words = format!("{} there, and `max` is {max}", nodes(there));
            return Some(plain(Action::Down(there - max), Reason::AboveMax, max, words));
        }
        let age = self.history.latest().map_or(self.now, |sample| self.now.saturating_sub(sample.at));
        (age > SCALE_STALE).then(|| {
            let words = format!("no signal for {:.0} s: nothing is started or stopped", age.as_secs_f64());
            plain(Action::Hold, Reason::Stale, there, words)
        })
    }

    fn by_need(&self) -> Decision {
        let there = self.fleet.there();
        let need = growing(self.history, self.fleet, self.settings, self.now);
        let floor = self.floor();
        // What the window still remembers of it is no need: it would be started again as soon as it was let go.
        if self.is_idle() {
            return self.down(&need, floor);
        }
        let wanted = need.nodes.clamp(floor, self.settings.max);
        if wanted > there {
            return self.up(&need, wanted);
        }
        if need.nodes > self.settings.max {
            let words = format!("{}, and `max` is {}", need.words, self.settings.max);
            return with(plain(Action::Hold, Reason::AtMax, wanted, words), &need);
        }
        self.down(&need, floor)
    }

    /// The fewest nodes that the load could leave.
    fn floor(&self) -> u32 {
        let asleep = self.is_idle() || (self.settings.min == 0 && self.fleet.there() == 0);
        if asleep { 0 } else { self.settings.min.max(1) }
    }

    /// Has nobody used it for so long that it may sleep?
    fn is_idle(&self) -> bool {
        self.settings.min == 0 && self.history.idle_for(self.now) >= self.settings.idle
    }

    fn up(&self, need: &Need, wanted: u32) -> Decision {
        let there = self.fleet.there();
        if let Some(wait) = self.cooling(self.fleet.up_at, self.settings.up.cooldown) {
            let words = format!("{}; the last step up was a moment ago: {wait:.0} s to wait", need.words);
            return with(plain(Action::Hold, Reason::Cooldown, wanted, words), need);
        }
        let count = (wanted - there).min(step(there, self.settings.up.step));
        let words = format!("{}: from {} to {}", need.words, nodes(there), there + count);
        with(plain(Action::Up(count), need.reason, wanted, words), need)
    }

    fn down(&self, growing: &Need, floor: u32) -> Decision {
        let there = self.fleet.there();
        let steady = || plain(Action::Hold, Reason::Steady, growing.nodes.max(floor), growing.words.clone());
        if there <= floor {
            return with(steady(), growing);
        }
        if floor == 0 {
            let words = format!("nobody has used it for {:.0} s", self.settings.idle.as_secs_f64());
            return with(plain(Action::Down(there), Reason::Idle, 0, words), growing);
        }
        let Some(need) = shrinking(self.history, self.fleet, self.settings, self.now) else {
            return with(steady(), growing);
        };
        let wanted = need.nodes.max(growing.nodes).clamp(floor, self.settings.max);
        if wanted >= there {
            return with(steady(), growing);
        }
        if let Some(wait) = self.cooling(self.fleet.down_at, self.settings.down.cooldown) {
            let words = format!("{}; the last step down was a moment ago: {wait:.0} s to wait", need.words);
            return with(plain(Action::Hold, Reason::Cooldown, wanted, words), &need);
        }
        let count = (there - wanted).min(step(there, self.settings.down.step));
        let words = format!("{}: from {} to {}", need.words, nodes(there), there - count);
        with(plain(Action::Down(count), Reason::Spare, wanted, words), &need)
    }

    /// Seconds until the next step in a direction, where it must wait.
    fn cooling(&self, last: Option<Duration>, cooldown: Duration) -> Option<f64> {
        let free = last? + cooldown;
        (free > self.now).then(|| (free - self.now).as_secs_f64().ceil())
    }

    fn common_inputs(&self) -> Vec<(&'static str, f64)> {
        let latest = self.history.latest();
        let mut inputs = vec![
            ("serving", f64::from(self.fleet.serving)),
            ("starting", f64::from(self.fleet.starting)),
            ("min", f64::from(self.settings.min)),
            ("max", f64::from(self.settings.max)),
            ("boot_seconds", self.fleet.boot.as_secs_f64()),
        ];
        inputs.extend(latest.map(|sample| ("in_flight", sample.in_flight)));
        inputs.extend(latest.map(|sample| ("queued", sample.queued)));
        inputs.extend(latest.map(|sample| ("rps", sample.arrivals)));
        inputs.extend(latest.and_then(|sample| sample.cpu).map(|cpu| ("cpu", cpu)));
        inputs.extend(latest.and_then(|sample| sample.p99).map(|p99| ("p99_seconds", p99.as_secs_f64())));
        inputs
    }
}

/// A share of what is there, rounded down, and one at least.
fn step(there: u32, share: f64) -> u32 {
    // Both factors are finite, not negative and small: the cast saturates at worst.
    ((f64::from(there) * share) as u32).max(1)
}

fn plain(action: Action, reason: Reason, wanted: u32, words: String) -> Decision {
    Decision { action, reason, wanted, words, inputs: Vec::new() }
}

fn with(mut decision: Decision, need: &Need) -> Decision {
    decision.inputs.extend(need.inputs.iter().copied());
    decision
}

/// So many starts in a row that failed, in words.
pub fn failed_starts(count: u32) -> String {
    if count == 1 { "the last start failed".into() } else { format!("{count} starts in a row failed") }
}

/// So many nodes, in words.
pub fn nodes(count: u32) -> String {
    if count == 1 { "1 node".into() } else { format!("{count} nodes") }
}

#[cfg(test)]
mod tests;
