//! Closed and open loops: what is counted and what it means.

use std::thread::sleep;
use std::time::{Duration, Instant};

use loadgen::result::Mode;

use crate::rig::{OK, answer_all, answer_each, bare, run, serve};

#[test]
fn a_closed_loop_sends_exactly_n() {
    let url = format!("http://{}/", answer_all(OK));
    for (threads, driver) in [("1", "auto"), ("2", "auto"), ("2", "epoll")] {
        let run = run(&[&url, "-n", "500", "-c", "7", "-t", threads, "--driver", driver]);
        let result = run.result();
        assert_eq!((run.code, result.mode), (0, Mode::Closed));
        assert_eq!((result.totals.sent, result.totals.completed), (500, 500), "{threads} {driver}");
        assert_eq!(result.response, result.service);
        assert_eq!(result.response.count(), 500);
        assert_eq!(result.seconds.iter().map(|second| second.completed).sum::<u64>(), 500);
        assert_eq!(result.nodes["a"], 500);
    }
}

#[test]
fn an_open_loop_follows_its_schedule_to_the_request() {
    let url = format!("http://{}/", answer_all(OK));
    for (more, expected) in [
        (&["--rate", "400"][..], 400),
        (&["--rate", "400", "--driver", "epoll"], 400),
        (&["--ramp", "0..800/1s"], 400),
        (&["--steps", "100,300/500ms"], 200),
        (&["--burst", "50/250ms"], 200),
        (&["--rate", "1k", "-n", "150"], 150),
    ] {
        let run = run(&[&[url.as_str(), "-c", "20", "-d", "1s"], more].concat());
        let result = run.result();
        assert_eq!((run.code, result.mode), (0, Mode::Open), "{more:?}");
        let totals = result.totals;
        assert!(totals.scheduled.abs_diff(expected) <= 1, "{more:?}: {totals:?}");
        assert_eq!(totals.scheduled, totals.sent + totals.dropped, "{more:?}: {totals:?}");
        assert_eq!(totals.sent, totals.completed, "{more:?}: {totals:?}");
        assert_eq!(result.seconds.iter().map(|second| second.scheduled).sum::<u64>(), totals.scheduled);
    }
}

#[test]
fn the_same_seed_sends_the_same_number() {
    let url = format!("http://{}/", answer_all(OK));
    let scheduled = |seed| {
        let arguments = [&url, "--rate", "500", "--arrivals", "poisson", "-d", "500ms", "--seed", seed];
        run(&arguments).result().totals.scheduled
    };
    assert_eq!(scheduled("7"), scheduled("7"));
}

/// The server stands still once for half a second. The open loop goes on asking: those who come into the
/// pause wait for its end, a quarter of all within two seconds. Service time shows it to the few requests
/// that were under way.
#[test]
fn a_pause_of_the_server_shows_in_response_time_and_hides_in_service_time() {
    let begun = Instant::now();
    let server = serve(move |stream, _| {
        answer_each(stream, |_| {
            let pause = Duration::from_millis(700)..Duration::from_millis(1200);
            if pause.contains(&begun.elapsed()) {
                sleep(pause.end.saturating_sub(begun.elapsed()));
            }
            OK.to_owned()
        });
    });
    let run = run(&[&format!("http://{server}/"), "-c", "2", "--rate", "200", "-d", "2s"]);
    let result = run.result();
    assert_eq!(run.code, 0, "{}", run.stderr);
    let response_ms = result.response.quantile_ns(0.9) / 1_000_000;
    let service_ms = result.service.quantile_ns(0.9) / 1_000_000;
    assert!(response_ms >= 200, "the pause is hidden: p90 {response_ms} ms");
    assert!(service_ms < 100, "p90 of the service time is {service_ms} ms");
    assert!(result.totals.late > 50, "{:?}", result.totals);
}

#[test]
fn what_was_due_but_never_sent_is_dropped_and_stands_in_the_response_times() {
    let server = serve(|stream, _| {
        answer_each(stream, |_| {
            sleep(Duration::from_millis(400));
            OK.to_owned()
        });
    });
    let url = format!("http://{server}/");
    let run = run(&[&url, "-c", "1", "-t", "1", "--rate", "100", "-d", "1s", "--slo", "errors<1%"]);
    let result = run.result();
    let totals = result.totals;
    assert_eq!((run.code, totals.scheduled), (99, 100));
    assert!(totals.dropped > 80, "{totals:?}");
    assert_eq!(totals.scheduled, totals.sent + totals.dropped);
    assert_eq!(result.response.count(), 100);
    assert_eq!(run.errors("never sent"), totals.dropped);
    let group = result.errors.iter().find(|group| group.cause == "never sent").unwrap();
    assert!(group.first_ms < 500 && (900..1000).contains(&group.last_ms), "when they were due: {group:?}");
    assert!(result.notes.iter().any(|note| note.contains("never sent")), "{:?}", result.notes);
}

#[test]
fn the_warm_up_is_sent_but_not_counted() {
    let server = answer_all(OK);
    let url = format!("http://{server}/");
    let run = run(&[&url, "-c", "4", "--rate", "200", "-d", "500ms", "--warmup", "500ms"]);
    let result = run.result();
    assert_eq!((run.code, result.totals.scheduled, result.settings.warmup_ms), (0, 100, 500));
    assert!(result.elapsed_ms < 1000, "{}", result.elapsed_ms);
}

#[test]
fn the_client_measures_itself() {
    let url = format!("http://{}/", answer_all(OK));
    let result = run(&[&url, "-c", "4", "-t", "1", "--rate", "500", "-d", "1s"]).result();
    let client = &result.client;
    assert!(client.cpu_percent > 0.0 && client.cpu_percent <= 100.0, "{client:?}");
    assert!(client.lag_max_ns >= client.lag_p99_ns && client.lag_p99_ns > 0, "{client:?}");
    assert_eq!(client.bottleneck, !client.reasons.is_empty());
}

/// No answer is faster than the server: what would be sent before the zero of the clock would seem so.
#[test]
fn nothing_is_sent_before_the_clock_runs() {
    const DELAY: Duration = Duration::from_micros(1800);
    let server = serve(|stream, _| {
        answer_each(stream, |_| {
            sleep(DELAY);
            OK.to_owned()
        });
    });
    let url = format!("http://{server}/");
    for more in [
        &["-n", "2"][..],
        &["-n", "40", "-t", "2"],
        &["--rate", "200", "-d", "100ms"],
        &["--burst", "4/50ms", "-d", "100ms"],
        &["--rate", "200", "-d", "100ms", "--no-keepalive"],
    ] {
        let result = run(&[&[url.as_str(), "-c", "2"], more].concat()).result();
        let shortest = Duration::from_nanos(result.response.min_ns().min(result.service.min_ns()));
        assert!(shortest >= DELAY, "{more:?}: {shortest:?}");
        let length = Duration::from_nanos(result.elapsed_ns);
        assert!(length >= DELAY && result.throughput() < 2.0 / DELAY.as_secs_f64(), "{more:?}: {length:?}");
    }
}

#[test]
fn a_run_that_is_too_short_does_not_vouch_for_itself() {
    let url = format!("http://{}/", answer_all(OK));
    let arguments = [&url, "-c", "2", "-n", "200", "-t", "1"];
    let client = run(&arguments).result().client;
    assert!(client.cpu_percent > 0.0, "{client:?}");
    let table = bare(&arguments).text();
    assert!(
        client.bottleneck || table.contains("too short to say") || table.contains("lower bound"),
        "{table}"
    );
    assert!(!table.contains("the client had room"), "{table}");
}
