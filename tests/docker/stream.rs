//! The engine's events: cut, resumed, repeated, and an engine that hangs.

use std::time::Duration;

use plimsoll::control::fleet::{Change, Fleet, Unfit, UnitId};
use plimsoll::logic::scale::lifecycle::Happening;
use tokio::sync::mpsc;

use crate::engine::{Answer, Engine, error, ok};

const DIED: &str = "{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"c1\",\"Attributes\":\
                    {\"exitCode\":\"137\"}},\"time\":5,\"timeNano\":5000000007}";

async fn next(changes: &mut mpsc::Receiver<Change>) -> Change {
    tokio::time::timeout(Duration::from_secs(20), changes.recv())
        .await
        .expect("a change in time")
        .expect("a watch")
}

fn died() -> Change {
    Change::Unit(UnitId("c1".into()), Happening::Died(Some(137)))
}

#[tokio::test]
async fn a_stream_that_is_cut_is_resumed_and_nothing_counts_twice() {
    let engine = Engine::start(|_, path| (path == "/events").then(|| Answer { hangs: true, ..ok(DIED) }));
    let mut changes = engine.fleet.watch();
    assert_eq!(next(&mut changes).await, died());
    assert_eq!(next(&mut changes).await, Change::Resync);
    engine.cut();
    assert!(matches!(next(&mut changes).await, Change::Down(_)));
    // The same event comes again, and is known.
    assert_eq!(next(&mut changes).await, Change::Resync);
    assert_eq!(engine.asked().iter().filter(|call| *call == "GET /events").count(), 2);
}

#[tokio::test]
async fn an_engine_that_answers_500_is_down_once_and_looked_at_again_when_it_is_back() {
    let engine = Engine::start(|_, _| Some(error(500, "broken")));
    let mut changes = engine.fleet.watch();
    assert!(matches!(next(&mut changes).await, Change::Down(_)));
    engine.say(|_, _| None);
    assert_eq!(next(&mut changes).await, Change::Resync, "one outage is told once");
}

#[tokio::test]
async fn an_engine_that_hangs_is_noticed_by_its_pings() {
    let engine = Engine::start(|_, _| None);
    let mut changes = engine.fleet.watch();
    assert_eq!(next(&mut changes).await, Change::Resync);
    engine.say(|_, path| (path == "/_ping").then(|| Answer { hangs: true, ..ok("") }));
    let Change::Down(error) = next(&mut changes).await else { panic!("it hangs") };
    assert!(error.message.contains("does not answer in time"), "{error}");
}

#[tokio::test]
async fn a_container_that_is_paused_or_unhealthy_is_told_and_known_until_it_is_fit_again() {
    let event = |action: &str, at: u64| {
        format!(
            "{{\"Type\":\"container\",\"Action\":\"{action}\",\"Actor\":{{\"ID\":\"c1\"}},\"timeNano\":{at}}}"
        )
    };
    let unit = UnitId("c1".into());
    for (bad, good, why, told) in [
        ("pause", "unpause", Unfit::Paused, Change::Appeared),
        (
            "health_status: unhealthy",
            "health_status: healthy",
            Unfit::Unhealthy,
            Change::Unit(unit.clone(), Happening::Passed),
        ),
    ] {
        let lines = event(bad, 5);
        let engine =
            Engine::start(move |_, path| (path == "/events").then(|| Answer { hangs: true, ..ok(&lines) }));
        let mut changes = engine.fleet.watch();
        assert_eq!(next(&mut changes).await, Change::Unfit(unit.clone(), why));
        assert_eq!(engine.fleet.unfit(&unit), Some(why));
        let lines = event(good, 6);
        engine.say(move |_, path| (path == "/events").then(|| Answer { hangs: true, ..ok(&lines) }));
        engine.cut();
        while next(&mut changes).await != told {}
        assert_eq!(engine.fleet.unfit(&unit), None, "{good}");
    }
}
