//! Results of runs that never were: the same numbers each time, and one with everything hostile in it.

use std::collections::BTreeMap;

use loadgen::result::{
    ClientHealth, Distribution, ErrorGroup, Event, FORMAT, FindMax, FindStep, Mode, PlanPoint, RunResult,
    Second, Settings, SloOutcome, Target, Totals, distribution::empty_histogram,
};

/// Seconds of the sample.
const SECONDS: u64 = 30;
/// Its rate.
const RATE: u64 = 2000;

/// Text that would do harm wherever it is taken for more than text.
pub(crate) const HOSTILE: &str = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u{1b}[31m\r\n{{data}}";

/// An open loop of half a minute against a server that pauses for a second, and of which one node dies.
pub(crate) fn open() -> RunResult {
    let seconds: Vec<Second> = (0..SECONDS).map(second).collect();
    let response = merged(seconds.iter().map(|second| &second.response));
    let service =
        sampled((0..SECONDS * RATE).map(|n| usual(n) + if n % 60_000 == 0 { 1_000_000_000 } else { 0 }));
    RunResult {
        format: FORMAT,
        program: "loadgen 0.1.0".into(),
        settings: settings(),
        mode: Mode::Open,
        started_unix_ms: 1_764_000_000_000,
        elapsed_ms: SECONDS * 1000,
        totals: totals(&seconds),
        response,
        service,
        connect: sampled((0..64).map(|n| 90_000 + n * 1_000)),
        statuses: BTreeMap::from([(200, 59_640), (503, 240)]),
        errors: errors(),
        nodes: BTreeMap::from([("n1".into(), 24_020), ("n2".into(), 23_980), ("n3".into(), 11_880)]),
        seconds,
        client: ClientHealth {
            cpu_percent: 31.4,
            busiest_thread_percent: 16.2,
            starved_percent: 0.3,
            lag_p50_ns: 3_100,
            lag_p99_ns: 41_000,
            lag_max_ns: 212_000,
            ..ClientHealth::default()
        },
        events: events(),
        slo: vec![
            SloOutcome { condition: "p50<5ms".into(), measured: "1.05ms".into(), passed: true },
            SloOutcome { condition: "p99<10ms".into(), measured: "905ms".into(), passed: false },
        ],
        ..RunResult::default()
    }
}

/// A closed loop at the client's limit.
pub(crate) fn closed() -> RunResult {
    let mut result = open();
    result.mode = Mode::Closed;
    result.settings.plan.clear();
    result.settings.plan_points.clear();
    result.settings.arrivals.clear();
    result.service = result.response.clone();
    result.errors.clear();
    result.totals.failed = 0;
    result.totals.bad_status = 0;
    result.totals.dropped = 0;
    result.statuses = BTreeMap::from([(200, result.totals.completed)]);
    result.seconds.iter_mut().for_each(|second| second.errors = 0);
    result.events.clear();
    result.slo.clear();
    result.client.bottleneck = true;
    result.client.reasons = vec!["its busiest thread used 99 % of a core".into()];
    result
}

/// The search for the highest rate.
pub(crate) fn search() -> RunResult {
    let step = |rate: f64, p99_ms: u64, errors: f64| FindStep {
        rate,
        achieved: rate * (1.0 - errors),
        p50_ns: 900_000,
        p99_ns: p99_ms * 1_000_000,
        error_ratio: errors,
        passed: p99_ms < 20,
        broken: if p99_ms < 20 { vec![] } else { vec![format!("p99 {p99_ms}.0ms, wanted <20ms")] },
    };
    let steps = vec![
        step(1000.0, 3, 0.0),
        step(4000.0, 6, 0.0),
        step(16_000.0, 240, 0.02),
        step(8000.0, 11, 0.0),
        step(11_313.0, 48, 0.0),
    ];
    let find_max = Some(FindMax { goal: "p99<20ms,errors<0.1%".into(), best_rate: Some(8000.0), steps });
    RunResult { find_max, ..open() }
}

/// A result in which every text is hostile.
pub(crate) fn hostile() -> RunResult {
    let mut result = search();
    let text = || HOSTILE.to_owned();
    result.program = text();
    result.settings.targets = vec![Target { url: text(), weight: 1 }];
    (result.settings.plan, result.settings.arrivals, result.settings.method) = (text(), text(), text());
    (result.settings.node_header, result.settings.driver, result.settings.name) = (text(), text(), text());
    result.settings.command = vec![text()];
    result.errors.iter_mut().for_each(|group| (group.cause, group.example) = (text(), text()));
    result.events.iter_mut().for_each(|event| (event.kind, event.text) = (text(), text()));
    result.nodes = BTreeMap::from([(text(), 7), ("__proto__".into(), 3)]);
    result.slo.iter_mut().for_each(|outcome| (outcome.condition, outcome.measured) = (text(), text()));
    result.notes = vec![text()];
    result.client.bottleneck = true;
    result.client.reasons = vec![text()];
    if let Some(search) = &mut result.find_max {
        search.goal = text();
        search.steps.iter_mut().for_each(|step| step.broken = vec![text()]);
    }
    result
}

/// Writes a result where the binary can read it.
pub(crate) fn saved(name: &str, result: &RunResult) -> std::path::PathBuf {
    let path = folder().join(name);
    std::fs::write(&path, serde_json::to_vec(result).expect("JSON")).expect("a file");
    path
}

/// The folder that keeps what these tests make: `target/report`.
pub(crate) fn folder() -> std::path::PathBuf {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("report");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A service time between 0.6 and 4 ms with a thin tail: a fixed mix of waves, not a draw.
fn usual(n: u64) -> u64 {
    let spread = (n.wrapping_mul(2_654_435_761) >> 7) % 1000;
    let tail = if spread > 985 { (spread - 985) * 180_000 } else { 0 };
    650_000 + spread * 800 + (n / RATE % 7) * 30_000 + tail
}

/// In second 12 the server pauses: what came due in it waits for its end.
fn second(at: u64) -> Second {
    let waits = |n: u64| if at == 12 { 1_000_000_000 - n * 1_000_000_000 / RATE } else { 0 };
    let completed = if at == 12 { RATE - 120 } else { RATE };
    Second {
        start_ms: at * 1000,
        length_ms: 1000,
        scheduled: RATE,
        sent: RATE,
        completed,
        errors: if at == 12 { 360 } else { 0 },
        bytes_in: completed * 231,
        bytes_out: RATE * 58,
        in_flight: if at == 12 { 64 } else { 3 + at % 4 },
        cpu_percent: 30.0 + (at % 5) as f64,
        worst_lag_ns: 40_000 + at * 1_000,
        response: sampled((0..completed).map(|n| usual(at * RATE + n) + waits(n))),
    }
}

fn settings() -> Settings {
    Settings {
        command: ["loadgen", "http://127.0.0.1:8080/", "--rate", "2000", "-d", "30s", "-H", "accept: */*"]
            .map(Into::into)
            .into(),
        targets: vec![Target { url: "http://127.0.0.1:8080/".into(), weight: 1 }],
        protocol: "http".into(),
        method: "GET".into(),
        connections: 64,
        threads: 2,
        duration_ms: Some(SECONDS * 1000),
        warmup_ms: 2000,
        keepalive: true,
        timeout_ms: 10_000,
        plan: "2000/s".into(),
        plan_points: vec![
            PlanPoint { at_ms: 0, rate: 2000.0 },
            PlanPoint { at_ms: SECONDS * 1000, rate: 2000.0 },
        ],
        arrivals: "poisson".into(),
        seed: 1,
        node_header: "x-node".into(),
        driver: "io_uring".into(),
        ..Settings::default()
    }
}

fn totals(seconds: &[Second]) -> Totals {
    let sum = |field: fn(&Second) -> u64| seconds.iter().map(field).sum();
    Totals {
        scheduled: sum(|s| s.scheduled),
        sent: sum(|s| s.sent),
        completed: sum(|s| s.completed),
        bad_status: 240,
        failed: 120,
        late: 1_936,
        dropped: 0,
        bytes_in: sum(|s| s.bytes_in),
        bytes_out: sum(|s| s.bytes_out),
        connects: 184,
    }
}

fn errors() -> Vec<ErrorGroup> {
    let group = |cause: &str, count, example: &str| ErrorGroup {
        cause: cause.into(),
        count,
        first_ms: 12_004,
        last_ms: 12_981,
        example: example.into(),
    };
    vec![
        group("status 503", 240, "HTTP/1.1 503 Service Unavailable, x-plimsoll-reason: no_healthy_node"),
        group("reset", 120, "Connection reset by peer (os error 104)"),
    ]
}

fn events() -> Vec<Event> {
    let event = |at_ms, kind: &str, text: &str| Event { at_ms, kind: kind.into(), text: text.into() };
    vec![
        event(12_020, "node", "n3 of web is unhealthy: 3 checks failed"),
        event(13_400, "scale", "web: 3 to 4 nodes, queue over 20"),
        event(21_900, "node", "n4 of web is serving"),
    ]
}

fn sampled(values: impl Iterator<Item = u64>) -> Distribution {
    let mut histogram = empty_histogram();
    values.for_each(|value| histogram.saturating_record(value));
    Distribution::from_histogram(&histogram)
}

fn merged<'a>(parts: impl Iterator<Item = &'a Distribution>) -> Distribution {
    let mut histogram = empty_histogram();
    parts.for_each(|part| part.add_to(&mut histogram));
    Distribution::from_histogram(&histogram)
}
