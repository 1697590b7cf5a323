use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn serving() -> Lifecycle {
    let mut life = Lifecycle::ordered(at(0));
    life.on(Happening::Created, at(1));
    assert_eq!(life.on(Happening::Started, at(1)), [Act::Announce]);
    assert_eq!(life.on(Happening::Passed, at(3)), [Act::Admit, Act::Booted(at(3))]);
    life
}

#[test]
fn an_image_comes_a_node_boots_serves_drains_and_goes() {
    let mut life = Lifecycle::ordered(at(0));
    life.on(Happening::Progress("3 of 5 layers".into()), at(1));
    assert_eq!(*life.phase(), Phase::Pulling("3 of 5 layers".into()));
    life.on(Happening::Pulled, at(2));
    assert_eq!(*life.phase(), Phase::Creating);
    let mut life = serving();
    assert_eq!(life.on(Happening::Drain(Leaving::Spare), at(10)), [Act::TakeOut]);
    assert_eq!(life.on(Happening::Load(2), at(11)), []);
    assert_eq!(life.on(Happening::Load(0), at(12)), [], "it may have been picked a moment ago");
    assert_eq!(life.on(Happening::Load(0), at(13)), [Act::Stop]);
    assert_eq!(life.on(Happening::Stopped, at(14)), [Act::Remove]);
    assert_eq!(life.on(Happening::Died(Some(0)), at(14)), [], "told twice");
    assert_eq!(life.on(Happening::Removed, at(15)), [Act::Forget]);
    assert_eq!(*life.phase(), Phase::Gone);
}

#[test]
fn a_request_that_begins_in_the_quiet_moment_starts_it_anew() {
    let mut life = serving();
    life.on(Happening::Drain(Leaving::Spare), at(10));
    life.on(Happening::Load(0), at(10));
    life.on(Happening::Load(1), at(11));
    assert_eq!(life.on(Happening::Load(0), at(12)), []);
    assert_eq!(life.on(Happening::Load(0), at(13)), [Act::Stop]);
}

#[test]
fn a_hang_up_is_no_stop_and_a_foreign_stop_takes_it_out_before_it_dies() {
    let mut life = serving();
    assert_eq!(life.on(Happening::Killed(1), at(5)), []);
    assert_eq!(*life.phase(), Phase::Serving);
    assert_eq!(life.on(Happening::Killed(15), at(6)), [Act::TakeOut]);
    let acts = life.on(Happening::Died(Some(143)), at(7));
    assert_eq!(acts.last(), Some(&Act::Remove));
    assert!(!acts.contains(&Act::StartFailed));
}

#[test]
fn a_death_says_why_and_keeps_the_log() {
    let mut life = serving();
    life.on(Happening::OutOfMemory, at(5));
    let acts = life.on(Happening::Died(Some(137)), at(5));
    assert!(acts.contains(&Act::Tell(Tone::Bad, "ran out of memory".into())), "{acts:?}");
    let (log, remove) =
        (acts.iter().position(|act| *act == Act::ReadLog), acts.iter().position(|act| *act == Act::Remove));
    assert!(log < remove, "{acts:?}");
    assert!(!acts.contains(&Act::StartFailed), "it had served");
    let mut young = Lifecycle::ordered(at(0));
    young.on(Happening::Started, at(1));
    assert!(young.on(Happening::Died(Some(1)), at(1)).contains(&Act::StartFailed));
}

#[test]
fn a_drain_beyond_its_time_is_told_and_what_it_cut_is_counted() {
    let mut life = serving();
    life.on(Happening::Drain(Leaving::Spare), at(10));
    life.on(Happening::Load(3), at(11));
    assert_eq!(life.tick(at(10) + NODE_DRAIN_MAX), []);
    let acts = life.tick(at(11) + NODE_DRAIN_MAX);
    assert_eq!(acts[0], Act::Cut(3));
    assert!(
        matches!(&acts[1], Act::Tell(Tone::Bad, text) if text.starts_with("its drain took more than")),
        "{acts:?}"
    );
    assert_eq!(acts[2], Act::Stop);
}

#[test]
fn a_spare_node_can_be_called_back_and_one_that_is_replaced_cannot() {
    let mut life = serving();
    life.on(Happening::Drain(Leaving::Spare), at(10));
    assert_eq!(life.on(Happening::Revive, at(11)), [Act::Admit]);
    life.on(Happening::Drain(Leaving::Replaced), at(12));
    assert_eq!(life.on(Happening::Revive, at(13)), []);
}

#[test]
fn one_that_never_passes_its_check_is_given_up() {
    let mut life = Lifecycle::ordered(at(0));
    life.on(Happening::Started, at(1));
    assert_eq!(life.tick(at(1) + WARM_TIMEOUT), []);
    assert!(life.tick(at(2) + WARM_TIMEOUT).contains(&Act::StartFailed));
}

#[test]
fn one_with_a_check_of_its_own_serves_when_that_has_passed() {
    let warming = || {
        let mut life = Lifecycle::ordered(at(0));
        life.on(Happening::Started, at(1));
        life.on(Happening::Unproven, at(1));
        life
    };
    let mut life = warming();
    assert_eq!(life.on(Happening::Passed, at(2)), [], "it listens, and that is not all");
    assert_eq!(life.on(Happening::Proven, at(9)), [Act::Admit, Act::Booted(at(9))]);
    let mut life = warming();
    assert_eq!(life.on(Happening::Proven, at(2)), []);
    assert_eq!(life.on(Happening::Passed, at(3)), [Act::Admit, Act::Booted(at(3))]);
    let mut life = warming();
    life.on(Happening::Passed, at(2));
    let acts = life.on(Happening::Failed, at(9));
    assert!(acts.contains(&Act::StartFailed) && acts.contains(&Act::ReadLog), "{acts:?}");
    assert_eq!(serving().on(Happening::Failed, at(9)), [], "of one that served, others decide");
    let said = |life: &mut Lifecycle| format!("{:?}", life.tick(at(2) + WARM_TIMEOUT));
    let mut life = warming();
    life.on(Happening::Passed, at(2));
    assert!(said(&mut life).contains("HEALTHCHECK"));
    let mut life = Lifecycle::ordered(at(0));
    life.on(Happening::Started, at(1));
    assert!(said(&mut life).contains("nothing took a connection on its port"));
}

#[test]
fn one_that_ends_soon_after_its_start_is_a_failed_start_unless_somebody_ended_it() {
    let falls = |code, after: u64, out_of_memory: bool| {
        let mut life = serving();
        life.on(Happening::Load(0), at(3 + after));
        if out_of_memory {
            life.on(Happening::OutOfMemory, at(3 + after));
        }
        life.on(Happening::Died(code), at(3 + after)).contains(&Act::Fell)
    };
    assert!(falls(Some(7), 1, false) && falls(Some(0), 9, false) && falls(Some(139), 1, false));
    assert!(falls(Some(137), 1, true), "out of memory");
    assert!(!falls(Some(137), 1, false) && !falls(Some(143), 1, false), "somebody ended it");
    assert!(!falls(Some(7), 10, false), "it has lasted");
    assert_eq!(serving().on(Happening::Load(1), at(13)), [Act::Lasted]);
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        Just(Happening::Progress("x".into())),
        Just(Happening::Pulled),
        Just(Happening::Created),
        Just(Happening::Started),
        Just(Happening::Passed),
        Just(Happening::Unproven),
        Just(Happening::Proven),
        Just(Happening::Failed),
        (0i32..20).prop_map(Happening::Killed),
        Just(Happening::OutOfMemory),
        proptest::option::of(0i64..256).prop_map(Happening::Died),
        Just(Happening::Stopped),
        Just(Happening::Removed),
        Just(Happening::EngineFailed("down".into())),
        prop_oneof![
            Just(Leaving::Spare),
            Just(Leaving::Replaced),
            Just(Leaving::Operator),
            Just(Leaving::Lost)
        ]
        .prop_map(Happening::Drain),
        Just(Happening::Revive),
        (0u32..3).prop_map(Happening::Load),
        (0u32..3).prop_map(Happening::Load),
    ]
}

proptest! {
    /// Whatever happens, in whatever order.
    #[test]
    fn work_is_never_stopped_and_every_node_goes_in_the_end(
        ours in any::<bool>(),
        found in any::<bool>(),
        happenings in proptest::collection::vec((happening(), 0u64..1500), 0..60),
    ) {
        let mut life = if ours && !found { Lifecycle::ordered(at(0)) } else { Lifecycle::found(ours, at(0)) };
        let (mut now, mut in_flight, mut in_table, mut ended) = (Duration::ZERO, 0, false, false);
        let mut check = |life: &Lifecycle, acts: &[Act], in_flight: u32| {
            for act in acts {
                match act {
                    Act::Announce | Act::Admit => in_table = true,
                    Act::TakeOut | Act::Forget => in_table = false,
                    Act::Stop => {
                        prop_assert!(ours && in_flight == 0 && !in_table, "stopped with {} in flight", in_flight);
                    }
                    Act::Remove | Act::Booted(_) | Act::StartFailed | Act::Fell | Act::Lasted | Act::ReadLog => {
                        prop_assert!(ours);
                    }
                    Act::Cut(_) | Act::Tell(..) => {}
                }
            }
            let forgets = acts.contains(&Act::Forget);
            prop_assert!(!(ended && forgets), "forgotten twice");
            ended |= forgets;
            prop_assert_eq!(*life.phase() == Phase::Gone, ended);
            Ok(())
        };
        for (happening, pause) in happenings {
            now += Duration::from_millis(pause);
            // Nothing is sent to a node that was never in the table, or that was out of it when it was stopped.
            let reachable = matches!(life.phase(), Phase::Warming | Phase::Serving | Phase::Draining { .. });
            let happening = match happening {
                Happening::Load(_) if !reachable => Happening::Load(0),
                other => other,
            };
            if let Happening::Load(count) = happening {
                in_flight = count;
            }
            let acts = life.on(happening, now);
            check(&life, &acts, in_flight)?;
        }
        // The engine is well from here on, and does as told.
        let acts = life.on(Happening::Drain(Leaving::Operator), now);
        check(&life, &acts, in_flight)?;
        for _ in 0..20 {
            now += SECOND;
            let mut acts = life.on(Happening::Load(0), now);
            check(&life, &acts, 0)?;
            while let Some(act) = acts.pop() {
                let answer = match act {
                    Act::Stop => Happening::Stopped,
                    Act::Remove => Happening::Removed,
                    _ => continue,
                };
                let more = life.on(answer, now);
                check(&life, &more, 0)?;
                acts.extend(more);
            }
        }
        prop_assert_eq!(life.phase(), &Phase::Gone);
    }
}
