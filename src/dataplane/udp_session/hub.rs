//! All sessions of one socket: what came for which of them, and where it goes.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use super::account::Account;
use super::dial::{Failed, Link, Refused, dial};
use super::session::Session;
use crate::dataplane::datagrams::{self, Inbox, Outbox, Parcel, Received, Sent};
use crate::dataplane::timers::{Timer, to_ms};
use crate::dataplane::view::LocalBackend;
use crate::dataplane::worker::Worker;
use crate::logic::access::End;
use crate::logic::fault::Fault;
use crate::logic::limits::{
    DATAGRAM_BATCH_MAX, FIRST_DATAGRAM_BYTES_MAX, SESSION_BATCH_MAX, UDP_DRAIN_IDLE, UDP_SWEEP,
    UDP_TURN_BATCHES_MAX,
};
use crate::logic::udp::sessions::{Client, SessionId, Sessions};
use crate::shared::clock;
use crate::shared::snapshot::Protocol;

/// What the listening socket is called in the epoll set; sessions go by their numbers.
const LISTENING: u64 = u64::MAX;

/// See the module.
pub(super) struct Hub {
    worker: Rc<Worker>,
    listener: u16,
    listening: OwnedFd,
    set: OwnedFd,
    sessions: Sessions<Session>,
    inbox: Inbox,
    outbox: Outbox,
    parcels: Vec<Parcel>,
    events: Vec<epoll::Event>,
}

/// Datagrams in a row of one client.
struct Run {
    client: Client,
    first: usize,
    slots: usize,
}

impl Hub {
    pub(super) fn open(worker: &Rc<Worker>, listening: OwnedFd, listener: u16) -> io::Result<Self> {
        let address: SocketAddr =
            rustix::net::getsockname(&listening)?.try_into().map_err(io::Error::from)?;
        datagrams::join_received(&listening);
        if address.ip().is_unspecified() {
            datagrams::tell_own_address(&listening, address.is_ipv6())?;
        }
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&set, &listening, epoll::EventData::new_u64(LISTENING), epoll::EventFlags::IN)?;
        Ok(Self {
            sessions: Sessions::new(worker.open_max(listener), (worker.draw(), worker.draw())),
            worker: Rc::clone(worker),
            listener,
            listening,
            set,
            inbox: Inbox::new(),
            outbox: Outbox::new(),
            parcels: Vec::with_capacity(DATAGRAM_BATCH_MAX),
            events: Vec::with_capacity(DATAGRAM_BATCH_MAX),
        })
    }

    /// The set to watch: it is readable where one of its sockets is.
    pub(super) fn epoll(&self) -> io::Result<OwnedFd> {
        self.set.try_clone()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Moves what there is, some batches of it at most.
    pub(super) fn turn(&mut self, timer: &Timer) {
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A failing epoll_wait has nothing to say that the next readiness would not.
        let _ = epoll::wait(&self.set, spare_capacity(&mut events), Some(&none));
        let mut asked = false;
        let mut filled = 0;
        for event in &events {
            match event.data.u64() {
                LISTENING => asked = true,
                id => {
                    let id = SessionId(u32::try_from(id).unwrap_or(u32::MAX));
                    if filled + SESSION_BATCH_MAX > Inbox::SLOTS {
                        self.send_answers();
                        filled = 0;
                    }
                    filled += self.take_answers(id, filled, timer);
                }
            }
        }
        self.send_answers();
        self.events = events;
        if asked {
            self.take_questions(timer);
        }
    }

    /// Ends sessions that were silent for too long, and those whose node was taken down.
    pub(super) fn sweep(&mut self, timer: &Timer) {
        let mut idle = self.worker.view().snapshot.timeouts.udp_idle;
        if self.worker.is_draining() {
            idle = idle.min(UDP_DRAIN_IDLE);
        }
        let now = timer.now();
        // One that is as old as the process is not silent since before it.
        if let Some(since) = now.checked_sub(to_ms(idle)) {
            while let Some(id) = self.sessions.silent(since) {
                self.end(id, End::Closed);
            }
        }
        if self.worker.view().nodes().any(|node| node.cut.get() && node.node.in_flight() > 0) {
            for id in self.sessions.which(Session::is_cut) {
                self.end(id, End::NodeBroke);
            }
        }
        timer.set_at(if self.is_empty() { u64::MAX } else { now + to_ms(UDP_SWEEP) });
    }

    /// After a panic: nobody knows what it has left half done.
    pub(super) fn start_over(&mut self) {
        self.worker.stats.total(|totals| totals.panics += 1);
        self.sessions =
            Sessions::new(self.worker.open_max(self.listener), (self.worker.draw(), self.worker.draw()));
        self.parcels.clear();
        // A turn has them with it, and without room no event would ever be seen again.
        self.events = Vec::with_capacity(DATAGRAM_BATCH_MAX);
    }

    fn end(&mut self, id: SessionId, end: End) {
        if let Some((_, session)) = self.sessions.close(id) {
            session.close(&self.worker, end);
        }
    }

    // -- from nodes to clients

    /// Receives what a node has sent, into the slots from `at` on. How many it took.
    fn take_answers(&mut self, id: SessionId, at: usize, timer: &Timer) -> usize {
        let Some(session) = self.sessions.get_mut(id) else { return 0 };
        let count = match self.inbox.receive(&session.socket, at, SESSION_BATCH_MAX) {
            Ok(count) => count,
            Err(error) => {
                // Others speak of one datagram, such as that it was too large for a network on its way.
                if datagrams::is_refusal(&error) {
                    self.refused(id, timer);
                }
                return 0;
            }
        };
        let (to, local) = (session.account.client.address, session.local);
        let mut bytes = 0;
        for slot in at..at + count {
            let train = self.inbox.received(slot).train();
            bytes += self.inbox.bytes(slot).len() as u64;
            let joins = self.outbox.segments && slot > at;
            pack(&mut self.parcels, joins, Parcel { first: slot, slots: 1, train, to: Some(to), local });
        }
        let refund = if session.has_answer() { 0 } else { session.account.retries };
        session.heard_from_node(bytes);
        self.sessions.heard(id, timer.now());
        if refund > 0 {
            self.refund(refund);
        }
        count
    }

    /// Sends what was received from nodes: all of it in as few calls as can be.
    fn send_answers(&mut self) {
        if self.parcels.is_empty() {
            return;
        }
        let sent = self.outbox.send(&self.listening, &self.inbox, &self.parcels);
        self.parcels.clear();
        self.worker.stats.total(|totals| {
            totals.bytes_out += sent.bytes;
            totals.datagrams_dropped += sent.dropped;
        });
    }

    /// The kernel says that nobody is at the node's port. Its first datagram may go to another node; a later one is the
    /// client's to repeat, and finds a new session.
    fn refused(&mut self, id: SessionId, timer: &Timer) {
        let Some((client, mut session)) = self.sessions.close(id) else { return };
        session.in_flight.failed();
        let first = session.first.take();
        let mut refused = Refused::default();
        let view = self.worker.view();
        let backend = self.backend(&view);
        let again = first.zip(backend).filter(|(_, backend)| refused.by(session.at, backend));
        match again {
            Some((first, backend)) => {
                session.account.retries += 1;
                self.move_on(client, session, &first, backend, &mut refused, timer);
            }
            None => session.close(&self.worker, End::NodeBroke),
        }
    }

    /// Gives a session that its node refused to another one.
    fn move_on(
        &mut self,
        client: Client,
        session: Session,
        first: &[u8],
        backend: &LocalBackend,
        refused: &mut Refused,
        timer: &Timer,
    ) {
        let worker = Rc::clone(&self.worker);
        match dial(backend, client.address.ip(), refused, || worker.draw(), timer) {
            Ok(Link { at, socket, in_flight }) => {
                let Session { account, local, admission, in_flight: before, .. } = session;
                before.set_free();
                // What this one refuses too is known when the kernel says so, and the count of the budget ends it.
                let _ = rustix::net::send(&socket, first, rustix::net::SendFlags::DONTWAIT);
                let first = Some(first.into());
                let moved = Session { socket, in_flight, at, account, local, first, admission };
                self.keep(client, moved, timer);
            }
            Err(Failed::Fault(fault)) => session.close(&self.worker, End::Fault(fault)),
            Err(Failed::Exhausted) => session.close(&self.worker, End::NodeBroke),
        }
    }

    /// A session that others have refused is answered: the refusals have cost nobody anything.
    fn refund(&self, retries: u32) {
        let view = self.worker.view();
        if let Some(backend) = self.backend(&view) {
            (0..retries).for_each(|_| backend.budget().refund(clock::now_ms()));
        }
    }

    // -- from clients to nodes

    fn take_questions(&mut self, timer: &Timer) {
        for _ in 0..UDP_TURN_BATCHES_MAX {
            // What is wrong with this socket is not wrong with one client: the next datagram may be well.
            let Ok(count) = self.inbox.receive(&self.listening, 0, DATAGRAM_BATCH_MAX) else { return };
            let mut bytes = 0;
            let mut run: Option<Run> = None;
            for slot in 0..count {
                let received = self.inbox.received(slot);
                bytes += received.bytes as u64;
                let Some(client) = client(&received) else { continue };
                match &mut run {
                    Some(run) if run.client == client && run.first + run.slots == slot => run.slots += 1,
                    _ => {
                        let before = run.replace(Run { client, first: slot, slots: 1 });
                        before.into_iter().for_each(|before| self.forward(&before, timer));
                    }
                }
            }
            run.iter().for_each(|run| self.forward(run, timer));
            self.worker.stats.total(|totals| totals.bytes_in += bytes);
            if count < DATAGRAM_BATCH_MAX {
                return;
            }
        }
    }

    /// Sends a run to the client's node.
    fn forward(&mut self, run: &Run, timer: &Timer) {
        let id = match self.sessions.find(&run.client) {
            Some(id) => id,
            None => match self.begin(run, timer) {
                Some(id) => id,
                None => return self.drop_datagrams(run),
            },
        };
        let sent = self.send_questions(id, run, timer);
        if sent.refused_at.is_none() {
            return;
        }
        // An earlier datagram was refused, and these were not sent: they are another node's first ones.
        self.refused(id, timer);
        let id = self.sessions.find(&run.client).or_else(|| self.begin(run, timer));
        match id {
            Some(id) => drop(self.send_questions(id, run, timer)),
            None => self.drop_datagrams(run),
        }
    }

    fn send_questions(&mut self, id: SessionId, run: &Run, timer: &Timer) -> Sent {
        let Some(session) = self.sessions.get_mut(id) else { return Sent::default() };
        let mut parcels = std::mem::take(&mut self.parcels);
        let mut bytes = 0;
        for slot in run.first..run.first + run.slots {
            let train = self.inbox.received(slot).train();
            bytes += self.inbox.bytes(slot).len() as u64;
            let joins = self.outbox.segments && slot > run.first;
            pack(&mut parcels, joins, Parcel { first: slot, slots: 1, train, to: None, local: None });
        }
        let opens = session.account.bytes_in == 0 && session.first.is_none() && !session.has_answer();
        session.first = match &parcels[..] {
            [Parcel { first, slots: 1, train, .. }] if opens && !train.is_long() => {
                let bytes = self.inbox.bytes(*first);
                (bytes.len() <= FIRST_DATAGRAM_BYTES_MAX).then(|| bytes.into())
            }
            _ => None,
        };
        session.account.bytes_in += bytes;
        let proves = session.has_answer();
        let sent = self.outbox.send(&session.socket, &self.inbox, &parcels);
        if sent.dropped > 0 {
            self.worker.stats.total(|totals| totals.datagrams_dropped += sent.dropped);
        }
        parcels.clear();
        self.parcels = parcels;
        match proves {
            true => self.sessions.prove(id, timer.now()),
            false => self.sessions.heard(id, timer.now()),
        }
        sent
    }

    /// A session for a client that has none.
    fn begin(&mut self, run: &Run, timer: &Timer) -> Option<SessionId> {
        // Who comes now has another process to go to.
        if self.worker.is_draining() {
            return None;
        }
        let worker = Rc::clone(&self.worker);
        let place = match worker.reserve(self.listener) {
            Some(place) if !self.sessions.is_full() => place,
            taken => {
                drop(taken);
                self.make_room()?;
                worker.reserve(self.listener)?
            }
        };
        let view = worker.view();
        let backend = self.backend(&view);
        let account = self.account(run.client, backend);
        let Some(backend) = backend else {
            account.close(&worker, None, End::Fault(Fault::NoHealthyNode));
            return None;
        };
        backend.budget().request(clock::now_ms());
        let mut refused = Refused::default();
        let mut dialled = dial(backend, run.client.address.ip(), &mut refused, || worker.draw(), timer);
        if matches!(dialled, Err(Failed::Exhausted)) {
            worker.stats.total(|totals| totals.accept_errors += 1);
            self.make_room()?;
            dialled = dial(backend, run.client.address.ip(), &mut refused, || worker.draw(), timer);
        }
        match dialled {
            Ok(Link { at, socket, in_flight }) => {
                let account = Account { retries: refused.count(), ..account };
                let local = self.inbox.received(run.first).local;
                let admission = worker.admit_session(place);
                let session = Session { socket, in_flight, at, account, local, first: None, admission };
                self.keep(run.client, session, timer)
            }
            Err(Failed::Fault(fault)) => {
                account.close(&worker, None, End::Fault(fault));
                None
            }
            Err(Failed::Exhausted) => None,
        }
    }

    /// Watches a session's socket, and puts it in the table.
    fn keep(&mut self, client: Client, session: Session, timer: &Timer) -> Option<SessionId> {
        let id = match self.sessions.open(client, timer.now(), session) {
            Ok(id) => id,
            Err(session) => {
                session.close(&self.worker, End::Evicted);
                return None;
            }
        };
        let session = self.sessions.get_mut(id)?;
        let data = epoll::EventData::new_u64(u64::from(id.0));
        if epoll::add(&self.set, &session.socket, data, epoll::EventFlags::IN).is_err() {
            self.end(id, End::Evicted);
            return None;
        }
        Some(id)
    }

    /// Ends the session that is worth the least. `None`: all of them are conversations.
    fn make_room(&mut self) -> Option<()> {
        let victim = self.sessions.victim()?;
        self.end(victim, End::Evicted);
        Some(())
    }

    fn drop_datagrams(&self, run: &Run) {
        let slots = run.first..run.first + run.slots;
        let datagrams: usize = slots.map(|slot| self.inbox.received(slot).train().segments()).sum();
        self.worker.stats.total(|totals| totals.datagrams_dropped += datagrams as u64);
    }

    fn backend<'a>(&self, view: &'a crate::dataplane::view::View) -> Option<&'a LocalBackend> {
        match view.snapshot.protocol(self.listener) {
            Protocol::Udp(backend) => backend.map(|index| view.backend(index)),
            Protocol::Http | Protocol::Tcp(_) | Protocol::TlsByName(_) => None,
        }
    }

    fn account(&self, client: Client, backend: Option<&LocalBackend>) -> Account {
        let view = self.worker.view();
        let listener = view.snapshot.listeners.get(usize::from(self.listener)).cloned();
        Account {
            listener: listener.unwrap_or_else(|| "".into()),
            backend: backend.map_or_else(|| "".into(), |backend| Arc::clone(backend.name())),
            client,
            began: Instant::now(),
            bytes_in: 0,
            bytes_out: 0,
            retries: 0,
            first_byte_us: 0,
        }
    }
}

/// Puts what is in the next slot behind the others. `joins`: it goes where the last one goes.
fn pack(parcels: &mut Vec<Parcel>, joins: bool, next: Parcel) {
    match parcels.last_mut() {
        Some(last) if joins => {
            if last.train.couple(next.train) {
                last.slots += next.slots;
            } else {
                parcels.push(next);
            }
        }
        _ => parcels.push(next),
    }
}

fn client(received: &Received) -> Option<Client> {
    Some(Client { address: received.from?, local: received.local.map(|local| local.ip) })
}
