//! Between the engine's words and ours: what is created from settings, and what is read from a list or an inspection.
//! Decides alone: nothing here asks the engine.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStatsResponse, ContainerSummary,
    ContainerSummaryStateEnum, CreateImageInfo, HostConfig, ImageInspect, PortBinding, PortSummary,
    PortSummaryTypeEnum,
};

use super::labels::{self, Claim};
use crate::config::settings::{DockerSettings, Reach};
use crate::control::fleet::{Door, EngineError, EngineFault, StartOrder, Stats, Unit, UnitId};

/// The name of a container: of its backend, its owner and the start that made it. No two containers of one engine have
/// the same name, so whoever has the one that his labels make is who was created with them.
pub(super) fn name(backend: &str, owner: &str, ticket: &str) -> String {
    format!("plimsoll-{backend}-{}-{ticket}", owner.get(..8).unwrap_or(owner))
}

/// A ticket as names and labels have it.
pub(super) fn ticket(order: &StartOrder) -> String {
    format!("{:x}", order.ticket)
}

/// What the engine is told to create.
pub(super) fn body(
    order: &StartOrder,
    settings: &DockerSettings,
    port: u16,
    owner: &str,
) -> ContainerCreateBody {
    let labels = [
        (labels::MANAGED, "true".to_owned()),
        (labels::OWNER, owner.to_owned()),
        (labels::BACKEND, order.backend.to_string()),
        (labels::SPEC, order.fingerprint.to_string()),
        (labels::PORT, port.to_string()),
        (labels::TICKET, ticket(order)),
    ];
    let inside = format!("{port}/tcp");
    // An empty port lets the engine choose a free one.
    let published = PortBinding { host_ip: Some("127.0.0.1".into()), host_port: Some(String::new()) };
    let bindings = HashMap::from([(inside.clone(), Some(vec![published]))]);
    ContainerCreateBody {
        image: Some(settings.image.clone()),
        cmd: (!settings.command.is_empty()).then(|| settings.command.clone()),
        env: Some(settings.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        exposed_ports: Some(vec![inside]),
        host_config: Some(HostConfig {
            port_bindings: (settings.reach == Reach::Loopback).then_some(bindings),
            network_mode: Some(settings.network.clone()),
            // Billionths of a core; the configuration allows 1024 of them.
            nano_cpus: (settings.cpus > 0.0).then_some((settings.cpus * 1e9) as i64),
            memory: i64::try_from(settings.memory_bytes).ok().filter(|bytes| *bytes > 0),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// The image with a tag: without one the engine would pull all of them.
pub(super) fn tagged(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains(':') || name.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

/// The port inside: the one of the settings, else the image's only one.
pub(super) fn port(settings: &DockerSettings, image: &ImageInspect) -> Result<u16, EngineError> {
    if let Some(port) = settings.port {
        return Ok(port);
    }
    let exposed = image.config.as_ref().and_then(|config| config.exposed_ports.as_ref());
    let ports: Vec<u16> = exposed.into_iter().flatten().filter_map(|port| tcp_port(port)).collect();
    match ports[..] {
        [port] => Ok(port),
        _ => {
            let message = format!("the image `{}` exposes {} TCP ports", settings.image, ports.len());
            Err(EngineError::new(EngineFault::Refused, message, "say which one: `docker: { port: 8080 }`"))
        }
    }
}

/// `8080/tcp`, or `8080`.
fn tcp_port(text: &str) -> Option<u16> {
    match text.split_once('/') {
        Some((port, "tcp")) => port.parse().ok(),
        Some(_) => None,
        None => text.parse().ok(),
    }
}

/// Where a container that runs is reached.
pub(super) fn address(
    settings: &DockerSettings,
    seen: &ContainerInspectResponse,
    port: u16,
) -> Result<SocketAddr, EngineError> {
    if seen.state.as_ref().and_then(|state| state.running) == Some(false) {
        let code = seen.state.as_ref().and_then(|state| state.exit_code).unwrap_or_default();
        let message = format!("the container ended at once, with exit code {code}");
        return Err(EngineError::new(
            EngineFault::Refused,
            message,
            "its image or its command is at fault: see its last log lines, or run it by hand",
        ));
    }
    let network = seen.network_settings.as_ref();
    let found = match settings.reach {
        Reach::Loopback => {
            let bound =
                network.and_then(|network| network.ports.as_ref()?.get(&format!("{port}/tcp"))?.as_ref());
            let host =
                bound.into_iter().flatten().find_map(|binding| binding.host_port.as_ref()?.parse().ok());
            host.map(|host| SocketAddr::from((Ipv4Addr::LOCALHOST, host)))
        }
        Reach::Network => {
            let endpoint = network.and_then(|network| network.networks.as_ref()?.get(&settings.network));
            let ip = endpoint.and_then(|endpoint| endpoint.ip_address.as_ref()?.parse::<IpAddr>().ok());
            ip.map(|ip| SocketAddr::new(ip, port))
        }
    };
    found.ok_or_else(|| {
        let (message, cure) = match settings.reach {
            Reach::Loopback => ("the engine published no port", "use another `network`, or `reach: network`"),
            Reach::Network => {
                ("the container has no address in its network", "correct `network`, or use `reach: loopback`")
            }
        };
        EngineError::new(EngineFault::Refused, message, cure)
    })
}

/// The container's own address: its published one may be a proxy's.
pub(super) fn door(settings: &DockerSettings, seen: &ContainerInspectResponse, port: u16) -> Option<Door> {
    let networks = seen.network_settings.as_ref()?.networks.as_ref()?;
    let endpoint = networks.get(&settings.network)?;
    let ip: IpAddr = endpoint.ip_address.as_ref()?.parse().ok()?;
    Some(Door { address: SocketAddr::new(ip, port), gateway: endpoint.gateway.as_ref()?.parse().ok()? })
}

/// A container of a list: one of ours, one that asks to join, or one that is none of our business. The error is for
/// the one who wrote its labels.
pub(super) fn unit(container: &ContainerSummary, owner: &str) -> Result<Option<Unit>, String> {
    let (Some(id), Some(found)) = (&container.id, &container.labels) else { return Ok(None) };
    let is_managed = found.contains_key(labels::MANAGED);
    let ours = is_managed && found.get(labels::OWNER).is_some_and(|other| other == owner);
    if is_managed && !ours {
        return Ok(None);
    }
    if ours && !is_named_by_its_labels(container, found, owner) {
        return Err(COPIED.into());
    }
    if !ours && found.get(labels::ENABLE).is_none_or(|value| value != "true") {
        return Ok(None);
    }
    let Claim { backend, port, weight } = labels::claim(found)?;
    // One that is paused has not ended: it is unfit for a while.
    let running = matches!(
        container.state,
        Some(ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::PAUSED)
    );
    let address = place(container, port);
    if !ours && running && address.is_none() {
        return Err(
            "it has no address of its own, or more than one exposed port and no label `plimsoll.port`".into(),
        );
    }
    Ok(Some(Unit {
        id: UnitId(id.as_str().into()),
        backend: backend.into(),
        fingerprint: if ours {
            found.get(labels::SPEC).map(|spec| spec.as_str().into()).unwrap_or_default()
        } else {
            Arc::default()
        },
        address,
        door: None,
        running,
        ours,
        weight,
        image: container.image_id.as_deref().map(Into::into),
    }))
}

const COPIED: &str = "its labels say that this balancer created it, and its name says that it did not: they were copied (`docker commit`, \
     another tool), or somebody renamed it. It gets no requests and is not stopped; take the label `plimsoll.managed` off \
     it, and it may join with `plimsoll.enable=true`";

/// Labels are handed down by `docker commit` and copied by people and tools; a name is not.
fn is_named_by_its_labels(
    container: &ContainerSummary,
    labels: &HashMap<String, String>,
    owner: &str,
) -> bool {
    let (Some(backend), Some(ticket)) = (labels.get(labels::BACKEND), labels.get(labels::TICKET)) else {
        return false;
    };
    let ours = name(backend, owner, ticket);
    let names = container.names.as_deref().unwrap_or_default();
    names.iter().any(|name| name.strip_prefix('/').unwrap_or(name) == ours)
}

/// The published port on the loopback, else the address in a network of its own. A container in the host's network has
/// neither, and so cannot point at the balancer's own ports.
fn place(container: &ContainerSummary, port: Option<u16>) -> Option<SocketAddr> {
    let ports = container.ports.as_deref().unwrap_or_default();
    let inside = port.or_else(|| only_port(ports))?;
    let published = ports.iter().find_map(|one| {
        let loopback = one.ip.as_deref() == Some("127.0.0.1");
        one.public_port.filter(|_| loopback && one.private_port == inside && is_tcp(one))
    });
    if let Some(published) = published {
        return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, published)));
    }
    let networks = container.network_settings.as_ref()?.networks.as_ref()?;
    let mut addresses: Vec<IpAddr> =
        networks.values().filter_map(|network| network.ip_address.as_ref()?.parse().ok()).collect();
    // The order of a map is not the same twice.
    addresses.sort_unstable();
    let own = |ip: &IpAddr| !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast();
    addresses.into_iter().find(own).map(|ip| SocketAddr::new(ip, inside))
}

fn only_port(ports: &[PortSummary]) -> Option<u16> {
    let inside: BTreeSet<u16> =
        ports.iter().filter(|port| is_tcp(port)).map(|port| port.private_port).collect();
    inside.first().copied().filter(|_| inside.len() == 1)
}

fn is_tcp(port: &PortSummary) -> bool {
    matches!(port.typ, None | Some(PortSummaryTypeEnum::TCP | PortSummaryTypeEnum::EMPTY))
}

/// Cores that a container may use; `None` where nobody limits it.
pub(super) fn cores_limit(seen: &ContainerInspectResponse) -> Option<f64> {
    let host = seen.host_config.as_ref()?;
    let positive = |number: Option<i64>| number.filter(|number| *number > 0).map(|number| number as f64);
    let by_quota = || {
        // The kernel's period, where none is said.
        const PERIOD_MICROS: f64 = 100_000.0;
        Some(positive(host.cpu_quota)? / positive(host.cpu_period).unwrap_or(PERIOD_MICROS))
    };
    positive(host.nano_cpus).map(|nano| nano / 1e9).or_else(by_quota)
}

/// Cores of the engine's machine, as the figures of a container say.
pub(super) fn engine_cores(stats: &ContainerStatsResponse) -> Option<f64> {
    stats.cpu_stats.as_ref()?.online_cpus.filter(|cores| *cores > 0).map(f64::from)
}

/// What a container uses, of so many cores.
pub(super) fn stats(stats: &ContainerStatsResponse, cores: f64) -> Stats {
    let cpu = stats.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage);
    Stats {
        cpu: Duration::from_nanos(cpu.unwrap_or_default()),
        cores: Some(cores),
        memory_bytes: stats.memory_stats.as_ref().and_then(|memory| memory.usage).unwrap_or_default(),
    }
}

/// A grace as the engine takes it: whole seconds, and never none where there is some.
pub(super) fn grace_seconds(grace: Duration) -> i32 {
    let seconds = grace.as_secs().saturating_add(u64::from(grace.subsec_nanos() > 0));
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// How far an image is, by its layers.
#[derive(Debug, Default)]
pub(super) struct PullProgress {
    layers: HashMap<String, bool>,
    told: String,
}

impl PullProgress {
    /// Words, where they are others than the last.
    pub(super) fn take(&mut self, info: &CreateImageInfo) -> Option<String> {
        let (id, status) = (info.id.as_ref()?, info.status.as_deref()?);
        let is_done = matches!(status, "Pull complete" | "Already exists");
        let is_layer = is_done || status.starts_with("Pulling fs") || self.layers.contains_key(id);
        if !is_layer || self.layers.len() > 1000 {
            return None;
        }
        *self.layers.entry(id.clone()).or_default() |= is_done;
        let done = self.layers.values().filter(|done| **done).count();
        let words = format!("{done} of {} layers", self.layers.len());
        (words != self.told).then(|| {
            self.told.clone_from(&words);
            words
        })
    }
}

#[cfg(test)]
mod tests;
