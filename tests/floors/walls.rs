//! Who may name whom: the floors of docs/architecture.md as tables, and the check that reads them.

use crate::source::{Name, Source};

/// A top-level module of the balancer and the ones that it may name.
struct Floor {
    name: &'static str,
    may: &'static [&'static str],
}

/// The top level is fixed: a file in `src/` that belongs to none of these is a violation by itself.
const FLOORS: &[Floor] = &[
    Floor { name: "logic", may: &["logic"] },
    Floor { name: "shared", may: &["shared", "logic"] },
    Floor { name: "config", may: &["config", "logic"] },
    Floor { name: "dataplane", may: &["dataplane", "config", "shared", "logic"] },
    Floor { name: "control", may: &["control", "config", "shared", "logic"] },
    Floor { name: "telemetry", may: &["telemetry", "config", "shared", "logic"] },
    Floor { name: "cli", may: &["cli", "process", "config", "shared", "logic"] },
    Floor {
        name: "process",
        may: &["process", "cli", "dataplane", "control", "telemetry", "config", "shared", "logic"],
    },
];

/// A crate and the only modules that may name it, with the reason.
struct Crate {
    name: &'static str,
    only: &'static [&'static str],
    reason: &'static str,
}

const CRATES: &[Crate] = &[
    Crate {
        name: "tokio",
        only: &["control", "telemetry", "process", "cli"],
        reason: "the data plane runs on monoio, and the floors below run nowhere",
    },
    Crate {
        name: "axum",
        only: &["telemetry", "cli::demo_node"],
        reason: "it serves the admin API, and the nodes of the demo",
    },
    Crate {
        name: "hyper",
        only: &["control", "telemetry", "cli"],
        reason: "the data plane has a parser of its own",
    },
    Crate { name: "monoio", only: &["dataplane"], reason: "one plane, one runtime" },
    Crate { name: "io_uring", only: &["dataplane"], reason: "rings belong to the workers" },
    Crate {
        name: "bollard",
        only: &["control::docker"],
        reason: "another engine must fit behind the same trait",
    },
];

/// The crates that `logic` may name: they compute, and do nothing else.
const LOGIC_CRATES: &[&str] = &[
    "arrayvec",
    "bytes",
    "hdrhistogram",
    "hmac",
    "httparse",
    "ipnet",
    "itoa",
    "memchr",
    "proptest",
    "serde",
    "serde_json",
    "sha2",
    "siphasher",
    "time",
];

/// What a floor must not name of the standard library, and why. A path ends where the ban does: `std::fs` bans all below it.
struct Ban {
    floor: &'static str,
    names: &'static [&'static str],
    reason: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        floor: "logic",
        names: &["Instant::now", "SystemTime::now", "OffsetDateTime::now_utc", ".elapsed"],
        reason: "time is an argument: a run must be repeatable under a virtual clock",
    },
    Ban {
        floor: "logic",
        names: &["std::fs", "std::net::TcpStream", "std::net::TcpListener", "std::net::UdpSocket"],
        reason: "logic decides and never acts",
    },
    Ban {
        floor: "logic",
        names: &[
            "std::io",
            "std::os",
            "std::env",
            "std::process",
            "std::net::ToSocketAddrs",
            ".to_socket_addrs",
        ],
        reason: "logic decides and never acts",
    },
    Ban {
        floor: "logic",
        names: &["print!", "println!", "eprint!", "eprintln!", "dbg!"],
        reason: "logic decides and never acts",
    },
    Ban {
        floor: "logic",
        names: &[
            "std::thread",
            "std::sync::Mutex",
            "std::sync::RwLock",
            "std::sync::Condvar",
            "std::sync::mpsc",
        ],
        reason: "logic is called by one thread at a time; what threads share is in `shared`",
    },
    Ban {
        floor: "logic",
        names: &["std::sync::atomic", "thread_local!", "static mut"],
        reason: "state comes in as an argument",
    },
    Ban {
        floor: "logic",
        names: &["RandomState", "DefaultHasher"],
        reason: "randomness is an argument: a run must be repeatable from its seed",
    },
    Ban {
        floor: "dataplane",
        names: &[
            "std::sync::Mutex",
            "std::sync::RwLock",
            "std::sync::Condvar",
            "std::sync::Barrier",
            "std::sync::mpsc",
        ],
        reason: "a worker never waits for another thread",
    },
    Ban {
        floor: "dataplane",
        names: &["thread::sleep", ".to_socket_addrs", "std::fs::File", "std::fs::read", "std::fs::write"],
        reason: "one blocking call stalls every connection of the worker",
    },
    Ban { floor: "dataplane", names: &["yield_now"], reason: SELF_WAKE },
];

const SELF_WAKE: &str = "a self-wake starves every task, timer and I/O of a monoio 0.2.4 worker";

/// Exceptions to [`BANS`]: a path that may be named although a shorter one is banned.
const PERMITS: &[(&str, &str, &str)] =
    &[("logic", "std::io::Write", "formats numbers into a Vec<u8>; nothing leaves the process")];

/// Every place in a source of the balancer that names what its floor must not. `dependencies` are the crates of Cargo.toml.
pub(crate) fn violations(source: &Source, dependencies: &[String]) -> Vec<String> {
    let module = source.module();
    let mut found = Vec::new();
    if let Some(floor) = module.first().filter(|top| FLOORS.iter().all(|floor| floor.name != top.as_str())) {
        found.push(format!("{}: `{floor}` is no floor of docs/architecture.md", source.path.display()));
    }
    for name in &source.names {
        let broken = [
            upward(&module, name, source),
            foreign_crate(&module, name),
            logic_crate(&module, name, dependencies),
            banned(&module, name),
        ];
        let place = format!("{}:{}", source.path.display(), name.line);
        found.extend(broken.into_iter().flatten().map(|why| format!("{place}: `{}`: {why}", name.written())));
    }
    found.extend(self_wakes(&module, source));
    found
}

/// `cx.waker().wake_by_ref()` on the data plane: a task that wakes itself. To wake another one is what timers do.
fn self_wakes(module: &[String], source: &Source) -> Vec<String> {
    let chain = |pair: &[Name]| {
        pair[0].call && pair[0].segments == [".waker"] && pair[1].segments == [".wake_by_ref"]
    };
    let on_a_worker = module.first().is_some_and(|top| top == "dataplane");
    let found = source.names.windows(2).filter(|pair| on_a_worker && chain(pair));
    found.map(|pair| format!("{}:{}: {SELF_WAKE}", source.path.display(), pair[1].line)).collect()
}

/// A module of this package that the floor must not know.
fn upward(module: &[String], name: &Name, source: &Source) -> Option<String> {
    let floor = FLOORS.iter().find(|floor| module.first().is_some_and(|top| top == floor.name))?;
    let path = source.target(name)?;
    let top = path.first()?;
    if top == "*" {
        return Some("a glob of the crate's root hides which floor is meant".to_owned());
    }
    let other = FLOORS.iter().find(|floor| floor.name == top.as_str())?;
    (!floor.may.contains(&other.name)).then(|| format!("`{}` must not know `{}`", floor.name, other.name))
}

/// A crate that belongs to another floor.
fn foreign_crate(module: &[String], name: &Name) -> Option<String> {
    let first = crate_of(name)?;
    let rule = CRATES.iter().find(|rule| rule.name == first)?;
    // The root files (main.rs, lib.rs) belong to no floor.
    let here = module.join("::");
    let allowed = rule.only.iter().any(|only| here == *only || here.starts_with(&format!("{only}::")));
    (!allowed && !here.is_empty())
        .then(|| format!("only {} may name {}: {}", rule.only.join(", "), first, rule.reason))
}

/// A dependency that `logic` has no use for.
fn logic_crate(module: &[String], name: &Name, dependencies: &[String]) -> Option<String> {
    let first = crate_of(name)?;
    let in_logic = module.first().is_some_and(|top| top == "logic");
    let known = dependencies.iter().any(|dependency| dependency == first);
    (in_logic && known && !LOGIC_CRATES.contains(&first))
        .then(|| "logic names crates that compute and no others".to_owned())
}

/// A part of the standard library that the floor must not touch.
fn banned(module: &[String], name: &Name) -> Option<String> {
    let floor = module.first()?;
    let written = standard(name);
    if PERMITS.iter().any(|(permitted, path, _)| permitted == floor && covers(path, &written)) {
        return None;
    }
    let ban = BANS
        .iter()
        .filter(|ban| ban.floor == floor)
        .find(|ban| ban.names.iter().any(|banned| covers(banned, &written)))?;
    Some(ban.reason.to_owned())
}

/// Does a ban on `banned` hold for the path `written`? It does for itself, for all below it, and for its last part
/// where the path was imported first (`use std::time::Instant; Instant::now()`).
fn covers(banned: &str, written: &str) -> bool {
    let padded = format!("::{written}::");
    padded.contains(&format!("::{banned}::"))
}

/// The path with `core` and `alloc` read as `std`: they export the same items.
fn standard(name: &Name) -> String {
    let written = name.written();
    match written.split_once("::") {
        Some(("core" | "alloc", rest)) => format!("std::{rest}"),
        _ => written,
    }
}

/// The first part of a path that can be a crate: a lone word outside `use` is a variable or a field.
fn crate_of(name: &Name) -> Option<&str> {
    let first = name.segments.first()?.as_str();
    (name.segments.len() > 1 || name.import).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The violations of one file in memory.
    fn of(path: &str, text: &str) -> Vec<String> {
        let dependencies = ["tokio", "monoio", "rustix", "bytes"].map(str::to_owned);
        violations(&Source::parse(path, text), &dependencies)
    }

    #[track_caller]
    fn refused(path: &str, text: &str) {
        assert!(!of(path, text).is_empty(), "{path} may say {text}");
    }

    #[track_caller]
    fn accepted(path: &str, text: &str) {
        assert_eq!(of(path, text), Vec::<String>::new());
    }

    #[test]
    fn the_floors_below_know_nobody_above() {
        refused("src/logic/route.rs", "use crate::shared::node::Node;");
        refused("src/logic/route.rs", "use super::super::config;");
        refused("src/logic/route.rs", "use crate::{logic::limits, config::settings};");
        refused("src/logic/route.rs", "fn f() { crate::control::dns::go(); }");
        refused("src/logic/route.rs", "mod tests { use super::super::super::dataplane::worker; }");
        refused("src/logic/route.rs", "use crate::*;");
        refused("src/shared/node.rs", "use crate::config::settings::Settings;");
        refused("src/config/finish.rs", "use crate::shared::node::Node;");
        accepted("src/logic/route.rs", "use super::limits::Timeouts; use crate::logic::message::Field;");
        accepted("src/shared/snapshot.rs", "use super::node::Node; use crate::logic::route::RouteTable;");
    }

    #[test]
    fn the_planes_do_not_know_each_other() {
        refused("src/dataplane/worker.rs", "use crate::telemetry::collector::Collector;");
        refused("src/control/dns.rs", "use crate::dataplane;");
        refused("src/telemetry/admin.rs", "use super::super::control::registry;");
        refused("src/cli/check.rs", "use crate::control::registry;");
        accepted("src/process.rs", "use crate::{control, dataplane, telemetry};");
        accepted("src/telemetry/admin.rs", "use crate::shared::report::Report; use super::collector;");
    }

    #[test]
    fn each_plane_has_its_runtime() {
        refused("src/dataplane/worker.rs", "use tokio::net::TcpStream;");
        refused("src/dataplane/worker.rs", "async fn f() { tokio::select! { _ = g() => {} } }");
        refused("src/dataplane.rs", "use tokio as t;");
        refused("src/control/dns.rs", "fn f() { monoio::spawn(g()); }");
        refused("src/telemetry/admin.rs", "use monoio::io;");
        refused("src/control/registry.rs", "use bollard::Docker;");
        refused("src/logic/route.rs", "use monoio::time;");
        accepted("src/control/docker.rs", "use bollard::Docker;");
        accepted("src/control/docker/events.rs", "use bollard::system::EventsOptions;");
        accepted(
            "src/dataplane/worker.rs",
            "// never tokio::spawn\nuse monoio::io; fn f() { g(\"tokio::spawn\"); }",
        );
    }

    #[test]
    fn logic_never_acts() {
        refused("src/logic/health.rs", "use std::time::Instant; fn f() { let now = Instant::now(); }");
        refused("src/logic/health.rs", "fn f() { std::time::SystemTime::now(); }");
        refused("src/logic/health.rs", "fn f(t: Instant) { t.elapsed(); }");
        refused("src/logic/health.rs", "use std::{fs, net::TcpStream};");
        refused("src/logic/health.rs", "fn f() { println!(\"x\"); }");
        refused("src/logic/health.rs", "use std::sync::{Arc, Mutex};");
        refused("src/logic/health.rs", "use core::sync::atomic::AtomicU64;");
        refused("src/logic/health.rs", "fn f() { std::thread::spawn(g); }");
        refused("src/logic/health.rs", "use std::io::Read;");
        refused("src/logic/health.rs", "use rustix::fd::OwnedFd;");
        accepted(
            "src/logic/health.rs",
            "use std::{sync::Arc, time::Duration, net::IpAddr, io::Write}; use bytes::Bytes;",
        );
    }

    #[test]
    fn a_worker_never_waits() {
        refused("src/dataplane/pool.rs", "use std::sync::Mutex;");
        refused("src/dataplane/pool.rs", "fn f() { std::thread::sleep(d); }");
        refused("src/dataplane/pool.rs", "fn f(cx: &mut Context<'_>) { cx.waker().wake_by_ref(); }");
        accepted("src/dataplane/timers.rs", "fn f(entry: &Entry) { entry.waker.wake_by_ref(); }");
        refused("src/dataplane/pool.rs", "async fn f() { monoio::task::yield_now().await; }");
        accepted("src/dataplane/pool.rs", "use std::rc::Rc; use std::cell::RefCell;");
    }

    #[test]
    fn the_top_level_is_fixed() {
        refused("src/helpers.rs", "");
        refused("src/proxy/session.rs", "");
        accepted("src/main.rs", "fn main() {}");
        accepted("src/lib.rs", "pub mod logic;");
    }
}
