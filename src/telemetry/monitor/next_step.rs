//! What happens next to a node by itself, or what an operator can do: one sentence.

use crate::shared::node::{NodeAddress, NodeState};

/// For the node table of the monitor.
pub(super) fn next_step(state: NodeState, address: &NodeAddress, in_flight: u32) -> String {
    match (state, address) {
        (NodeState::Starting, _) => "Takes requests once it runs and answers its first probe.".into(),
        (NodeState::Warming, _) => "Takes requests once it has passed its health check.".into(),
        (NodeState::Serving, _) => "Takes requests.".into(),
        (NodeState::Unhealthy, _) => {
            "Is probed on; takes requests again once enough probes in a row pass.".into()
        }
        (NodeState::Ejected, _) => "Comes back by itself: one careful request decides.".into(),
        (NodeState::Draining, _) if in_flight > 0 => {
            format!("Finishes {}, and takes no more until it is set ready.", requests(in_flight))
        }
        (NodeState::Draining, _) => "Has nothing in flight: it can be stopped, or set ready again.".into(),
        (NodeState::Down, NodeAddress::Unresolved(_)) => "Its name is looked up again and again.".into(),
        (NodeState::Down, _) => "Stays down until an operator sets it ready.".into(),
    }
}

fn requests(number: u32) -> String {
    format!("{number} {}", if number == 1 { "request" } else { "requests" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draining_node_tells_what_it_waits_for() {
        let address = NodeAddress::Tcp(([127, 0, 0, 1], 1).into());
        let draining = |in_flight| next_step(NodeState::Draining, &address, in_flight);
        assert!(draining(0).starts_with("Has nothing in flight"));
        assert!(draining(1).starts_with("Finishes 1 request,"));
        assert!(draining(2).starts_with("Finishes 2 requests,"));
    }

    #[test]
    fn a_node_that_is_down_tells_who_can_bring_it_back() {
        let unresolved = NodeAddress::Unresolved("lost.invalid:80".into());
        assert!(next_step(NodeState::Down, &unresolved, 0).contains("looked up"));
        let address = NodeAddress::Unix("/run/x.sock".into());
        assert!(next_step(NodeState::Down, &address, 0).contains("operator"));
    }
}
