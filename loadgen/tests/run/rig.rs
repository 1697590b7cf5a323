//! Servers that misbehave to order, and the binary with its result.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;

use loadgen::result::RunResult;

/// The smallest good answer.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-node: a\r\n\r\nok";

/// How a run ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stderr: String,
    stdout: Vec<u8>,
}

impl Run {
    /// The result of a run with `--json -`.
    pub(crate) fn result(&self) -> RunResult {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}\n{}", String::from_utf8_lossy(&self.stdout), self.stderr)
        })
    }

    /// What it wrote to standard output.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// How often a cause of failure was counted.
    pub(crate) fn errors(&self, cause: &str) -> u64 {
        self.result().errors.iter().filter(|group| group.cause == cause).map(|group| group.count).sum()
    }
}

/// The binary, which is asked for its result on standard output.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(arguments);
    command
}

/// Runs the binary with arguments alone.
pub(crate) fn bare(arguments: &[&str]) -> Run {
    let Output { status, stdout, stderr } = command(arguments).output().expect("the binary starts");
    Run { code: status.code().unwrap_or(-1), stderr: String::from_utf8_lossy(&stderr).into_owned(), stdout }
}

/// Runs the binary for its JSON.
pub(crate) fn run(arguments: &[&str]) -> Run {
    bare(&[arguments, &["--quiet", "--json", "-"]].concat())
}

/// Serves every connection in a thread of its own, for as long as the test process lives. The handler is
/// given the connection and its number.
pub(crate) fn serve(handler: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> SocketAddr {
    serve_on("127.0.0.1:0", handler)
}

/// The same, on an address.
pub(crate) fn serve_on(
    address: &str,
    handler: impl Fn(TcpStream, usize) + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(address).expect("loopback is there");
    let address = listener.local_addr().expect("a bound socket has an address");
    let handler = Arc::new(handler);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let handler = Arc::clone(&handler);
            thread::spawn(move || handler(stream, number));
        }
    });
    address
}

/// A server of one answer to everything.
pub(crate) fn answer_all(answer: &'static str) -> SocketAddr {
    serve(move |stream, _| answer_each(stream, |_| answer.to_owned()))
}

/// The same on a Unix socket.
pub(crate) fn answer_all_unix(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("loadgen-{}-{name}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("the temporary folder is writable");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_each(stream, |_| OK.to_owned()));
        }
    });
    path
}

/// Answers request after request until the client closes.
pub(crate) fn answer_each(mut stream: impl Read + Write, mut answer: impl FnMut(&Request) -> String) {
    let mut bytes = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut bytes) {
        if stream.write_all(answer(&request).as_bytes()).is_err() {
            return;
        }
    }
}

/// A request as it came.
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Reads one request; `bytes` keeps what came too early.
pub(crate) fn read_request(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Option<Request> {
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let whole = end + 4 + length.map_or(0, |length| length.parse::<usize>().expect("a number"));
            if bytes.len() >= whole {
                let body = String::from_utf8_lossy(&bytes[end + 4..whole]).into_owned();
                bytes.drain(..whole);
                return Some(Request { head, body });
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}

/// A port on which nobody listens: bound and let go.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is there");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Closes with a reset instead of an end.
pub(crate) fn reset(stream: TcpStream) {
    let socket = socket2::Socket::from(stream);
    socket.set_linger(Some(std::time::Duration::ZERO)).expect("a TCP socket lingers");
}
