//! The sessions of one udp socket: by client, each with the time of its last datagram.
//!
//! A session is **new** until its client has spoken again after an answer: only then is it sure that somebody is where the
//! datagrams say that they come from. Where there is no room, the new session that was silent for the longest gives way, so
//! that a flood of invented addresses ends sessions of its own kind and no conversation.
//!
//! ```text
//!   open --> new --the client again, after an answer--> proven
//!             |  \--no room: the oldest----> closed        |
//!             +-------------silence--------> closed <------+
//! ```

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};

use siphasher::sip::SipHasher13;

/// Who speaks: the address, and the one of ours that it speaks to, where we listen on several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client {
    /// Where its datagrams say that they come from.
    pub address: SocketAddr,
    /// Which of our addresses it sends to; `None` where the socket has but one.
    pub local: Option<IpAddr>,
}

/// Place of a session in its table. Another one may have it once this one is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub u32);

/// See the module. Times are milliseconds on a clock of the caller's.
#[derive(Debug)]
pub struct Sessions<T> {
    by_client: HashMap<Client, SessionId, Hashing>,
    slots: Vec<Option<Slot<T>>>,
    free: Vec<SessionId>,
    /// New and proven ones, each in the order of their last datagrams.
    queues: [Ends; 2],
    max: usize,
}

#[derive(Debug)]
struct Slot<T> {
    client: Client,
    value: T,
    last_ms: u64,
    proven: bool,
    before: Option<SessionId>,
    after: Option<SessionId>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Ends {
    first: Option<SessionId>,
    last: Option<SessionId>,
}

/// With keys that nobody outside knows: who chooses addresses cannot choose where they collide.
#[derive(Debug, Clone, Copy)]
struct Hashing(u64, u64);

impl BuildHasher for Hashing {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

impl<T> Sessions<T> {
    /// For at most `max` sessions; `keys` are random.
    pub fn new(max: usize, keys: (u64, u64)) -> Self {
        Self {
            by_client: HashMap::with_hasher(Hashing(keys.0, keys.1)),
            slots: Vec::new(),
            free: Vec::new(),
            queues: [Ends::default(); 2],
            max,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_client.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    /// Must one end before another can begin?
    pub fn is_full(&self) -> bool {
        self.len() >= self.max
    }

    /// The session of this client.
    pub fn find(&self, client: &Client) -> Option<SessionId> {
        self.by_client.get(client).copied()
    }

    /// What belongs to a session.
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut T> {
        self.slot_mut(id).map(|slot| &mut slot.value)
    }

    /// Begins one. Gives the value back where there is no room, or the client has one already.
    pub fn open(&mut self, client: Client, now_ms: u64, value: T) -> Result<SessionId, T> {
        if self.is_full() || self.by_client.contains_key(&client) {
            return Err(value);
        }
        let Some(id) = self.free.pop().or_else(|| u32::try_from(self.slots.len()).ok().map(SessionId)) else {
            return Err(value);
        };
        let slot = Slot { client, value, last_ms: now_ms, proven: false, before: None, after: None };
        match self.slots.get_mut(id.0 as usize) {
            Some(empty) => *empty = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        self.by_client.insert(client, id);
        self.push(id);
        Ok(id)
    }

    /// A datagram has come, from either side.
    pub fn heard(&mut self, id: SessionId, now_ms: u64) {
        // Most come while the clock stands still: their order among those of the same moment means nothing.
        if self.slot(id).is_some_and(|slot| slot.last_ms != now_ms) {
            self.unlink(id);
            self.with(id, |slot| slot.last_ms = now_ms);
            self.push(id);
        }
    }

    /// Its client has spoken, after an answer.
    pub fn prove(&mut self, id: SessionId, now_ms: u64) {
        if self.slot(id).is_some_and(|slot| slot.proven) {
            return self.heard(id, now_ms);
        }
        self.unlink(id);
        // Behind those that were heard before: the queues stay in the order of time.
        self.with(id, |slot| (slot.proven, slot.last_ms) = (true, now_ms));
        self.push(id);
    }

    /// Ends one.
    pub fn close(&mut self, id: SessionId) -> Option<(Client, T)> {
        self.slot(id)?;
        self.unlink(id);
        let slot = self.slots[id.0 as usize].take()?;
        self.by_client.remove(&slot.client);
        self.free.push(id);
        if self.is_empty() {
            // A flood has passed: what it took is given back.
            (self.slots, self.free) = (Vec::new(), Vec::new());
            self.by_client.shrink_to_fit();
        }
        Some((slot.client, slot.value))
    }

    /// The one that gives way where there is no room; `None` where all are proven.
    pub fn victim(&self) -> Option<SessionId> {
        self.queues[0].first
    }

    /// One that has been silent since `silent_since_ms` or longer.
    pub fn silent(&self, silent_since_ms: u64) -> Option<SessionId> {
        let oldest = self.queues.iter().filter_map(|queue| queue.first);
        oldest.into_iter().find(|&id| self.slot(id).is_some_and(|slot| slot.last_ms <= silent_since_ms))
    }

    /// Those for which `wanted` holds.
    pub fn which(&self, wanted: impl Fn(&T) -> bool) -> Vec<SessionId> {
        let ids = (0_u32..).map(SessionId).zip(&self.slots);
        ids.filter(|(_, slot)| slot.as_ref().is_some_and(|slot| wanted(&slot.value)))
            .map(|(id, _)| id)
            .collect()
    }

    fn slot(&self, id: SessionId) -> Option<&Slot<T>> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    fn slot_mut(&mut self, id: SessionId) -> Option<&mut Slot<T>> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    fn with(&mut self, id: SessionId, change: impl FnOnce(&mut Slot<T>)) {
        if let Some(slot) = self.slot_mut(id) {
            change(slot);
        }
    }

    /// Puts it at the end of its queue.
    fn push(&mut self, id: SessionId) {
        let Some(proven) = self.slot(id).map(|slot| slot.proven) else { return };
        let last = self.queues[usize::from(proven)].last.replace(id);
        match last {
            Some(last) => self.with(last, |slot| slot.after = Some(id)),
            None => self.queues[usize::from(proven)].first = Some(id),
        }
        self.with(id, |slot| (slot.before, slot.after) = (last, None));
    }

    fn unlink(&mut self, id: SessionId) {
        let Some(slot) = self.slot(id) else { return };
        let (before, after, proven) = (slot.before, slot.after, usize::from(slot.proven));
        match before {
            Some(before) => self.with(before, |slot| slot.after = after),
            None => self.queues[proven].first = after,
        }
        match after {
            Some(after) => self.with(after, |slot| slot.before = before),
            None => self.queues[proven].last = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(port: u16) -> Client {
        Client { address: SocketAddr::from(([192, 0, 2, 1], port)), local: None }
    }

    fn table(max: usize) -> Sessions<u16> {
        Sessions::new(max, (1, 2))
    }

    #[test]
    fn a_client_has_one_session_for_each_address_that_it_speaks_to() {
        let mut sessions = table(8);
        let id = sessions.open(client(1), 0, 1).unwrap();
        assert_eq!(sessions.find(&client(1)), Some(id));
        assert_eq!(sessions.open(client(1), 0, 2), Err(2));
        let elsewhere = Client { local: Some([10, 0, 0, 1].into()), ..client(1) };
        assert_eq!(sessions.find(&elsewhere), None);
        assert!(sessions.open(elsewhere, 0, 3).is_ok());
        assert_eq!(sessions.close(id), Some((client(1), 1)));
        assert_eq!(sessions.find(&client(1)), None);
        assert_eq!(sessions.close(id), None);
    }

    #[test]
    fn silence_ends_them_the_oldest_first_and_a_datagram_puts_that_off() {
        let mut sessions = table(8);
        let [one, two] = [1, 2].map(|port| sessions.open(client(port), 10, port).unwrap());
        sessions.heard(one, 20);
        assert_eq!(sessions.silent(9), None);
        assert_eq!(sessions.silent(10), Some(two));
        sessions.close(two);
        assert_eq!(sessions.silent(19), None);
        sessions.prove(one, 20);
        assert_eq!(sessions.silent(20), Some(one));
    }

    #[test]
    fn a_flood_pushes_out_its_own_kind_and_no_conversation() {
        let mut sessions = table(4);
        let talking = sessions.open(client(1), 0, 1).unwrap();
        sessions.prove(talking, 0);
        for port in 2..1000 {
            if sessions.is_full() {
                let victim = sessions.victim().unwrap();
                assert_eq!(sessions.close(victim).unwrap().1, port - 3, "the oldest one gives way");
            }
            sessions.open(client(port), u64::from(port), port).unwrap();
            assert!(sessions.len() <= 4);
        }
        assert_eq!(sessions.find(&client(1)), Some(talking));
        assert!(sessions.slots.len() <= 4, "places are used again");
    }

    #[test]
    fn where_all_are_proven_nobody_gives_way() {
        let mut sessions = table(1);
        let id = sessions.open(client(1), 0, 1).unwrap();
        sessions.prove(id, 0);
        assert_eq!(sessions.victim(), None);
        assert_eq!(sessions.open(client(2), 0, 2), Err(2));
    }

    #[test]
    fn what_a_flood_took_is_given_back() {
        let mut sessions = table(1000);
        let ids: Vec<_> = (0..1000).map(|port| sessions.open(client(port), 0, port).unwrap()).collect();
        for id in ids {
            let _ = sessions.close(id);
        }
        assert_eq!((sessions.slots.capacity(), sessions.by_client.capacity()), (0, 0));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Open(u16),
        Heard(u16),
        Prove(u16),
        Close(u16),
        Expire(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..12_u16).prop_map(Step::Open),
            (0..12_u16).prop_map(Step::Heard),
            (0..12_u16).prop_map(Step::Prove),
            (0..12_u16).prop_map(Step::Close),
            (0..30_u64).prop_map(Step::Expire),
        ]
    }

    proptest! {
        /// Against a list that is looked through: the same sessions, and the same ones expire.
        #[test]
        fn it_is_what_a_plain_list_would_be(steps in prop::collection::vec(step(), 0..200)) {
            let mut sessions = table(8);
            let mut list: Vec<(u16, u64)> = Vec::new();
            for (now, step) in (0_u64..).zip(steps) {
                match step {
                    Step::Open(port) => {
                        let opened = sessions.open(client(port), now, port).is_ok();
                        let room = list.len() < 8 && list.iter().all(|(known, _)| *known != port);
                        prop_assert_eq!(opened, room);
                        if room { list.push((port, now)); }
                    }
                    Step::Heard(port) => {
                        if let Some(id) = sessions.find(&client(port)) { sessions.heard(id, now); }
                        list.iter_mut().filter(|(known, _)| *known == port).for_each(|(_, last)| *last = now);
                    }
                    Step::Prove(port) => {
                        if let Some(id) = sessions.find(&client(port)) { sessions.prove(id, now); }
                        list.iter_mut().filter(|(known, _)| *known == port).for_each(|(_, last)| *last = now);
                    }
                    Step::Close(port) => {
                        if let Some(id) = sessions.find(&client(port)) { sessions.close(id); }
                        list.retain(|(known, _)| *known != port);
                    }
                    Step::Expire(age) => {
                        let until = now.saturating_sub(age);
                        while let Some(id) = sessions.silent(until) { sessions.close(id); }
                        list.retain(|(_, last)| *last > until);
                    }
                }
                prop_assert_eq!(sessions.len(), list.len());
                prop_assert!(list.iter().all(|(port, _)| sessions.find(&client(*port)).is_some()));
            }
        }
    }
}
