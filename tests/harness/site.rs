//! A site: a balancer with a configuration of the test's own, in front of origins that echo what they received.

use std::sync::Arc;

use super::balancer::{Balancer, Driver};
use super::client::Client;
use super::message::Message;
use super::origin::{Origin, ok};
use super::stage::{LISTENER, common};

/// A running balancer and its named origins.
pub(crate) struct Site {
    pub(crate) balancer: Balancer,
    pub(crate) origins: Vec<(&'static str, Origin)>,
}

/// What an origin saw of a request, as it says in its answer.
#[derive(Debug)]
pub(crate) struct Echo {
    /// The origin's name.
    pub(crate) origin: String,
    /// The request line that arrived.
    pub(crate) start: String,
    /// The fields that arrived.
    pub(crate) fields: Vec<(String, String)>,
}

impl Echo {
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }
}

impl Site {
    /// Starts one echoing origin for each name as a backend of that name, and a balancer with `config` before them.
    pub(crate) fn start(driver: Driver, names: &[&'static str], config: &str) -> Self {
        Self::start_with(driver, names, LISTENER, config)
    }

    /// As [`Self::start`], with listeners of the test's own.
    pub(crate) fn start_with(driver: Driver, names: &[&'static str], listeners: &str, config: &str) -> Self {
        let origins: Vec<_> = names.iter().map(|name| (*name, Origin::start(naming(name)))).collect();
        let backends: String = origins
            .iter()
            .map(|(name, o)| format!("  {name}: {{ servers: [{{ url: \"http://{}\" }}] }}\n", o.address()))
            .collect();
        let text = format!("{}{listeners}{config}\nbackends:\n{backends}", common(driver));
        Self { balancer: Balancer::start(&text), origins }
    }

    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.balancer.address(), "site.test")
    }

    /// Sends a request on a connection of its own and reads the final response.
    #[track_caller]
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> Message {
        let request = request.as_ref();
        let method =
            String::from_utf8_lossy(request.split(|b| *b == b' ').next().unwrap_or(b"")).into_owned();
        self.client().send(request).response_to(&method)
    }

    /// A GET of a path on a host: what the origin saw.
    #[track_caller]
    pub(crate) fn echo(&self, host: &str, path: &str) -> Echo {
        let answer = self.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status(), 200, "{path}: {answer:?}");
        echo(&answer)
    }

    /// The name of the origin that a GET of a path on a host reaches.
    #[track_caller]
    pub(crate) fn reaches(&self, host: &str, path: &str) -> String {
        self.echo(host, path).origin
    }

    /// The status and reason of a GET that reaches nobody.
    #[track_caller]
    pub(crate) fn fails(&self, host: &str, path: &str) -> (u16, String) {
        let answer = self.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        (answer.status(), answer.field("x-plimsoll-reason").unwrap_or("").to_owned())
    }
}

/// Reads what an origin of a site says that it saw.
#[track_caller]
pub(crate) fn echo(answer: &Message) -> Echo {
    let text = answer.text();
    let mut lines = text.lines();
    let start = lines.next().unwrap_or("").to_owned();
    let fields =
        lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    Echo { origin: answer.field("x-origin").unwrap_or("nobody").to_owned(), start, fields }
}

fn naming(name: &'static str) -> super::origin::Script {
    Arc::new(move |c| {
        while let Some(request) = c.request() {
            let fields: String = request.fields.iter().map(|(n, v)| format!("{n}: {v}\n")).collect();
            let body = format!("{}\n{fields}", request.start);
            let whole = ok(&body).replacen("\r\n", &format!("\r\nX-Origin: {name}\r\nServer: origin\r\n"), 1);
            let end =
                if request.method() == "HEAD" { whole.find("\r\n\r\n").unwrap() + 4 } else { whole.len() };
            c.send(&whole[..end]);
        }
    })
}

/// Cases on a site that `$site(driver)` gives: each becomes a module of its name with one test for each driver.
macro_rules! site_cases {
    ($site:path; $(fn $name:ident($at:ident) $body:block)*) => {
        $(mod $name {
            #[allow(unused_imports, reason = "not every case needs what its file imports")]
            use super::*;
            fn case(driver: $crate::harness::balancer::Driver) {
                if $crate::harness::stage::is_skipped(stringify!($name), driver) {
                    return;
                }
                let $at = $site(driver);
                $body
            }
            #[test]
            fn io_uring() { case($crate::harness::balancer::Driver::IoUring); }
            #[test]
            fn epoll() { case($crate::harness::balancer::Driver::Epoll); }
        })*
    };
}
pub(crate) use site_cases;
