//! How a backend's nodes are started and scaled, as JSON under the keys of the file.

use serde_json::{Map, Value, json};

use super::{WITHHELD, duration};
use crate::config::settings::{DockerSettings, FleetSettings, ProcessSettings, Pull, Reach};
use crate::logic::scale::{Pace, ScaleSettings};

/// `docker` or `process`: the key, and what stands below it.
pub(super) fn engine(fleet: &FleetSettings) -> (&'static str, Value) {
    match fleet {
        FleetSettings::Docker(settings) => ("docker", docker(settings)),
        FleetSettings::Process(settings) => ("process", process(settings)),
    }
}

fn docker(settings: &DockerSettings) -> Value {
    json!({
        "image": settings.image,
        "port": settings.port,
        "env": env(&settings.env),
        "command": command(&settings.command),
        "network": settings.network,
        "reach": match settings.reach {
            Reach::Loopback => "loopback",
            Reach::Network => "network",
        },
        "cpus": settings.cpus,
        "memory": settings.memory_bytes,
        "pull": match settings.pull {
            Pull::Missing => "missing",
            Pull::Always => "always",
            Pull::Never => "never",
        },
        "stop_grace": duration(settings.stop_grace),
    })
}

fn process(settings: &ProcessSettings) -> Value {
    json!({ "command": command(&settings.command), "env": env(&settings.env) })
}

/// The program; operators put credentials into what follows.
fn command(words: &[String]) -> Vec<&str> {
    words.iter().enumerate().map(|(at, word)| if at == 0 { word } else { WITHHELD }).collect()
}

fn env(variables: &[(String, String)]) -> Map<String, Value> {
    variables.iter().map(|(name, _)| (name.clone(), json!(WITHHELD))).collect()
}

pub(super) fn scale(scale: &ScaleSettings) -> Value {
    let target = scale.target;
    json!({
        "min": scale.min,
        "max": scale.max,
        "target": {
            "in_flight": target.in_flight,
            "rps": target.rps,
            "cpu": target.cpu.map(|share| format!("{}%", (share * 10_000.0).round() / 100.0)),
            "p99": target.p99.map(duration),
        },
        "hold": { "max": scale.hold.max, "timeout": duration(scale.hold.timeout) },
        "idle": duration(scale.idle),
        "up": pace(scale.up),
        "down": pace(scale.down),
    })
}

fn pace(pace: Pace) -> Value {
    json!({ "window": duration(pace.window), "cooldown": duration(pace.cooldown), "step": pace.step })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_withheld() {
        let file = "routes: [{ path: /*, backend: api }]\nbackends: { api: { docker: { image: \"app:1\", env: { TOKEN: hunter2 }, \
                    command: [serve, hunter2], cpus: 0.5 }, scale: { min: 0, max: 3, target: { cpu: 60%, p99: 50ms } } } }\n";
        let settings = crate::config::parse(file, "plimsoll.yaml", &|_| None).unwrap();
        let backend = &settings.backends[0];
        let (name, docker) = engine(backend.fleet.as_ref().unwrap());
        assert_eq!((name, &docker["image"], &docker["cpus"]), ("docker", &json!("app:1"), &json!(0.5)));
        assert_eq!((&docker["command"], &docker["pull"]), (&json!(["serve", WITHHELD]), &json!("missing")));
        let scale = scale(&backend.scale);
        assert_eq!(scale["target"], json!({ "in_flight": null, "rps": null, "cpu": "60%", "p99": "50ms" }));
        assert!(!docker.to_string().contains("hunter2"));
    }
}
