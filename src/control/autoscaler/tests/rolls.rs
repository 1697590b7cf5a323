//! Nodes that are replaced by others.

use super::*;

#[tokio::test]
async fn another_command_replaces_all_nodes_and_new_ones_serve_first() {
    let mut rig = Rig::start(Arc::default(), 2, 4, false);
    rig.wait("two serve", |rig| rig.calls() == [Call::Serving; 2]).await;
    let next = InForce { settings: Arc::new(settings("y", 2, 4)), reloaded_ms: None, last: None };
    rig.reload.send_replace(next);
    rig.wait("both are replaced", |rig| rig.engine.log().contains(&"remove u2".to_owned())).await;
    let log = rig.engine.log();
    let place = |what: &str| log.iter().position(|line| line == what).unwrap_or(usize::MAX);
    let (first, second) = (place("stop u1").min(place("stop u2")), place("stop u1").max(place("stop u2")));
    assert!(place("start u3") < first && place("start u4") < second, "{log:?}");
    rig.wait("two serve", |rig| rig.calls() == [Call::Serving; 2]).await;
    assert!(rig.told().contains("all nodes were replaced"));
}

#[tokio::test]
async fn a_new_command_that_fails_stops_the_roll_and_the_old_nodes_go_on() {
    let mut rig = Rig::start(Arc::default(), 1, 4, false);
    rig.wait("one serves", |rig| rig.calls() == [Call::Serving]).await;
    rig.engine.with(|state| state.out_of_order = true);
    let next = InForce { settings: Arc::new(settings("y", 1, 4)), reloaded_ms: None, last: None };
    rig.reload.send_replace(next);
    let mut told = String::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !told.contains("the roll has stopped") {
        assert!(Instant::now() < deadline, "{told}");
        tokio::time::sleep(Duration::from_millis(10)).await;
        told += &rig.told();
    }
    rig.wait("the old one serves", |rig| rig.calls() == [Call::Serving]).await;
    assert_eq!(rig.engine.log(), ["start u1"]);
    // What is started from then on is what serves.
    assert!(told.contains("started as they were before"), "{told}");
    rig.engine.with(|state| state.out_of_order = false);
    rig.scale(Some(2), None).await.unwrap();
    rig.wait("two serve", |rig| rig.calls() == [Call::Serving; 2]).await;
    let of = |rig: &Rig, at: usize| rig.engine.with(|state| state.units[at].0.fingerprint.clone());
    assert_eq!(of(&rig, 0), of(&rig, 1));
    // And an order tries what the configuration says.
    rig.order(Wish::Roll { backend: "api".into() }).await.unwrap();
    let before = of(&rig, 0);
    rig.wait("all are new", |rig| {
        rig.calls() == [Call::Serving; 2]
            && rig.engine.with(|state| state.units.iter().all(|(unit, _)| unit.fingerprint != before))
    })
    .await;
}

#[tokio::test]
async fn the_load_is_served_while_nodes_are_replaced() {
    let mut rig = Rig::start(Arc::default(), 2, 4, false);
    rig.wait("two serve", |rig| rig.calls() == [Call::Serving; 2]).await;
    rig.reload.send_replace(InForce {
        settings: Arc::new(settings("y", 2, 4)),
        reloaded_ms: None,
        last: None,
    });
    rig.scale(Some(4), None).await.unwrap();
    rig.wait("four new ones serve", |rig| {
        let is_old =
            |rig: &Rig| ["u1", "u2"].iter().any(|id| !rig.engine.log().contains(&format!("remove {id}")));
        !is_old(rig) && rig.calls() == [Call::Serving; 4]
    })
    .await;
    let starts = rig.engine.log().iter().filter(|line| line.starts_with("start")).count();
    assert_eq!((starts, rig.engine.running()), (6, 4), "{:?}", rig.engine.log());
}

#[tokio::test]
async fn all_nodes_of_a_version_are_of_the_image_that_its_name_meant_at_first() {
    let engine = Arc::new(Memory::default());
    let means = |image: &str| engine.with(|state| state.image = Some(image.into()));
    let images =
        || engine.with(|state| state.units.iter().map(|(unit, _)| unit.image.clone()).collect::<Vec<_>>());
    means("good");
    let mut rig = Rig::start(Arc::clone(&engine), 1, 4, false);
    rig.wait("one serves", |rig| rig.calls() == [Call::Serving]).await;
    means("bad");
    rig.scale(Some(2), None).await.unwrap();
    rig.wait("two serve", |rig| rig.calls() == [Call::Serving; 2]).await;
    assert_eq!(images(), [Some("good".into()), Some("good".into())]);
    // A roll looks again. What it finds does not work, and so it is the former one that goes on.
    engine.with(|state| state.out_of_order = true);
    rig.order(Wish::Roll { backend: "api".into() }).await.unwrap();
    let mut told = String::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !told.contains("the roll has stopped") {
        assert!(Instant::now() < deadline, "{told}");
        tokio::time::sleep(Duration::from_millis(10)).await;
        told += &rig.told();
    }
    engine.with(|state| state.out_of_order = false);
    rig.scale(Some(3), None).await.unwrap();
    rig.wait("three serve", |rig| rig.calls() == [Call::Serving; 3]).await;
    assert_eq!(images(), vec![Some("good".into()); 3]);
    means("better");
    rig.order(Wish::Roll { backend: "api".into() }).await.unwrap();
    rig.wait("all are new", |rig| {
        rig.calls() == [Call::Serving; 3] && images().iter().all(|image| image.as_deref() == Some("better"))
    })
    .await;
}
