//! Carries out what operators want.

use std::sync::Arc;

use super::member::Member;
use super::{Registry, Wiring, now_ms};
use crate::control::reload::{self, InForce, Trouble};
use crate::logic::limits::WEIGHT_MAX;
use crate::shared::event::{Event, Kind, Level};
use crate::shared::node::Origin;
use crate::shared::order::{Fault, NodeWish, Order, Outcome, Refused, WeightWish, Wish};
use crate::shared::reload::LastReload;

impl Registry {
    /// Carries out an order. Whoever gave it hears of it when all can see what came of it.
    pub(super) async fn obey(&mut self, order: Order, wiring: &Wiring) {
        if self.is_for_fleet(&order.wish) {
            return hand_on(order, wiring);
        }
        let outcome = match order.wish {
            Wish::SetNode { node, state, weight } => self.set_node(&node, state, weight),
            Wish::RemoveNode { node } => self.remove_node(&node),
            Wish::AddNode { backend } | Wish::Scale { backend, .. } | Wish::Roll { backend } => {
                self.refuse_fleet(&backend)
            }
            Wish::Reload => self.reload(wiring).await,
        };
        self.publish(wiring);
        (order.answer)(outcome);
    }

    /// Does it concern nodes that are started and stopped?
    fn is_for_fleet(&self, wish: &Wish) -> bool {
        match wish {
            Wish::AddNode { backend } | Wish::Scale { backend, .. } | Wish::Roll { backend } => {
                let mut groups = self.groups.iter().map(|group| &group.settings);
                groups.any(|settings| *settings.name == **backend && settings.fleet.is_some())
            }
            Wish::RemoveNode { node } => self.find(node).is_ok_and(|(group, at)| {
                let origin = self.groups[group].members[at].node.origin;
                matches!(origin, Origin::Docker | Origin::Process)
            }),
            Wish::SetNode { .. } | Wish::Reload => false,
        }
    }

    fn set_node(&mut self, id: &str, state: Option<NodeWish>, weight: Option<WeightWish>) -> Outcome {
        if state.is_none() && weight.is_none() {
            return Err(invalid("nothing is to be changed", "give a `state` or a `weight`"));
        }
        if matches!(weight, Some(WeightWish::Of(weight)) if !(1..=WEIGHT_MAX).contains(&weight)) {
            let message = format!("a weight is 1 to {WEIGHT_MAX}");
            return Err(invalid(message, "to send it nothing, set its state to `drain`"));
        }
        let (group, at) = self.find(id)?;
        let member = &mut self.groups[group].members[at];
        match state {
            Some(NodeWish::Ready) => {
                member.manual.state = None;
                member.node.conduct.open();
            }
            Some(state) => member.manual.state = Some(state),
            None => {}
        }
        match weight {
            Some(WeightWish::Of(weight)) => member.manual.weight = Some(weight),
            Some(WeightWish::OfTheFile) => member.manual.weight = None,
            None => {}
        }
        let said = told(member, state, weight);
        self.manuals.insert(Arc::clone(&member.node.id), member.manual);
        self.groups[group].stale = true;
        Ok(said)
    }

    fn remove_node(&mut self, id: &str) -> Outcome {
        let (group, at) = self.find(id)?;
        let node = Arc::clone(&self.groups[group].members[at].node);
        self.removed.insert(Arc::clone(&node.id));
        self.manuals.remove(&node.id);
        self.gather(|group| group.settings.name == node.backend);
        let in_flight = node.in_flight();
        Ok(format!("node {id} drains ({in_flight} in flight), and is gone until the next reload"))
    }

    /// The places of the backend and of the node, unless it is leaving.
    fn find(&self, id: &str) -> Result<(usize, usize), Refused> {
        let mut places = self.groups.iter().enumerate().filter_map(|(group, nodes)| {
            let at = nodes.members.iter().position(|member| *member.node.id == *id)?;
            Some((group, at))
        });
        let (group, at) = places.next().ok_or_else(|| Refused {
            fault: Fault::Unknown,
            code: "no_such_node",
            message: format!("there is no node {id}"),
            hint: "`plimsoll nodes` and GET /api/v1/nodes list them".to_owned(),
        })?;
        match self.groups[group].members[at].leaving {
            None => Ok((group, at)),
            Some(why) => Err(Refused {
                fault: Fault::Conflict,
                code: "node_leaves",
                message: format!("node {id} is leaving: {why}"),
                hint: "a reload brings back what the file lists".to_owned(),
            }),
        }
    }

    /// Of a backend without a fleet.
    fn refuse_fleet(&self, backend: &str) -> Outcome {
        let known = self.groups.iter().any(|group| *group.settings.name == *backend);
        Err(match known {
            false => Refused {
                fault: Fault::Unknown,
                code: "no_such_backend",
                message: format!("there is no backend {backend}"),
                hint: "GET /api/v1/backends lists them".to_owned(),
            },
            true => Refused {
                fault: Fault::Conflict,
                code: "no_fleet",
                message: format!(
                    "backend {backend} has servers that are listed: nothing starts or stops them"
                ),
                hint: "list another server in the file and reload".to_owned(),
            },
        })
    }

    async fn reload(&mut self, wiring: &Wiring) -> Outcome {
        let Some(load) = wiring.load.clone() else {
            return Err(Refused {
                fault: Fault::Conflict,
                code: "no_file",
                message: "the configuration came from flags: there is no file to read again".to_owned(),
                hint: "start with `-c FILE`".to_owned(),
            });
        };
        let read = tokio::task::spawn_blocking(move || load()).await;
        let judged = match read {
            Ok(read) => reload::judge(&self.settings, read),
            Err(panic) => Err(Trouble::unread(panic.to_string())),
        };
        let at_ms = now_ms();
        match judged {
            Ok((settings, mut lines)) => {
                let back = std::mem::take(&mut self.removed);
                lines.extend(back.iter().map(|id| format!("node {id} is back: it was removed until now")));
                self.generation += 1;
                let settings = Arc::new(settings);
                self.go_by(Arc::clone(&settings)).await;
                let text = match lines.len() {
                    0 => "reloaded: nothing has changed".to_owned(),
                    _ => format!("reloaded: {}", lines.join("; ")),
                };
                wiring.in_force.send_replace(InForce {
                    settings,
                    reloaded_ms: Some(at_ms),
                    last: Some(LastReload { at_ms, accepted: true, lines }),
                });
                wiring.events.send(Event::now(Kind::Reload, Level::Info, text.clone()));
                Ok(text)
            }
            Err(Trouble { refused, lines }) => {
                wiring.in_force.send_modify(|in_force| {
                    in_force.last = Some(LastReload { at_ms, accepted: false, lines });
                });
                let text = format!("reload refused: {}; the old settings stay", refused.message);
                wiring.events.send(Event::now(Kind::Reload, Level::Error, text));
                Err(refused)
            }
        }
    }
}

/// To the autoscaler. It has the answer, too.
fn hand_on(order: Order, wiring: &Wiring) {
    if let Err(refused) = wiring.fleet_orders.try_send(order) {
        (refused.into_inner().answer)(Err(Refused {
            fault: Fault::Unavailable,
            code: "busy",
            message: "too many orders wait for the fleets".to_owned(),
            hint: "try again".to_owned(),
        }));
    }
}

fn told(member: &Member, state: Option<NodeWish>, weight: Option<WeightWish>) -> String {
    let in_flight = member.node.in_flight();
    let state = state.map(|state| match state {
        NodeWish::Ready => "takes requests, as its health allows".to_owned(),
        NodeWish::Drain => format!("takes no new requests; {in_flight} in flight finish"),
        NodeWish::Down => format!("takes no requests; {in_flight} in flight are cut"),
    });
    let weight = weight.map(|weight| match weight {
        WeightWish::Of(weight) => format!("has the weight {weight}"),
        WeightWish::OfTheFile => format!("has its own weight again, {}", member.weight),
    });
    let said: Vec<_> = state.into_iter().chain(weight).collect();
    format!("node {} {}", member.node.id, said.join(", and "))
}

fn invalid(message: impl Into<String>, hint: &str) -> Refused {
    Refused { fault: Fault::Invalid, code: "invalid", message: message.into(), hint: hint.to_owned() }
}
