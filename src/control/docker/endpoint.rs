//! Where the engine listens: `DOCKER_HOST`, the socket of the system, of a rootless engine, of podman.

use std::fmt;

use crate::control::fleet::{EngineError, EngineFault};

/// An address of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket.
    Unix(String),
    /// `host:port`, without TLS.
    Tcp(String),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{path}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// Where the system's engine listens.
const SYSTEM: &str = "/var/run/docker.sock";
/// Any of these asks for TLS.
const TLS: [&str; 3] = ["DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_TLS"];
/// What `DOCKER_HOST` may be.
const CURE: &str =
    "write `unix:///path/to/docker.sock` or `tcp://host:port`, or unset it for the engine of this machine";

/// The engine to use: that of `DOCKER_HOST`, where it is set, and no other; else the first place where one listens, and
/// where there is none, the place where one is expected.
pub fn choose(
    variable: impl Fn(&str) -> Option<String>,
    exists: impl Fn(&str) -> bool,
) -> Result<Endpoint, EngineError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(host) = set("DOCKER_HOST") {
        let endpoint = parse(&host)?;
        let tls = TLS.into_iter().find(|name| set(name).is_some());
        return match (&endpoint, tls) {
            (Endpoint::Tcp(_), Some(name)) => Err(no_tls(&host, name)),
            _ => Ok(endpoint),
        };
    }
    let mut places = vec![SYSTEM.to_owned()];
    if let Some(run) = set("XDG_RUNTIME_DIR") {
        places.push(format!("{run}/docker.sock"));
        places.push(format!("{run}/podman/podman.sock"));
    }
    if let Some(home) = set("HOME") {
        places.push(format!("{home}/.docker/run/docker.sock"));
    }
    places.push("/run/podman/podman.sock".to_owned());
    let found = places.into_iter().find(|path| exists(path));
    Ok(Endpoint::Unix(found.unwrap_or_else(|| SYSTEM.to_owned())))
}

fn parse(host: &str) -> Result<Endpoint, EngineError> {
    match host.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(Endpoint::Unix(path.to_owned())),
        Some(("tcp" | "http", address)) if !address.trim_matches('/').is_empty() => {
            Ok(Endpoint::Tcp(address.trim_end_matches('/').to_owned()))
        }
        Some(("ssh", there)) => {
            let there = there.trim_end_matches('/');
            let cure = format!(
                "lead a socket there (`ssh -nNT -L /run/engine.sock:{SYSTEM} {there}`) and write `unix:///run/engine.sock`"
            );
            Err(refused(
                format!("DOCKER_HOST is `{host}`: an engine cannot be reached by ssh from here"),
                cure,
            ))
        }
        Some(("https", _)) => Err(refused(format!("DOCKER_HOST is `{host}`: {NO_TLS}"), tls_cure(""))),
        _ => {
            Err(refused(format!("DOCKER_HOST is `{host}`, which is no place of an engine"), CURE.to_owned()))
        }
    }
}

const NO_TLS: &str =
    "TLS to an engine is not supported, and without it everybody on the way could start containers there";

/// Whoever asks for TLS does not get plain text in its place.
fn no_tls(host: &str, name: &str) -> EngineError {
    let cure = tls_cure(&format!(", or unset {name} where plain text is what you want"));
    refused(format!("DOCKER_HOST is `{host}` and {name} is set: {NO_TLS}"), cure)
}

fn tls_cure(or: &str) -> String {
    format!("lead a unix socket there (ssh -L, stunnel) and name that one in DOCKER_HOST{or}")
}

/// Nothing that is started again by itself: the environment is read once.
fn refused(message: String, cure: String) -> EngineError {
    EngineError::new(EngineFault::Down, message, cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)], there: &[&str]) -> Result<String, EngineError> {
        let find = |name: &str| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        };
        choose(find, |path| there.contains(&path)).map(|endpoint| endpoint.to_string())
    }

    #[test]
    fn docker_host_goes_before_everything() {
        let found = with(&[("DOCKER_HOST", "unix:///tmp/d.sock"), ("HOME", "/root")], &[SYSTEM]);
        assert_eq!(found.unwrap(), "unix:///tmp/d.sock");
        let tcp = with(&[("DOCKER_HOST", "tcp://127.0.0.1:2375/")], &[]);
        assert_eq!(tcp.unwrap(), "tcp://127.0.0.1:2375");
        assert_eq!(with(&[("DOCKER_HOST", "")], &[]).unwrap(), format!("unix://{SYSTEM}"));
    }

    #[test]
    fn a_host_that_cannot_be_used_is_named_with_what_can_and_no_other_engine_is_taken() {
        for (host, cure) in [
            ("ssh://root@there", "ssh -nNT -L /run/engine.sock:/var/run/docker.sock root@there"),
            ("https://there:2376", "lead a unix socket there"),
            ("npipe:////./pipe/docker_engine", "tcp://host:port"),
            ("unix://docker.sock", "unix:///path/to/docker.sock"),
            ("tcp://", "tcp://host:port"),
            ("there:2375", "tcp://host:port"),
        ] {
            let error = with(&[("DOCKER_HOST", host)], &[SYSTEM]).unwrap_err();
            assert!(
                error.is_outage() && error.message.contains(&format!("DOCKER_HOST is `{host}`")),
                "{error}"
            );
            assert!(error.cure.contains(cure), "{error}");
        }
    }

    #[test]
    fn whoever_asks_for_tls_gets_no_plain_text() {
        for name in TLS {
            let error = with(&[("DOCKER_HOST", "tcp://there:2376"), (name, "1")], &[]).unwrap_err();
            assert!(error.message.contains(name) && error.message.contains("TLS"), "{error}");
            assert!(error.cure.contains(&format!("unset {name}")), "{error}");
            assert!(with(&[("DOCKER_HOST", "unix:///s"), (name, "1")], &[]).is_ok(), "a socket needs none");
            assert!(
                with(&[("DOCKER_HOST", "tcp://there:2375"), (name, "")], &[]).is_ok(),
                "empty is not set"
            );
        }
    }

    #[test]
    fn rootless_and_podman_are_looked_for_too() {
        let home = [("XDG_RUNTIME_DIR", "/run/user/1000"), ("HOME", "/home/a")];
        for there in [
            "/var/run/docker.sock",
            "/run/user/1000/docker.sock",
            "/run/user/1000/podman/podman.sock",
            "/home/a/.docker/run/docker.sock",
            "/run/podman/podman.sock",
        ] {
            assert_eq!(with(&home, &[there]).unwrap(), format!("unix://{there}"));
        }
        assert_eq!(with(&home, &[]).unwrap(), format!("unix://{SYSTEM}"), "where one is expected");
        let both = ["/run/podman/podman.sock", "/run/user/1000/docker.sock"];
        assert_eq!(with(&home, &both).unwrap(), "unix:///run/user/1000/docker.sock");
    }
}
