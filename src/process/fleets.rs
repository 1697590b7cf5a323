//! The fleets' engines, and what the autoscaler cannot see by itself.

mod held;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Settings;
use crate::config::settings::FleetSettings;
use crate::control::autoscaler::{EngineOf, Signals};
use crate::control::docker::{DockerFleet, choose};
use crate::control::fleet::{EngineError, EngineFault, Fleet};
use crate::control::no_engine::NoEngine;
use crate::control::process_fleet::ProcessFleet;
use crate::shared::event::EventSender;
use crate::shared::node::Origin;
use crate::shared::snapshot::Published;
use crate::telemetry::collector::Collector;

/// How long a container may take to stop where all of them end.
const END_GRACE: Duration = Duration::from_secs(1);
/// And all of them together.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// Engines of both kinds. `configuration` is the name of the file: it tells this balancer's containers from those of
/// others on the same engine, over restarts too. `looks_on`: it starts and stops nothing, and may do so beside another one.
pub(super) fn engines(configuration: &str, looks_on: bool, events: EventSender) -> EngineOf {
    let owner = owner(configuration);
    let configuration = configuration.to_owned();
    let processes: Arc<dyn Fleet> = Arc::new(ProcessFleet::default());
    Box::new(move |settings| match settings {
        FleetSettings::Process(_) => Arc::clone(&processes),
        FleetSettings::Docker(_) if looks_on || held::take(&owner) => docker(&owner, &events),
        FleetSettings::Docker(_) => Arc::new(NoEngine::new("docker", Origin::Docker, taken(&configuration))),
    })
}

/// The engine that the environment names. Where that cannot be used there is none: another one would be one that nobody
/// named.
fn docker(owner: &str, events: &EventSender) -> Arc<dyn Fleet> {
    match choose(|name| std::env::var(name).ok(), |path| Path::new(path).exists()) {
        Ok(endpoint) => Arc::new(DockerFleet::new(endpoint, owner.into(), events.clone())),
        Err(why) => Arc::new(NoEngine::new("docker", Origin::Docker, why)),
    }
}

/// Two processes of one configuration would take each other's containers for their own.
fn taken(configuration: &str) -> EngineError {
    EngineError::new(
        EngineFault::Refused,
        format!("another plimsoll runs with {configuration}, and its containers would be taken for ours"),
        "end it and restart this one, give this one a file of its own, or look on with `--dry-run`",
    )
}

/// Stops and removes all containers of this balancer, for as long as [`END_TIMEOUT`]. Processes end with it by themselves.
pub(super) async fn end_all(settings: &Settings, events: EventSender) {
    let engine = engines(&settings.source.name, false, events);
    let fleets = settings.backends.iter().filter_map(|backend| backend.fleet.as_deref());
    let Some(docker) = fleets.into_iter().find(|fleet| matches!(fleet, FleetSettings::Docker(_))) else {
        return;
    };
    let engine = engine(docker);
    let end = async {
        for unit in engine.list().await.unwrap_or_default().iter().filter(|unit| unit.ours) {
            let _ = engine.stop(&unit.id, END_GRACE).await;
            let _ = engine.remove(&unit.id).await;
        }
    };
    if tokio::time::timeout(END_TIMEOUT, end).await.is_err() {
        eprintln!("warning: not all containers have ended: see `docker ps --filter label=plimsoll.managed`");
    }
}

/// A name that this configuration on this machine has, and no other.
fn owner(configuration: &str) -> String {
    use sha2::{Digest, Sha256};
    let path = std::fs::canonicalize(configuration).unwrap_or_else(|_| configuration.into());
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let digest = Sha256::digest(format!("{}\n{}", machine.trim(), path.display()).as_bytes());
    digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// Response times, as the collector has them.
pub(super) struct Measured {
    collector: Collector,
    published: Published,
}

impl Measured {
    pub(super) fn new(collector: Collector, published: Published) -> Self {
        Self { collector, published }
    }
}

impl Signals for Measured {
    fn p99(&self, backend: &str) -> Option<Duration> {
        let snapshot = self.published.current();
        let backend = snapshot.backends.iter().find(|known| *known.name == *backend)?;
        self.collector.p99(backend.nodes.iter().map(|entry| &*entry.node.id))
    }
}
