//! The limits of routes, kept from one snapshot to the next while their settings are the same, with what they have counted;
//! and the queues of backends, kept for as long as there is the backend, with whom they hold.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::config::settings::BackendSettings;
use crate::logic::route::{Route, RouteTable};
use crate::shared::queue::{Alarm, Holding, Queue};
use crate::shared::route_gate::RouteGate;
use crate::shared::snapshot::Backend;

/// The gates of all routes, by their index; `None` for a route without limits.
pub(super) type Gates = Vec<Option<Arc<RouteGate>>>;

/// The gates of these routes. `before`: those of the snapshot before.
pub(super) fn gates(routes: &RouteTable, before: &Gates) -> Gates {
    let known = || before.iter().flatten();
    let mut table = known().next().map(|gate| Arc::clone(gate.table()));
    let mut gate = |route: &Route| {
        let (rate, in_flight_max) = (route.rate_limit.as_ref(), route.in_flight_max.map(NonZeroU32::get));
        if rate.is_none() && in_flight_max.is_none() {
            return None;
        }
        let kept = known().find(|gate| gate.is(&route.name, rate, in_flight_max)).map(Arc::clone);
        let table = table.get_or_insert_default();
        let name = Arc::clone(&route.name);
        Some(kept.unwrap_or_else(|| Arc::new(RouteGate::new(name, rate.cloned(), in_flight_max, table))))
    };
    routes.iter().map(|(_, route)| gate(route)).collect()
}

/// The queue of a backend that has limits, or whose nodes are started. `before`: the backend in the snapshot before.
pub(super) fn queue(
    settings: &BackendSettings,
    before: Option<&Backend>,
    alarm: &Alarm,
) -> Option<Arc<Queue>> {
    let hold = settings.fleet.as_ref().map(|_| settings.scale.hold);
    let known = before.and_then(|before| before.queue.as_ref());
    // Whoever waits in it shall be served whatever the settings become: without limits, too, it stays.
    if let Some(kept) = known.filter(|queue| queue.holding().is_some() == hold.is_some()) {
        kept.set_settings(settings.queue);
        if let (Some(holding), Some(hold)) = (kept.holding(), hold) {
            holding.set_settings(hold);
        }
        return Some(Arc::clone(kept));
    }
    let limited = settings.servers.iter().any(|server| server.in_flight_max.is_some());
    (limited || settings.adaptive.is_some() || hold.is_some()).then(|| {
        let holding = hold.map(|hold| Holding::new(hold, alarm.clone()));
        Arc::new(Queue::new(Arc::clone(&settings.name), settings.queue).with(holding))
    })
}
