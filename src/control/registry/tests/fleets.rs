//! Nodes that fleets start and stop, as the registry sees them.

use super::*;

fn of_fleet(address: SocketAddr, call: Call) -> FleetNode {
    let address = NodeAddress::Tcp(address);
    FleetNode {
        address,
        origin: Origin::Process,
        weight: 1,
        unit: Some("u".into()),
        call,
        reason: "so".into(),
    }
}

fn tell(rig: &Rig, nodes: Vec<FleetNode>) {
    rig.table.send_replace(FleetTable::from([("api".into(), FleetState { nodes, ..FleetState::default() })]));
}

#[tokio::test(start_paused = true)]
async fn a_fleets_nodes_come_and_go_as_it_says() {
    let rig = Rig::start(settings(&[fixed(1)]), known()).await;
    let tell = |nodes| tell(&rig, nodes);
    let address: SocketAddr = "127.0.0.1:7".parse().unwrap();
    for (call, state) in [
        (Call::Warming, NodeState::Warming),
        (Call::Serving, NodeState::Serving),
        (Call::Draining, NodeState::Draining),
    ] {
        tell(vec![of_fleet(address, call)]);
        rig.wait("its state", |snapshot| states(snapshot) == [NodeState::Serving, state]).await;
    }
    rig.node(1).begin();
    let node = rig.node(1);
    tell(Vec::new());
    rig.wait("why it goes", |snapshot| entries(snapshot)[1].reason.contains("its fleet")).await;
    node.end();
    rig.wait("gone", |snapshot| entries(snapshot).len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn orders_for_fleets_are_handed_on() {
    let fleet = |api: &mut BackendSettings| {
        let process = ProcessSettings { command: vec!["x".into()], env: Vec::new() };
        api.fleet = Some(Arc::new(FleetSettings::Process(process)));
    };
    let mut rig = Rig::start(with(&[fixed(1)], fleet), known()).await;
    let nodes = vec![of_fleet("127.0.0.1:7".parse().unwrap(), Call::Serving)];
    tell(&rig, nodes);
    rig.wait("its node", |snapshot| entries(snapshot).len() == 2).await;
    for wish in [
        Wish::AddNode { backend: "api".into() },
        Wish::Roll { backend: "api".into() },
        Wish::Scale { backend: "api".into(), replicas: Some(2), paused: None },
        Wish::RemoveNode { node: "api/127.0.0.1:7".into() },
    ] {
        rig.orders.send(Order { wish: wish.clone(), answer: Box::new(|_| {}) }).await.unwrap();
        assert_eq!(rig.fleet_ordered.recv().await.map(|order| order.wish), Some(wish));
    }
    // A listed server is the registry's own.
    rig.order(Wish::RemoveNode { node: "api/10.0.0.1:80".into() }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_container_does_not_hold_for_the_next_one_at_its_address() {
    let rig = Rig::start(settings(&[fixed(1)]), known()).await;
    let first = of_fleet("127.0.0.1:7".parse().unwrap(), Call::Serving);
    tell(&rig, vec![first.clone()]);
    rig.wait("its node", |snapshot| states(snapshot) == [NodeState::Serving; 2]).await;
    let drain = Wish::SetNode { node: "api/127.0.0.1:7".into(), state: Some(NodeWish::Drain), weight: None };
    rig.order(drain).await.unwrap();
    assert_eq!(rig.states(), [NodeState::Serving, NodeState::Draining]);
    // It stays so, whatever else is told of it.
    tell(&rig, vec![FleetNode { weight: 2, ..first.clone() }]);
    rig.wait("its weight", |snapshot| entries(snapshot)[1].weight == 2).await;
    assert_eq!(rig.states(), [NodeState::Serving, NodeState::Draining]);
    tell(&rig, vec![FleetNode { unit: Some("next".into()), ..first }]);
    rig.wait("the next one", |snapshot| states(snapshot) == [NodeState::Serving; 2]).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_made_is_seen_and_gets_nothing() {
    let rig = Rig::start(settings(&[fixed(1)]), known()).await;
    let address = NodeAddress::Unresolved("starting-1".into());
    let coming = of_fleet("127.0.0.1:7".parse().unwrap(), Call::Starting);
    tell(&rig, vec![FleetNode { address, unit: None, ..coming.clone() }]);
    rig.wait("it", |snapshot| states(snapshot) == [NodeState::Serving, NodeState::Starting]).await;
    assert_eq!(&*rig.node(1).id, "api/starting-1");
    // With an address it is another one, and nothing is left of the first.
    tell(&rig, vec![FleetNode { call: Call::Warming, ..coming }]);
    rig.wait("its address", |snapshot| states(snapshot) == [NodeState::Serving, NodeState::Warming]).await;
}
