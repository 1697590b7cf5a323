//! The engine of nodes that have none: where it is cannot be told, and so nothing is started anywhere else in its place.

use std::time::Duration;

use tokio::sync::mpsc;

use super::fleet::{Call, Change, EngineError, Fleet, StartOrder, Stats, Steps, Unit, UnitId};
use crate::shared::node::Origin;

/// Refuses to do anything, and says why.
#[derive(Debug)]
pub struct NoEngine {
    name: &'static str,
    origin: Origin,
    why: EngineError,
}

impl NoEngine {
    /// In place of an engine of this name, for this reason.
    pub fn new(name: &'static str, origin: Origin, why: EngineError) -> Self {
        Self { name, origin, why }
    }

    fn refuse<T: Send>(&self) -> Call<'_, T> {
        Box::pin(async { Err(self.why.clone()) })
    }
}

impl Fleet for NoEngine {
    fn name(&self) -> &'static str {
        self.name
    }

    fn origin(&self) -> Origin {
        self.origin
    }

    /// It runs nothing, and that is known: each start says why.
    fn list(&self) -> Call<'_, Vec<Unit>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn start<'a>(&'a self, _: &'a StartOrder, _: Steps) -> Call<'a, Unit> {
        self.refuse()
    }

    fn stop<'a>(&'a self, _: &'a UnitId, _: Duration) -> Call<'a, ()> {
        self.refuse()
    }

    fn remove<'a>(&'a self, _: &'a UnitId) -> Call<'a, ()> {
        self.refuse()
    }

    fn log<'a>(&'a self, _: &'a UnitId) -> Call<'a, Vec<String>> {
        self.refuse()
    }

    fn stats<'a>(&'a self, _: &'a UnitId) -> Call<'a, Stats> {
        self.refuse()
    }

    /// Once: nothing changes until the balancer is started with another environment.
    fn watch(&self) -> mpsc::Receiver<Change> {
        let (changes, receiver) = mpsc::channel(1);
        let _ = changes.try_send(Change::Down(self.why.clone()));
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fleet::EngineFault;

    #[tokio::test]
    async fn what_is_asked_is_refused_with_the_reason_which_is_told_once() {
        let why = EngineError::new(EngineFault::Down, "DOCKER_HOST is `ssh://there`", "write another");
        let none = NoEngine::new("docker", Origin::Docker, why.clone());
        let unit = UnitId("c".into());
        assert_eq!(none.list().await, Ok(Vec::new()));
        assert_eq!(none.stop(&unit, Duration::ZERO).await, Err(why.clone()));
        assert_eq!(none.stats(&unit).await, Err(why.clone()));
        let mut changes = none.watch();
        assert_eq!(changes.recv().await, Some(Change::Down(why)));
        assert_eq!(changes.recv().await, None);
    }
}
