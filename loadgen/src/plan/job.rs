//! From a plan to the job that the threads are given: names become addresses.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::{Plan, source};
use crate::engine::Failure;
use crate::engine::job::{Endpoint, Job};
use crate::engine::socket::Address;
use crate::fault::Fault;
use crate::schedule::{Load, weighted_cycle};
use crate::target::{Place, Protocol, TargetUrl};

/// How long requests that are due may still wait for a connection when the plan has ended.
const GRACE: Duration = Duration::from_secs(1);
/// How long one address of several may take to accept, when the best is looked for.
const PROBE: Duration = Duration::from_secs(2);
/// The statuses that are no failures when nothing else says it.
const OK: [(u16, u16); 1] = [(200, 399)];
/// A WebSocket key (RFC 6455 section 4.1) proves that the server read the handshake; it need not be secret.
const KEY: &str = "cGxpbXNvbGwtbG9hZGdlbg==";

/// Where the targets live, found once for all runs of a plan.
#[derive(Debug)]
pub struct Places {
    places: Vec<Place>,
    addresses: Vec<Address>,
}

impl Places {
    /// Resolves names. A name with several addresses is asked at the first that accepts.
    ///
    /// # Errors
    /// When a name is unknown or, where connections are not opened before the run, nobody listens.
    pub fn find(plan: &Plan) -> Result<Self, Failure> {
        let places = plan.places();
        let addresses = places.iter().map(|place| resolve(place, plan)).collect::<Result<_, _>>()?;
        Ok(Self { places, addresses })
    }

    /// The job of one run.
    #[must_use]
    pub fn job(&self, plan: &Plan, load: Option<Load>) -> Job {
        let weights: Vec<u32> = plan.targets.iter().map(|target| target.weight).collect();
        Job {
            question: Arc::clone(&plan.question),
            endpoints: self.endpoints(plan),
            cycle: weighted_cycle(&weights),
            threads: u64::from(plan.threads),
            left: plan.args.requests.filter(|_| load.is_none()).map(AtomicU64::new),
            numbers: (load.is_none() && !plan.question.is_fixed()).then(AtomicU64::default),
            load,
            warmup_ns: plan.args.warmup.as_nanos() as u64,
            end_ns: plan.end_ns(),
            grace_ns: GRACE.min(plan.args.timeout).as_nanos() as u64,
            timeout_ns: plan.args.timeout.as_nanos() as u64,
            keepalive: !plan.args.no_keepalive,
            ok: plan.args.ok.clone().map_or_else(|| OK.to_vec(), |statuses| statuses.0),
            sources: plan.args.source.clone(),
        }
    }

    fn endpoints(&self, plan: &Plan) -> Vec<Endpoint> {
        let mine = |place: &Place| -> Vec<bool> {
            plan.targets.iter().map(|target| plan.place(target) == *place).collect()
        };
        let weight = |place: &Place| -> u64 {
            let here = plan.targets.iter().filter(|target| plan.place(target) == *place);
            here.map(|target| u64::from(target.weight)).sum()
        };
        let weights: Vec<u64> = self.places.iter().map(weight).collect();
        let shares: Vec<Vec<u32>> = (0..plan.threads)
            .map(|thread| divide(share_of_thread(plan.connections, plan.threads, thread), &weights))
            .collect();
        let endpoint = |(index, address): (usize, &Address)| {
            let mine = mine(&self.places[index]);
            let (handshake, accept) = handshake(plan, &mine);
            let connections = shares.iter().map(|share| share[index]).collect();
            Endpoint { address: address.clone(), mine, connections, handshake, accept }
        };
        self.addresses.iter().enumerate().map(endpoint).collect()
    }
}

impl Plan {
    /// The places of all targets, each once.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for target in &self.targets {
            let place = self.place(target);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    fn place(&self, target: &TargetUrl) -> Place {
        let socket = self.args.unix_socket.as_ref();
        socket.map_or_else(|| target.place.clone(), |path: &PathBuf| Place::Unix(path.clone()))
    }
}

fn resolve(place: &Place, plan: &Plan) -> Result<Address, Failure> {
    let (host, port) = match place {
        Place::Unix(path) => return unix(path, plan),
        Place::Tcp(host, port) => (host.as_str(), *port),
    };
    let found = (host, port).to_socket_addrs().map_err(|error| Failure(format!("`{host}`: {error}")))?;
    let source = plan.args.source.first().copied();
    let found: Vec<SocketAddr> = found.collect();
    let kind = |address: &&SocketAddr| source.is_none_or(|source| source.is_ipv4() == address.is_ipv4());
    let reachable: Vec<SocketAddr> = found.iter().filter(kind).copied().collect();
    match (reachable.as_slice(), source) {
        ([], Some(source)) if !found.is_empty() => Err(Failure(source::unreachable_from(source, host))),
        ([], _) => Err(Failure(format!("`{host}` has no address"))),
        ([only], _) if !plan.args.no_keepalive => Ok(Address::Tcp(*only)),
        (several, source) => first_that_accepts(several, source),
    }
}

/// Where connections are opened before the run, that tells whether somebody listens.
fn unix(path: &PathBuf, plan: &Plan) -> Result<Address, Failure> {
    let address = Address::Unix(path.clone());
    if plan.args.no_keepalive {
        UnixStream::connect(path).map_err(|error| unanswered(&address, &error))?;
    }
    Ok(address)
}

fn first_that_accepts(addresses: &[SocketAddr], source: Option<IpAddr>) -> Result<Address, Failure> {
    let mut last = None;
    for address in addresses {
        match probe(*address, source) {
            Ok(()) => return Ok(Address::Tcp(*address)),
            Err(error) => last = Some(unanswered(&Address::Tcp(*address), &error)),
        }
    }
    Err(last.unwrap_or_else(|| Failure(String::new())))
}

/// Connects from where the run will: another source may be let in, or not.
fn probe(address: SocketAddr, source: Option<IpAddr>) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect_timeout(&address.into(), PROBE)
}

fn unanswered(address: &Address, error: &io::Error) -> Failure {
    let fault = Fault::of_connect(error);
    Failure(format!("{address}: {fault}. Is the server running there?"))
}

fn share_of_thread(connections: u32, threads: u32, thread: u32) -> u32 {
    connections / threads + u32::from(thread < connections % threads)
}

/// Divides connections among hosts by weight, at least one each.
fn divide(connections: u32, weights: &[u64]) -> Vec<u32> {
    let total: u64 = weights.iter().sum();
    let ideal = |weight: u64| u64::from(connections) as f64 * weight as f64 / total as f64;
    let mut shares: Vec<u32> = weights.iter().map(|&weight| (ideal(weight) as u32).max(1)).collect();
    loop {
        let excess = |index: &usize| f64::from(shares[*index]) - ideal(weights[*index]);
        let all = 0..shares.len();
        match shares.iter().sum::<u32>().cmp(&connections) {
            std::cmp::Ordering::Equal => return shares,
            std::cmp::Ordering::Less => {
                let Some(poorest) = all.min_by(|a, b| excess(a).total_cmp(&excess(b))) else { return shares };
                shares[poorest] += 1;
            }
            std::cmp::Ordering::Greater => {
                let rich = all.filter(|&index| shares[index] > 1);
                let Some(richest) = rich.max_by(|a, b| excess(a).total_cmp(&excess(b))) else {
                    return shares;
                };
                shares[richest] -= 1;
            }
        }
    }
}

/// The WebSocket handshake with a host, for the first of its targets, and the proof that must come back.
fn handshake(plan: &Plan, mine: &[bool]) -> (Vec<u8>, String) {
    let first = plan.targets.iter().zip(mine).find(|(_, mine)| **mine).map(|(target, _)| target);
    let (Some(target), Protocol::WebSocket) = (first, plan.protocol) else {
        return (Vec::new(), String::new());
    };
    let mut text = format!("GET {} HTTP/1.1\r\n", target.path);
    if !plan.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str(&format!("host: {}\r\n", target.authority));
    }
    text.push_str("upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n");
    text.push_str(&format!("sec-websocket-key: {KEY}\r\n"));
    for (name, value) in &plan.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    (text.into_bytes(), tungstenite::handshake::derive_accept_key(KEY.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_divided_by_weight_and_nobody_goes_without() {
        assert_eq!(divide(10, &[1]), [10]);
        assert_eq!(divide(12, &[3, 1]), [9, 3]);
        assert_eq!(divide(4, &[1000, 1, 1]), [2, 1, 1]);
        assert_eq!(divide(3, &[1000, 1, 1]), [1, 1, 1]);
        for connections in 5..200 {
            let shares = divide(connections, &[7, 5, 3, 2, 1]);
            assert_eq!(shares.iter().sum::<u32>(), connections);
            assert!(shares.iter().all(|&share| share > 0));
        }
    }

    #[test]
    fn threads_share_connections_evenly() {
        let shares: Vec<u32> = (0..4).map(|thread| share_of_thread(10, 4, thread)).collect();
        assert_eq!(shares, [3, 3, 2, 2]);
    }
}
