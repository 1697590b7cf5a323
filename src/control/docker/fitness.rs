//! Which containers run, and should get no new work: somebody paused them, or their own health check fails.
//!
//! Events say when that changes, lists say how it is. A list that was asked for before an event does not speak of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bollard::models::{
    ContainerInspectResponse, ContainerSummary, ContainerSummaryHealthStatusEnum, ContainerSummaryStateEnum,
    HealthStatusEnum,
};

use crate::control::fleet::{Unfit, UnitId};
use crate::logic::limits::CHANGES_WAITING_MAX;

/// What is known of all containers.
#[derive(Debug, Default)]
pub(super) struct Fitness(Mutex<HashMap<String, Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    unfit: Option<Unfit>,
    told: Instant,
}

/// What an event says of a container's fitness; `None` where it says nothing.
pub(super) fn meaning(action: &str) -> Option<Option<Unfit>> {
    match action {
        "pause" => Some(Some(Unfit::Paused)),
        "health_status: unhealthy" => Some(Some(Unfit::Unhealthy)),
        "health_status: healthy" | "unpause" => Some(None),
        _ => None,
    }
}

/// What a list says of one.
fn listed(container: &ContainerSummary) -> Option<Unfit> {
    let health = container.health.as_ref().and_then(|health| health.status);
    // Engines before version 29 say it in words alone: `Up 5 minutes (unhealthy)`.
    let words = container.status.as_deref().unwrap_or_default();
    if container.state == Some(ContainerSummaryStateEnum::PAUSED) {
        Some(Unfit::Paused)
    } else if health == Some(ContainerSummaryHealthStatusEnum::UNHEALTHY) || words.ends_with("(unhealthy)") {
        Some(Unfit::Unhealthy)
    } else if health == Some(ContainerSummaryHealthStatusEnum::STARTING)
        || words.ends_with("(health: starting)")
    {
        Some(Unfit::Unproven)
    } else {
        None
    }
}

impl Fitness {
    /// Takes an event.
    pub(super) fn hear(&self, id: &str, action: &str, now: Instant) {
        let Some(unfit) = meaning(action) else { return };
        let mut known = self.lock();
        if known.len() >= CHANGES_WAITING_MAX {
            // Those of strangers above all; the next list says again how ours are.
            known.clear();
        }
        known.insert(id.to_owned(), Known { unfit, told: now });
    }

    /// Takes one that was just started, as it was at a time: has it a health check of its own?
    pub(super) fn see_started(&self, id: &str, seen: &ContainerInspectResponse, asked: Instant) {
        let health = seen.state.as_ref().and_then(|state| state.health.as_ref()?.status);
        let mut known = self.lock();
        if health == Some(HealthStatusEnum::STARTING) && known.get(id).is_none_or(|known| known.told <= asked)
        {
            known.insert(id.to_owned(), Known { unfit: Some(Unfit::Unproven), told: asked });
        }
    }

    /// Takes a container of a list that was asked for at a time.
    pub(super) fn see(&self, container: &ContainerSummary, asked: Instant) {
        let Some(id) = &container.id else { return };
        let mut known = self.lock();
        if known.get(id).is_some_and(|known| known.told > asked) {
            return;
        }
        match listed(container) {
            Some(why) => drop(known.insert(id.clone(), Known { unfit: Some(why), told: asked })),
            None => drop(known.remove(id)),
        }
    }

    /// Forgets a container that is no more.
    pub(super) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Why it should get no new work.
    pub(super) fn of(&self, unit: &UnitId) -> Option<Unfit> {
        self.lock().get(&*unit.0)?.unfit
    }

    /// What a panic left behind is whole: every change is one statement.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bollard::models::ContainerSummaryHealth;

    use super::*;

    fn container(state: ContainerSummaryStateEnum, status: &str) -> ContainerSummary {
        ContainerSummary {
            id: Some("c".into()),
            state: Some(state),
            status: Some(status.into()),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn events_and_lists_say_who_should_get_no_new_work() {
        let (fitness, unit, now) = (Fitness::default(), UnitId("c".into()), Instant::now());
        for (action, unfit) in [
            ("pause", Some(Unfit::Paused)),
            ("unpause", None),
            ("health_status: unhealthy", Some(Unfit::Unhealthy)),
            ("health_status: starting", Some(Unfit::Unhealthy)),
            ("exec_start: x", Some(Unfit::Unhealthy)),
            ("health_status: healthy", None),
        ] {
            fitness.hear("c", action, now);
            assert_eq!(fitness.of(&unit), unfit, "{action}");
        }
        let later = now + Duration::from_secs(1);
        for (state, status, unfit) in [
            (ContainerSummaryStateEnum::RUNNING, "Up 2 hours (unhealthy)", Some(Unfit::Unhealthy)),
            (ContainerSummaryStateEnum::PAUSED, "Up 2 hours (Paused)", Some(Unfit::Paused)),
            (ContainerSummaryStateEnum::RUNNING, "Up 2 seconds (health: starting)", Some(Unfit::Unproven)),
            (ContainerSummaryStateEnum::RUNNING, "Up 2 hours (healthy)", None),
        ] {
            fitness.see(&container(state, status), later);
            assert_eq!(fitness.of(&unit), unfit, "{status}");
        }
        let health = ContainerSummaryHealth {
            status: Some(ContainerSummaryHealthStatusEnum::UNHEALTHY),
            failing_streak: None,
        };
        let said = ContainerSummary {
            health: Some(health),
            ..container(ContainerSummaryStateEnum::RUNNING, "Up 2 hours")
        };
        fitness.see(&said, later);
        assert_eq!(fitness.of(&unit), Some(Unfit::Unhealthy));
        fitness.forget("c");
        assert_eq!(fitness.of(&unit), None);
    }

    #[test]
    fn a_list_from_before_an_event_does_not_speak_of_it() {
        let (fitness, unit, asked) = (Fitness::default(), UnitId("c".into()), Instant::now());
        fitness.hear("c", "pause", asked + Duration::from_millis(1));
        fitness.see(&container(ContainerSummaryStateEnum::RUNNING, "Up"), asked);
        assert_eq!(fitness.of(&unit), Some(Unfit::Paused));
        fitness.see(&container(ContainerSummaryStateEnum::RUNNING, "Up"), asked + Duration::from_millis(2));
        assert_eq!(fitness.of(&unit), None);
    }

    #[test]
    fn what_strangers_do_is_not_remembered_without_end() {
        let fitness = Fitness::default();
        (0..3 * CHANGES_WAITING_MAX).for_each(|id| fitness.hear(&id.to_string(), "pause", Instant::now()));
        assert!(fitness.lock().len() <= CHANGES_WAITING_MAX);
    }
}
