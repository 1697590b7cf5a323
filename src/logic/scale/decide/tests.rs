use proptest::prelude::*;

use super::*;
use crate::logic::limits::SCALE_TICK;
use crate::logic::scale::window::Sample;
use crate::logic::scale::{Pace, Target};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A backend that saw one load for so many seconds.
fn steady(load: f64, seconds: u64, serving: u32) -> History {
    let mut history = History::new(Duration::ZERO, at(600));
    (1..=seconds).for_each(|second| history.push(second_of(load, second, serving)));
    history
}

fn second_of(load: f64, second: u64, serving: u32) -> Sample {
    Sample {
        in_flight: load,
        arrivals: load * 10.0,
        finished: load * 10.0,
        ..Sample::quiet(at(second), serving)
    }
}

fn fleet(serving: u32) -> FleetView {
    FleetView { serving, boot: at(3), ..FleetView::default() }
}

#[test]
fn a_node_fewer_than_min_is_started_whatever_the_load() {
    let decision = decide(
        &History::new(at(0), at(60)),
        &fleet(1),
        &ScaleSettings { min: 2, ..Default::default() },
        at(1),
    );
    assert_eq!((decision.action, decision.reason), (Action::Up(1), Reason::BelowMin));
    assert_eq!(decision.words, "1 node there, and `min` is 2");
}

#[test]
fn the_need_is_the_load_and_the_root_of_it() {
    // 100 in flight and 15 of room, for 20 a node.
    let decision = decide(&steady(100.0, 90, 4), &fleet(4), &ScaleSettings::default(), at(90));
    assert_eq!((decision.action, decision.wanted, decision.reason), (Action::Up(2), 6, Reason::InFlight));
    assert!(decision.words.ends_with("from 4 nodes to 6"), "{}", decision.words);
    assert!(decision.inputs.contains(&("target_in_flight", 20.0)), "{:?}", decision.inputs);
}

#[test]
fn what_was_started_for_a_rise_is_not_given_away_in_it() {
    let mut history = steady(50.0, 90, 2);
    let settings = ScaleSettings { max: 20, ..Default::default() };
    // Half a second of it: the mean is still what it was, and the fleet has grown.
    for tick in 1..=2 {
        let sample = Sample { in_flight: 230.0, ..Sample::quiet(at(90) + SCALE_TICK * tick, 13) };
        history.push(sample);
    }
    let decision = decide(&history, &fleet(13), &settings, at(90) + SCALE_TICK * 2);
    assert_ne!(decision.reason, Reason::Spare, "{}", decision.words);
    assert_eq!(decision.action, Action::Hold);
}

#[test]
fn nodes_of_others_carry_their_part() {
    let settings = ScaleSettings { min: 0, ..Default::default() };
    let joined = |serving, joined| FleetView { joined, ..fleet(serving) };
    // 100 in flight ask for six nodes.
    let decision = decide(&steady(100.0, 90, 4), &joined(4, 1), &settings, at(90));
    assert_eq!((decision.action, decision.wanted), (Action::Up(1), 5));
    assert!(decision.inputs.contains(&("joined", 1.0)), "{:?}", decision.inputs);
    assert_eq!(decide(&steady(100.0, 90, 0), &joined(0, 6), &settings, at(90)).action, Action::Hold);
    assert_eq!(decide(&steady(5.0, 90, 0), &joined(0, 1), &settings, at(90)).action, Action::Hold);
}

#[test]
fn a_storm_wakes_one_node_and_more_only_once_it_has_served() {
    let settings = ScaleSettings { min: 0, ..Default::default() };
    let mut history = History::new(at(0), at(600));
    (1..=30).for_each(|second| history.push(Sample::quiet(at(second), 0)));
    let storm = |second, serving| Sample { queued: 1000.0, ..Sample::quiet(at(second), serving) };
    history.push(storm(31, 0));
    let first = decide(&history, &fleet(0), &settings, at(31));
    assert_eq!((first.action, first.reason, first.wanted), (Action::Up(1), Reason::Wake, 1));
    let starting = FleetView { starting: 1, ..fleet(0) };
    for second in 32..60 {
        history.push(storm(second, 0));
        assert_eq!(decide(&history, &starting, &settings, at(second)).action, Action::Hold);
    }
    history.push(storm(60, 1));
    let then = decide(&history, &fleet(1), &settings, at(60));
    assert_eq!((then.action, then.reason), (Action::Up(1), Reason::Queue));
}

#[test]
fn requests_that_wait_need_no_window() {
    let mut history = steady(20.0, 90, 1);
    history.push(Sample { queued: 60.0, arrivals: 800.0, finished: 200.0, ..second_of(20.0, 91, 1) });
    let decision = decide(&history, &fleet(1), &ScaleSettings::default(), at(91));
    assert_eq!((decision.action, decision.reason), (Action::Up(1), Reason::Queue), "one step is a doubling");
    assert!(decision.wanted >= 4, "{decision:?}");
}

#[test]
fn a_rise_is_met_before_it_is_there() {
    let mut history = History::new(at(0), at(600));
    (1..=60).for_each(|second| history.push(second_of(20.0 + 2.0 * second as f64, second, 8)));
    let settings = ScaleSettings { max: 20, ..Default::default() };
    let decision = decide(&history, &fleet(8), &settings, at(60));
    assert_eq!(decision.reason, Reason::Trend);
    assert_eq!(decision.action, Action::Up(1));
    assert!(decision.words.contains("by the time that a node has booted (3.0 s)"), "{}", decision.words);
}

#[test]
fn nothing_is_taken_away_before_the_whole_window_says_so() {
    let settings = ScaleSettings::default();
    assert_eq!(decide(&steady(10.0, 30, 8), &fleet(8), &settings, at(30)).action, Action::Hold);
    let decision = decide(&steady(10.0, 60, 8), &fleet(8), &settings, at(60));
    assert_eq!((decision.action, decision.reason), (Action::Down(4), Reason::Spare));
    let again = FleetView { down_at: Some(at(60)), ..fleet(4) };
    let decision = decide(&steady(10.0, 70, 4), &again, &settings, at(70));
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::Cooldown));
    assert!(decision.words.ends_with("20 s to wait"), "{}", decision.words);
}

#[test]
fn the_last_node_goes_when_it_is_idle_and_comes_back_for_one_request() {
    let settings = ScaleSettings { min: 0, idle: at(30), ..Default::default() };
    assert_eq!(decide(&steady(0.0, 29, 1), &fleet(1), &settings, at(29)).action, Action::Hold);
    let decision = decide(&steady(0.0, 30, 1), &fleet(1), &settings, at(30));
    assert_eq!((decision.action, decision.reason), (Action::Down(1), Reason::Idle));
    let mut history = steady(0.0, 40, 0);
    assert_eq!(decide(&history, &fleet(0), &settings, at(40)).action, Action::Hold);
    history.push(Sample { queued: 1.0, arrivals: 1.0, ..Sample::quiet(at(41), 0) });
    assert!(matches!(decide(&history, &fleet(0), &settings, at(41)).action, Action::Up(1)));
}

#[test]
fn what_the_window_remembers_wakes_nobody() {
    // Idle sooner than the window forgets: a busy second, then silence.
    let settings = ScaleSettings { min: 0, idle: at(2), ..Default::default() };
    let mut history = steady(5.0, 10, 1);
    (11..=14).for_each(|second| history.push(Sample::quiet(at(second), 1)));
    let decision = decide(&history, &fleet(1), &settings, at(14));
    assert_eq!((decision.action, decision.reason), (Action::Down(1), Reason::Idle));
    for second in 15..=25 {
        history.push(Sample::quiet(at(second), 0));
        assert_eq!(decide(&history, &fleet(0), &settings, at(second)).action, Action::Hold, "{second}");
    }
}

#[test]
fn a_tunnel_without_a_byte_is_no_idleness() {
    let settings = ScaleSettings { min: 0, idle: at(30), ..Default::default() };
    let mut history = History::new(at(0), at(600));
    (1..=100).for_each(|second| history.push(Sample { in_flight: 1.0, ..Sample::quiet(at(second), 1) }));
    assert_eq!(decide(&history, &fleet(1), &settings, at(100)).action, Action::Hold);
}

#[test]
fn an_old_signal_stops_nothing_and_starts_nothing() {
    let decision = decide(&steady(500.0, 60, 1), &fleet(1), &ScaleSettings::default(), at(66));
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::Stale));
}

#[test]
fn operators_go_first() {
    let settings = ScaleSettings::default();
    let paused = FleetView { paused: true, ..fleet(1) };
    assert_eq!(decide(&steady(500.0, 60, 1), &paused, &settings, at(60)).reason, Reason::Paused);
    let told = FleetView { replicas: Some(3), ..fleet(5) };
    let decision = decide(&steady(500.0, 60, 1), &told, &settings, at(60));
    assert_eq!((decision.action, decision.reason), (Action::Down(2), Reason::Operator));
}

#[test]
fn starts_that_fail_are_not_repeated_at_once_and_then_one_by_one() {
    let failing = FleetView { failures: 5, blocked_until: Some(at(70)), ..fleet(2) };
    let decision = decide(&steady(500.0, 60, 2), &failing, &ScaleSettings::default(), at(60));
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::Failing));
    assert!(decision.words.ends_with("the next try is in 10 s"), "{}", decision.words);
    let decision = decide(&steady(500.0, 70, 2), &failing, &ScaleSettings::default(), at(70));
    assert_eq!(decision.action, Action::Up(1));
}

#[test]
fn the_hungriest_target_decides() {
    let target = Target { in_flight: Some(100.0), rps: Some(100.0), cpu: Some(0.5), p99: Some(at(1)) };
    let settings = ScaleSettings { target, ..Default::default() };
    let with = |cpu: f64, p99: u64| {
        let mut history = History::new(at(0), at(600));
        (1..=60).for_each(|second| {
            let p99 = Some(Duration::from_millis(p99));
            history.push(Sample { cpu: Some(cpu), p99, ..second_of(20.0, second, 2) });
        });
        decide(&history, &fleet(2), &settings, at(60)).reason
    };
    assert_eq!(with(0.4, 10), Reason::Steady);
    assert_eq!(with(0.9, 10), Reason::Cpu);
    assert_eq!(with(0.4, 1900), Reason::P99);
    assert_eq!(with(0.9, 1100), Reason::Cpu);
}

#[test]
fn response_times_never_lead_down_to_where_they_broke() {
    let settings =
        ScaleSettings { target: Target { p99: Some(at(1)), ..Target::default() }, ..Default::default() };
    let mut history = History::new(at(0), at(600));
    let mut push = |second, serving, p99| {
        history.push(Sample { p99: Some(Duration::from_millis(p99)), ..second_of(40.0, second, serving) });
    };
    (1..=10).for_each(|second| push(second, 2, 1500));
    (11..=100).for_each(|second| push(second, 3, 100));
    assert_eq!(decide(&history, &fleet(3), &settings, at(100)).action, Action::Hold);
}

fn settings() -> impl Strategy<Value = ScaleSettings> {
    (0u32..5, 0u32..12, 1.0f64..50.0, 1u64..20, 1u64..90, 0u64..40, 0.01f64..2.0).prop_map(
        |(min, more, places, up, down, cooldown, step)| ScaleSettings {
            min,
            max: (min + more).max(1),
            target: Target { in_flight: Some(places), rps: Some(places * 10.0), ..Target::default() },
            up: Pace { window: at(up), cooldown: at(cooldown / 8), step },
            down: Pace { window: at(down), cooldown: at(cooldown), step: step.min(1.0) },
            ..ScaleSettings::default()
        },
    )
}

proptest! {
    /// Any history, any fleet: bounds, steps and pauses hold.
    #[test]
    fn bounds_steps_and_pauses_always_hold(
        settings in settings(),
        loads in proptest::collection::vec((0.0f64..300.0, 0.0f64..100.0, 0.0f64..500.0), 0..120),
        serving in 0u32..20,
        starting in 0u32..6,
        up_ago in proptest::option::of(0u64..60),
        down_ago in proptest::option::of(0u64..60),
    ) {
        let now = at(1000);
        let mut history = History::new(at(0), at(600));
        let count = loads.len() as u64;
        for (second, (in_flight, queued, finished)) in (1000 - count..).zip(loads) {
            let sample = Sample { in_flight, queued, arrivals: finished, finished, ..Sample::quiet(at(second + 1), serving) };
            history.push(sample);
        }
        let fleet = FleetView {
            serving, starting, boot: at(3),
            up_at: up_ago.map(|ago| now - at(ago)), down_at: down_ago.map(|ago| now - at(ago)),
            ..FleetView::default()
        };
        let decision = decide(&history, &fleet, &settings, now);
        let there = fleet.there();
        match decision.action {
            Action::Up(count) => {
                prop_assert!(count > 0 && there + count <= settings.max);
                if there >= settings.min {
                    prop_assert!(count <= ((f64::from(there) * settings.up.step) as u32).max(1));
                    prop_assert!(fleet.up_at.is_none_or(|up| now - up >= settings.up.cooldown));
                }
            }
            Action::Down(count) => {
                prop_assert!(count > 0 && count <= there && there - count >= settings.min);
                if there <= settings.max && decision.reason != Reason::Idle {
                    prop_assert!(count <= ((f64::from(there) * settings.down.step) as u32).max(1));
                    prop_assert!(fleet.down_at.is_none_or(|down| now - down >= settings.down.cooldown));
                    prop_assert!(there - count >= 1, "the last one goes only when it is idle");
                }
            }
            Action::Hold => {}
        }
        prop_assert!(!decision.words.is_empty());
        prop_assert!(decision.wanted <= settings.max.max(there));
    }

    /// A steady load with the noise that random arrivals have: once settled, nothing moves.
    #[test]
    fn a_steady_load_never_makes_it_flap(load in 1.0f64..150.0, seed in any::<u64>()) {
        let settings = ScaleSettings { max: 100, ..ScaleSettings::default() };
        let mut history = History::new(at(0), at(600));
        let (mut view, mut state, mut moves) = (fleet(1), seed | 1, Vec::new());
        for second in 1..=600 {
            // The mean over a second of a Poisson load with answers of 100 ms wanders by about 0.45 roots.
            state ^= state << 13; state ^= state >> 7; state ^= state << 17;
            let draws: f64 = (0..4).map(|part| f64::from((state >> (part * 16)) as u16) / 65536.0 - 0.5).sum::<f64>() * 1.73;
            let noisy = (load + draws * 0.45 * load.sqrt()).max(0.0);
            history.push(second_of(noisy, second, view.serving));
            let decision = decide(&history, &view, &settings, at(second));
            match decision.action {
                Action::Up(count) => { view.serving += count; view.up_at = Some(at(second)); }
                Action::Down(count) => { view.serving -= count; view.down_at = Some(at(second)); }
                Action::Hold => continue,
            }
            moves.push((second, decision.action, decision.words));
        }
        let late: Vec<_> = moves.iter().filter(|(second, ..)| *second > 200).collect();
        prop_assert!(late.len() <= 1, "moves at {:?}", moves);
    }
}
