//! Local processes as nodes: no Docker needed. Each listens on a port of its own on 127.0.0.1.
//!
//! A process belongs to the balancer that started it and ends with it; it has a process group of its own, so that a
//! Ctrl-C in the terminal reaches the balancer alone, which drains before it stops them. What a process starts in that group
//! ends with it. (A balancer that is killed can do nothing any more: the kernel then tells the process, and it alone.)

mod family;

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

use self::family::{Family, LastWill};
use super::fleet::{
    Call, Change, Door, EngineError, EngineFault, Fleet, StartOrder, Stats, Steps, Unit, UnitId,
};
use crate::config::settings::{FleetSettings, ProcessSettings};
use crate::logic::limits::{CHANGES_WAITING_MAX, NODE_LOG_LINE_BYTES_MAX, NODE_LOG_LINES_MAX};
use crate::logic::scale::lifecycle::Happening;
use crate::shared::child;
use crate::shared::node::Origin;

/// The processes of one balancer.
#[derive(Debug, Default)]
pub struct ProcessFleet {
    processes: Arc<Mutex<HashMap<UnitId, Process>>>,
    watchers: Arc<Mutex<Vec<mpsc::Sender<Change>>>>,
    count: AtomicU64,
}

/// One process, until it is removed.
#[derive(Debug, Clone)]
struct Process {
    unit: Unit,
    family: Arc<Family>,
    lines: Arc<Mutex<VecDeque<String>>>,
    /// Its exit code, once it has ended, and all that it has started.
    ended: watch::Receiver<Option<Option<i64>>>,
}

impl Fleet for ProcessFleet {
    fn name(&self) -> &'static str {
        "process"
    }

    fn origin(&self) -> Origin {
        Origin::Process
    }

    fn list(&self) -> Call<'_, Vec<Unit>> {
        let now =
            |process: &Process| Unit { running: process.ended.borrow().is_none(), ..process.unit.clone() };
        let units = lock(&self.processes).values().map(now).collect();
        Box::pin(async { Ok(units) })
    }

    fn start<'a>(&'a self, order: &'a StartOrder, steps: Steps) -> Call<'a, Unit> {
        Box::pin(async move {
            let FleetSettings::Process(settings) = &*order.settings else {
                return Err(EngineError::new(
                    EngineFault::Refused,
                    "the configuration gives this backend no command",
                    "give it `process: { command: [...] }`",
                ));
            };
            let unit = self.spawn(order, settings)?;
            steps.tell(Happening::Created);
            Ok(unit)
        })
    }

    fn stop<'a>(&'a self, unit: &'a UnitId, grace: Duration) -> Call<'a, ()> {
        let process = lock(&self.processes).get(unit).cloned();
        Box::pin(async move {
            let Some(Process { family, mut ended, .. }) = process else { return Ok(()) };
            family.ask_to_end();
            if tokio::time::timeout(grace, ended.wait_for(Option::is_some)).await.is_err() {
                family.end();
                let _ = ended.wait_for(Option::is_some).await;
            }
            Ok(())
        })
    }

    fn remove<'a>(&'a self, unit: &'a UnitId) -> Call<'a, ()> {
        let removed = lock(&self.processes).remove(unit);
        Box::pin(async move {
            // One that runs still is waited for by its guard.
            if let Some(Process { family, .. }) = removed {
                family.end();
            }
            Ok(())
        })
    }

    fn log<'a>(&'a self, unit: &'a UnitId) -> Call<'a, Vec<String>> {
        let lines = lock(&self.processes).get(unit).map(|process| Arc::clone(&process.lines));
        Box::pin(
            async move { Ok(lines.map(|lines| lock(&lines).iter().cloned().collect()).unwrap_or_default()) },
        )
    }

    fn stats<'a>(&'a self, unit: &'a UnitId) -> Call<'a, Stats> {
        let pid = lock(&self.processes).get(unit).map(|process| process.family.first());
        Box::pin(async move {
            pid.and_then(read_stats).ok_or_else(|| {
                EngineError::new(
                    EngineFault::NoSuchUnit,
                    format!("process {unit} does not run any more"),
                    "see its last lines; another one is started where one is wanted",
                )
            })
        })
    }

    fn watch(&self) -> mpsc::Receiver<Change> {
        let (sender, receiver) = mpsc::channel(CHANGES_WAITING_MAX);
        lock(&self.watchers).push(sender);
        receiver
    }
}

impl ProcessFleet {
    fn spawn(&self, order: &StartOrder, settings: &ProcessSettings) -> Result<Unit, EngineError> {
        let address = free_address()?;
        let port = address.port().to_string();
        let fill = |text: &String| text.replace("{port}", &port);
        let program = settings.command.first().map(fill).unwrap_or_default();
        let mut command = Command::new(&program);
        child::prepare(command.as_std_mut());
        let mut child = command
            .args(settings.command.iter().skip(1).map(fill))
            .envs(settings.env.iter().map(|(name, value)| (name, fill(value))))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| not_started(&program, &error))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| not_started(&program, &std::io::Error::other("it has no number")))?;
        let number = self.count.fetch_add(1, Relaxed) + 1;
        let id = UnitId(format!("p{number}-{}", pid.as_raw_nonzero()).into());
        let lines = Arc::default();
        keep_lines(child.stdout.take(), &lines);
        keep_lines(child.stderr.take(), &lines);
        let unit = Unit {
            id: id.clone(),
            backend: Arc::clone(&order.backend),
            fingerprint: Arc::clone(&order.fingerprint),
            address: Some(address),
            door: Some(Door { address, gateway: address.ip() }),
            running: true,
            ours: true,
            weight: 1,
            image: None,
        };
        let family = Arc::new(Family::of(pid));
        let ended = self.guard(id.clone(), child, Arc::clone(&family));
        lock(&self.processes).insert(id, Process { unit: unit.clone(), family, lines, ended });
        Ok(unit)
    }

    /// Waits for the end of a process and all that it has started, and tells of it.
    fn guard(
        &self,
        id: UnitId,
        mut child: Child,
        family: Arc<Family>,
    ) -> watch::Receiver<Option<Option<i64>>> {
        let (ends, ended) = watch::channel(None);
        let watchers = Arc::clone(&self.watchers);
        tokio::spawn(async move {
            let _will = LastWill(&family);
            let code = child.wait().await.ok().map(|status| {
                use std::os::unix::process::ExitStatusExt;
                // As shells and Docker do: a signal is 128 and its number.
                status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
            });
            let code = code.map(i64::from);
            family.outlive_first().await;
            let _ = ends.send(Some(code));
            let watching = lock(&watchers).clone();
            for watcher in watching {
                let _ = watcher.send(Change::Unit(id.clone(), Happening::Died(code))).await;
            }
        });
        ended
    }
}

/// A port that nobody has now. Somebody may take it before the process does: then the process says so and ends, and
/// the next start has another.
fn free_address() -> Result<SocketAddr, EngineError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound.map_err(|error| {
        let message = format!("no free port on 127.0.0.1: {error}");
        EngineError::new(EngineFault::PortTaken, message, "end what holds so many ports")
    })
}

fn not_started(program: &str, error: &std::io::Error) -> EngineError {
    let (fault, cure) = match error.kind() {
        // A script whose interpreter is missing is not found either.
        std::io::ErrorKind::NotFound => {
            (EngineFault::Missing, "correct `process.command`, or install it (a script: what its `#!` names)")
        }
        std::io::ErrorKind::PermissionDenied => (EngineFault::Refused, "make it executable for this user"),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => (
            EngineFault::Refused,
            "it is no program for this machine: build it for it; a script begins with `#!`",
        ),
        _ => {
            (EngineFault::Refused, "the system refuses: see its limits of processes and memory (`ulimit -a`)")
        }
    };
    EngineError::new(fault, format!("`{program}` cannot be started: {error}"), cure)
}

/// Keeps the last lines of a stream, none longer than `NODE_LOG_LINE_BYTES_MAX`.
fn keep_lines(stream: Option<impl AsyncRead + Unpin + Send + 'static>, lines: &Arc<Mutex<VecDeque<String>>>) {
    let (Some(stream), lines) = (stream, Arc::clone(lines)) else { return };
    tokio::spawn(async move {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            // A line that never ends is taken in pieces.
            let mut piece = (&mut stream).take(NODE_LOG_LINE_BYTES_MAX as u64);
            match piece.read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let mut lines = lock(&lines);
            if lines.len() == NODE_LOG_LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
    });
}

/// From `/proc/PID/stat`: user and system time in ticks, and resident pages.
fn read_stats(pid: Pid) -> Option<Stats> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name stands in parentheses and may hold anything, so fields are counted from its end.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let ticks = number(11)? + number(12)?;
    let ticks_a_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Stats {
        cpu: Duration::from_secs_f64(ticks as f64 / ticks_a_second as f64),
        cores: None,
        memory_bytes: number(21)? * rustix::param::page_size() as u64,
    })
}

/// A lock that a panic left behind still holds whole values: every change of them is one statement.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
