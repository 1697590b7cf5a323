//! Backends: their servers, their strategy, who uses them.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{Notes, Place, fleet, health, limits};
use crate::config::leaf::address::{Scheme, ServerUrl};
use crate::config::problem::Problem;
use crate::config::raw::{self, BackendKeys};
use crate::config::settings::{
    AffinitySettings, BackendSettings, PANIC_THRESHOLD_DEFAULT, Server, StickySettings,
};
use crate::config::{closest, quoted};
use crate::logic::balance::Strategy;
use crate::logic::balance::key::HashKey;
use crate::logic::limits::{BACKENDS_MAX, NODES_MAX, STICKY_SECRET_BYTES_MIN};
use crate::logic::proxy_protocol::Version;
use crate::logic::route::BackendIndex;

/// The backends of a file, those that routes carry too.
pub(super) struct Backends {
    pub(super) finished: Vec<BackendSettings>,
    /// By `BackendIndex`: where each is named, and what is known of its use.
    known: Vec<Known>,
    by_name: HashMap<Arc<str>, usize>,
    /// The file has backends that could not be read: a name that is not found may be one of them.
    incomplete: bool,
}

struct Known {
    name: Range<usize>,
    used: bool,
    /// A server that speaks no HTTP, with its place.
    not_http: Option<(Scheme, Range<usize>)>,
    /// Where `send_proxy_protocol` stands.
    proxy_header: Option<Range<usize>>,
    /// A server that takes no datagrams, with its place.
    not_udp: Option<Range<usize>>,
}

impl Backends {
    pub(super) fn read(file: &raw::File, root: &Place<'_>, notes: &mut Notes) -> Self {
        let place = root.key("backends");
        let mut backends = Self {
            finished: Vec::new(),
            known: Vec::new(),
            by_name: HashMap::new(),
            incomplete: place.is_broken(),
        };
        for (name, raw) in file.backends.iter().flatten().take(BACKENDS_MAX) {
            let place = place.key(name);
            notes.check_name("backend", name, &place);
            backends.add(name.as_str().into(), raw.backend_keys(), &place, notes);
        }
        backends.incomplete |= backends.finished.len() < place.entries();
        if file.backends.as_ref().is_some_and(|all| all.len() > BACKENDS_MAX) {
            notes.error(
                &place,
                format!("there are more than {BACKENDS_MAX} backends"),
                "split the file over several processes",
            );
        }
        backends
    }

    /// A backend that a route carries.
    pub(super) fn add_inline(
        &mut self,
        name: Arc<str>,
        keys: BackendKeys<'_>,
        place: &Place<'_>,
        notes: &mut Notes,
    ) -> BackendIndex {
        let index = self.add(name, keys, place, notes);
        self.use_http(index, notes);
        self.index(index)
    }

    /// The backend that a route names.
    pub(super) fn named(&mut self, name: &str, place: &Place<'_>, notes: &mut Notes) -> Option<BackendIndex> {
        match self.by_name.get(name).copied() {
            Some(index) => {
                self.use_http(index, notes);
                Some(self.index(index))
            }
            None => {
                if !self.incomplete {
                    notes.problem(self.unknown(name, Problem::error(place.span.clone(), "")));
                }
                None
            }
        }
    }

    /// The backend that a tcp or udp listener names. One that is missing may still come from container labels.
    pub(super) fn named_by_listener(
        &mut self,
        name: &str,
        scheme: Scheme,
        place: &Place<'_>,
        notes: &mut Notes,
    ) {
        match self.by_name.get(name).copied() {
            Some(index) => self.use_bytes(index, scheme, notes),
            None if self.incomplete => {}
            None => notes.problem(self.unknown(name, Problem::warning(place.span.clone(), ""))),
        }
    }

    /// A backend that nobody uses is probably a name that was changed at one place alone.
    pub(super) fn check_use(&self, notes: &mut Notes) {
        for (known, backend) in self.known.iter().zip(&self.finished).filter(|(known, _)| !known.used) {
            let message = format!("no route leads to the backend {}", quoted(&backend.name));
            notes.problem(
                Problem::warning(known.name.clone(), message).help("name it in a route, or remove it"),
            );
        }
    }

    fn add(&mut self, name: Arc<str>, keys: BackendKeys<'_>, place: &Place<'_>, notes: &mut Notes) -> usize {
        let index = self.finished.len();
        let (servers, not_http, not_udp) = servers(&name, keys, place, notes);
        self.by_name.insert(Arc::clone(&name), index);
        let sends = place.key("send_proxy_protocol");
        let proxy_header = keys.send_proxy_protocol.map(version);
        let proxy_place = proxy_header.map(|_| sends.key_span());
        let name_span = place.key_span();
        self.known.push(Known { name: name_span, used: false, not_http, proxy_header: proxy_place, not_udp });
        self.finished.push(BackendSettings {
            name,
            strategy: strategy(keys.strategy),
            affinity: affinity(keys, place, notes),
            servers,
            health: keys.health.map(|raw| health::probes(raw, proxy_header, &place.key("health"), notes)),
            outlier: keys.outlier.map(health::ejection),
            slow_start: keys.slow_start.map_or(Duration::ZERO, |span| span.0),
            panic_threshold: keys.panic_threshold.map_or(PANIC_THRESHOLD_DEFAULT, |share| share.0),
            retry: limits::retry(keys.retry),
            hedge: limits::hedge(keys, place, notes),
            queue: limits::queue(keys.queue),
            adaptive: limits::adaptive(keys, place, notes),
            proxy_header,
            fleet: fleet::fleet(keys, place, notes),
            fleet_in_flight_max: fleet::in_flight_max(keys),
            scale: fleet::scale(keys, place, notes),
        });
        limits::check_queue(keys, place, notes);
        health::check_readings(keys, place, notes);
        health::check_ejection(&self.finished[index], place, notes);
        index
    }

    fn index(&self, index: usize) -> BackendIndex {
        // `BACKENDS_MAX` and `ROUTES_MAX` keep a file that starts below this; one that does not is refused anyway.
        BackendIndex(u16::try_from(index).unwrap_or(u16::MAX))
    }

    fn use_http(&mut self, index: usize, notes: &mut Notes) {
        self.refuse_proxy_header(index, notes);
        let known = &mut self.known[index];
        known.used = true;
        // Said once, however many routes there are.
        if let Some((scheme, span)) = known.not_http.take() {
            let name = if scheme == Scheme::Tcp { "tcp" } else { "udp" };
            notes.problem(Problem::error(span, format!("a route leads to this `{name}://` server")).help(
                format!("routes need `http://` servers; a `protocol: {name}` listener takes this one"),
            ));
        }
    }

    /// A backend of `http` routes keeps its connections for every client.
    fn refuse_proxy_header(&mut self, index: usize, notes: &mut Notes) {
        if let Some(span) = self.known[index].proxy_header.take() {
            let message = "a route leads here, and its connections to nodes are shared by clients";
            let help = "remove it: nodes that speak HTTP learn of the client by `x-forwarded-for`";
            notes.problem(Problem::error(span, message).help(help));
        }
    }

    /// TCP reaches whatever listens on TCP, an http server too, and UDP what its url says.
    fn use_bytes(&mut self, index: usize, scheme: Scheme, notes: &mut Notes) {
        let known = &mut self.known[index];
        known.used = true;
        if scheme == Scheme::Tcp
            && let Some((Scheme::Udp, span)) = &known.not_http
        {
            let problem = Problem::error(span.clone(), "a `tcp` listener leads to this `udp://` server");
            notes.problem(problem.help("write `tcp://`, or make the listener `protocol: udp`"));
        }
        if scheme == Scheme::Udp
            && let Some(span) = known.not_udp.take()
        {
            let problem =
                Problem::error(span, "a `udp` listener leads to this server, which takes no datagrams");
            notes.problem(problem.help("write `udp://`, or make the listener `protocol: tcp`"));
        }
        let affinity = &self.finished[index].affinity;
        if affinity.sticky.is_some() || affinity.hash_key != HashKey::ClientIp {
            let message = "`sticky` and other hash keys than `client_ip` do nothing for a listener of bytes";
            let problem = Problem::warning(self.known[index].name.clone(), message);
            notes.problem(problem.help("write `strategy: consistent_hash` with `hash_key: client_ip`"));
        }
    }

    fn unknown(&self, name: &str, problem: Problem) -> Problem {
        let known = || self.by_name.keys().map(|name| &**name);
        let help = match closest(name, known()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("add it: `backends: {{ {name}: {{ servers: [...] }} }}`"),
        };
        Problem { message: format!("there is no backend {}", quoted(name)), ..problem }.help(help)
    }
}

type NotHttp = Option<(Scheme, Range<usize>)>;
type NotUdp = Option<Range<usize>>;

fn servers(
    name: &str,
    keys: BackendKeys<'_>,
    place: &Place<'_>,
    notes: &mut Notes,
) -> (Vec<Server>, NotHttp, NotUdp) {
    let list = place.key("servers");
    let mut seen: HashMap<&ServerUrl, Range<usize>> = HashMap::new();
    let (mut servers, mut not_http, mut not_udp) = (Vec::new(), None, None);
    for (index, raw) in keys.servers.iter().take(NODES_MAX).enumerate() {
        let place = list.item(index);
        let Some(url) = &raw.url else {
            notes.missing(&place, "url", "this server", "write `- url: http://10.0.0.1:8080`");
            continue;
        };
        let url_place = place.key("url");
        if let Some(before) = seen.insert(url, url_place.span.clone()) {
            notes.problem(
                Problem::error(url_place.span.clone(), "this server is listed twice")
                    .other(before, "first listed here")
                    .help("for a larger share, give one of them a `weight`"),
            );
        }
        if url.scheme != Scheme::Udp {
            not_udp = Some(url_place.span.clone());
        }
        match url.scheme {
            Scheme::Http => {}
            Scheme::Https => notes.later(&url_place, "TLS to servers is not in this version: use `http://`"),
            scheme => not_http = Some((scheme, url_place.span.clone())),
        }
        servers.push(Server {
            host: url.host.clone(),
            weight: raw.weight.unwrap_or(1),
            in_flight_max: raw.max_connections.and_then(NonZeroU32::new),
        });
    }
    let elsewhere = place.has("docker") || place.has("docker_image") || place.has("process");
    if servers.is_empty() && !elsewhere && !list.is_broken() && keys.servers.is_empty() {
        notes.problem(
            Problem::error(place.key_span(), format!("the backend {} has no servers", quoted(name)))
                .help("list them: `servers: [{ url: http://10.0.0.1:8080 }]`"),
        );
    }
    if keys.servers.len() > NODES_MAX {
        notes.error(&list, format!("there are more than {NODES_MAX} servers"), "split the backend");
    }
    (servers, not_http, not_udp)
}

fn version(header: raw::ProxyHeader) -> Version {
    match header {
        raw::ProxyHeader::V1 => Version::V1,
        raw::ProxyHeader::V2 => Version::V2,
    }
}

fn strategy(strategy: Option<raw::Strategy>) -> Strategy {
    match strategy.unwrap_or(raw::Strategy::RoundRobin) {
        raw::Strategy::RoundRobin => Strategy::RoundRobin,
        raw::Strategy::LeastConnections => Strategy::LeastConnections,
        raw::Strategy::Random => Strategy::Random,
        raw::Strategy::TwoChoices => Strategy::TwoChoices,
        raw::Strategy::PeakEwma => Strategy::PeakEwma,
        raw::Strategy::IpHash => Strategy::IpHash,
        raw::Strategy::ConsistentHash => Strategy::ConsistentHash,
        raw::Strategy::Compute => Strategy::Compute,
        raw::Strategy::First => Strategy::First,
        raw::Strategy::Prequal => Strategy::Prequal,
    }
}

fn affinity(keys: BackendKeys<'_>, place: &Place<'_>, notes: &mut Notes) -> AffinitySettings {
    if let Some(key) = keys.hash_key
        && keys.strategy != Some(raw::Strategy::ConsistentHash)
    {
        let problem = match (keys.strategy, &key.0) {
            (Some(raw::Strategy::IpHash), HashKey::ClientIp) => None,
            (Some(raw::Strategy::IpHash), _) => Some("`ip_hash` goes by the client's address alone"),
            // The written default changes nothing.
            (_, HashKey::ClientIp) => None,
            _ => Some("nothing goes by this key: the strategy does not hash"),
        };
        if let Some(problem) = problem {
            let span = place.key("hash_key").span;
            notes.problem(Problem::warning(span, problem).help("write `strategy: consistent_hash`"));
        }
    }
    AffinitySettings {
        hash_key: keys.hash_key.map_or_else(HashKey::default, |key| key.0.clone()),
        sticky: keys.sticky.and_then(|sticky| self::sticky(sticky, &place.key("sticky"), notes)),
    }
}

fn sticky(sticky: &raw::Sticky, place: &Place<'_>, notes: &mut Notes) -> Option<StickySettings> {
    if sticky.secret.as_ref().is_some_and(|secret| secret.len() < STICKY_SECRET_BYTES_MIN) {
        notes.error(
            &place.key("secret"),
            format!("the secret has fewer than {STICKY_SECRET_BYTES_MIN} bytes"),
            "for example `secret: ${STICKY_SECRET}`, and in the environment what `openssl rand -hex 32` prints",
        );
    }
    let Some(cookie) = &sticky.cookie else {
        notes.missing(place, "cookie", "`sticky`", "write `sticky: { cookie: lb }`");
        return None;
    };
    let secret = sticky.secret.as_deref().map(Box::from);
    Some(StickySettings { cookie: cookie.0.clone(), secret })
}
