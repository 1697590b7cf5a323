//! From settings and answers to nodes that are wanted, and from groups to a snapshot. Decides alone: no clock, no lookup.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::gates::Gates;
use super::{affinity, name_of};
use crate::config::Settings;
use crate::config::settings::{self, BackendSettings, Listener, Server, ServerHost};
use crate::control::autoscaler::{Call, FleetNode, Standing};
use crate::control::names::Names;
use crate::logic::route::BackendIndex;
use crate::logic::scale::hold;
use crate::shared::node::{NodeAddress, Origin};
use crate::shared::queue::Queue;
use crate::shared::scaling::Scaling;
use crate::shared::snapshot::{AccessLog, Backend, Entry, Protocol, Snapshot};

/// Why a name is down that was not looked up yet.
const NOT_LOOKED_UP: &str = "its name was not looked up yet";

/// A snapshot of these settings and backends.
pub(super) fn snapshot(
    settings: &Settings,
    gates: Gates,
    backends: Vec<Arc<Backend>>,
    version: u64,
    generation: u64,
) -> Snapshot {
    Snapshot {
        version,
        generation,
        limits: settings.limits,
        timeouts: settings.timeouts,
        trusted_proxies: settings.trusted_proxies.clone(),
        access_log: settings
            .access_log
            .as_ref()
            .map(|log| AccessLog { format: log.format, sample: log.sample }),
        listeners: settings.listeners.iter().map(|listener| Arc::clone(&listener.name)).collect(),
        protocols: settings.listeners.iter().map(|listener| protocol(listener, &backends)).collect(),
        expect_proxy_header: settings.listeners.iter().map(|one| one.expects_proxy_header).collect(),
        routes: Arc::clone(&settings.routes),
        gates,
        backends,
    }
}

fn protocol(listener: &Listener, backends: &[Arc<Backend>]) -> Protocol {
    let index = |name: &Arc<str>| {
        let at = backends.iter().position(|backend| backend.name == *name)?;
        u16::try_from(at).ok().map(BackendIndex)
    };
    match &listener.protocol {
        settings::Protocol::Http => Protocol::Http,
        settings::Protocol::Tcp(backend) => Protocol::Tcp(index(backend)),
        settings::Protocol::TlsByName(names) => Protocol::TlsByName(Arc::new(names.map(index))),
        settings::Protocol::Udp(backend) => Protocol::Udp(index(backend)),
    }
}

/// A backend with these nodes. `before`: as it was published last. The last are its queue, and what is decided of its
/// fleet.
pub(super) fn backend(
    name: Arc<str>,
    settings: &BackendSettings,
    panics: bool,
    nodes: Vec<Entry>,
    before: Option<&Backend>,
    (queue, scaling, trouble): (Option<Arc<Queue>>, Option<Scaling>, Option<Arc<str>>),
) -> Backend {
    let affinity = affinity::build(settings, &nodes, before);
    Backend {
        name,
        strategy: settings.strategy,
        affinity,
        panics,
        retry: settings.retry,
        hedge: settings.hedge,
        budget: before.map_or_else(Arc::default, |before| Arc::clone(&before.budget)),
        queue,
        scaling,
        trouble,
        adaptive: settings.adaptive,
        proxy_header: settings.proxy_header,
        nodes,
    }
}

/// What everybody may know of a fleet: `None` where there is none.
pub(super) fn scaling(
    settings: &BackendSettings,
    standing: Option<Standing>,
    running: usize,
    asleep: bool,
) -> Option<Scaling> {
    let fleet = settings.fleet.as_ref()?;
    let scale = &settings.scale;
    Some(Scaling {
        fleet: fleet.name(),
        min: scale.min,
        max: scale.max,
        wanted: standing.map_or(scale.min, |standing| standing.wanted),
        running: u32::try_from(running).unwrap_or(u32::MAX),
        paused: standing.is_some_and(|standing| standing.paused),
        asleep,
        hopeless: standing.is_some_and(|standing| standing.hopeless),
        retry_after_s: standing.map_or(1, |standing| standing.retry_after_s),
        places: hold::places(&scale.target),
    })
}

/// What is to be known of a node before it is one.
pub(super) struct Place {
    pub(super) address: NodeAddress,
    pub(super) origin: Origin,
    pub(super) weight: u32,
    pub(super) in_flight_max: Option<NonZeroU32>,
    /// Why its name has no address.
    pub(super) unresolved: Option<Arc<str>>,
    /// What its fleet asks of it, and why.
    pub(super) call: Option<(Call, Arc<str>)>,
    /// The container or the process that it is.
    pub(super) unit: Option<Arc<str>>,
}

/// The nodes that a backend should have: those of the file in its order, then those of its fleet.
pub(super) fn places(settings: &BackendSettings, names: &Names, fleet: &[FleetNode]) -> Vec<Place> {
    let listed = settings.servers.iter().flat_map(|server| of_server(server, names));
    listed.chain(fleet.iter().map(|node| of_fleet(node, settings.fleet_in_flight_max))).collect()
}

fn of_fleet(node: &FleetNode, in_flight_max: Option<NonZeroU32>) -> Place {
    Place {
        address: node.address.clone(),
        origin: node.origin,
        weight: node.weight,
        in_flight_max,
        unresolved: None,
        call: Some((node.call, Arc::clone(&node.reason))),
        unit: node.unit.clone(),
    }
}

fn of_server(server: &Server, names: &Names) -> Vec<Place> {
    match &server.host {
        ServerHost::Address(address) => vec![known(NodeAddress::Tcp(*address), Origin::Static, server)],
        ServerHost::Unix(path) => vec![known(NodeAddress::Unix(path.clone()), Origin::Static, server)],
        ServerHost::Name(..) => of_name(server, names),
    }
}

fn of_name(server: &Server, names: &Names) -> Vec<Place> {
    let Some(name) = name_of(&server.host) else { return Vec::new() };
    let node = |address: &SocketAddr| known(NodeAddress::Tcp(*address), Origin::Dns, server);
    match names.answer(&name) {
        Some(Ok(addresses)) => addresses.iter().map(node).collect(),
        Some(Err(reason)) => vec![unresolved(name.to_string(), Arc::clone(reason), server)],
        None => vec![unresolved(name.to_string(), NOT_LOOKED_UP.into(), server)],
    }
}

fn known(address: NodeAddress, origin: Origin, server: &Server) -> Place {
    let Server { weight, in_flight_max, .. } = *server;
    Place { address, origin, weight, in_flight_max, unresolved: None, call: None, unit: None }
}

fn unresolved(name: String, reason: Arc<str>, server: &Server) -> Place {
    let address = NodeAddress::Unresolved(name.into());
    let Server { weight, in_flight_max, .. } = *server;
    Place {
        address,
        origin: Origin::Dns,
        weight,
        in_flight_max,
        unresolved: Some(reason),
        call: None,
        unit: None,
    }
}
