//! A worker whose thread's allocations are counted, before and while it serves requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use plimsoll::config::{self, Settings};
use plimsoll::control::registry::first_snapshot;
use plimsoll::dataplane::driver::Wanted;
use plimsoll::dataplane::worker::{self, Assignment, Loads};
use plimsoll::shared::log_channel::{LogReceiver, log_channel};
use plimsoll::shared::mailbox::{Command, Mailbox, mailbox};
use plimsoll::shared::report::Report;
use plimsoll::shared::snapshot::Published;

use crate::counting::{allocations, count_this_thread};

/// Requests that are measured, behind as many that warm the pools up.
const REQUESTS: u64 = 5_000;
/// What a worker may allocate meanwhile for its report and its housekeeping of each second, which do not depend on how
/// many requests there are: far below one a request.
const HOUSEKEEPING_MAX: u64 = REQUESTS / 20;

#[test]
fn a_request_allocates_nothing() {
    for driver in [Wanted::IoUring, Wanted::Epoll] {
        for logged in [false, true] {
            let worker = RunningWorker::start(driver, logged);
            let mut clients: Vec<_> = (0..8).map(|_| Client::connect(worker.address)).collect();
            ask(&mut clients, REQUESTS);
            let before = allocations();
            ask(&mut clients, REQUESTS);
            let during = allocations() - before;
            println!("{driver:?}, logged: {logged}: {during} allocations during {REQUESTS} requests");
            assert!(
                during <= HOUSEKEEPING_MAX,
                "{during} allocations during {REQUESTS} requests on {driver:?}, logged: {logged}"
            );
            drop(clients);
            worker.stop();
        }
    }
}

/// One worker on a thread that is counted, before a node that answers everything.
struct RunningWorker {
    address: SocketAddr,
    mailbox: Mailbox,
    thread: std::thread::JoinHandle<()>,
    /// Read by nobody until the end: a report waits, or is kept for the next.
    _reports: crossbeam_channel::Receiver<Report>,
}

impl RunningWorker {
    fn start(driver: Wanted, logged: bool) -> Self {
        let mut settings = config::quick(&["127.0.0.1:0".into()], &[node().to_string()]).expect("settings");
        if !logged {
            settings.access_log = None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (mailbox, inbox) = mailbox().unwrap();
        let (reports, received) = crossbeam_channel::bounded(64);
        let (log, lines) = log_channel();
        let (ready, readiness) = crossbeam_channel::bounded(1);
        let assignment = Assignment {
            index: 0,
            core: None,
            driver,
            sockets: vec![(0, OwnedFd::from(listener))],
            published: published(settings),
            inbox,
            workers: vec![mailbox.clone()],
            loads: Arc::new(Loads::new(1, &[None::<NonZero<usize>>])),
            reports,
            log,
            ready,
        };
        let thread = std::thread::spawn(move || {
            count_this_thread();
            worker::run(assignment);
        });
        readiness.recv().unwrap().expect("the worker accepts");
        // Lives as long as the process: a worker leaves its runtime, and with it the other end, to the end of that.
        std::thread::spawn(move || give_back(&lines));
        Self { address, mailbox, thread, _reports: received }
    }

    fn stop(self) {
        self.mailbox.send(Command::Stop).unwrap();
        self.thread.join().unwrap();
    }
}

fn published(settings: Settings) -> Published {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_, snapshot) = runtime.block_on(first_snapshot(Arc::new(settings)));
    Published::new(snapshot)
}

/// The writer's part without the writing: buffers go round.
fn give_back(lines: &LogReceiver) {
    while let Ok(batch) = lines.batches().recv() {
        lines.give_back(batch);
    }
}

/// A node that answers each request, which comes in one piece, with the same bytes.
fn node() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut chunk = [0; 4096];
                while socket.read(&mut chunk).is_ok_and(|count| count > 0) {
                    let answer =
                        b"HTTP/1.1 200 OK\r\nContent-Length: 128\r\nContent-Type: text/plain\r\n\r\n";
                    if socket.write_all(&[&answer[..], &[b'x'; 128]].concat()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        Self(socket)
    }

    fn send(&mut self) {
        self.0
            .write_all(
                b"GET /some/path?q=1 HTTP/1.1\r\nHost: a.test\r\nUser-Agent: count\r\nAccept: */*\r\n\r\n",
            )
            .unwrap();
    }

    /// Reads one whole answer: nothing else may come, so the bytes behind its head are counted.
    fn receive(&mut self) {
        let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
        loop {
            let count = self.0.read(&mut chunk).unwrap();
            assert!(count > 0, "the worker closed after {:?}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&chunk[..count]);
            let head = answer.windows(4).position(|w| w == b"\r\n\r\n");
            if head.is_some_and(|at| answer.len() == at + 4 + 128) {
                assert!(answer.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer));
                return;
            }
        }
    }
}

/// So many requests over all clients, which wait for their answers together.
fn ask(clients: &mut [Client], requests: u64) {
    for _ in 0..requests / clients.len() as u64 {
        clients.iter_mut().for_each(Client::send);
        clients.iter_mut().for_each(Client::receive);
    }
}
