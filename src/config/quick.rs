//! `run --listen :8080 --to a:1,b:2`: settings without a file.

use std::ops::Range;
use std::sync::Arc;

use super::finish::{default_access_log, default_admin, default_listener, grace};
use super::leaf::address::{Bind, ServerUrl};
use super::leaf::{Leaf, Trouble};
use super::problem::{Problem, Problems};
use super::settings::{Admin, BackendSettings, BindAddress, DriverChoice, Listener, Server, Settings};
use super::source::Source;
use crate::logic::limits::{LISTENER_BINDS_MAX, MessageLimits, NODES_MAX, Timeouts};
use crate::logic::route::{Action, BackendIndex, Edits, Matcher, Rewrite, Route, RouteTable};

/// One listener (`web`), one route (`/*`), one backend (`default`) with its servers, everything else by default.
///
/// Each text of `listen` and `to` is one address or several with commas between them. A server is `host:port`,
/// `http://host:port` or `unix:/path`. Without `listen`: `0.0.0.0:8080`.
///
/// # Errors
/// All that is wrong with the two, shown as a command line with a caret.
pub fn quick(listen: &[String], to: &[String]) -> Result<Settings, Problems> {
    let mut line = CommandLine::default();
    let binds: Vec<BindAddress> =
        line.read("--listen", listen, Bind::read).into_iter().map(|bind| bind.0).collect();
    let servers: Vec<Server> = line.read("--to", to, server).into_iter().collect();
    line.check_counts(binds.len(), servers.len());
    let source = Arc::new(Source::new("command line", &line.text));
    if !line.problems.is_empty() {
        return Err(Problems::new(source, line.problems));
    }
    Ok(settings(binds, servers, source))
}

/// `--admin ADDRESS` of `run` and `demo`; `off` is none.
///
/// # Errors
/// What is no IP address and port.
pub fn quick_admin(text: &str) -> Result<Option<Admin>, Problems> {
    if text == "off" {
        return Ok(None);
    }
    let mut line = CommandLine::default();
    let binds = line.read("--admin", &[text.to_owned()], Bind::read);
    let source = Arc::new(Source::new("command line", &line.text));
    match (binds.as_slice(), line.problems) {
        ([Bind(BindAddress::Tcp(bind))], _) if bind.ip().is_loopback() => {
            Ok(Some(Admin { bind: *bind, ..default_admin() }))
        }
        ([Bind(BindAddress::Tcp(bind))], _) => {
            // As in a file: who can reach it could read, and change, everything.
            let message = format!("the admin API would be open to everybody who reaches {}", bind.ip());
            let problem = Problem::error("--admin ".len().."--admin ".len() + text.len(), message);
            Err(Problems::new(source, vec![problem.help("bind it to 127.0.0.1 or [::1]")]))
        }
        (_, problems) if !problems.is_empty() => Err(Problems::new(source, problems)),
        _ => {
            let problem = Problem::general("`--admin` takes one IP address and port, or `off`")
                .help("for example `--admin 127.0.0.1:9900`");
            Err(Problems::new(source, vec![problem]))
        }
    }
}

/// The arguments as one line of text, for carets.
#[derive(Default)]
struct CommandLine {
    text: String,
    problems: Vec<Problem>,
}

impl CommandLine {
    fn read<T>(&mut self, flag: &str, texts: &[String], read: impl Fn(&str) -> Result<T, Trouble>) -> Vec<T> {
        let mut values = Vec::new();
        for text in texts {
            self.push(flag);
            let mut start = self.push(text).start;
            for part in text.split(',') {
                match read(part.trim()) {
                    Ok(value) => values.push(value),
                    Err(Trouble { message, help }) => {
                        let problem = Problem::error(start..start + part.len(), message);
                        self.problems.push(Problem { help, ..problem });
                    }
                }
                start += part.len() + 1;
            }
        }
        values
    }

    fn push(&mut self, word: &str) -> Range<usize> {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let start = self.text.len();
        self.text.push_str(word);
        start..self.text.len()
    }

    fn check_counts(&mut self, binds: usize, servers: usize) {
        if servers == 0 && self.problems.is_empty() {
            self.problems.push(
                Problem::general("there is no server to send requests to").help("add `--to HOST:PORT`"),
            );
        }
        if servers > NODES_MAX || binds > LISTENER_BINDS_MAX {
            let message =
                format!("at most {NODES_MAX} servers and {LISTENER_BINDS_MAX} addresses to listen on");
            self.problems.push(Problem::general(message));
        }
    }
}

fn server(text: &str) -> Result<Server, Trouble> {
    let full = if text.contains("://") || text.starts_with("unix:") {
        text.into()
    } else {
        format!("http://{text}")
    };
    if !full.starts_with("http://") && !full.starts_with("unix:") {
        return Err(Trouble::new("servers are reached by http in this version")
            .help("write `host:port` or `unix:/path`"));
    }
    ServerUrl::read(&full).map(|url| Server { host: url.host, weight: 1, in_flight_max: None })
}

fn settings(binds: Vec<BindAddress>, servers: Vec<Server>, source: Arc<Source>) -> Settings {
    let mut listener: Listener = default_listener();
    if !binds.is_empty() {
        listener.binds = binds;
    }
    let route = Route {
        name: "/*".into(),
        matcher: Matcher::default(),
        action: Action::Forward { backend: BackendIndex(0), rewrite: Rewrite::default() },
        request_edits: Edits::default().into(),
        response_edits: Edits::default().into(),
        timeouts: Timeouts::default(),
        rate_limit: None,
        in_flight_max: None,
        limits: MessageLimits::default(),
    };
    Settings {
        workers: None,
        driver: DriverChoice::Auto,
        grace: grace(None),
        trusted_proxies: Vec::new(),
        access_log: Some(default_access_log()),
        listeners: vec![listener],
        limits: MessageLimits::default(),
        timeouts: Timeouts::default(),
        routes: Arc::new(RouteTable::new(vec![route])),
        backends: vec![BackendSettings::new("default".into(), servers)],
        admin: Some(default_admin()),
        unsupported: Vec::new(),
        warnings: Problems::default(),
        source,
    }
}
