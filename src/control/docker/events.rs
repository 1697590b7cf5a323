//! The engine's events: followed, resumed where they broke off, and a look at the whole list wherever that may have
//! lost something. A ping beside them notices an engine that hangs.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::{DockerFleet, fault, fitness};
use crate::control::fleet::{Change, EngineError, UnitId};
use crate::logic::scale::lifecycle::Happening;

/// Between two pings, and the longest wait for one.
const PING: Duration = Duration::from_secs(2);
/// The pauses between two attempts to reach an engine.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// Events that are remembered so that none counts twice where a stream is resumed.
const REMEMBERED: usize = 256;

/// Follows the events for as long as somebody takes the changes.
pub(super) async fn follow(fleet: DockerFleet, changes: mpsc::Sender<Change>) {
    let mut place = Place::default();
    let (mut pause, mut was_up) = (RETRY_MIN, true);
    while !changes.is_closed() {
        let began = tokio::time::Instant::now();
        let error = listen(&fleet, &changes, &mut place).await;
        fleet.forget_client();
        if began.elapsed() > RETRY_MAX {
            (pause, was_up) = (RETRY_MIN, true);
        }
        if was_up && changes.send(Change::Down(error)).await.is_err() {
            return;
        }
        was_up = false;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Listens until the stream ends or the engine hangs, and says why.
async fn listen(fleet: &DockerFleet, changes: &mpsc::Sender<Change>, place: &mut Place) -> EngineError {
    let client = match tokio::time::timeout(PING, fleet.client()).await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return error,
        Err(_) => return fault::slow(&fleet.0.endpoint),
    };
    if let Err(error) = ping(fleet, &client).await {
        return error;
    }
    let filters = HashMap::from([("type", vec!["container"])]);
    let mut options = EventsOptionsBuilder::new().filters(&filters);
    if let Some(since) = place.since() {
        options = options.since(&since);
    }
    let mut stream = std::pin::pin!(client.events(Some(options.build())));
    // The list is read after the stream was asked for: what happens in between comes by one of the two.
    let mut resync = Some(tokio::time::Instant::now() + RETRY_MIN);
    let mut pings = tokio::time::interval(PING);
    pings.tick().await;
    loop {
        tokio::select! {
            event = stream.next() => match event {
                Some(Ok(event)) => {
                    remember(fleet, &event);
                    if let Some(change) = place.take(&event)
                        && changes.send(change).await.is_err()
                    {
                        return fault::slow(&fleet.0.endpoint);
                    }
                }
                Some(Err(error)) => return fleet.trouble(&error),
                None => return fault::ended(&fleet.0.endpoint),
            },
            () = at(resync) => {
                resync = None;
                let _ = changes.send(Change::Resync).await;
            }
            _ = pings.tick() => if let Err(error) = ping(fleet, &client).await {
                return error;
            },
        }
    }
}

async fn at(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn ping(fleet: &DockerFleet, client: &bollard::Docker) -> Result<(), EngineError> {
    match tokio::time::timeout(PING, client.ping()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(fleet.trouble(&error)),
        Err(_) => Err(fault::slow(&fleet.0.endpoint)),
    }
}

/// What an event says beyond the moment.
fn remember(fleet: &DockerFleet, event: &EventMessage) {
    let id = event.actor.as_ref().and_then(|actor| actor.id.as_deref());
    if let (Some(id), Some(action)) = (id, event.action.as_deref()) {
        fleet.0.fitness.hear(id, action, Instant::now());
        match action {
            "die" | "destroy" => fleet.forget_container(id),
            "update" => fleet.forget_limit(id),
            _ => {}
        }
    }
}

/// How far the events were read.
#[derive(Debug, Default)]
struct Place {
    newest_nanos: i64,
    seen: VecDeque<(i64, String, String)>,
}

impl Place {
    /// For the engine: seconds and nanoseconds.
    fn since(&self) -> Option<String> {
        let (seconds, nanos) = (self.newest_nanos / 1_000_000_000, self.newest_nanos % 1_000_000_000);
        (self.newest_nanos > 0).then(|| format!("{seconds}.{nanos:09}"))
    }

    /// What an event means; `None` where it means nothing, or came before.
    fn take(&mut self, event: &EventMessage) -> Option<Change> {
        let nanos =
            event.time_nano.or(event.time.map(|seconds| seconds.saturating_mul(1_000_000_000))).unwrap_or(0);
        let id = event.actor.as_ref()?.id.clone()?;
        let action = event.action.clone()?;
        let key = (nanos, id, action);
        if self.seen.contains(&key) {
            return None;
        }
        let change = meaning(event, &key.1, &key.2);
        self.newest_nanos = self.newest_nanos.max(nanos);
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(key);
        change
    }
}

fn meaning(event: &EventMessage, id: &str, action: &str) -> Option<Change> {
    let attributes = event.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
    let number = |name: &str| attributes.and_then(|all| all.get(name)?.parse::<i64>().ok());
    let happening = match action {
        "start" | "unpause" => return Some(Change::Appeared),
        "kill" => Happening::Killed(i32::try_from(number("signal")?).ok()?),
        "oom" => Happening::OutOfMemory,
        "die" => Happening::Died(number("exitCode")),
        "destroy" => Happening::Removed,
        "health_status: healthy" => Happening::Passed,
        _ => {
            let unfit = fitness::meaning(action).flatten()?;
            return Some(Change::Unfit(UnitId(id.into()), unfit));
        }
    };
    Some(Change::Unit(UnitId(id.into()), happening))
}

#[cfg(test)]
mod tests {
    use bollard::models::EventActor;

    use super::*;
    use crate::control::fleet::Unfit;

    fn event(nanos: i64, action: &str, attributes: &[(&str, &str)]) -> EventMessage {
        let attributes = attributes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        EventMessage {
            action: Some(action.into()),
            actor: Some(EventActor { id: Some("c1".into()), attributes: Some(attributes) }),
            time_nano: Some(nanos),
            ..EventMessage::default()
        }
    }

    fn unit(happening: Happening) -> Option<Change> {
        Some(Change::Unit(UnitId("c1".into()), happening))
    }

    #[test]
    fn events_mean_what_happens_to_a_node() {
        let mut place = Place::default();
        assert_eq!(place.take(&event(1, "kill", &[("signal", "15")])), unit(Happening::Killed(15)));
        assert_eq!(place.take(&event(2, "oom", &[])), unit(Happening::OutOfMemory));
        assert_eq!(place.take(&event(3, "die", &[("exitCode", "137")])), unit(Happening::Died(Some(137))));
        assert_eq!(place.take(&event(4, "destroy", &[])), unit(Happening::Removed));
        assert_eq!(place.take(&event(5, "health_status: healthy", &[])), unit(Happening::Passed));
        assert_eq!(place.take(&event(6, "start", &[])), Some(Change::Appeared));
        assert_eq!(place.take(&event(6, "unpause", &[])), Some(Change::Appeared));
        for (action, why) in [("pause", Unfit::Paused), ("health_status: unhealthy", Unfit::Unhealthy)] {
            assert_eq!(place.take(&event(6, action, &[])), Some(Change::Unfit(UnitId("c1".into()), why)));
        }
        for nothing in ["exec_start: /bin/true", "health_status: starting", "stop", "attach", ""] {
            assert_eq!(place.take(&event(7, nothing, &[])), None, "{nothing}");
        }
        assert_eq!(place.take(&event(8, "kill", &[("signal", "many")])), None);
    }

    #[test]
    fn a_resumed_stream_counts_nothing_twice_and_takes_what_is_late() {
        let mut place = Place::default();
        assert_eq!(place.since(), None);
        place.take(&event(5_000_000_007, "die", &[("exitCode", "1")]));
        assert_eq!(place.since().as_deref(), Some("5.000000007"));
        assert_eq!(place.take(&event(5_000_000_007, "die", &[("exitCode", "1")])), None);
        assert!(place.take(&event(4_000_000_000, "oom", &[])).is_some(), "out of order is not seen before");
        assert_eq!(place.since().as_deref(), Some("5.000000007"));
        (0..1000).for_each(|nanos| {
            place.take(&event(nanos, "oom", &[]));
        });
        assert_eq!(place.seen.len(), REMEMBERED);
    }
}
