//! `docker`, `docker_image`, `process` and `scale` of a backend: what its nodes are started from, and how many.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::{Notes, Place};
use crate::config::leaf::amount::{Percent, Span};
use crate::config::problem::Problem;
use crate::config::raw::{self, BackendKeys};
use crate::config::settings::{
    DEFAULT_STOP_GRACE, DockerSettings, FleetSettings, ProcessSettings, Pull, Reach,
};
use crate::logic::limits::SCALE_WINDOW_MAX;
use crate::logic::scale::{HoldSettings, Pace, ScaleSettings, Target};

const COMMAND: &str = "write `command: [\"./server\", \"--port\", \"{port}\"]`";

/// What starts the backend's nodes. `None` where nothing does, or where what is written cannot be used.
pub(super) fn fleet(
    keys: BackendKeys<'_>,
    place: &Place<'_>,
    notes: &mut Notes,
) -> Option<Arc<FleetSettings>> {
    if place.has("docker") && place.has("docker_image") {
        let help = "`docker_image` is short for `docker: { image: ... }`: keep one of them";
        notes.error(&place.key("docker_image"), "the backend has both `docker` and `docker_image`", help);
    }
    let by_docker = place.has("docker") || place.has("docker_image");
    if by_docker && place.has("process") {
        let message = "the backend has `docker` too: nodes are containers, and `process` starts none";
        let help = "keep one of them, or make it two backends";
        notes.problem(Problem::warning(place.key("process").key_span(), message).help(help));
    }
    let docker = match (keys.docker, keys.docker_image) {
        (Some(docker), _) => docker_settings(docker, &place.key("docker"), notes),
        (None, Some(image)) => image_alone(image, &place.key("docker_image"), notes),
        (None, None) => None,
    };
    let process = keys.process.and_then(|process| process_settings(process, &place.key("process"), notes));
    docker.map(FleetSettings::Docker).or(process.map(FleetSettings::Process)).map(Arc::new)
}

/// Requests that one of its nodes may have in flight; `None` is no limit. No part of what a node is started from: another
/// limit replaces no node.
pub(super) fn in_flight_max(keys: BackendKeys<'_>) -> Option<NonZeroU32> {
    let docker = keys.docker.and_then(|docker| docker.max_connections);
    docker.or(keys.process.and_then(|process| process.max_connections)).and_then(NonZeroU32::new)
}

/// How many nodes there are.
pub(super) fn scale(keys: BackendKeys<'_>, place: &Place<'_>, notes: &mut Notes) -> ScaleSettings {
    let Some(raw) = keys.scale else { return ScaleSettings::default() };
    let at = place.key("scale");
    if !place.has("docker") && !place.has("docker_image") && !place.has("process") {
        let help =
            "give the backend `docker` or `process`: servers that are listed are neither started nor stopped";
        notes.error(&at, "there is nothing to scale", help);
    }
    let default = ScaleSettings::default();
    let (min, max) = (raw.min.unwrap_or(default.min), raw.max.unwrap_or(default.max));
    if min > max {
        let key = if raw.min.is_some() { "min" } else { "max" };
        let message = format!("`min` ({min}) is larger than `max` ({max})");
        notes.error(&at.key(key), message, "raise `max`, or lower `min`");
    }
    let up = raw.up.as_ref();
    let down = raw.down.as_ref();
    let pace = |window: Option<Span>, cooldown: Option<Span>, step: Option<Percent>, or: Pace| Pace {
        window: window.map_or(or.window, |window| window.0),
        cooldown: cooldown.map_or(or.cooldown, |cooldown| cooldown.0),
        step: step.map_or(or.step, Percent::share),
    };
    let settings = ScaleSettings {
        min,
        max,
        target: raw.target.as_ref().map_or(default.target, target),
        hold: hold(raw.hold.as_ref()),
        idle: raw.idle.map_or(default.idle, |idle| idle.0),
        up: pace(
            up.and_then(|up| up.window),
            up.and_then(|up| up.cooldown),
            up.and_then(|up| up.step),
            default.up,
        ),
        down: pace(
            down.and_then(|down| down.window),
            down.and_then(|down| down.cooldown),
            down.and_then(|down| down.step),
            default.down,
        ),
    };
    for (key, pace) in [("up", settings.up), ("down", settings.down)] {
        if pace.window > SCALE_WINDOW_MAX {
            let message = format!("the window is longer than {} s", SCALE_WINDOW_MAX.as_secs());
            notes.error(
                &at.key(key).key("window"),
                message,
                "loads of an hour ago say little of the next minute",
            );
        }
    }
    settings
}

/// Where a target is given, it is the only one.
fn target(raw: &raw::Target) -> Target {
    let target = Target {
        in_flight: raw.in_flight.map(f64::from),
        rps: raw.rps.map(f64::from),
        cpu: raw.cpu.map(Percent::share),
        p99: raw.p99.map(|p99| p99.0),
    };
    if target == Target::default() { ScaleSettings::default().target } else { target }
}

fn hold(raw: Option<&raw::Hold>) -> HoldSettings {
    let default = HoldSettings::default();
    HoldSettings {
        max: raw.and_then(|hold| hold.max).unwrap_or(default.max),
        timeout: raw.and_then(|hold| hold.timeout).map_or(default.timeout, |timeout| timeout.0),
    }
}

fn docker_settings(raw: &raw::Docker, place: &Place<'_>, notes: &mut Notes) -> Option<DockerSettings> {
    let Some(image) = raw.image.as_deref() else {
        notes.missing(place, "image", "`docker`", "write `image: name:tag`");
        return None;
    };
    let mut settings = image_alone(image, &place.key("image"), notes)?;
    settings.port = raw.port;
    settings.env = pairs(raw.env.as_ref());
    settings.command = raw.command.clone().unwrap_or_default();
    settings.network = raw.network.clone().unwrap_or(settings.network);
    settings.reach = match raw.reach {
        None | Some(raw::Reach::Loopback) => Reach::Loopback,
        Some(raw::Reach::Network) => Reach::Network,
    };
    settings.cpus = raw.cpus.unwrap_or(0.0);
    settings.memory_bytes = raw.memory.map_or(0, |memory| memory.0);
    settings.pull = match raw.pull {
        None | Some(raw::Pull::Missing) => Pull::Missing,
        Some(raw::Pull::Always) => Pull::Always,
        Some(raw::Pull::Never) => Pull::Never,
    };
    settings.stop_grace = raw.stop_grace.map_or(DEFAULT_STOP_GRACE, |grace| grace.0);
    Some(settings)
}

fn image_alone(image: &str, place: &Place<'_>, notes: &mut Notes) -> Option<DockerSettings> {
    if image.is_empty() {
        notes.error(place, "the image has no name", "write `image: name:tag`");
        return None;
    }
    Some(DockerSettings {
        image: image.to_owned(),
        port: None,
        env: Vec::new(),
        command: Vec::new(),
        network: "bridge".to_owned(),
        reach: Reach::Loopback,
        cpus: 0.0,
        memory_bytes: 0,
        pull: Pull::Missing,
        stop_grace: DEFAULT_STOP_GRACE,
    })
}

fn process_settings(raw: &raw::Process, place: &Place<'_>, notes: &mut Notes) -> Option<ProcessSettings> {
    let command = raw.command.clone().unwrap_or_default();
    if command.first().is_none_or(String::is_empty) {
        if raw.command.is_some() {
            notes.error(&place.key("command"), "the command is empty", COMMAND);
        }
        notes.missing(place, "command", "`process`", COMMAND);
        return None;
    }
    let settings = ProcessSettings { command, env: pairs(raw.env.as_ref()) };
    let mut texts = settings.command.iter().chain(settings.env.iter().map(|(_, value)| value));
    if !texts.any(|text| text.contains("{port}")) {
        let help = "put `{port}` into `command` or `env`: every node listens on a port of its own";
        notes.error(&place.key("command"), "the process is never told its port", help);
    }
    Some(settings)
}

fn pairs(map: Option<&indexmap::IndexMap<String, String>>) -> Vec<(String, String)> {
    map.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}
