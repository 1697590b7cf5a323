//! The life of one node of a fleet: happenings go in, acts come out.
//!
//! ```text
//!            progress          created          started          passed
//!  pulling ───────────> creating ──────> starting ──────> warming ──────> serving
//!     │                    │                 │               │    revive ↗   │ drain, a foreign stop
//!     └────── failed ──────┴──── failed ─────┴──── died ─────┤          draining
//!                                                            │              │ zero in flight, or too long
//!                                          failed <── died ──┘          stopping
//!                                             │                             │ stopped, died
//!                                             └───────> removing <──────────┘
//!                                                           │ removed
//!                                                          gone
//! ```
//!
//! What holds in every state: a node is taken out of the table before it is stopped; it is stopped only when nothing
//! was in flight for [`NODE_QUIET`], or when its drain took longer than it may; a node that somebody else started is
//! balanced and never stopped or removed.

use std::time::Duration;

use crate::logic::limits::{NODE_DRAIN_MAX, NODE_LASTING, NODE_QUIET, WARM_TIMEOUT};

/// The pause before an engine that did not do as told is told again.
const AGAIN: Duration = Duration::from_secs(2);

/// Where a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Its image comes: layers, bytes, in the engine's words.
    Pulling(String),
    /// The engine makes it.
    Creating,
    /// It is made, and does not run yet.
    Starting,
    /// It runs, and has not passed its check.
    Warming,
    /// It takes requests.
    Serving,
    /// It takes no new ones; what is in flight finishes.
    Draining {
        /// Why it goes.
        why: Leaving,
        /// Since when.
        since: Duration,
        /// Since when nothing is in flight.
        quiet_since: Option<Duration>,
    },
    /// The engine stops it.
    Stopping {
        /// When it was last told to.
        told: Duration,
    },
    /// It does not run, and the engine forgets it.
    Removing {
        /// When it was last told to.
        told: Duration,
        /// Why it ended, where that was no wish of ours.
        failure: Option<String>,
    },
    /// It is no more.
    Gone,
}

/// Why a node is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// The load does not need it.
    Spare,
    /// A newer one replaces it.
    Replaced,
    /// An operator said so, or the configuration does not have it any more.
    Operator,
    /// Somebody else stops it.
    Foreign,
    /// Its engine does not have it any more.
    Lost,
    /// It was to replace others, and takes no requests.
    Unfit,
    /// Its own health check fails.
    Unhealthy,
}

impl Leaving {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Spare => "the load does not need it",
            Self::Replaced => "a newer one replaces it",
            Self::Operator => "removed by an operator or the configuration",
            Self::Foreign => "somebody else stops it",
            Self::Lost => "its engine does not have it any more",
            Self::Unfit => "it was to replace others, and takes no requests",
            Self::Unhealthy => "its own health check fails for too long",
        }
    }
}

/// What happened to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The engine tells how far the image is.
    Progress(String),
    /// The image is there.
    Pulled,
    /// The engine has made it.
    Created,
    /// It runs.
    Started,
    /// It listens.
    Passed,
    /// It has a health check of its own, which has not passed yet.
    Unproven,
    /// That check has passed.
    Proven,
    /// That check has failed.
    Failed,
    /// A signal was sent to it, not by us: its number.
    Killed(i32),
    /// It ran out of memory.
    OutOfMemory,
    /// It ended by itself or by others: its exit code.
    Died(Option<i64>),
    /// The engine has stopped it, as told.
    Stopped,
    /// The engine does not have it any more.
    Removed,
    /// The engine could not do what it was told.
    EngineFailed(String),
    /// It shall go.
    Drain(Leaving),
    /// It shall stay after all.
    Revive,
    /// So many requests, tunnels and streams are in flight.
    Load(u32),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Put it into the table, without requests.
    Announce,
    /// Give it requests; slow start begins.
    Admit,
    /// Give it no new ones.
    TakeOut,
    /// Out of the table for good: whatever is in flight is lost already.
    Forget,
    /// Tell the engine to stop it: SIGTERM, and after `stop_grace` the end.
    Stop,
    /// Read its last lines of log, before it is removed.
    ReadLog,
    /// Tell the engine to forget it.
    Remove,
    /// It booted, in this time.
    Booted(Duration),
    /// It did not come up: the next start waits.
    StartFailed,
    /// It came up, and ended or failed soon after: the next start waits.
    Fell,
    /// It has served for [`NODE_LASTING`].
    Lasted,
    /// So many requests were cut.
    Cut(u32),
    /// Tell people.
    Tell(Tone, String),
}

/// How much it should worry a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Works, with less than it should.
    Odd,
    /// Clients notice.
    Bad,
}

/// One node's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    phase: Phase,
    ours: bool,
    has_served: bool,
    has_lasted: bool,
    /// It takes connections.
    listens: bool,
    /// Its own health check has not passed yet.
    unproven: bool,
    out_of_memory: bool,
    in_flight: u32,
    ordered: Duration,
    entered: Duration,
}

impl Lifecycle {
    /// Of a node that the engine was told to start `now`.
    pub fn ordered(now: Duration) -> Self {
        Self::at(Phase::Creating, true, now)
    }

    /// Of one that runs already: left by our own earlier life (`ours`), or started by somebody else. [`Act::Announce`]
    /// is to be done.
    pub fn found(ours: bool, now: Duration) -> Self {
        Self::at(Phase::Warming, ours, now)
    }

    fn at(phase: Phase, ours: bool, now: Duration) -> Self {
        Self {
            phase,
            ours,
            has_served: false,
            has_lasted: false,
            listens: false,
            unproven: false,
            out_of_memory: false,
            in_flight: 0,
            ordered: now,
            entered: now,
        }
    }

    /// Where it is.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Since when it is there.
    pub fn since(&self) -> Duration {
        self.entered
    }

    /// Is it ours to stop?
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// Is its own health check what it waits for?
    pub fn is_unproven(&self) -> bool {
        self.unproven
    }

    /// On its way to serving.
    pub fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Pulling(_) | Phase::Creating | Phase::Starting | Phase::Warming)
    }

    /// Can it be called back?
    pub fn is_revivable(&self) -> bool {
        matches!(self.phase, Phase::Draining { why: Leaving::Spare, .. })
    }

    /// Something happened.
    pub fn on(&mut self, happening: Happening, now: Duration) -> Vec<Act> {
        match happening {
            Happening::Progress(words) => self.progress(words, now),
            Happening::Pulled => self.advance(Phase::Creating, now),
            Happening::Created => self.advance(Phase::Starting, now),
            Happening::Started => self.started(now),
            Happening::Passed => self.passed(now),
            Happening::Unproven => {
                self.unproven |= !self.has_served;
                Vec::new()
            }
            Happening::Proven => self.proven(now),
            Happening::Failed => self.check_failed(now),
            Happening::Killed(signal) => self.killed(signal, now),
            Happening::OutOfMemory => {
                self.out_of_memory = true;
                Vec::new()
            }
            Happening::Died(code) => self.died(code, now),
            Happening::Stopped => self.stopped(now),
            Happening::Removed => self.removed(now),
            Happening::EngineFailed(why) => self.engine_failed(why, now),
            Happening::Drain(why) => self.drain(why, now),
            Happening::Revive => self.revive(now),
            Happening::Load(in_flight) => {
                self.in_flight = in_flight;
                self.tick(now)
            }
        }
    }

    /// Time passes: what waits for a time is done when it has come.
    pub fn tick(&mut self, now: Duration) -> Vec<Act> {
        let in_flight = self.in_flight;
        match &mut self.phase {
            Phase::Warming if now.saturating_sub(self.entered) > WARM_TIMEOUT && self.ours => {
                self.fail(self.lateness(), now)
            }
            Phase::Serving if !self.has_lasted && now.saturating_sub(self.entered) >= NODE_LASTING => {
                self.has_lasted = true;
                if self.ours { vec![Act::Lasted] } else { Vec::new() }
            }
            Phase::Draining { since, quiet_since, why } => {
                *quiet_since = (in_flight == 0).then(|| quiet_since.unwrap_or(now));
                let quiet = quiet_since.is_some_and(|quiet| now.saturating_sub(quiet) >= NODE_QUIET);
                let late = now.saturating_sub(*since) > NODE_DRAIN_MAX;
                let why = *why;
                if quiet || late { self.end(why, now) } else { Vec::new() }
            }
            Phase::Stopping { told } if now.saturating_sub(*told) > AGAIN => {
                *told = now;
                vec![Act::Stop]
            }
            Phase::Removing { told, .. } if now.saturating_sub(*told) > AGAIN => {
                *told = now;
                vec![Act::Remove]
            }
            _ => Vec::new(),
        }
    }

    fn progress(&mut self, words: String, now: Duration) -> Vec<Act> {
        if matches!(self.phase, Phase::Pulling(_) | Phase::Creating) {
            self.enter(Phase::Pulling(words), now);
        }
        Vec::new()
    }

    /// Forward among the first phases; what comes late or twice changes nothing.
    fn advance(&mut self, to: Phase, now: Duration) -> Vec<Act> {
        let forward = match to {
            Phase::Creating => matches!(self.phase, Phase::Pulling(_)),
            _ => matches!(self.phase, Phase::Pulling(_) | Phase::Creating),
        };
        if forward {
            self.enter(to, now);
        }
        Vec::new()
    }

    fn started(&mut self, now: Duration) -> Vec<Act> {
        if !matches!(self.phase, Phase::Pulling(_) | Phase::Creating | Phase::Starting) {
            return Vec::new();
        }
        self.enter(Phase::Warming, now);
        vec![Act::Announce]
    }

    fn passed(&mut self, now: Duration) -> Vec<Act> {
        if self.phase != Phase::Warming {
            return Vec::new();
        }
        self.listens = true;
        if self.unproven {
            return Vec::new();
        }
        let first = !self.has_served;
        let took = now.saturating_sub(self.ordered);
        self.has_served = true;
        self.enter(Phase::Serving, now);
        let mut acts = vec![Act::Admit];
        if first && self.ours {
            acts.push(Act::Booted(took));
        }
        acts
    }

    fn proven(&mut self, now: Duration) -> Vec<Act> {
        self.unproven = false;
        if self.listens { self.passed(now) } else { Vec::new() }
    }

    /// One that never worked did not come up; of one that did, others decide what becomes of it.
    fn check_failed(&mut self, now: Duration) -> Vec<Act> {
        if self.phase != Phase::Warming || !self.unproven || !self.ours {
            return Vec::new();
        }
        self.fail("its own health check fails (HEALTHCHECK): `docker inspect` shows what it says".into(), now)
    }

    /// Why it does not serve after all that time, and what to do.
    fn lateness(&self) -> String {
        let seconds = WARM_TIMEOUT.as_secs();
        if self.listens {
            return format!(
                "its own health check (HEALTHCHECK) did not pass within {seconds} s: make its start period and interval shorter, \
                 or correct it"
            );
        }
        format!(
            "nothing took a connection on its port within {seconds} s: let the program listen on all addresses (0.0.0.0), and on \
             the port that the configuration or the image names"
        )
    }

    /// A stop by others is told by the signal before: nothing new is sent to a node that is about to end. A hang-up
    /// and the like ask for no end.
    fn killed(&mut self, signal: i32, now: Duration) -> Vec<Act> {
        const ENDING: [i32; 5] = [2, 3, 6, 9, 15];
        match self.phase {
            Phase::Warming | Phase::Serving if ENDING.contains(&signal) => self.drain(Leaving::Foreign, now),
            _ => Vec::new(),
        }
    }

    fn died(&mut self, code: Option<i64>, now: Duration) -> Vec<Act> {
        let reason = self.death(code);
        match self.phase {
            Phase::Stopping { .. } => self.stopped(now),
            Phase::Removing { .. } | Phase::Gone => Vec::new(),
            Phase::Draining { why, .. } => {
                let mut acts = self.cut();
                let tone = if self.in_flight > 0 { Tone::Bad } else { Tone::Good };
                acts.push(Act::Tell(tone, format!("{reason} while it drained ({})", why.words())));
                acts.extend(self.remove(None, now));
                acts
            }
            Phase::Serving => self.fall(reason, code, now),
            _ => self.fail(reason, now),
        }
    }

    /// It ended by itself. Soon after its start that says something of the next one; an end that somebody wished does not.
    fn fall(&mut self, reason: String, code: Option<i64>, now: Duration) -> Vec<Act> {
        const WISHED: [i64; 3] = [128 + 2, 128 + 9, 128 + 15];
        let wished = !self.out_of_memory && code.is_some_and(|code| WISHED.contains(&code));
        let mut acts = Vec::new();
        if self.ours && !self.has_lasted && !wished {
            acts.push(Act::Fell);
        }
        acts.extend(self.fail(reason, now));
        acts
    }

    fn death(&self, code: Option<i64>) -> String {
        match code {
            _ if self.out_of_memory => "ran out of memory".into(),
            Some(0) => "ended by itself (exit code 0)".into(),
            Some(code @ 129..=192) => format!("was ended by signal {}", code - 128),
            Some(code) => format!("ended with exit code {code}"),
            None => "ended".into(),
        }
    }

    fn stopped(&mut self, now: Duration) -> Vec<Act> {
        match self.phase {
            Phase::Stopping { .. } => self.remove(None, now),
            Phase::Removing { .. } | Phase::Gone => Vec::new(),
            _ => self.died(None, now),
        }
    }

    fn removed(&mut self, now: Duration) -> Vec<Act> {
        match self.phase {
            Phase::Gone => return Vec::new(),
            Phase::Removing { .. } => {
                self.enter(Phase::Gone, now);
                return vec![Act::Forget];
            }
            _ => {}
        }
        let mut acts = self.cut();
        if self.is_starting() && self.ours && !self.has_served {
            acts.push(Act::StartFailed);
        }
        if !matches!(self.phase, Phase::Stopping { .. } | Phase::Draining { .. }) {
            acts.push(Act::Tell(Tone::Odd, Leaving::Lost.words().into()));
        }
        self.enter(Phase::Gone, now);
        acts.push(Act::Forget);
        acts
    }

    fn engine_failed(&mut self, why: String, now: Duration) -> Vec<Act> {
        match &mut self.phase {
            Phase::Pulling(_) | Phase::Creating | Phase::Starting => self.fail(why, now),
            // It is told again after a pause; traffic does not depend on it.
            Phase::Stopping { told } | Phase::Removing { told, .. } => {
                *told = now;
                vec![Act::Tell(Tone::Odd, why)]
            }
            Phase::Warming | Phase::Serving | Phase::Draining { .. } => vec![Act::Tell(Tone::Odd, why)],
            Phase::Gone => Vec::new(),
        }
    }

    fn drain(&mut self, why: Leaving, now: Duration) -> Vec<Act> {
        match &mut self.phase {
            // Nothing was ever sent to it.
            Phase::Pulling(_) | Phase::Creating | Phase::Starting => self.end(why, now),
            Phase::Warming | Phase::Serving => {
                self.enter(Phase::Draining { why, since: now, quiet_since: None }, now);
                vec![Act::TakeOut]
            }
            Phase::Draining { why: before, .. } if *before == Leaving::Spare => {
                *before = why;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn revive(&mut self, now: Duration) -> Vec<Act> {
        if !self.is_revivable() {
            return Vec::new();
        }
        if self.has_served {
            self.enter(Phase::Serving, now);
            return vec![Act::Admit];
        }
        self.enter(Phase::Warming, now);
        vec![Act::Announce]
    }

    /// Its drain is over.
    fn end(&mut self, why: Leaving, now: Duration) -> Vec<Act> {
        let mut acts = self.cut();
        if self.in_flight > 0 {
            let text = format!("its drain took more than {} s", NODE_DRAIN_MAX.as_secs());
            acts.push(Act::Tell(Tone::Bad, text));
        }
        if !self.ours || why == Leaving::Lost {
            self.enter(Phase::Gone, now);
            acts.push(Act::Forget);
            return acts;
        }
        self.enter(Phase::Stopping { told: now }, now);
        acts.push(Act::Stop);
        acts
    }

    /// It ended, or never began, against our wish.
    fn fail(&mut self, reason: String, now: Duration) -> Vec<Act> {
        let mut acts = vec![Act::TakeOut];
        acts.extend(self.cut());
        if self.is_starting() && self.ours {
            acts.push(Act::StartFailed);
        }
        acts.push(Act::Tell(Tone::Bad, reason.clone()));
        if self.ours {
            acts.push(Act::ReadLog);
        }
        acts.extend(self.remove(Some(reason), now));
        acts
    }

    fn remove(&mut self, failure: Option<String>, now: Duration) -> Vec<Act> {
        if !self.ours {
            self.enter(Phase::Gone, now);
            return vec![Act::Forget];
        }
        self.enter(Phase::Removing { told: now, failure }, now);
        vec![Act::Remove]
    }

    fn cut(&self) -> Vec<Act> {
        if self.in_flight > 0 { vec![Act::Cut(self.in_flight)] } else { Vec::new() }
    }

    fn enter(&mut self, phase: Phase, now: Duration) {
        self.phase = phase;
        self.entered = now;
    }
}

#[cfg(test)]
mod tests;
