//! Names that servers have: looked up on a schedule, with the last good answer kept where a lookup fails.
//!
//! The system's resolver says nothing of how long an answer holds, so each name is asked again every
//! [`LOOKUP_INTERVAL`]; one that has no address yet sooner, with pauses that double.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::dns::{Answer, Name, Resolver};
use crate::logic::limits::{LOOKUP_INTERVAL, LOOKUP_RETRY_MAX, LOOKUP_RETRY_MIN};

/// All names of the settings, and what they resolved to.
#[derive(Debug)]
pub(super) struct Names {
    resolver: Resolver,
    known: HashMap<Name, Known>,
    lookups: JoinSet<(Name, Answer)>,
}

#[derive(Debug)]
struct Known {
    /// The last good answer, or the first bad one where there was none.
    answer: Option<Answer>,
    due: Instant,
    /// The pause that a failure made last.
    pause: Option<Duration>,
    looking: bool,
}

/// What a new answer changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// Other addresses than before, or another reason why there are none.
    Answer,
    /// It fails for the first time since it was good; what it resolved to stays.
    Failing(Arc<str>),
}

impl Names {
    pub(super) fn new(resolver: Resolver) -> Self {
        Self { resolver, known: HashMap::new(), lookups: JoinSet::new() }
    }

    /// Follows these names from now on, and no others. New ones are due at once.
    pub(super) fn follow(&mut self, names: Vec<Name>) {
        let mut before = std::mem::take(&mut self.known);
        for name in names {
            let fresh = || Known { answer: None, due: Instant::now(), pause: None, looking: false };
            let known = before.remove(&name).unwrap_or_else(fresh);
            self.known.insert(name, known);
        }
    }

    /// What a name resolved to; `None` where it was not looked up yet.
    pub(super) fn answer(&self, name: &Name) -> Option<&Answer> {
        self.known.get(name)?.answer.as_ref()
    }

    /// When to call [`Self::look`] next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.known.values().filter(|known| !known.looking).map(|known| known.due).min()
    }

    /// Begins to look up all that are due.
    pub(super) fn look(&mut self) {
        let now = Instant::now();
        for (name, known) in self.known.iter_mut().filter(|(_, known)| !known.looking && known.due <= now) {
            known.looking = true;
            let (resolver, name) = (self.resolver.clone(), name.clone());
            self.lookups.spawn(async move { (name.clone(), resolver.resolve(name).await) });
        }
    }

    /// The end of a lookup. Pending where none is under way.
    pub(super) async fn answered(&mut self) -> (Name, Answer) {
        loop {
            match self.lookups.join_next().await {
                Some(Ok(answered)) => return answered,
                // A resolver that panicked has answered that in `resolve` already.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Takes an answer, and plans the next lookup.
    pub(super) fn take(&mut self, name: &Name, answer: Answer) -> Change {
        let Some(known) = self.known.get_mut(name) else { return Change::None };
        known.looking = false;
        let failed_before = known.pause.is_some();
        let pause = match &answer {
            Ok(_) => LOOKUP_INTERVAL,
            Err(_) => known.pause.map_or(LOOKUP_RETRY_MIN, |pause| (pause * 2).min(LOOKUP_RETRY_MAX)),
        };
        known.pause = answer.is_err().then_some(pause);
        known.due = Instant::now() + pause;
        match (&known.answer, answer) {
            (Some(Ok(_)), Err(why)) if failed_before => {
                drop(why);
                Change::None
            }
            (Some(Ok(_)), Err(why)) => Change::Failing(why),
            (Some(before), answer) if *before == answer => Change::None,
            (_, answer) => {
                known.answer = Some(answer);
                Change::Answer
            }
        }
    }

    /// Looks up all that are due, and waits for them.
    pub(super) async fn look_and_wait(&mut self) {
        self.look();
        while self.known.values().any(|known| known.looking) {
            let (name, answer) = self.answered().await;
            self.take(&name, answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn name(host: &str) -> Name {
        Name { host: host.into(), port: 80 }
    }

    fn addresses(last: u8) -> Answer {
        Ok(vec![SocketAddr::from(([10, 0, 0, last], 80))])
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_keeps_the_last_good_answer_and_is_told_once() {
        let mut names = Names::new(Resolver::default());
        names.follow(vec![name("a")]);
        assert_eq!(names.take(&name("a"), addresses(1)), Change::Answer);
        assert_eq!(names.take(&name("a"), addresses(1)), Change::None);
        assert_eq!(names.take(&name("a"), Err("gone".into())), Change::Failing("gone".into()));
        assert_eq!(names.take(&name("a"), Err("still gone".into())), Change::None);
        assert_eq!(names.answer(&name("a")), Some(&addresses(1)));
        assert_eq!(names.take(&name("a"), addresses(2)), Change::Answer);
        assert_eq!(names.answer(&name("a")), Some(&addresses(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_good_answer_is_asked_for_again_after_the_interval_and_a_bad_one_sooner() {
        let mut names = Names::new(Resolver::default());
        names.follow(vec![name("a"), name("b")]);
        let now = Instant::now();
        names.take(&name("a"), addresses(1));
        assert_eq!(names.next_due(), Some(now), "b was never looked up");
        names.take(&name("b"), Err("no".into()));
        assert_eq!(names.next_due(), Some(now + LOOKUP_RETRY_MIN));
        names.follow(vec![name("a")]);
        assert_eq!(names.next_due(), Some(now + LOOKUP_INTERVAL), "b is not followed any more");
        assert_eq!(names.answer(&name("b")), None);
    }
}
