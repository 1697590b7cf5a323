//! What stands before a route: its rate limit and its limit of requests in flight, exact over all workers.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::rate_table::{RateTable, charge};
use crate::logic::rate_limit::{RateKey, RateLimit, Verdict, address_key};

/// The gate of one route. It keeps its memory across snapshots for as long as its limits stay the same.
#[derive(Debug)]
pub struct RouteGate {
    /// Name of the route: what keeps its clients apart from another's in the table.
    name: Arc<str>,
    rate: Option<RateLimit>,
    in_flight_max: Option<u32>,
    in_flight: AtomicU32,
    table: Arc<RateTable>,
    /// The arrival time of a limit that all requests share.
    arrival_ns: AtomicU64,
}

/// One request of a route that counts them: in flight while this exists.
#[derive(Debug)]
pub struct RoutePlace(Arc<RouteGate>);

impl RouteGate {
    /// A gate with these limits, and without a past.
    pub fn new(
        name: Arc<str>,
        rate: Option<RateLimit>,
        in_flight_max: Option<u32>,
        table: &Arc<RateTable>,
    ) -> Self {
        Self {
            name,
            rate,
            in_flight_max,
            in_flight: AtomicU32::new(0),
            table: Arc::clone(table),
            arrival_ns: AtomicU64::new(0),
        }
    }

    /// Is this the gate that [`RouteGate::new`] would make?
    pub fn is(&self, name: &str, rate: Option<&RateLimit>, in_flight_max: Option<u32>) -> bool {
        *self.name == *name && self.rate.as_ref() == rate && self.in_flight_max == in_flight_max
    }

    /// The table that it shares with other gates.
    pub fn table(&self) -> &Arc<RateTable> {
        &self.table
    }

    /// Charges a request of this client, if it may pass. `field` looks up a header field.
    pub fn charge<'a>(
        &self,
        client: impl FnOnce() -> Option<IpAddr>,
        field: impl FnOnce(&str) -> Option<&'a [u8]>,
        now: Instant,
    ) -> Verdict {
        let Some(RateLimit { rate, key }) = &self.rate else { return Verdict::Pass(0) };
        let now_ns = self.table.now_ns(now);
        match key {
            RateKey::Route => charge(&self.arrival_ns, *rate, now_ns),
            // Whoever comes through a unix socket has no address: they are one client.
            RateKey::ClientIp => self.table.charge(&(&*self.name, client().map(address_key)), *rate, now_ns),
            RateKey::Header(name) => self.table.charge(&(&*self.name, field(name)), *rate, now_ns),
        }
    }

    /// A place for one more request in flight. `Err` where there is none; `Ok(None)` where they are not counted.
    pub fn enter(self: &Arc<Self>) -> Result<Option<RoutePlace>, Full> {
        let Some(max) = self.in_flight_max else { return Ok(None) };
        let entered =
            self.in_flight.fetch_update(Relaxed, Relaxed, |now| (now < max).then_some(now + 1)).is_ok();
        if entered { Ok(Some(RoutePlace(Arc::clone(self)))) } else { Err(Full) }
    }

    /// Requests in flight, where they are counted.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }
}

/// As many requests of a route are in flight as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Drop for RoutePlace {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::logic::rate_limit::Rate;

    fn gate(name: &str, key: RateKey, in_flight_max: Option<u32>, table: &Arc<RateTable>) -> Arc<RouteGate> {
        let rate = RateLimit { rate: Rate::new(1, Duration::from_secs(60), 0), key };
        Arc::new(RouteGate::new(name.into(), Some(rate), in_flight_max, table))
    }

    #[test]
    fn clients_of_two_routes_are_apart_in_one_table() {
        let table = Arc::default();
        let (one, other) =
            (gate("/a", RateKey::ClientIp, None, &table), gate("/b", RateKey::ClientIp, None, &table));
        let now = Instant::now();
        let ask = |gate: &RouteGate| gate.charge(|| Some([10, 0, 0, 1].into()), |_| None, now);
        assert!(matches!(ask(&one), Verdict::Pass(_)));
        assert!(matches!(ask(&other), Verdict::Pass(_)));
        assert!(matches!(ask(&one), Verdict::Refuse { .. }));
    }

    #[test]
    fn requests_without_the_field_share_a_limit() {
        let gate = gate("/a", RateKey::Header("x-key".into()), None, &Arc::default());
        let now = Instant::now();
        let ask = |value: Option<&'static [u8]>| gate.charge(|| None, |_| value, now);
        assert!(matches!(ask(Some(b"1")), Verdict::Pass(_)));
        assert!(matches!(ask(Some(b"2")), Verdict::Pass(_)));
        assert!(matches!(ask(None), Verdict::Pass(_)));
        assert!(matches!(ask(None), Verdict::Refuse { .. }));
    }

    #[test]
    fn places_are_never_more_than_there_are_and_come_back() {
        let gate = gate("/a", RateKey::Route, Some(3), &Arc::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let place = gate.enter();
                        assert!(gate.in_flight() <= 3);
                        drop(place);
                    }
                });
            }
        });
        assert_eq!(gate.in_flight(), 0);
    }
}
