//! Requests for a backend that sleeps (`scale.min: 0`): which may wait while a node starts, how the node is waited for,
//! and how many it gets at once when it is there.
//!
//! They wait in the backend's queue, with the limits of `scale.hold` for as long as no node serves. A queue that stands
//! still because nobody serves is no overload: the first stays the first.

use std::time::Duration;

use super::decide::FleetView;
use super::{HoldSettings, Target};

/// The first pause between two attempts to connect to a node that starts.
pub const KNOCK_MIN: Duration = Duration::from_millis(1);
/// Where that pause stops growing: an attempt costs the machine that boots the node less than a hundredth of a core.
pub const KNOCK_MAX: Duration = Duration::from_millis(4);
/// The node's first requests at once, where neither `max_connections` nor `target.in_flight` says.
pub const RELEASE_DEFAULT: u32 = 64;

/// What a node that has answered nothing yet gets at once.
pub const RELEASE_FIRST: u32 = 8;

/// A backend as one more request finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asleep {
    /// Nodes that take requests.
    pub serving: u32,
    /// Requests that wait already.
    pub waiting: u32,
    /// The last starts failed, and the next one is not before the request's patience is over.
    pub hopeless: bool,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A node serves: it is none of this file's business.
    Awake,
    /// It waits, no longer than this.
    Wait(Duration),
    /// Too many wait: 503 at once, `hold_full`.
    Full,
    /// No node will be there in time: 503 at once, `no_healthy_node`.
    Hopeless,
}

/// May one more request wait?
pub fn admit(hold: &HoldSettings, backend: &Asleep) -> Verdict {
    match backend {
        Asleep { serving: 1.., .. } => Verdict::Awake,
        Asleep { hopeless: true, .. } => Verdict::Hopeless,
        Asleep { waiting, .. } if *waiting >= hold.max => Verdict::Full,
        _ => Verdict::Wait(hold.timeout),
    }
}

/// How many of those that wait a node takes at once, where it has no limit of its own below that. The rest follows as
/// places become free, so that a node is never sent more at once than it would be in ordinary times: a thousand requests
/// to a node that has just booted are its end.
pub fn places(target: &Target) -> u32 {
    // The settings hold it between 1 and a million.
    target.in_flight.map_or(RELEASE_DEFAULT, |places| places.max(1.0) as u32)
}

/// How many of those that waited for it to start a node may have in flight, once it has answered so many: a few at first,
/// and for each answer one more, up to its places. A node that has just booted is slow, and opening a connection costs both
/// sides more than a request on one that is open: the ones that answered serve the next, and all are served sooner.
pub fn room(places: u32, answered: u64) -> u32 {
    let answered = u32::try_from(answered).unwrap_or(u32::MAX);
    places.min(RELEASE_FIRST.saturating_add(answered))
}

/// Will no node be there within the patience of a request that comes now?
pub fn is_hopeless(fleet: &FleetView, patience: Duration, now: Duration) -> bool {
    let nobody_comes = fleet.paused || fleet.replicas == Some(0);
    let too_late = fleet.blocked_until.is_some_and(|until| until > now + patience);
    fleet.there() == 0 && (nobody_comes || too_late)
}

/// When a request that was refused may come again: when a node that is started now takes requests, if its `boot` is what
/// it was. In seconds, from 1 to 60.
pub fn retry_after_s(boot: Duration) -> u32 {
    (boot.as_secs_f64().ceil() as u32).clamp(1, 60)
}

/// The pauses between attempts to connect: 1 ms, growing by half up to 4 ms.
#[derive(Debug, Clone)]
pub struct Knocks(Duration);

impl Default for Knocks {
    fn default() -> Self {
        Self(KNOCK_MIN)
    }
}

impl Iterator for Knocks {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 3 / 2).min(KNOCK_MAX);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: HoldSettings = HoldSettings { max: 3, timeout: Duration::from_secs(30) };

    #[test]
    fn a_bounded_number_waits_while_nobody_serves() {
        let asleep = |waiting| Asleep { serving: 0, waiting, hopeless: false };
        assert_eq!(admit(&HOLD, &asleep(2)), Verdict::Wait(HOLD.timeout));
        assert_eq!(admit(&HOLD, &asleep(3)), Verdict::Full);
        assert_eq!(admit(&HOLD, &Asleep { serving: 1, ..asleep(3) }), Verdict::Awake);
        assert_eq!(admit(&HOLD, &Asleep { hopeless: true, ..asleep(0) }), Verdict::Hopeless);
        assert_eq!(admit(&HoldSettings { max: 0, ..HOLD }, &asleep(0)), Verdict::Full);
    }

    #[test]
    fn a_node_gets_no_more_at_once_than_it_should_carry() {
        assert_eq!(places(&Target { in_flight: Some(20.0), ..Target::default() }), 20);
        assert_eq!(places(&Target::default()), RELEASE_DEFAULT);
    }

    #[test]
    fn a_node_that_has_just_come_gets_more_with_each_answer() {
        assert_eq!([0, 1, 56, 57, u64::MAX].map(|answered| room(64, answered)), [8, 9, 64, 64, 64]);
        assert_eq!(room(3, 0), 3);
    }

    #[test]
    fn nobody_waits_for_what_will_not_come() {
        let (now, patience) = (Duration::from_secs(100), Duration::from_secs(30));
        let asleep = FleetView::default();
        let blocked =
            |seconds| FleetView { blocked_until: Some(now + Duration::from_secs(seconds)), ..asleep };
        assert!(!is_hopeless(&asleep, patience, now));
        assert!(!is_hopeless(&blocked(30), patience, now));
        assert!(is_hopeless(&blocked(31), patience, now));
        assert!(is_hopeless(&FleetView { paused: true, ..asleep }, patience, now));
        assert!(is_hopeless(&FleetView { replicas: Some(0), ..asleep }, patience, now));
        assert!(!is_hopeless(&FleetView { starting: 1, ..blocked(60) }, patience, now));
        assert_eq!(retry_after_s(Duration::from_millis(20)), 1);
        assert_eq!(retry_after_s(Duration::from_millis(2100)), 3);
        assert_eq!(retry_after_s(Duration::from_secs(600)), 60);
    }

    #[test]
    fn knocks_grow_from_one_millisecond_to_four() {
        let pauses: Vec<_> = Knocks::default().take(9).collect();
        assert_eq!(pauses[0], KNOCK_MIN);
        assert_eq!(pauses[8], KNOCK_MAX);
        assert!(pauses.is_sorted());
    }
}
