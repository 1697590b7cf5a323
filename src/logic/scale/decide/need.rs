//! From samples to a number of nodes: what each target asks for, and the hungriest of them.

use std::time::Duration;

use super::{FleetView, Reason, gust};
use crate::logic::limits::SCALE_TICK;
use crate::logic::scale::ScaleSettings;
use crate::logic::scale::window::{History, Sample};

/// How many nodes something asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Need {
    pub(super) nodes: u32,
    pub(super) reason: Reason,
    pub(super) words: String,
    pub(super) inputs: Vec<(&'static str, f64)>,
}

/// Room beside the load, in standard deviations of it, that growing asks for: with it about one moment in fourteen
/// finds every place taken.
const ROOM_UP: f64 = 1.5;
/// The room that must be left after shrinking. The difference is what keeps a steady load from going up and down.
const ROOM_DOWN: f64 = 2.25;
/// Requests that wait shall be gone within this time of their nodes' start.
const BACKLOG_SECONDS: f64 = 2.0;
/// For how long a load must have stood to count as a peak: a second is noise.
const PEAK: Duration = Duration::from_secs(3);
/// So many waiting in the mean of a sample are no accident.
const WAITING: f64 = 0.5;
/// Room for rps and cpu, which are means already: shrinking leaves a tenth.
const ROOM_RATE: f64 = 1.1;

/// What there should be at least.
pub(super) fn growing(history: &History, fleet: &FleetView, settings: &ScaleSettings, now: Duration) -> Need {
    let (target, window) = (settings.target, settings.up.window);
    if let Some(need) = waking(history, fleet, settings, now) {
        return need;
    }
    let needs = [
        target.in_flight.map(|places| by_places(history, fleet, window, places, now).beside(fleet)),
        target.in_flight.and_then(|places| by_gusts(history, settings, places, now)?.beside(fleet).into()),
        target.rps.and_then(|rps| by_rate(history, window, rps, now)?.beside(fleet).into()),
        target.cpu.and_then(|share| by_cpu(history, window, share, now)),
        target.p99.and_then(|bound| by_p99(history, fleet, window, bound, now)),
        wake(history, fleet),
    ];
    // The first of equals: the order above is the order in which people think of them.
    let hungriest =
        needs.into_iter().flatten().reduce(|one, other| if other.nodes > one.nodes { other } else { one });
    hungriest.unwrap_or_else(|| need(0, Reason::Steady, "nothing was asked yet".into()))
}

/// What there may be at most; `None` where the past does not reach back far enough to say.
pub(super) fn shrinking(
    history: &History,
    fleet: &FleetView,
    settings: &ScaleSettings,
    now: Duration,
) -> Option<Need> {
    let (target, window) = (settings.target, settings.down.window);
    // A backlog is worked off first.
    if !history.covers(now, window) || waiting(history, settings.up.window, now) >= WAITING {
        return None;
    }
    // A load that has just risen is no peak yet, and no accident to give nodes away in.
    let at_once = panic_window(settings.up.window);
    let peak = |of: &dyn Fn(&Sample) -> Option<f64>| {
        let peak = history.peak(now, window, PEAK, of)?;
        Some(history.mean(now, at_once, of).map_or(peak, |last| last.max(peak)))
    };
    let seconds = window.as_secs();
    let mut needs = Vec::new();
    if let Some(places) = target.in_flight {
        let load = peak(&|sample| Some(arriving(sample))).unwrap_or(0.0);
        let words = format!("at most {load:.1} requests in flight in the last {seconds} s");
        // Of what is kept for gusts a tenth more, so that it is not given away and asked for again.
        let kept = by_gusts(history, settings, places / ROOM_RATE, now).map_or(0, |need| need.nodes);
        let nodes = whole(with_room(load, ROOM_DOWN) / places).max(kept);
        needs.push(need(nodes, Reason::Spare, words).input("peak_in_flight", load).beside(fleet));
    }
    if let Some(rps) = target.rps {
        let rate = peak(&|sample| Some(sample.arrivals)).unwrap_or(0.0);
        let words = format!("at most {rate:.1} requests a second in the last {seconds} s");
        let nodes = whole(rate * ROOM_RATE / rps);
        needs.push(need(nodes, Reason::Spare, words).input("peak_rps", rate).beside(fleet));
    }
    if let Some(share) = target.cpu {
        // Without a measurement nothing is known to be spare.
        let cores = peak(&|sample| sample.cpu.map(|cpu| cpu * f64::from(sample.serving)))?;
        let words =
            format!("at most {:.0} % of the cores of a node used in the last {seconds} s", cores * 100.0);
        needs.push(need(whole(cores * ROOM_RATE / share), Reason::Spare, words).input("peak_cpu", cores));
    }
    if let Some(bound) = target.p99 {
        needs.push(spare_by_p99(history, fleet, bound, window, now));
    }
    needs.into_iter().max_by_key(|need| need.nodes)
}

/// What is asked for while requests wait: what arrives, and the backlog spread over [`BACKLOG_SECONDS`] (Little's law
/// turns requests into places). The backlog is the one that there will be when a node that is started now serves: until
/// then it grows by what arrives beyond what is answered.
fn pressed(sample: &Sample, boot: Duration) -> f64 {
    match service_seconds(sample) {
        _ if sample.queued < WAITING => sample.in_flight,
        // Nothing has been answered yet, so nothing is known of how long an answer takes.
        None => sample.in_flight + sample.queued,
        Some(seconds) => {
            let growth = (sample.arrivals - sample.finished).max(0.0) * boot.as_secs_f64();
            arriving(sample) + (sample.queued + growth) * seconds / BACKLOG_SECONDS
        }
    }
}

/// Requests that are in flight, or would be if there were nodes enough. Where requests wait, what is in flight shows the
/// size of the fleet and not the load, and so the load is what arrives times how long an answer takes.
fn arriving(sample: &Sample) -> f64 {
    match service_seconds(sample) {
        Some(seconds) if sample.queued >= WAITING => sample.arrivals * seconds,
        _ => sample.in_flight,
    }
}

/// How long a node takes for a request.
fn service_seconds(sample: &Sample) -> Option<f64> {
    (sample.finished > 0.0 && sample.in_flight > 0.0).then(|| sample.in_flight / sample.finished)
}

fn by_places(history: &History, fleet: &FleetView, window: Duration, places: f64, now: Duration) -> Need {
    let steady = history.mean(now, window, |sample| Some(arriving(sample))).unwrap_or(0.0);
    let fast =
        history.mean(now, panic_window(window), |sample| Some(pressed(sample, fleet.boot))).unwrap_or(0.0);
    let queued = waiting(history, window, now);
    let ahead = forecast(history, fleet, window, steady, now);
    let nodes_for = |load: f64| whole(with_room(load, ROOM_UP) / places);
    let inputs = |need: Need| {
        need.input("load", steady)
            .input("load_now", fast)
            .input("load_ahead", ahead)
            .input("target_in_flight", places)
    };
    // Beyond what random ups explain, and so no need to look for longer.
    let carried = f64::from(fleet.there() + fleet.joined) * places;
    if queued >= 1.0 {
        let words = format!("{queued:.0} requests wait: {fast:.1} places are missed, at {places:.0} a node");
        return inputs(need(nodes_for(fast), Reason::Queue, words));
    }
    if fast > carried {
        let words = format!("{fast:.1} requests in flight, for {places:.0} a node");
        return inputs(need(nodes_for(fast), Reason::InFlight, words));
    }
    if nodes_for(ahead) > nodes_for(steady) {
        let words = format!(
            "{steady:.1} requests in flight, {ahead:.1} by the time that a node has booted ({:.1} s), for {places:.0} a node",
            fleet.boot.as_secs_f64()
        );
        return inputs(need(nodes_for(ahead), Reason::Trend, words));
    }
    let words = format!("{steady:.1} requests in flight, for {places:.0} a node");
    inputs(need(nodes_for(steady), Reason::InFlight, words))
}

/// The load when a node that is started now will be there. A rise that could be noise is none: it must be twice what a
/// load wanders by itself, and stand out from the samples around it.
fn forecast(history: &History, fleet: &FleetView, window: Duration, steady: f64, now: Duration) -> f64 {
    let span = window * 2;
    // A fleet that catches up with a backlog shows a rise that is its own.
    if history.last(now, span).any(|sample| sample.queued >= WAITING) {
        return steady;
    }
    let trend = history.trend(now, span, |sample| Some(sample.in_flight));
    let rise = trend.slope * span.as_secs_f64();
    if !history.covers(now, span) || rise < 2.0 * steady.max(1.0).sqrt() || trend.slope < 5.0 * trend.error {
        return steady;
    }
    // The mean of a window is what it was half a window ago.
    let lead = fleet.boot + SCALE_TICK + window / 2;
    steady + trend.slope * lead.as_secs_f64()
}

/// Room for the next gust, over what the load is between them.
fn by_gusts(history: &History, settings: &ScaleSettings, places: f64, now: Duration) -> Option<Need> {
    let size = gust::size(history, now, arriving);
    if size <= 1.0 {
        return None;
    }
    let mean = |window| history.mean(now, window, |sample| Some(arriving(sample)));
    let between = mean(settings.up.window * 3)?.min(mean(settings.down.window)?);
    let words =
        format!("{between:.1} requests in flight, {size:.1} times as many in a gust, for {places:.0} a node");
    Some(need(whole(between * size / places), Reason::Gust, words).input("gust", size))
}

fn by_rate(history: &History, window: Duration, rps: f64, now: Duration) -> Option<Need> {
    let rate = history.mean(now, window, |sample| Some(sample.arrivals))?;
    let words = format!("{rate:.1} requests a second, for {rps:.0} a node");
    Some(need(whole(rate / rps), Reason::Rps, words).input("rate", rate).input("target_rps", rps))
}

fn by_cpu(history: &History, window: Duration, share: f64, now: Duration) -> Option<Need> {
    let cores = history.mean(now, window, |sample| sample.cpu.map(|cpu| cpu * f64::from(sample.serving)))?;
    let serving = history.latest().map_or(1.0, |sample| f64::from(sample.serving.max(1)));
    let words =
        format!("nodes use {:.0} % of their cores, for {:.0} %", cores / serving * 100.0, share * 100.0);
    Some(need(whole(cores / share), Reason::Cpu, words).input("cpu_nodes", cores).input("target_cpu", share))
}

/// Response times say that there are too few, and not how many are: at most twice as many, and none while some boot.
fn by_p99(
    history: &History,
    fleet: &FleetView,
    window: Duration,
    bound: Duration,
    now: Duration,
) -> Option<Need> {
    let p99 = history.mean(now, window, |sample| sample.p99.map(|p99| p99.as_secs_f64()))?;
    let ratio = (p99 / bound.as_secs_f64()).min(2.0);
    let words = format!("99 of 100 requests took up to {:.0} ms, for {} ms", p99 * 1000.0, bound.as_millis());
    let nodes = match ratio > 1.0 && fleet.starting == 0 {
        true => whole(f64::from(fleet.serving) * ratio).max(fleet.serving + 1),
        false => 0,
    };
    Some(need(nodes, Reason::P99, words).input("p99_mean_seconds", p99))
}

/// One node fewer where times are far below the bound, and the load on each of the rest stays below the one at which
/// the bound was last broken: without that memory the fleet would go down to where it must go up again.
fn spare_by_p99(
    history: &History,
    fleet: &FleetView,
    bound: Duration,
    window: Duration,
    now: Duration,
) -> Need {
    let load = |sample: &Sample| sample.in_flight + sample.queued;
    let slowest = history.last(now, window).filter_map(|sample| sample.p99).max().unwrap_or_default();
    let each = |sample: &Sample| load(sample) / f64::from(sample.serving.max(1));
    let broken =
        history.last(now, Duration::MAX).filter(|sample| sample.p99 > Some(bound)).map(each).reduce(f64::min);
    let fewer = fleet.serving.saturating_sub(1);
    let peak = history.peak(now, window, PEAK, |sample| Some(load(sample))).unwrap_or(0.0);
    let fits = broken.is_none_or(|broken| peak < broken * 0.8 * f64::from(fewer));
    let is_spare = slowest < bound.mul_f64(0.7) && fits && fleet.starting == 0;
    let words =
        format!("99 of 100 requests took at most {} ms, for {} ms", slowest.as_millis(), bound.as_millis());
    need(if is_spare { fewer } else { fleet.there() }, Reason::Spare, words)
        .input("p99_max_seconds", slowest.as_secs_f64())
}

/// Without a node no request can be in flight: one that waits is enough.
fn wake(history: &History, fleet: &FleetView) -> Option<Need> {
    let latest = history.latest()?;
    let waits = latest.queued > 0.0 || (latest.arrivals > 0.0 && fleet.joined == 0);
    (waits && fleet.there() == 0).then(|| {
        need(1, Reason::Wake, "a request came, and there is no node".into()).input("waiting", latest.queued)
    })
}

/// However many wait for a backend that slept, they wake one node: what a node does in a second nobody knows before it
/// has served for half of one, and most storms are over then.
fn waking(history: &History, fleet: &FleetView, settings: &ScaleSettings, now: Duration) -> Option<Need> {
    let window = settings.up.window;
    let asleep = |sample: &Sample| sample.serving == 0;
    let slept = history.last(now, window).next().is_none_or(asleep)
        && history.last(now, panic_window(window)).any(asleep);
    let queued = history.latest().map_or(0.0, |sample| sample.queued);
    let wakes = fleet.there() > 0 || queued > 0.0;
    (settings.min == 0 && slept && wakes).then(|| {
        let words = format!("{:.0} requests wait for the first node", queued.ceil());
        need(1, Reason::Wake, words).input("waiting", queued)
    })
}

/// Requests that wait, in the last moments.
fn waiting(history: &History, window: Duration, now: Duration) -> f64 {
    history.mean(now, panic_window(window), |sample| Some(sample.queued)).unwrap_or(0.0)
}

/// A small part of the window, and two samples at least.
fn panic_window(window: Duration) -> Duration {
    (window / 12).max(SCALE_TICK * 2)
}

fn with_room(load: f64, deviations: f64) -> f64 {
    load + deviations * load.sqrt()
}

fn whole(nodes: f64) -> u32 {
    // A hair of rounding must not cost a node. The cast saturates, and `max` stands above it anyway.
    (nodes - 1e-6).ceil().max(0.0) as u32
}

fn need(nodes: u32, reason: Reason, words: String) -> Need {
    Need { nodes, reason, words, inputs: Vec::new() }
}

impl Need {
    /// What is left for our nodes where those of others carry their part.
    fn beside(self, fleet: &FleetView) -> Self {
        let nodes = self.nodes.saturating_sub(fleet.joined);
        let need = Self { nodes, ..self };
        if fleet.joined > 0 { need.input("joined", f64::from(fleet.joined)) } else { need }
    }

    fn input(mut self, name: &'static str, value: f64) -> Self {
        self.inputs.push((name, value));
        self
    }
}
