//! Docker, and what speaks its API (podman): containers as nodes.
//!
//! What is started comes from the configuration alone, and carries labels that say whose it is. A container of another
//! owner is never touched; one that joined by its own labels is balanced, and never stopped.

mod container;
mod endpoint;
mod events;
mod fault;
mod fitness;
mod labels;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::models::{ContainerStatsResponse, ImageInspect};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, StatsOptionsBuilder, StopContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt;
use tokio::sync::mpsc;

pub use self::endpoint::{Endpoint, choose};
use self::fitness::Fitness;
use super::fleet::{
    Call, Change, EngineError, EngineFault, Fleet, StartOrder, Stats, Steps, Unfit, Unit, UnitId,
};
use crate::config::settings::{DockerSettings, FleetSettings, Pull};
use crate::logic::limits::{
    CHANGES_WAITING_MAX, ENGINE_TIMEOUT, NODE_LOG_LINE_BYTES_MAX, NODE_LOG_LINES_MAX, PULL_STALL_TIMEOUT,
};
use crate::logic::scale::lifecycle::Happening;
use crate::shared::event::{Event, EventSender, Kind, Level};
use crate::shared::node::Origin;

/// One engine, and this balancer's containers there. Cheap to clone.
#[derive(Clone)]
pub struct DockerFleet(Arc<Shared>);

struct Shared {
    endpoint: Endpoint,
    /// Tells this balancer's containers from those of others: stable over restarts, different for each balancer.
    owner: Arc<str>,
    events: EventSender,
    /// With the version that was agreed on; forgotten when the engine goes, since another may come.
    client: Mutex<Option<Docker>>,
    /// Bad labels that were told already.
    told: Mutex<HashMap<String, String>>,
    fitness: Fitness,
    /// What containers may use at most, in cores; `None` where nobody limits them. Asked for once,
    /// and after a change.
    limits: Mutex<HashMap<UnitId, Option<f64>>>,
    /// The cores of the engine's machine; forgotten with the client.
    cores: Mutex<Option<f64>>,
}

impl DockerFleet {
    /// The engine there. Nothing is asked of it yet.
    pub fn new(endpoint: Endpoint, owner: Arc<str>, events: EventSender) -> Self {
        Self(Arc::new(Shared {
            endpoint,
            owner,
            events,
            client: Mutex::default(),
            told: Mutex::default(),
            fitness: Fitness::default(),
            limits: Mutex::default(),
            cores: Mutex::default(),
        }))
    }

    /// A client that speaks the engine's version.
    async fn client(&self) -> Result<Docker, EngineError> {
        if let Some(client) = lock(&self.0.client).clone() {
            return Ok(client);
        }
        let seconds = ENGINE_TIMEOUT.as_secs();
        let here = &self.0.endpoint;
        let client = match here {
            Endpoint::Unix(path) => Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION),
            Endpoint::Tcp(address) => Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION),
        };
        let negotiated = async { client?.negotiate_version().await };
        let client = match tokio::time::timeout(ENGINE_TIMEOUT, negotiated).await {
            Ok(client) => client.map_err(|error| fault::of(&error, here))?,
            Err(_) => return Err(fault::slow(here)),
        };
        *lock(&self.0.client) = Some(client.clone());
        Ok(client)
    }

    fn forget_client(&self) {
        *lock(&self.0.client) = None;
        *lock(&self.0.cores) = None;
    }

    fn forget_container(&self, id: &str) {
        self.0.fitness.forget(id);
        self.forget_limit(id);
    }

    fn forget_limit(&self, id: &str) {
        lock(&self.0.limits).remove(&UnitId(id.into()));
    }

    fn trouble(&self, error: &bollard::errors::Error) -> EngineError {
        fault::of(error, &self.0.endpoint)
    }

    async fn units(&self) -> Result<Vec<Unit>, EngineError> {
        let client = self.client().await?;
        let own = format!("{}={}", labels::OWNER, self.0.owner);
        let (mut units, mut known) = (Vec::new(), HashSet::new());
        for (label, all) in [(own, true), (format!("{}=true", labels::ENABLE), false)] {
            let filters = HashMap::from([("label", vec![label])]);
            let options = ListContainersOptionsBuilder::new().all(all).filters(&filters).build();
            let asked = Instant::now();
            let found = client.list_containers(Some(options)).await.map_err(|error| self.trouble(&error))?;
            for container in found {
                match container::unit(&container, &self.0.owner) {
                    // One of ours whose image asks to join stands in both lists.
                    Ok(Some(unit)) if known.insert(unit.id.clone()) => {
                        self.0.fitness.see(&container, asked);
                        units.push(unit);
                    }
                    Ok(Some(_) | None) => {}
                    Err(why) => self.tell_bad_labels(container.id.unwrap_or_default(), why),
                }
            }
        }
        Ok(units)
    }

    /// Once for each container and each reason.
    fn tell_bad_labels(&self, id: String, why: String) {
        let short = id.get(..12).unwrap_or(&id).to_owned();
        let mut told = lock(&self.0.told);
        if told.len() > CHANGES_WAITING_MAX {
            told.clear();
        }
        if told.insert(id, why.clone()).as_ref() != Some(&why) {
            let text = format!("container {short} is left out: {why}");
            self.0.events.send(Event::now(Kind::Fleet, Level::Warning, text));
        }
    }

    async fn start_container(&self, order: &StartOrder, steps: &Steps) -> Result<Unit, EngineError> {
        let FleetSettings::Docker(settings) = &*order.settings else {
            return Err(EngineError::new(
                EngineFault::Refused,
                "the configuration gives this backend no image",
                "give it `docker_image`, or `docker: { image: ... }`",
            ));
        };
        let client = self.client().await?;
        let image = self.image(&client, order, settings, steps).await?;
        let port = container::port(settings, &image)?;
        let name = container::name(&order.backend, &self.0.owner, &container::ticket(order));
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let mut body = container::body(order, settings, port, &self.0.owner);
        if let Some(pinned) = order.image.as_deref().filter(|id| image.id.as_deref() == Some(*id)) {
            // By its name, where that means it still: it is what people see in a list.
            let named = client.inspect_image(&settings.image).await;
            if named.is_ok_and(|named| named.id.as_deref() != Some(pinned)) {
                body.image = Some(pinned.to_owned());
            }
        }
        let made =
            client.create_container(Some(options), body).await.map_err(|error| self.trouble(&error))?;
        steps.tell(Happening::Created);
        let mut started = self.run(&client, order, settings, &made.id, port).await;
        if let Ok(unit) = &mut started {
            unit.image = image.id.map(Into::into);
        }
        if let Err(error) = &mut started {
            // What could not be started is of no use to anybody, but for what it said.
            let lines = self.last_lines(&UnitId(made.id.as_str().into())).await.unwrap_or_default();
            if !lines.is_empty() {
                error.message = format!("{}; its last lines: {}", error.message, lines.join(" | "));
            }
            let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            let _ = client.remove_container(&made.id, Some(force)).await;
        }
        started
    }

    async fn run(
        &self,
        client: &Docker,
        order: &StartOrder,
        settings: &DockerSettings,
        id: &str,
        port: u16,
    ) -> Result<Unit, EngineError> {
        client.start_container(id, None).await.map_err(|error| self.trouble(&error))?;
        let asked = Instant::now();
        let seen = client.inspect_container(id, None).await.map_err(|error| self.trouble(&error))?;
        self.0.fitness.see_started(id, &seen, asked);
        let address = container::address(settings, &seen, port)?;
        lock(&self.0.limits).insert(UnitId(id.into()), container::cores_limit(&seen));
        Ok(Unit {
            id: UnitId(id.into()),
            backend: Arc::clone(&order.backend),
            fingerprint: Arc::clone(&order.fingerprint),
            address: Some(address),
            door: container::door(settings, &seen, port),
            running: true,
            ours: true,
            weight: 1,
            image: None,
        })
    }

    /// The image that a container is to be made of: that of the others of its version, as long as the engine has it.
    async fn image(
        &self,
        client: &Docker,
        order: &StartOrder,
        settings: &DockerSettings,
        steps: &Steps,
    ) -> Result<ImageInspect, EngineError> {
        if let Some(id) = &order.image {
            match client.inspect_image(id).await {
                Ok(image) => return Ok(image),
                Err(error) if fault::is_missing(&error) => {
                    let text = format!(
                        "the image that the other nodes of {} were made of ({id}) is not there any more: what `{}` names now is \
                         taken",
                        order.backend, settings.image
                    );
                    let event = Event::now(Kind::Fleet, Level::Warning, text);
                    self.0.events.send(event.backend(&order.backend));
                }
                Err(error) => return Err(self.trouble(&error)),
            }
        }
        self.provide_image(client, settings, steps).await?;
        client.inspect_image(&settings.image).await.map_err(|error| self.trouble(&error))
    }

    async fn provide_image(
        &self,
        client: &Docker,
        settings: &DockerSettings,
        steps: &Steps,
    ) -> Result<(), EngineError> {
        let there = match settings.pull {
            Pull::Always => false,
            Pull::Never => true,
            Pull::Missing => match client.inspect_image(&settings.image).await {
                Ok(_) => true,
                Err(error) if fault::is_missing(&error) => false,
                Err(error) => return Err(self.trouble(&error)),
            },
        };
        if there { Ok(()) } else { self.pull(client, settings, steps).await }
    }

    async fn pull(
        &self,
        client: &Docker,
        settings: &DockerSettings,
        steps: &Steps,
    ) -> Result<(), EngineError> {
        let options =
            CreateImageOptionsBuilder::new().from_image(&container::tagged(&settings.image)).build();
        let mut progress = container::PullProgress::default();
        steps.tell(Happening::Progress("pulling".into()));
        let mut stream = std::pin::pin!(client.create_image(Some(options), None, None));
        loop {
            match tokio::time::timeout(PULL_STALL_TIMEOUT, stream.next()).await {
                Ok(Some(Ok(info))) => {
                    if let Some(words) = progress.take(&info) {
                        steps.tell(Happening::Progress(words));
                    }
                }
                Ok(Some(Err(error))) => {
                    return Err(fault::of_pull(&error, &settings.image, &self.0.endpoint));
                }
                Ok(None) => break,
                Err(_) => return Err(fault::stalled(&settings.image)),
            }
        }
        steps.tell(Happening::Pulled);
        Ok(())
    }

    async fn stop_container(&self, unit: &UnitId, grace: Duration) -> Result<(), EngineError> {
        // The engine answers when the container has ended.
        let client = self.client().await?.with_timeout(ENGINE_TIMEOUT + grace);
        let seconds = container::grace_seconds(grace);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        let stopped = client.stop_container(&unit.0, Some(options)).await;
        self.unless(stopped, |error| fault::is_missing(error) || fault::is_status(error, 304))
    }

    async fn remove_container(&self, unit: &UnitId) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = self.client().await?.remove_container(&unit.0, Some(options)).await;
        self.forget_container(&unit.0);
        // 409: somebody removes it already.
        self.unless(removed, |error| fault::is_missing(error) || fault::is_status(error, 409))
    }

    fn unless(
        &self,
        outcome: Result<(), bollard::errors::Error>,
        is_fine: impl Fn(&bollard::errors::Error) -> bool,
    ) -> Result<(), EngineError> {
        match outcome {
            Err(error) if !is_fine(&error) => Err(self.trouble(&error)),
            _ => Ok(()),
        }
    }

    async fn last_lines(&self, unit: &UnitId) -> Result<Vec<String>, EngineError> {
        let tail = NODE_LOG_LINES_MAX.to_string();
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&tail).build();
        let client = self.client().await?;
        let mut stream = std::pin::pin!(client.logs(&unit.0, Some(options)));
        let mut lines = Vec::new();
        while let Ok(Some(Ok(piece))) = tokio::time::timeout(ENGINE_TIMEOUT, stream.next()).await {
            let bytes = piece.into_bytes();
            let start = &bytes[..bytes.len().min(NODE_LOG_LINE_BYTES_MAX)];
            lines.push(String::from_utf8_lossy(start).trim_end().to_owned());
            if lines.len() == NODE_LOG_LINES_MAX {
                break;
            }
        }
        Ok(lines)
    }

    async fn usage(&self, unit: &UnitId) -> Result<Stats, EngineError> {
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let client = self.client().await?;
        let mut stream = std::pin::pin!(client.stats(&unit.0, Some(options)));
        match tokio::time::timeout(ENGINE_TIMEOUT, stream.next()).await {
            Ok(Some(Ok(stats))) => {
                let cores = match self.limit(&client, unit).await? {
                    Some(limit) => limit,
                    None => self.cores(&client, &stats).await?,
                };
                Ok(container::stats(&stats, cores))
            }
            Ok(Some(Err(error))) => Err(self.trouble(&error)),
            Ok(None) => Err(EngineError::new(
                EngineFault::NoSuchUnit,
                format!("the engine has no figures of container {unit}"),
                "it may have ended: see `docker stats`",
            )),
            Err(_) => Err(fault::slow(&self.0.endpoint)),
        }
    }

    /// What a container may use at most, in cores. It is asked for again after `docker update`.
    async fn limit(&self, client: &Docker, unit: &UnitId) -> Result<Option<f64>, EngineError> {
        if let Some(limit) = lock(&self.0.limits).get(unit).copied() {
            return Ok(limit);
        }
        let seen = client.inspect_container(&unit.0, None).await.map_err(|error| self.trouble(&error))?;
        let limit = container::cores_limit(&seen);
        lock(&self.0.limits).insert(unit.clone(), limit);
        Ok(limit)
    }

    /// The cores of the engine's machine, which need not be the balancer's.
    async fn cores(&self, client: &Docker, stats: &ContainerStatsResponse) -> Result<f64, EngineError> {
        if let Some(cores) = container::engine_cores(stats).or(*lock(&self.0.cores)) {
            return Ok(cores);
        }
        let info = client.info().await.map_err(|error| self.trouble(&error))?;
        let cores = info.ncpu.filter(|cores| *cores > 0).map(|cores| cores as f64);
        let cores = cores.ok_or_else(|| fault::no_cores(&self.0.endpoint))?;
        *lock(&self.0.cores) = Some(cores);
        Ok(cores)
    }
}

impl Fleet for DockerFleet {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn origin(&self) -> Origin {
        Origin::Docker
    }

    fn list(&self) -> Call<'_, Vec<Unit>> {
        Box::pin(self.units())
    }

    fn start<'a>(&'a self, order: &'a StartOrder, steps: Steps) -> Call<'a, Unit> {
        Box::pin(async move { self.start_container(order, &steps).await })
    }

    fn stop<'a>(&'a self, unit: &'a UnitId, grace: Duration) -> Call<'a, ()> {
        Box::pin(self.stop_container(unit, grace))
    }

    fn remove<'a>(&'a self, unit: &'a UnitId) -> Call<'a, ()> {
        Box::pin(self.remove_container(unit))
    }

    fn log<'a>(&'a self, unit: &'a UnitId) -> Call<'a, Vec<String>> {
        Box::pin(self.last_lines(unit))
    }

    fn stats<'a>(&'a self, unit: &'a UnitId) -> Call<'a, Stats> {
        Box::pin(self.usage(unit))
    }

    fn unfit(&self, unit: &UnitId) -> Option<Unfit> {
        self.0.fitness.of(unit)
    }

    fn watch(&self) -> mpsc::Receiver<Change> {
        let (changes, receiver) = mpsc::channel(CHANGES_WAITING_MAX);
        tokio::spawn(events::follow(self.clone(), changes));
        receiver
    }
}

/// A lock that a panic left behind still holds whole values: every change of them is one statement.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
