//! Asks one node how it is: a connection, or an answer to a GET. Acts; what follows from it is decided elsewhere.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use crate::config::settings::HealthSettings;
use crate::logic::health::{cpu_reading, eager_pauses, first_pause, pause};
use crate::logic::limits::PROBE_BYTES_MAX;
use crate::logic::proxy_protocol::{self, Version};
use crate::shared::node::{Node, NodeAddress};

/// What came of one probe.
#[derive(Debug)]
pub(super) struct Probed {
    /// Of which node.
    pub(super) node: Arc<Node>,
    /// Good, or what was wrong, in words for a person.
    pub(super) result: Result<(), Arc<str>>,
    /// What the node's agent said: the CPU in hundredths of a percent, or why that is not known. `None` where there is
    /// no agent.
    pub(super) cpu: Option<Result<u32, Arc<str>>>,
}

/// A node is probed for as long as this exists.
#[derive(Debug)]
pub(super) struct Probing(AbortHandle);

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where results go, and how many probes may be under way at once. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Prober {
    pub(super) results: mpsc::Sender<Probed>,
    pub(super) places: Arc<Semaphore>,
}

impl Prober {
    /// Probes a node on a schedule; the first time soon. `eager`: it boots, and requests may wait for it, so it is asked at
    /// once and often until it passes.
    pub(super) fn start(&self, node: Arc<Node>, settings: Arc<HealthSettings>, eager: bool) -> Probing {
        let prober = self.clone();
        let probing = async move {
            if eager {
                for pause in eager_pauses(settings.interval) {
                    match prober.probe(&node, &settings).await {
                        Ok(true) => break,
                        Ok(false) => tokio::time::sleep(pause).await,
                        Err(()) => return,
                    }
                }
                tokio::time::sleep(pause(settings.interval, draw())).await;
            } else {
                tokio::time::sleep(first_pause(settings.interval, draw())).await;
            }
            while prober.probe(&node, &settings).await.is_ok() {
                tokio::time::sleep(pause(settings.interval, draw())).await;
            }
        };
        Probing(tokio::spawn(probing).abort_handle())
    }

    /// Was it good? Fails where nobody takes results any more.
    async fn probe(&self, node: &Arc<Node>, settings: &HealthSettings) -> Result<bool, ()> {
        // The wait for a place is not the node's fault: its time begins with the place.
        let place = self.places.acquire().await.map_err(drop)?;
        let result = within(settings.timeout, check(&node.address, settings)).await;
        let cpu = match &settings.agent {
            Some(path) if result.is_ok() => {
                Some(within(settings.timeout, ask_agent(&node.address, path, settings.proxy_header)).await)
            }
            Some(_) => Some(Err("the node does not pass its probes".into())),
            None => None,
        };
        drop(place);
        let good = result.is_ok();
        self.results.send(Probed { node: Arc::clone(node), result, cpu }).await.map_err(drop)?;
        Ok(good)
    }
}

async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, Arc<str>>>,
) -> Result<T, Arc<str>> {
    match tokio::time::timeout(timeout, work).await {
        Ok(done) => done,
        Err(_) => Err(format!("no answer within {timeout:?}").into()),
    }
}

async fn check(address: &NodeAddress, settings: &HealthSettings) -> Result<(), Arc<str>> {
    if let Some(datagram) = &settings.send {
        return ask_by_datagram(address, datagram, settings.expect_body.as_deref()).await;
    }
    let header = settings.proxy_header;
    let Some(path) = &settings.path else {
        return match address {
            NodeAddress::Tcp(to) => opened(TcpStream::connect(to).await, header).await.map(drop),
            NodeAddress::Unix(to) => opened(UnixStream::connect(to).await, header).await.map(drop),
            NodeAddress::Unresolved(_) => Err(refused(&io::ErrorKind::NotFound.into())),
        };
    };
    let response = get(address, path, header).await?;
    let status = response.status().as_u16();
    if !settings.expect.iter().any(|&(from, to)| (from..=to).contains(&status)) {
        return Err(
            format!("GET {path} answers {status}, and {} is expected", statuses(&settings.expect)).into()
        );
    }
    match &settings.expect_body {
        Some(text) if !holds(&body(response).await?, text.as_bytes()) => {
            Err(format!("the body of GET {path} does not hold what is expected").into())
        }
        _ => Ok(()),
    }
}

/// One datagram from a socket of its own, and its answer. That nobody is there the kernel tells as a refusal.
async fn ask_by_datagram(
    address: &NodeAddress,
    datagram: &[u8],
    expected: Option<&str>,
) -> Result<(), Arc<str>> {
    let NodeAddress::Tcp(address) = address else {
        return Err(format!("{address} takes no datagrams").into());
    };
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let mut answer = vec![0; PROBE_BYTES_MAX];
    let count = async {
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        socket.send(datagram).await?;
        socket.recv(&mut answer).await
    }
    .await
    .map_err(|error: io::Error| refused(&error))?;
    match expected {
        Some(text) if !holds(&answer[..count], text.as_bytes()) => {
            Err("the answer to the datagram does not hold what is expected".into())
        }
        _ => Ok(()),
    }
}

async fn ask_agent(address: &NodeAddress, path: &str, header: Option<Version>) -> Result<u32, Arc<str>> {
    let response = get(address, path, header).await?;
    if !response.status().is_success() {
        return Err(format!("GET {path} answers {}", response.status().as_u16()).into());
    }
    cpu_reading(&body(response).await?)
        .ok_or_else(|| format!("the body of GET {path} does not begin with a percentage").into())
}

/// One request on a connection of its own: a node that only serves those that it has must not look well.
async fn get(
    address: &NodeAddress,
    path: &str,
    header: Option<Version>,
) -> Result<Response<Incoming>, Arc<str>> {
    match address {
        NodeAddress::Tcp(to) => {
            exchange(opened(TcpStream::connect(to).await, header).await?, &host(to), path).await
        }
        NodeAddress::Unix(to) => {
            exchange(opened(UnixStream::connect(to).await, header).await?, "localhost", path).await
        }
        NodeAddress::Unresolved(name) => Err(format!("{name} has no address").into()),
    }
}

/// A connection, with the PROXY header of a probe written where the node expects one.
async fn opened<S: AsyncWrite + Unpin>(
    connected: io::Result<S>,
    header: Option<Version>,
) -> Result<S, Arc<str>> {
    let mut socket = connected.map_err(|error| refused(&error))?;
    if let Some(version) = header {
        let mut bytes = Vec::new();
        proxy_protocol::write_own(version, &mut bytes);
        socket.write_all(&bytes).await.map_err(|error| refused(&error))?;
    }
    Ok(socket)
}

async fn exchange(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    path: &str,
) -> Result<Response<Incoming>, Arc<str>> {
    let broken = |error: hyper::Error| Arc::from(format!("GET {path} fails: {}", whole(&error)));
    let mut client = http1::Builder::new();
    client.max_buf_size(PROBE_BYTES_MAX);
    let (mut sender, connection) = client.handshake(TokioIo::new(socket)).await.map_err(broken)?;
    // It ends with the response: the request asks for that, and dropping the sender does the rest.
    tokio::spawn(connection);
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, "plimsoll-probe")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Arc::from(error.to_string()))?;
    sender.send_request(request).await.map_err(broken)
}

/// As much of a body as is looked at.
async fn body(response: Response<Incoming>) -> Result<Vec<u8>, Arc<str>> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while bytes.len() < PROBE_BYTES_MAX {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| Arc::from(format!("the body breaks off: {}", whole(&error))))?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    bytes.truncate(PROBE_BYTES_MAX);
    Ok(bytes)
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(body, text).is_some()
}

fn host(address: &SocketAddr) -> String {
    address.to_string()
}

fn refused(error: &io::Error) -> Arc<str> {
    // "Connection refused (os error 111)": the number helps nobody.
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
    text.into()
}

/// An error with what caused it.
fn whole(error: &dyn std::error::Error) -> impl Display {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn statuses(ranges: &[(u16, u16)]) -> String {
    let range = |&(from, to): &(u16, u16)| match from == to {
        true => from.to_string(),
        false => format!("{from}-{to}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

/// A random number; one that the kernel does not give costs the jitter and no more.
fn draw() -> u64 {
    let mut bytes = [0; 8];
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::logic::health::Patience;

    fn settings(path: Option<&str>) -> HealthSettings {
        HealthSettings {
            path: path.map(Into::into),
            interval: Duration::from_millis(50),
            timeout: Duration::from_millis(300),
            patience: Patience { rise: 1, fall: 1 },
            ..HealthSettings::default()
        }
    }

    /// A server that answers every connection with these bytes, and what it was asked.
    async fn server(answer: &'static str) -> (NodeAddress, Arc<Mutex<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(String::new()));
        let record = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let record = Arc::clone(&record);
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let count = socket.read(&mut request).await.unwrap_or(0);
                    *record.lock().unwrap() = String::from_utf8_lossy(&request[..count]).into_owned();
                    let _ = socket.write_all(answer.as_bytes()).await;
                    if answer.is_empty() {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        (NodeAddress::Tcp(address), asked)
    }

    async fn outcome(address: &NodeAddress, settings: &HealthSettings) -> Result<(), String> {
        within(settings.timeout, check(address, settings)).await.map_err(|why| why.to_string())
    }

    #[tokio::test]
    async fn a_status_that_is_expected_is_good_and_another_one_says_so() {
        let (address, asked) = server("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(outcome(&address, &settings(Some("/up?deep=1"))).await, Ok(()));
        let request = asked.lock().unwrap().clone();
        assert!(request.starts_with("GET /up?deep=1 HTTP/1.1\r\n"), "{request}");
        let NodeAddress::Tcp(to) = address else { panic!("not tcp") };
        assert!(request.contains(&format!("host: {to}\r\n")), "{request}");

        let (address, _) = server("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await;
        let said = outcome(&address, &settings(Some("/"))).await.unwrap_err();
        assert_eq!(said, "GET / answers 503, and 200-399 is expected");
        let lenient = HealthSettings { expect: vec![(200, 200), (503, 503)], ..settings(Some("/")) };
        assert_eq!(outcome(&address, &lenient).await, Ok(()));
    }

    #[tokio::test]
    async fn a_body_must_hold_the_text() {
        let (address, _) = server("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nstatus: good").await;
        let wants = |text: &str| HealthSettings { expect_body: Some(text.into()), ..settings(Some("/")) };
        assert_eq!(outcome(&address, &wants("good")).await, Ok(()));
        assert!(outcome(&address, &wants("better")).await.unwrap_err().contains("does not hold"));
    }

    #[tokio::test]
    async fn silence_nonsense_and_nobody_are_bad_each_in_its_words() {
        let (silent, _) = server("").await;
        assert_eq!(outcome(&silent, &settings(Some("/"))).await.unwrap_err(), "no answer within 300ms");
        let (babbling, _) = server("hello\r\n\r\n").await;
        assert!(outcome(&babbling, &settings(Some("/"))).await.unwrap_err().contains("GET / fails: "));
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for settings in [settings(Some("/")), settings(None)] {
            assert_eq!(outcome(&NodeAddress::Tcp(free), &settings).await.unwrap_err(), "connection refused");
        }
        assert_eq!(outcome(&silent, &settings(None)).await, Ok(()), "it does accept");
    }

    #[tokio::test]
    async fn an_endless_head_or_body_ends_the_probe() {
        let head: &'static str = Box::leak(format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(200_000)).into());
        let (address, _) = server(head).await;
        assert!(outcome(&address, &settings(Some("/"))).await.is_err());
        let endless: &'static str =
            Box::leak(format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(3_000_000)).into());
        let (address, _) = server(endless).await;
        let response = get(&address, "/", None).await.unwrap();
        assert_eq!(body(response).await.unwrap().len(), PROBE_BYTES_MAX);
    }

    #[tokio::test]
    async fn a_datagram_is_answered_or_says_why_not() {
        let node = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = NodeAddress::Tcp(node.local_addr().unwrap());
        let asks = |text: Option<&str>| HealthSettings {
            send: Some((*b"ping").into()),
            expect_body: text.map(Into::into),
            ..settings(None)
        };
        assert_eq!(outcome(&address, &asks(None)).await.unwrap_err(), "no answer within 300ms");
        let echo = tokio::spawn(async move {
            let mut bytes = [0; 64];
            while let Ok((count, from)) = node.recv_from(&mut bytes).await {
                node.send_to(&bytes[..count], from).await.unwrap();
            }
        });
        assert_eq!(outcome(&address, &asks(None)).await, Ok(()));
        assert_eq!(outcome(&address, &asks(Some("pin"))).await, Ok(()));
        assert!(outcome(&address, &asks(Some("pong"))).await.unwrap_err().contains("does not hold"));
        echo.abort();
        let _ = echo.await;
        assert_eq!(outcome(&address, &asks(None)).await.unwrap_err(), "connection refused");
    }

    #[tokio::test]
    async fn an_agent_gives_a_reading_and_probing_goes_on_until_it_is_dropped() {
        let (address, _) = server("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n42.5%").await;
        let node = Arc::new(Node::new("api".into(), address, crate::shared::node::Origin::Static));
        let (results, mut received) = mpsc::channel(1);
        let prober = Prober { results, places: Arc::new(Semaphore::new(1)) };
        let with_agent = HealthSettings { agent: Some("/cpu".into()), ..settings(Some("/")) };
        let probing = prober.start(Arc::clone(&node), Arc::new(with_agent), false);
        for _ in 0..3 {
            let probed = received.recv().await.unwrap();
            assert!(probed.result.is_ok() && Arc::ptr_eq(&probed.node, &node));
            assert_eq!(probed.cpu, Some(Ok(4250)));
        }
        drop((probing, prober));
        while received.recv().await.is_some() {}
    }
}
