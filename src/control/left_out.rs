//! Containers that ask to join a backend that takes none: each is told once why, and what to do about it.

use std::collections::HashMap;

use super::fleet::{Unit, UnitId};
use crate::config::Settings;
use crate::config::settings::FleetSettings;

/// What was told of whom, by the engine that has it.
#[derive(Debug, Default)]
pub(super) struct LeftOut(HashMap<(usize, UnitId), String>);

impl LeftOut {
    /// Why this unit is left out, unless that was told before.
    pub(super) fn tell(&mut self, engine: usize, unit: &Unit, settings: &Settings) -> Option<String> {
        let text = format!("container {} is left out: {}", unit.id, reason(unit, settings));
        let before = self.0.insert((engine, unit.id.clone()), text.clone());
        (before.as_ref() != Some(&text)).then_some(text)
    }

    /// Forgets those that an engine does not have any more.
    pub(super) fn keep(&mut self, engine: usize, units: &[Unit]) {
        if !self.0.is_empty() {
            self.0.retain(|(of, id), _| *of != engine || units.iter().any(|unit| unit.id == *id));
        }
    }
}

fn reason(unit: &Unit, settings: &Settings) -> String {
    let name = &unit.backend;
    let backend = settings.backends.iter().find(|backend| backend.name == *name);
    match backend.map(|backend| backend.fleet.as_deref()) {
        None => format!(
            "the configuration has no backend `{name}`: correct its label `plimsoll.backend`, or add the backend (where no \
             other balancer on this engine has it)"
        ),
        Some(None) => format!(
            "the backend `{name}` exists, and has no `docker_image` (or `docker`) with `scale`; containers can join only \
             backends that do: give it those, or correct the container's label `plimsoll.backend`"
        ),
        Some(Some(FleetSettings::Process(_))) => format!(
            "the nodes of the backend `{name}` are processes (`process`); containers can join only backends with \
             `docker_image` (or `docker`): correct the container's label `plimsoll.backend`"
        ),
        // Its fleet is about to begin.
        Some(Some(FleetSettings::Docker(_))) => {
            format!("the fleet of the backend `{name}` has not begun yet: it is looked at again by itself")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let text = "routes: [{ path: /*, backend: static }]\nbackends:\n  static: { servers: [{ url: 'http://1.1.1.1' }] }\n  \
                    local: { process: { command: [x, '{port}'] }, scale: { max: 2 } }\n";
        crate::config::parse(text, "plimsoll.yaml", &|_| None).unwrap()
    }

    fn unit(backend: &str) -> Unit {
        Unit {
            id: UnitId("0123456789abcdef".into()),
            backend: backend.into(),
            fingerprint: "".into(),
            address: None,
            door: None,
            running: true,
            ours: false,
            weight: 1,
            image: None,
        }
    }

    #[test]
    fn each_is_told_once_what_its_backend_lacks() {
        let (mut out, settings) = (LeftOut::default(), settings());
        for (backend, words) in [
            ("static", "the backend `static` exists, and has no `docker_image`"),
            ("local", "the nodes of the backend `local` are processes"),
            ("nobody", "the configuration has no backend `nobody`"),
        ] {
            let text = out.tell(0, &unit(backend), &settings).unwrap();
            assert!(
                text.starts_with("container 0123456789ab is left out: ") && text.contains(words),
                "{text}"
            );
            assert_eq!(out.tell(0, &unit(backend), &settings), None, "once");
        }
        // One that went and came back is told again.
        out.keep(1, &[]);
        assert_eq!(out.tell(0, &unit("nobody"), &settings), None, "another engine does not speak of it");
        out.keep(0, &[]);
        assert!(out.tell(0, &unit("nobody"), &settings).is_some());
    }
}
