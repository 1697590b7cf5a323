//! Routes: what each matches, the one thing it does, and that no two are the same.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use indexmap::IndexMap;

use super::backends::Backends;
use super::limits::rate_limit;
use super::listeners::Listeners;
use super::process::merged;
use super::{Notes, Place};
use crate::config::leaf::http::{FieldName, FieldValue, field_name};
use crate::config::leaf::{Leaf, Trouble};
use crate::config::problem::Problem;
use crate::config::quoted;
use crate::config::raw;
use crate::config::schema::schema;
use crate::logic::limits::{
    EDITS_BYTES_CEILING, FIELDS_CEILING, LISTENERS_MAX, MessageLimits, RESPOND_BODY_BYTES_MAX, ROUTES_MAX,
    Timeouts,
};
use crate::logic::route::{Action, Edits, HostPattern, ListenerIndex, Matcher, PathPattern, Rewrite, Route};

/// Reads them all.
pub(super) fn read(
    file: &raw::File,
    root: &Place<'_>,
    defaults: (MessageLimits, Timeouts),
    listeners: &Listeners,
    backends: &mut Backends,
    notes: &mut Notes,
) -> Vec<Route> {
    let place = root.key("routes");
    let raw = file.routes.as_deref().unwrap_or_default();
    if raw.is_empty() && listeners.speaks_http() && !place.is_broken() && !place.has_broken_items() {
        notes.problem(
            Problem { span: place.name.clone(), ..Problem::general("there are no routes") }
                .help("say where requests go: `routes: [{ path: /*, backend: NAME }]`"),
        );
    }
    if raw.len() > ROUTES_MAX {
        notes.error(
            &place,
            format!("there are more than {ROUTES_MAX} routes"),
            "use prefixes (`/api/*`), or split the file",
        );
        return Vec::new();
    }
    let mut reader =
        Reader { defaults, listeners, backends, notes, seen: HashMap::new(), names: HashMap::new() };
    raw.iter().enumerate().filter_map(|(index, raw)| reader.route(raw, &place.item(index))).collect()
}

struct Reader<'a> {
    defaults: (MessageLimits, Timeouts),
    listeners: &'a Listeners,
    backends: &'a mut Backends,
    notes: &'a mut Notes,
    /// Where each combination of conditions was written first.
    seen: HashMap<Conditions, Range<usize>>,
    /// Names that are taken, and how many routes share one but for a number behind it.
    names: HashMap<String, usize>,
}

/// All that a route matches by, in an order of its own: two routes with the same are one too many.
type Conditions = (HostPattern, PathPattern, Vec<Box<str>>, Vec<(Box<str>, Box<str>)>, Option<Vec<u16>>);

impl Reader<'_> {
    fn route(&mut self, raw: &raw::Route, place: &Place<'_>) -> Option<Route> {
        let matcher = self.matcher(raw, place);
        self.check_twice(&matcher, place);
        let name = self.name(&matcher);
        let action = self.action(raw, &name, place);
        let forwards = matches!(action, Some(Action::Forward { .. }) | None);
        self.check_useless(place, forwards);
        let in_flight_max = raw.max_in_flight.and_then(NonZeroU32::new);
        self.check_in_flight(in_flight_max, forwards, place);
        self.check_timeouts(place);
        let request_edits = self.edits(raw.request_headers.as_ref(), &place.key("request_headers"));
        let response_edits = self.edits(raw.response_headers.as_ref(), &place.key("response_headers"));
        let (limits, timeouts) = self.defaults;
        let timeouts = merged(timeouts, raw.timeouts.as_ref());
        let rate_limit = rate_limit(raw.rate_limit.as_ref(), &place.key("rate_limit"), self.notes);
        let action = action?;
        Some(Route {
            name,
            matcher,
            action,
            request_edits: request_edits.into(),
            response_edits: response_edits.into(),
            timeouts,
            rate_limit,
            in_flight_max,
            limits,
        })
    }

    fn matcher(&mut self, raw: &raw::Route, place: &Place<'_>) -> Matcher {
        Matcher {
            host: raw.host.as_ref().map_or(HostPattern::Any, |host| host.0.clone()),
            path: raw.path.as_ref().map_or(PathPattern::default(), |path| path.0.clone()),
            methods: raw.methods.iter().flatten().map(|method| method.0.clone()).collect(),
            fields: self.fields(raw.headers.as_ref(), &place.key("headers"), field_name),
            listeners: self.listeners(raw, &place.key("listeners")),
        }
    }

    fn listeners(&mut self, raw: &raw::Route, place: &Place<'_>) -> Option<Vec<ListenerIndex>> {
        let names = raw.listeners.as_ref()?;
        if names.is_empty() && !place.has_broken_items() {
            let help = "remove the key for every http listener, or name one";
            self.notes.error(place, "the route belongs to no listener", help);
        }
        let named = names.iter().take(LISTENERS_MAX).enumerate();
        Some(
            named
                .filter_map(|(index, name)| self.listeners.named(name, &place.item(index), self.notes))
                .collect(),
        )
    }

    /// Fields by name, in lower case; two spellings of one name are one name.
    fn fields(
        &mut self,
        raw: Option<&IndexMap<String, FieldValue>>,
        place: &Place<'_>,
        read_name: impl Fn(&str) -> Result<Box<str>, Trouble>,
    ) -> Vec<(Box<str>, Box<str>)> {
        let mut fields: Vec<(Box<str>, Box<str>)> = Vec::new();
        let mut names: HashMap<Box<str>, Range<usize>> = HashMap::new();
        if raw.is_some_and(|raw| raw.len() > FIELDS_CEILING) {
            let message = format!("these are more than {FIELDS_CEILING} fields, which no message may have");
            self.notes.error(place, message, "remove some");
            return fields;
        }
        for (name, value) in raw.into_iter().flatten() {
            let span = place.key(name).key_span();
            match read_name(name) {
                Ok(lower) => {
                    if let Some(before) = names.insert(lower.clone(), span.clone()) {
                        self.notes.problem(
                            Problem::error(span, format!("the field {} is given twice", quoted(&lower)))
                                .other(before, "first given here")
                                .help("names of fields have no case: keep one of them"),
                        );
                    }
                    fields.push((lower, value.0.clone()));
                }
                Err(trouble) => {
                    let problem = Problem::error(span, trouble.message);
                    self.notes.problem(Problem { help: trouble.help, ..problem });
                }
            }
        }
        fields
    }

    fn edits(&mut self, raw: Option<&raw::Edits>, place: &Place<'_>) -> Edits {
        let Some(raw) = raw else { return Edits::default() };
        let editable = |name: &str| FieldName::read(name).map(|name| name.0);
        let edits = Edits {
            remove: raw.remove.iter().flatten().map(|name| name.0.clone()).collect(),
            set: self.fields(raw.set.as_ref(), &place.key("set"), editable),
            add: self.fields(raw.add.as_ref(), &place.key("add"), editable),
        };
        // A field line is a name, `: `, a value and CRLF.
        let bytes: usize =
            edits.set.iter().chain(&edits.add).map(|(name, value)| name.len() + value.len() + 4).sum();
        if bytes > EDITS_BYTES_CEILING {
            let message = format!("these edits add {bytes} bytes to a head, more than {EDITS_BYTES_CEILING}");
            self.notes.error(place, message, "shorten the values");
        }
        edits
    }

    fn check_twice(&mut self, matcher: &Matcher, place: &Place<'_>) {
        // A condition that could not be read would be taken for none.
        let conditions_of = ["host", "path", "methods", "headers", "listeners"];
        let broken = |place: Place<'_>| place.is_broken() || place.has_broken_items();
        if conditions_of.iter().any(|key| broken(place.key(key))) {
            return;
        }
        if let Some(before) = self.seen.get(&conditions(matcher)) {
            let problem =
                Problem::error(place.span.clone(), "this route matches the same requests as another");
            self.notes.problem(problem.other(before.clone(), "this one takes them all").help(
                "remove one of them, or give this one a condition of its own: `host`, `path`, `methods`, `headers` or `listeners`",
            ));
            return;
        }
        self.seen.insert(conditions(matcher), place.span.clone());
    }

    /// What logs and metrics call the route: its host and path, its methods where others share those.
    fn name(&mut self, matcher: &Matcher) -> Arc<str> {
        let plain = format!("{}{}", matcher.host, matcher.path);
        let with_methods = format!("{plain} {}", matcher.methods.join(","));
        for name in [&*plain, with_methods.trim_end()] {
            if !self.names.contains_key(name) {
                self.names.insert(name.into(), 1);
                return name.into();
            }
        }
        let same = self.names.entry(plain.clone()).or_default();
        *same += 1;
        format!("{plain} #{same}").into()
    }

    /// The one thing that the route does; `None` where it could not be read, which has been said.
    fn action(&mut self, raw: &raw::Route, name: &Arc<str>, place: &Place<'_>) -> Option<Action> {
        let inline = inline_keys().iter().find(|key| place.has(key));
        let named = ["backend", "redirect", "respond"].iter().filter(|key| place.has(key));
        let ways: Vec<_> = named.chain(inline).copied().collect();
        match ways[..] {
            ["backend"] => self.forward(raw, place),
            ["redirect"] => self.redirect(raw.redirect.as_ref()?, &place.key("redirect")),
            ["respond"] => self.respond(raw.respond.as_ref()?, &place.key("respond")),
            [_] => self.forward_inline(raw, name, place),
            [] => {
                let help = "add `backend: NAME`, `servers: [...]`, `redirect` or `respond`";
                self.notes.error(place, "this route leads nowhere", help);
                None
            }
            [first, second, ..] => {
                let help = match (first, inline) {
                    ("backend", Some(_)) => {
                        format!("move `{second}` to the backend that the route names, or remove `backend`")
                    }
                    _ => "keep one of them".into(),
                };
                let span = place.key(second).key_span();
                self.notes.problem(
                    Problem::error(span, format!("a route has either `{first}` or `{second}`"))
                        .other(place.key(first).key_span(), "the other one is here")
                        .help(help),
                );
                None
            }
        }
    }

    fn forward(&mut self, raw: &raw::Route, place: &Place<'_>) -> Option<Action> {
        let backend = self.backends.named(raw.backend.as_deref()?, &place.key("backend"), self.notes)?;
        Some(Action::Forward { backend, rewrite: rewrite(raw) })
    }

    fn forward_inline(&mut self, raw: &raw::Route, name: &Arc<str>, place: &Place<'_>) -> Option<Action> {
        let backend = self.backends.add_inline(Arc::clone(name), raw.backend_keys(), place, self.notes);
        Some(Action::Forward { backend, rewrite: rewrite(raw) })
    }

    fn redirect(&mut self, raw: &raw::Redirect, place: &Place<'_>) -> Option<Action> {
        let status = raw.status.unwrap_or(308);
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            let help = "301, 308 for ever; 302, 307 for now; 303 to go on with GET";
            self.notes.error(&place.key("status"), format!("{status} is not a status of a redirect"), help);
        }
        let Some(to) = &raw.to else {
            self.notes.missing(place, "to", "`redirect`", "write `to: \"https://example.com{path}\"`");
            return None;
        };
        Some(Action::Redirect { to: to.0.clone(), status })
    }

    fn respond(&mut self, raw: &raw::Respond, place: &Place<'_>) -> Option<Action> {
        let status = raw.status.unwrap_or(200);
        let body = raw.body.as_deref().unwrap_or_default();
        let at = place.key("body");
        if body.len() > RESPOND_BODY_BYTES_MAX {
            let message = format!("the body has more than {} KiB", RESPOND_BODY_BYTES_MAX >> 10);
            self.notes.error(&at, message, "let a server answer with it");
        }
        if matches!(status, 204 | 205 | 304) && !body.is_empty() {
            self.notes.error(
                &at,
                format!("a {status} has no body (RFC 9110, 15)"),
                "remove `body`, or take another status",
            );
        }
        Some(Action::Respond { status, body: Bytes::copy_from_slice(body.as_bytes()) })
    }

    /// What would do nothing is a misunderstanding.
    fn check_useless(&mut self, place: &Place<'_>, forwards: bool) {
        let useless = ["rewrite", "request_headers"].into_iter().filter(|key| !forwards && place.has(key));
        for key in useless {
            let message = format!("`{key}` does nothing here: the route sends no request to a node");
            self.notes.problem(Problem::error(place.key(key).key_span(), message).help("remove it"));
        }
    }

    /// What the balancer answers by itself is in flight for no time.
    fn check_in_flight(&mut self, max: Option<NonZeroU32>, forwards: bool, place: &Place<'_>) {
        if max.is_some() && !forwards {
            let message = "`max_in_flight` does nothing here: the route sends no request to a node";
            let problem = Problem::error(place.key("max_in_flight").key_span(), message);
            self.notes.problem(problem.help("remove it, or limit it with `rate_limit`"));
        }
    }

    fn check_timeouts(&mut self, place: &Place<'_>) {
        let place = place.key("timeouts");
        for key in ["client_head", "client_idle", "udp_idle"].into_iter().filter(|key| place.has(key)) {
            let message = format!("`{key}` is over before a route is known");
            self.notes.error(&place.key(key), message, "set it in the `timeouts` of the whole file");
        }
    }
}

fn rewrite(raw: &raw::Route) -> Rewrite {
    let Some(raw) = &raw.rewrite else { return Rewrite::default() };
    Rewrite {
        strip_prefix: raw.strip_prefix.as_ref().and_then(|prefix| prefix.0.clone()),
        add_prefix: raw.add_prefix.as_ref().and_then(|prefix| prefix.0.clone()),
        host: raw.host.as_ref().map(|host| host.0.clone()),
    }
}

/// The keys of a backend, which a route may carry itself.
fn inline_keys() -> &'static [&'static str] {
    static KEYS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let keys = schema().pointer("/$defs/Backend/properties").and_then(|keys| keys.as_object());
        keys.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    });
    &KEYS
}

fn conditions(matcher: &Matcher) -> Conditions {
    let mut methods = matcher.methods.clone();
    methods.sort();
    methods.dedup();
    let mut fields = matcher.fields.clone();
    fields.sort();
    let listeners = matcher.listeners.as_ref().map(|listeners| {
        let mut listeners: Vec<_> = listeners.iter().map(|listener| listener.0).collect();
        listeners.sort_unstable();
        listeners.dedup();
        listeners
    });
    (matcher.host.clone(), matcher.path.clone(), methods, fields, listeners)
}
