//! Nodes with a health check of their own.

use super::*;

#[tokio::test]
async fn a_node_with_a_check_of_its_own_gets_requests_when_that_has_passed() {
    let engine = Arc::new(Memory::default());
    engine.with(|state| state.unfit = Some((UnitId("u1".into()), Unfit::Unproven)));
    let mut rig = Rig::start(Arc::clone(&engine), 1, 4, false);
    rig.wait("it runs", |rig| rig.calls() == [Call::Warming]).await;
    let until = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until {
        rig.publish();
        assert_eq!(rig.calls(), [Call::Warming], "it listens, and has not passed its check");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let watcher = engine.with(|state| {
        state.unfit = None;
        state.watchers[0].clone()
    });
    watcher.send(Change::Unit(UnitId("u1".into()), Happening::Passed)).await.unwrap();
    rig.wait("it serves", |rig| rig.calls() == [Call::Serving]).await;
}

#[tokio::test]
async fn a_check_that_fails_before_it_ever_passed_is_a_failed_start() {
    let engine = Arc::new(Memory::default());
    engine.with(|state| state.unfit = Some((UnitId("u1".into()), Unfit::Unproven)));
    let mut rig = Rig::start(Arc::clone(&engine), 1, 1, false);
    rig.wait("it runs", |rig| rig.calls() == [Call::Warming]).await;
    let watcher = engine.with(|state| state.watchers[0].clone());
    watcher.send(Change::Unfit(UnitId("u1".into()), Unfit::Unhealthy)).await.unwrap();
    let trouble = |rig: &Rig| rig.table.borrow().get("api").and_then(|fleet| fleet.trouble.clone());
    rig.wait("the trouble", |rig| {
        trouble(rig)
            .is_some_and(|text| text.contains("the last start failed") && text.contains("HEALTHCHECK"))
    })
    .await;
    rig.wait("another one serves", |rig| rig.calls() == [Call::Serving]).await;
    assert_eq!(engine.log()[..2], ["start u1", "remove u1"]);
}

#[tokio::test]
async fn nodes_that_fail_their_check_make_room_for_others_and_max_holds() {
    let engine = Arc::new(Memory::default());
    let mut rig = Rig::start(Arc::clone(&engine), 2, 2, false);
    rig.wait("two serve", |rig| rig.calls() == [Call::Serving; 2]).await;
    let watcher = engine.with(|state| state.watchers[0].clone());
    for number in 1..=4 {
        let id = UnitId(format!("u{number}").into());
        engine.with(|state| state.unfit = Some((id.clone(), Unfit::Unhealthy)));
        watcher.send(Change::Unfit(id.clone(), Unfit::Unhealthy)).await.unwrap();
        let removed = format!("remove {id}");
        rig.wait("it is replaced", |rig| {
            let there = rig.calls().iter().filter(|call| **call != Call::Draining).count();
            assert!(there <= 2, "{:?}", rig.calls());
            rig.engine.log().contains(&removed) && rig.calls() == [Call::Serving; 2]
        })
        .await;
    }
    let trouble = rig.table.borrow()["api"].trouble.clone();
    assert!(trouble.is_some_and(|text| text.contains("starts in a row failed")), "{}", rig.told());
}
