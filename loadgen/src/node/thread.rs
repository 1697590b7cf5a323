//! The threads of a node: each with a runtime, a listening socket and its connections.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    panic::AssertUnwindSafe,
    rc::Rc,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use monoio::net::TcpStream;

use super::{
    args::NodeArgs,
    echo,
    ledger::add,
    listener, session,
    signal::Stop,
    worker::{Node, Worker},
};
use crate::driver::Runtime;

/// How often a draining thread looks whether its last request is answered.
const DRAIN_TICK: Duration = Duration::from_millis(5);

/// Every socket of a node, bound before any thread starts.
#[derive(Debug)]
pub(crate) struct Sockets {
    http: Vec<TcpListener>,
    tcp: Option<TcpListener>,
    udp: Option<UdpSocket>,
}

/// Where they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) tcp: Option<SocketAddr>,
    pub(crate) udp: Option<SocketAddr>,
}

impl Sockets {
    /// Binds what the flags ask for.
    ///
    /// # Errors
    /// Names the address that cannot be had.
    pub(crate) fn bind(args: &NodeArgs) -> io::Result<Self> {
        let at = |port| SocketAddr::new(args.listen, port);
        let tcp_at = |address, shared| {
            listener::bind(address, args.backlog, shared).map_err(|error| explain(address, &error))
        };
        // One address, one socket: sharing the port is for this node's threads, not for a second node by mistake.
        drop(std::net::TcpListener::bind(at(args.port)).map_err(|error| explain(at(args.port), &error))?);
        let first = tcp_at(at(args.port), true)?;
        let address = first.local_addr()?;
        let mut http = vec![first];
        for _ in 1..args.threads {
            http.push(tcp_at(address, true)?);
        }
        let udp = |port| listener::bind_udp(at(port)).map_err(|error| explain(at(port), &error));
        Ok(Self {
            http,
            // One thread serves it, so that nobody else may have its port.
            tcp: args.tcp_echo.map(|port| tcp_at(at(port), false)).transpose()?,
            udp: args.udp_echo.map(udp).transpose()?,
        })
    }

    /// Where the sockets are bound.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(crate) fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses {
            http: self.http[0].local_addr()?,
            tcp: self.tcp.as_ref().map(TcpListener::local_addr).transpose()?,
            udp: self.udp.as_ref().map(UdpSocket::local_addr).transpose()?,
        })
    }
}

/// Starts the threads and waits until each can serve.
///
/// # Errors
/// A thread could not be started, or has no driver.
pub(crate) fn start(
    args: &NodeArgs,
    node: &Arc<Node>,
    sockets: Sockets,
) -> io::Result<Vec<JoinHandle<io::Result<()>>>> {
    let (ready, is_ready) = mpsc::sync_channel(sockets.http.len());
    let (mut tcp, mut udp) = (sockets.tcp, sockets.udp);
    let mut threads = Vec::new();
    for (index, http) in sockets.http.into_iter().enumerate() {
        let share =
            Share { http, tcp: tcp.take(), udp: udp.take(), stop: Stop::another()?, args: args.clone() };
        let (node, ready) = (Arc::clone(node), ready.clone());
        let thread = std::thread::Builder::new().name(format!("node-{index}"));
        threads.push(thread.spawn(move || share.run(&node, index, &ready))?);
    }
    drop(ready);
    let came = is_ready.iter().take(threads.len()).count();
    if came == threads.len() {
        return Ok(threads);
    }
    // A thread that ended before it was ready has the reason; the process ends, and the others with it.
    let failed =
        threads.into_iter().filter(JoinHandle::is_finished).find_map(|thread| thread.join().ok()?.err());
    Err(failed.unwrap_or_else(|| io::Error::other("a thread of the node could not start")))
}

/// What one thread owns.
struct Share {
    http: TcpListener,
    tcp: Option<TcpListener>,
    udp: Option<UdpSocket>,
    stop: Stop,
    args: NodeArgs,
}

impl Share {
    fn run(self, node: &Arc<Node>, index: usize, ready: &mpsc::SyncSender<()>) -> io::Result<()> {
        let worker = Worker::new(Arc::clone(node), index, self.args.seed);
        let mut runtime = Runtime::new(self.args.driver)?;
        // The threads all get the same driver; the first one says it.
        let _ = node.driver.set(runtime.driver());
        runtime.block_on(self.serve(Rc::new(worker), ready))
    }

    async fn serve(self, worker: Rc<Worker>, ready: &mpsc::SyncSender<()>) -> io::Result<()> {
        let (grace, pause) = (self.args.grace, self.args.accept_delay);
        let http = self.http.try_clone()?;
        let own = Rc::clone(&worker);
        monoio::spawn(listener::accept(self.http, pause, move |stream, peer| {
            spawn_guarded(&own, stream, |worker, stream| session::serve(worker, stream, peer));
        }));
        if let Some(tcp) = self.tcp {
            let own = Rc::clone(&worker);
            monoio::spawn(listener::accept(tcp, pause, move |stream, _| {
                spawn_guarded(
                    &own,
                    stream,
                    |worker, stream| async move { drop(echo::tcp(worker, stream).await) },
                );
            }));
        }
        if let Some(udp) = self.udp {
            monoio::spawn(echo::udp(Rc::clone(&worker), udp));
        }
        let _ = ready.send(());
        self.stop.comes().await?;
        worker.node.drain();
        listener::stop(&http)?;
        drain(&worker, grace).await;
        Ok(())
    }
}

/// Serves a connection as a task of its own. A panic costs this connection, not the thread with all the others.
fn spawn_guarded<F: Future<Output = ()> + 'static>(
    worker: &Rc<Worker>,
    stream: std::net::TcpStream,
    serve: impl FnOnce(Rc<Worker>, TcpStream) -> F,
) {
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let future = serve(Rc::clone(worker), stream);
    let worker = Rc::clone(worker);
    monoio::spawn(async move {
        if AssertUnwindSafe(future).catch_unwind().await.is_err() {
            add(&worker.ledger().panics, 1);
        }
    });
}

/// Waits until every request of this thread is answered, at most for `grace`. Idle connections end with the process.
async fn drain(worker: &Worker, grace: Duration) {
    let deadline = Instant::now() + grace;
    // A request that has arrived but was not looked at yet is one under way too.
    monoio::time::sleep(DRAIN_TICK).await;
    while worker.ledger().in_flight() > 0 && Instant::now() < deadline {
        monoio::time::sleep(DRAIN_TICK).await;
    }
}

fn explain(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}
