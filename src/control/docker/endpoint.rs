//! Where the engine listens: `DOCKER_HOST`, the socket of the system, of a rootless engine, of podman.

use std::fmt;

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

/// The places to look at, the first that exists is it. `DOCKER_HOST` is the only one where it is set; an error where
/// it says what cannot be spoken.
pub fn candidates(variable: impl Fn(&str) -> Option<String>) -> Result<Vec<Endpoint>, String> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(host) = set("DOCKER_HOST") {
        return parse(&host).map(|endpoint| vec![endpoint]);
    }
    let mut paths = vec!["/var/run/docker.sock".to_owned()];
    if let Some(run) = set("XDG_RUNTIME_DIR") {
        paths.push(format!("{run}/docker.sock"));
        paths.push(format!("{run}/podman/podman.sock"));
    }
    if let Some(home) = set("HOME") {
        paths.push(format!("{home}/.docker/run/docker.sock"));
    }
    paths.push("/run/podman/podman.sock".to_owned());
    Ok(paths.into_iter().map(Endpoint::Unix).collect())
}

fn parse(host: &str) -> Result<Endpoint, String> {
    let cure = "write `unix:///path/to/docker.sock` or `tcp://host:port`";
    match host.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(Endpoint::Unix(path.to_owned())),
        Some(("tcp" | "http", address)) if !address.is_empty() => {
            Ok(Endpoint::Tcp(address.trim_end_matches('/').to_owned()))
        }
        _ => Err(format!("DOCKER_HOST is `{host}`: {cure}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let find = |name: &str| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        };
        candidates(find).map(|found| found.iter().map(Endpoint::to_string).collect())
    }

    #[test]
    fn docker_host_goes_before_everything() {
        let found = with(&[("DOCKER_HOST", "unix:///tmp/d.sock"), ("HOME", "/root")]);
        assert_eq!(found.unwrap(), ["unix:///tmp/d.sock"]);
        assert_eq!(with(&[("DOCKER_HOST", "tcp://127.0.0.1:2375")]).unwrap(), ["tcp://127.0.0.1:2375"]);
        assert!(with(&[("DOCKER_HOST", "ssh://there")]).unwrap_err().contains("tcp://host:port"));
    }

    #[test]
    fn rootless_and_podman_are_looked_for_too() {
        let found = with(&[("XDG_RUNTIME_DIR", "/run/user/1000"), ("HOME", "/home/a")]).unwrap();
        assert_eq!(
            found,
            [
                "unix:///var/run/docker.sock",
                "unix:///run/user/1000/docker.sock",
                "unix:///run/user/1000/podman/podman.sock",
                "unix:///home/a/.docker/run/docker.sock",
                "unix:///run/podman/podman.sock"
            ]
        );
    }
}
