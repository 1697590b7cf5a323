//! The real binary as a child process: started with a configuration, ready when its banner says so, killed with us.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;

/// Which I/O driver the balancer is told to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    IoUring,
    Epoll,
}

impl Driver {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }

    /// Why this driver cannot be tested on this machine, if it cannot.
    pub(crate) fn unavailable(self) -> Option<&'static str> {
        let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
        (self == Self::IoUring && disabled.trim() == "2").then_some("this kernel has io_uring switched off")
    }
}

/// A running balancer.
pub(crate) struct Balancer {
    /// A shell that holds the balancer: it kills it when its standard input ends, and that is when this test
    /// process ends, whatever way it ends.
    shell: Child,
    /// The balancer itself.
    pub(crate) pid: u32,
    /// The listeners' addresses, in the order of the banner, with the listener's name.
    pub(crate) addresses: Vec<(SocketAddr, String)>,
    /// Where the admin API is.
    pub(crate) admin: Option<SocketAddr>,
    /// Its configuration.
    pub(crate) file: PathBuf,
    exit: Mutex<Receiver<u32>>,
    stderr: Arc<Mutex<String>>,
}

/// Runs the command, prints its process id and at its end its exit code, and kills it once nobody holds the other
/// end of stdin.
const KEEPER: &str = r#"exec 3<&0
"$@" 3<&- >"$BALANCER_STDOUT" & pid=$!; echo $pid
exec 2>/dev/null
(read -r _ <&3; kill -KILL $pid) & keeper=$!
wait $pid; echo $?; kill $keeper"#;

/// How a balancer is started, where it is not with a configuration alone.
#[derive(Default)]
pub(crate) struct Launch<'a> {
    /// Variables of its environment.
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// How many file descriptors it may have.
    pub(crate) descriptors: Option<u32>,
    /// The file or the named pipe that is its standard output; else nobody reads it.
    pub(crate) stdout: Option<&'a Path>,
    /// Where its configuration is written; else to a new file.
    pub(crate) file: Option<&'a Path>,
    /// What it sees in place of /etc/hosts. For root alone: it is mounted in a namespace of its own.
    pub(crate) hosts: Option<&'a Path>,
}

impl Balancer {
    /// Starts a balancer with this configuration, and waits until it accepts connections.
    #[track_caller]
    pub(crate) fn start(config: &str) -> Self {
        Self::launch(config, &Launch::default())
    }

    /// As [`Self::start`], in circumstances of the test's own.
    #[track_caller]
    pub(crate) fn launch(config: &str, launch: &Launch<'_>) -> Self {
        let file = write_config(config, launch.file);
        let limit = launch.descriptors.map_or_else(String::new, |most| format!("ulimit -n {most}\n"));
        let mut command = Command::new(if launch.hosts.is_some() { "unshare" } else { "sh" });
        if let Some(hosts) = launch.hosts {
            command.args(["--mount", "sh"]).env("BALANCER_HOSTS", hosts);
        }
        let mount = launch.hosts.map_or("", |_| "mount --bind \"$BALANCER_HOSTS\" /etc/hosts || exit 1\n");
        let script = format!("{mount}{limit}{KEEPER}");
        let mut shell = command
            .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_plimsoll"), "run", "-c"])
            .arg(&file)
            .envs(launch.environment.iter().copied())
            .env("BALANCER_STDOUT", launch.stdout.unwrap_or(Path::new("/dev/null")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let mut out = BufReader::new(shell.stdout.take().unwrap());
        let pid = read_number(&mut out).expect("a process id");
        let stderr = Arc::new(Mutex::new(String::new()));
        let lines = follow(shell.stderr.take().unwrap(), stderr.clone());
        let exit = Mutex::new(watch_end(out));
        let mut balancer = Self { shell, pid, addresses: Vec::new(), admin: None, file, exit, stderr };
        balancer.read_banner(&lines, config);
        balancer
    }

    /// The exit code, once it has ended by itself; fails the test where it does not within `patience`. A shell's
    /// numbers: 128 and the signal's for one that was killed.
    #[track_caller]
    pub(crate) fn exit_code(&self, patience: Duration) -> u32 {
        let Ok(code) = self.exit.lock().unwrap().recv_timeout(patience) else {
            panic!("the balancer did not end within {patience:?}\n{}", self.stderr());
        };
        code
    }

    /// Has it not ended yet?
    pub(crate) fn is_alive(&self) -> bool {
        Path::new(&format!("/proc/{}", self.pid)).exists()
    }

    /// The address of the first http listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0].0
    }

    /// The address of the listener with this name.
    #[track_caller]
    pub(crate) fn listener(&self, name: &str) -> SocketAddr {
        self.addresses.iter().find(|(_, n)| n == name).unwrap_or_else(|| panic!("no listener {name}")).0
    }

    /// Everything that it has written to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Sends it a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid.to_string();
        let sent = Command::new("sh").args(["-c", "kill -s $0 $1", name, &pid]).status().unwrap();
        assert!(sent.success(), "cannot send {name} to {pid}");
    }

    #[track_caller]
    fn read_banner(&mut self, lines: &Receiver<String>, config: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = lines.recv_timeout(left) else {
                panic!("the balancer did not start\n{}\nwith\n{}", self.stderr(), numbered(config));
            };
            if let Some(list) = line.trim().strip_prefix("listening on ") {
                self.addresses.extend(list.split(", ").filter_map(listener));
            } else if let Some(url) = line.trim().strip_prefix("admin on ") {
                self.admin = url.trim().trim_start_matches("http://").trim_end_matches('/').parse().ok();
            } else if line.trim().starts_with("ready:") {
                return;
            }
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

fn listener(text: &str) -> Option<(SocketAddr, String)> {
    let (url, name) = text.trim().split_once(' ')?;
    let (_, address) = url.split_once("://")?;
    Some((address.parse().ok()?, name.trim_matches(['(', ')']).to_owned()))
}

fn write_config(config: &str, file: Option<&Path>) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{}-{number}.yaml", env!("CARGO_CRATE_NAME"), std::process::id());
    let file = file.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name), Path::to_path_buf);
    std::fs::write(&file, config).expect("the configuration can be written");
    file
}

/// A line of the shell's, which is a number.
fn read_number(out: &mut impl BufRead) -> Option<u32> {
    let mut line = String::new();
    out.read_line(&mut line).ok()?;
    line.trim().parse().ok()
}

fn watch_end(mut out: BufReader<ChildStdout>) -> Receiver<u32> {
    let (send, receive) = channel();
    thread::spawn(move || {
        if let Some(code) = read_number(&mut out) {
            let _ = send.send(code);
        }
    });
    receive
}

fn follow(stderr: impl Read + Send + 'static, all: Arc<Mutex<String>>) -> Receiver<String> {
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines() {
            let Ok(line) = line else { break };
            let _ = writeln!(all.lock().unwrap(), "{line}");
            let _ = send.send(line);
        }
    });
    receive
}

fn numbered(text: &str) -> String {
    text.lines().enumerate().map(|(n, line)| format!("{:4} {line}\n", n + 1)).collect()
}
