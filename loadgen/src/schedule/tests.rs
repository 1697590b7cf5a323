use super::*;

const SECOND: u64 = 1_000_000_000;

fn load(curve: RateCurve, seconds: u64) -> Load {
    Load {
        curve,
        spacing: Spacing::Constant,
        burst: None,
        seed: 7,
        warmup_ns: 0,
        end_ns: seconds * SECOND,
        count_max: u64::MAX,
    }
}

fn times(load: &Load) -> Vec<u64> {
    Schedule::new(load).collect()
}

#[test]
fn a_constant_rate_is_evenly_spaced_and_exact_in_number() {
    let times = times(&load(RateCurve::constant(1000.0), 10));
    assert_eq!(times.len(), 10_000);
    for (index, &at) in times.iter().enumerate() {
        assert!(at.abs_diff(index as u64 * 1_000_000) <= 2, "{index}: {at}");
    }
}

#[test]
fn the_same_seed_gives_the_same_times_and_another_seed_others() {
    let mut poisson = load(RateCurve::constant(5000.0), 2);
    poisson.spacing = Spacing::Poisson;
    let first = times(&poisson);
    assert_eq!(first, times(&poisson));
    poisson.seed = 8;
    assert_ne!(first, times(&poisson));
}

/// The count of a Poisson process over T has mean and variance rate x T; its gaps have a coefficient of
/// variation of 1. For uniform gaps on [0, 2m] that is 1/sqrt(3), for constant ones 0.
#[test]
fn gaps_vary_as_their_law_says() {
    for (spacing, expected) in
        [(Spacing::Poisson, 1.0), (Spacing::Uniform, 1.0 / 3f64.sqrt()), (Spacing::Constant, 0.0)]
    {
        let mut load = load(RateCurve::constant(10_000.0), 10);
        load.spacing = spacing;
        let times = times(&load);
        assert!((times.len() as f64 / 100_000.0 - 1.0).abs() < 0.02, "{spacing:?}: {}", times.len());
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - expected).abs() < 0.02, "{spacing:?}");
    }
}

#[test]
fn a_ramp_sends_the_area_under_it() {
    let times = times(&load(RateCurve::ramp(0.0, 1000.0, 10.0), 10));
    assert!(times.len().abs_diff(5000) <= 1, "{}", times.len());
    let first_half = times.iter().filter(|&&at| at < 5 * SECOND).count();
    assert!(first_half.abs_diff(1250) <= 1, "{first_half}");
}

#[test]
fn a_falling_ramp_ends_where_it_says() {
    let times = times(&load(RateCurve::ramp(1000.0, 0.0, 4.0), 100));
    assert!(times.len().abs_diff(2000) <= 1, "{}", times.len());
    assert!(times.iter().all(|&at| at <= 4 * SECOND));
}

#[test]
fn steps_hold_each_rate_and_then_the_last() {
    let times = times(&load(RateCurve::steps(&[100.0, 200.0, 400.0], 1.0), 4));
    let in_second = |n: u64| times.iter().filter(|&&at| at / SECOND == n).count();
    assert_eq!((0..4).map(in_second).collect::<Vec<_>>(), [100, 200, 400, 400]);
}

#[test]
fn bursts_come_on_top_and_in_order() {
    let mut load = load(RateCurve::constant(10.0), 2);
    load.burst = Some(Burst { size: 50, every_ns: SECOND });
    let times = times(&load);
    assert_eq!(times.len(), 20 + 100);
    assert!(times.is_sorted());
    assert_eq!(times.iter().filter(|&&at| at == SECOND).count(), 51);
}

#[test]
fn bursts_need_no_rate() {
    let mut load = load(RateCurve::default(), 3);
    load.burst = Some(Burst { size: 5, every_ns: SECOND });
    assert_eq!(times(&load).len(), 15);
}

#[test]
fn the_warm_up_runs_at_the_first_rate_and_does_not_count_against_the_number() {
    let mut load = load(RateCurve::ramp(100.0, 1000.0, 10.0), 12);
    load.warmup_ns = 2 * SECOND;
    load.count_max = 500;
    let times = times(&load);
    assert_eq!(times.iter().filter(|&&at| at < 2 * SECOND).count(), 200);
    assert_eq!(times.len(), 700);
}

#[test]
fn every_arrival_falls_to_exactly_one_lane() {
    let mut whole = load(RateCurve::constant(1000.0), 1);
    whole.spacing = Spacing::Poisson;
    let cycle = weighted_cycle(&[3, 1, 2]);
    let lanes = [[true, false, true], [false, true, false]];
    let mut all: Vec<Arrival> = (0..3)
        .flat_map(|thread| lanes.iter().map(move |mine| (thread, mine)))
        .flat_map(|(thread, mine)| Share::new(Schedule::new(&whole), &cycle, mine, thread, 3))
        .collect();
    all.sort_by_key(|arrival| arrival.number);
    let times: Vec<u64> = all.iter().map(|arrival| arrival.at_ns).collect();
    assert_eq!(times, super::tests::times(&whole));
    let of_target = |target| all.iter().filter(|arrival| arrival.target == target).count() as f64;
    assert!((of_target(0) / of_target(1) - 3.0).abs() < 0.1);
    assert!((of_target(2) / of_target(1) - 2.0).abs() < 0.1);
}

#[test]
fn a_cycle_spreads_its_targets() {
    assert_eq!(weighted_cycle(&[2, 1]), [0, 1, 0]);
    assert_eq!(weighted_cycle(&[100, 100]), [0, 1]);
    assert_eq!(weighted_cycle(&[4]), [0]);
}

#[test]
fn corners_draw_the_plan() {
    let curve = RateCurve::ramp(1.0, 5.0, 2.0);
    assert_eq!(curve.corners(4.0), [(0.0, 1.0), (2.0, 5.0), (2.0, 5.0), (4.0, 5.0)]);
    assert!((curve.rate_at(1.0) - 3.0).abs() < 1e-9);
    assert!((curve.area_to(4.0) - 16.0).abs() < 1e-9);
}

/// A server that stands still must not slow the questions down. One server answers in 1 ms but
/// stands still for 1 s at the start of every 10 s. At 100 requests a second theory says: a request that
/// comes `t` into the pause waits `1 s - t`, so a tenth of all response times lie evenly between 0 and 1 s:
/// the p95 is half a second, the p99 nine tenths of one. Service time hides it: of the 1000 requests of
/// ten seconds one connection has only one to be caught by the pause.
#[test]
fn a_stalled_server_shows_in_response_time_and_hides_in_service_time() {
    use crate::result::Distribution;
    use crate::result::distribution::empty_histogram;

    let (mut response, mut service) = (empty_histogram(), empty_histogram());
    let mut free_at = 0;
    for intended in Schedule::new(&load(RateCurve::constant(100.0), 100)) {
        let sent = intended.max(free_at);
        let stall_left = SECOND.saturating_sub(sent % (10 * SECOND));
        free_at = sent + stall_left + SECOND / 1000;
        response.record(free_at - intended).unwrap();
        service.record(free_at - sent).unwrap();
    }
    let response = Distribution::from_histogram(&response);
    let service = Distribution::from_histogram(&service);
    let near = |quantile: f64, expected_s: f64| {
        let measured = response.quantile_ns(quantile) as f64 / 1e9;
        assert!((measured - expected_s).abs() < 0.06, "p{}: {measured} s", quantile * 100.0);
    };
    near(0.95, 0.55);
    near(0.99, 0.91);
    assert!(response.quantile_ns(0.85) < 2_000_000);
    assert!(service.quantile_ns(0.998) < 2_000_000, "the pause shows in service time");
    assert!(service.max_ns() > 990_000_000);
}
