//! A node of its own for a test, and a client that sees bytes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

/// No wait of these tests is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A running node; it ends with the test.
pub(crate) struct Node {
    pub(crate) child: Child,
    pub(crate) address: String,
    /// The lines it printed, up to the one that says it is ready.
    pub(crate) banner: Vec<String>,
    pub(crate) stdout: BufReader<ChildStdout>,
}

/// A response, taken apart.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Node {
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_on("0", flags)
    }

    pub(crate) fn start_on(port: &str, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["node", "--port", port, "--name", "n1"])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the node starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut banner = Vec::new();
        while !banner.iter().any(|line: &String| line.contains("is ready")) {
            let mut line = String::new();
            assert_ne!(stdout.read_line(&mut line).expect("a line"), 0, "the node ended: {banner:?}");
            banner.push(line.trim_end().to_owned());
        }
        let address = banner[0].strip_prefix("http://").expect("a URL first").to_owned();
        Self { child, address, banner, stdout }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::to(&self.address)
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Response {
        self.connect().get(target)
    }

    pub(crate) fn post(&self, target: &str) -> Response {
        self.connect().request(&format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"))
    }

    /// A number of the node's report, by its JSON pointer.
    pub(crate) fn saw(&self, pointer: &str) -> u64 {
        let report: serde_json::Value =
            serde_json::from_slice(&self.get("/__node/report").body).expect("a report in JSON");
        report
            .pointer(pointer)
            .and_then(serde_json::Value::as_u64)
            .unwrap_or_else(|| panic!("{pointer}: {report}"))
    }

    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the node runs");
    }

    /// Waits for the end; the exit code and what it printed to standard error.
    pub(crate) fn ended(&mut self) -> (Option<i32>, String) {
        let status = until("the node ends", || self.child.try_wait().expect("a child"));
        let mut text = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut text).expect("text");
        (status.code(), text)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client's connection.
pub(crate) struct Client {
    pub(crate) stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the node listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).expect("the node reads");
    }

    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.request(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"))
    }

    pub(crate) fn request(&mut self, text: &str) -> Response {
        self.send(text);
        self.response()
    }

    /// The next response, framed as its head says.
    pub(crate) fn response(&mut self) -> Response {
        let head = self.head();
        let mut body = Vec::new();
        if let Some(length) = field(&head, "content-length") {
            body.resize(length.parse().expect("a length"), 0);
            self.stream.read_exact(&mut body).expect("a whole body");
        } else if field(&head, "transfer-encoding").is_some() {
            while let piece @ [_, ..] = &self.chunk()[..] {
                body.extend_from_slice(piece);
            }
        } else if field(&head, "connection") == Some("close") {
            self.stream.read_to_end(&mut body).expect("a body to the end");
        }
        Response { status: head[9..12].parse().expect("a status"), head, body }
    }

    pub(crate) fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.stream.read_line(&mut head).expect("a head"), 0, "closed after {head:?}");
        }
        head
    }

    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a chunk");
        let size = usize::from_str_radix(line.trim_end(), 16).expect("a size");
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).expect("a whole chunk");
        assert!(chunk.ends_with(b"\r\n"));
        chunk.truncate(size);
        chunk
    }

    /// What happens next when no response does: the rest of the bytes, or the error.
    pub(crate) fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).map(|_| rest)
    }
}

pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Waits until `look` finds something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Both ways to talk to the kernel; a kernel without io_uring runs one of them.
pub(crate) fn drivers() -> Vec<[&'static str; 2]> {
    let probe = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["node", "--port", "0", "--driver", "io_uring"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut probe = probe.expect("the node starts");
    let mut first = String::new();
    BufReader::new(probe.stdout.take().expect("a pipe")).read_line(&mut first).expect("a line");
    let _ = probe.kill();
    let _ = probe.wait();
    if first.is_empty() {
        let _ = writeln!(std::io::stderr(), "left out: the node on io_uring: run on a kernel that allows it");
        return vec![["--driver", "epoll"]];
    }
    vec![["--driver", "io_uring"], ["--driver", "epoll"]]
}
