//! The engine's errors in our words: whose fault it is, and the cure.

use bollard::errors::Error;

use super::Endpoint;
use crate::control::fleet::{EngineError, EngineFault};

/// An error of any call.
pub(super) fn of(error: &Error, endpoint: &Endpoint) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code, message } => answered(*status_code, message),
        Error::DockerStreamError { error } => said(error),
        Error::RequestTimeoutError => slow(endpoint),
        Error::SocketNotFoundError(_) => down(endpoint, "there is no socket"),
        Error::JsonDataError { message, .. } => odd(endpoint, message),
        Error::JsonSerdeError { err } => odd(endpoint, &err.to_string()),
        other => down(endpoint, &causes(other)),
    }
}

/// An error of a pull.
pub(super) fn of_pull(error: &Error, image: &str, endpoint: &Endpoint) -> EngineError {
    let trouble = of(error, endpoint);
    if trouble.is_outage() || trouble.fault == EngineFault::NoSpace {
        return trouble;
    }
    let message = format!("the image `{image}` cannot be pulled: {}", trouble.message);
    EngineError::new(EngineFault::Missing, message, pull_cure(&trouble.message.to_lowercase()))
}

/// Whose fault it is that an image does not come, by the engine's words.
fn pull_cure(words: &str) -> &'static str {
    let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    if says(&["no matching manifest", "does not match the specified platform"]) {
        "the image is for other machines: build or choose one for the engine's"
    } else if says(&["toomanyrequests", "rate limit"]) {
        "the registry wants fewer pulls: log in to it, or load the image by hand and set `pull: never`"
    } else if says(&["dial tcp", "lookup ", "timeout", "connection refused", "tls:", "x509", "proxyconnect"])
    {
        "the engine does not reach the registry: look at its network, or load it by hand"
    } else {
        // A registry does not tell strangers which images it has.
        "correct `image`, log in to its registry on the engine's machine, or load it by hand"
    }
}

/// A pull that stands still.
pub(super) fn stalled(image: &str) -> EngineError {
    let message = format!("pulling `{image}` makes no progress");
    EngineError::new(EngineFault::Slow, message, "look at the registry and the network of the engine")
}

/// No answer in time.
pub(super) fn slow(endpoint: &Endpoint) -> EngineError {
    let message = format!("the engine at {endpoint} does not answer in time");
    EngineError::new(EngineFault::Slow, message, "look at its load and its disk; it is asked again by itself")
}

/// Its stream of events ended, as it does when the engine goes.
pub(super) fn ended(endpoint: &Endpoint) -> EngineError {
    down(endpoint, "its events ended")
}

/// It does not even say how many cores its machine has.
pub(super) fn no_cores(endpoint: &Endpoint) -> EngineError {
    let message = format!("the engine at {endpoint} does not say how many cores it has");
    EngineError::new(EngineFault::Refused, message, "limit the containers with `docker: { cpus: 1 }`")
}

fn down(endpoint: &Endpoint, why: &str) -> EngineError {
    let cure = match endpoint {
        _ if why.contains("ermission denied") => "add this user to the group `docker`, or set DOCKER_HOST",
        Endpoint::Unix(_) => {
            "start it (`systemctl start docker`), or set DOCKER_HOST; it is asked again by itself"
        }
        Endpoint::Tcp(_) => {
            "see that it runs there and listens on that port, or correct DOCKER_HOST; it is asked again by itself"
        }
    };
    EngineError::new(EngineFault::Down, format!("the engine at {endpoint} cannot be reached ({why})"), cure)
}

fn odd(endpoint: &Endpoint, why: &str) -> EngineError {
    let message = format!("the engine at {endpoint} answers what is no Docker API ({why})");
    EngineError::new(EngineFault::Down, message, "see what listens there; it is asked again by itself")
}

fn answered(status: u16, message: &str) -> EngineError {
    let (fault, cure) = blame(Some(status), &message.to_lowercase());
    EngineError::new(fault, format!("the engine says: {} (status {status})", message.trim()), cure)
}

/// Within an answer that had begun well.
fn said(message: &str) -> EngineError {
    let (fault, cure) = blame(None, &message.to_lowercase());
    EngineError::new(fault, format!("the engine says: {}", message.trim()), cure)
}

/// Whose fault it is, and what to do.
fn blame(status: Option<u16>, words: &str) -> (EngineFault, &'static str) {
    let says = |part: &str| words.contains(part);
    match status {
        _ if says("no space left") => {
            (EngineFault::NoSpace, "its disk is full: free space there (`docker system prune`)")
        }
        _ if says("port is already allocated") || says("address already in use") => {
            (EngineFault::PortTaken, "end what holds the port; another one is tried")
        }
        _ if says("http request to an https server") => (
            EngineFault::Down,
            "it speaks TLS alone, and this balancer does not: lead a unix socket there and name it in DOCKER_HOST",
        ),
        Some(404) if says("no such container") => (EngineFault::NoSuchUnit, "it is gone already"),
        Some(404) if says("network") => (EngineFault::Missing, "create the network, or correct `network`"),
        Some(404) if says("image") || says("manifest") => {
            (EngineFault::Missing, "correct `image`, or allow its pull (`pull: missing`)")
        }
        Some(404) => {
            (EngineFault::Missing, "it does not know what it was asked: see its version, and its log")
        }
        Some(400) => (EngineFault::Refused, "correct `docker` of this backend"),
        Some(401 | 403) => (
            EngineFault::Refused,
            "this user may not do that there: see the engine's rights (its socket's owner, an authorization plugin)",
        ),
        Some(409) => (
            EngineFault::Refused,
            "somebody else does something with the same container: see `docker events`; it is tried again by itself",
        ),
        _ if says("executable file not found") || says("no such file or directory") => {
            (EngineFault::Missing, "correct `command`, or the image")
        }
        _ => (
            EngineFault::Refused,
            "the engine itself is at fault: see the engine's log; it is tried again by itself",
        ),
    }
}

/// All that an error says, since the outermost says least.
fn causes(error: &Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let more = cause.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = cause.source();
    }
    words
}

/// There is no such container or image.
pub(super) fn is_missing(error: &Error) -> bool {
    is_status(error, 404)
}

/// The engine answered with this status.
pub(super) fn is_status(error: &Error, status: u16) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code, .. } if *status_code == status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_a_fault_and_a_cure() {
        let of = |status_code, message: &str| {
            of(
                &Error::DockerResponseServerError { status_code, message: message.into() },
                &Endpoint::Unix("/s".into()),
            )
        };
        for (status, message, fault, cure) in [
            (500, "write /var/lib/x: no space left on device", EngineFault::NoSpace, "prune"),
            (
                500,
                "Bind for 127.0.0.1:1 failed: port is already allocated",
                EngineFault::PortTaken,
                "another",
            ),
            (400, "Client sent an HTTP request to an HTTPS server.", EngineFault::Down, "TLS"),
            (404, "No such container: abc", EngineFault::NoSuchUnit, "gone already"),
            (404, "network nowhere not found", EngineFault::Missing, "create the network"),
            (404, "No such image: nowhere:latest", EngineFault::Missing, "correct `image`"),
            (404, "page not found", EngineFault::Missing, "its version"),
            (400, "invalid reference format", EngineFault::Refused, "correct `docker`"),
            (403, "authorization denied by plugin x", EngineFault::Refused, "this user may not"),
            (409, "removal of container x is already in progress", EngineFault::Refused, "somebody else"),
            (
                500,
                "OCI runtime: exec: \"x\": executable file not found in $PATH",
                EngineFault::Missing,
                "`command`",
            ),
            (500, "something else", EngineFault::Refused, "see the engine's log"),
        ] {
            let error = of(status, message);
            assert_eq!(error.fault, fault, "{error}");
            assert!(error.message.contains(message) && error.cure.contains(cure), "{error}");
        }
    }

    #[test]
    fn a_pull_that_fails_says_whose_fault_it_is() {
        for (words, cure) in [
            ("pull access denied for x, repository does not exist or may require 'docker login'", "log in"),
            ("manifest for x:9 not found: manifest unknown", "correct `image`"),
            ("no matching manifest for linux/arm64/v8 in the manifest list entries", "other machines"),
            ("Get \"https://r/v2/\": dial tcp: lookup r: no such host", "does not reach the registry"),
            ("toomanyrequests: You have reached your pull rate limit", "fewer pulls"),
        ] {
            let error = Error::DockerStreamError { error: words.into() };
            let error = of_pull(&error, "x:9", &Endpoint::Unix("/s".into()));
            assert_eq!(error.fault, EngineFault::Missing, "{error}");
            assert!(error.message.contains(words) && !error.message.contains("status"), "{error}");
            assert!(error.cure.contains(cure), "{error}");
        }
    }

    #[test]
    fn an_engine_that_is_not_there_says_how_to_start_it() {
        let here = Endpoint::Unix("/run/none.sock".into());
        let error = of(&Error::SocketNotFoundError("x".into()), &here);
        assert!(error.is_outage());
        assert!(error.to_string().contains("unix:///run/none.sock"), "{error}");
        assert!(of(&Error::RequestTimeoutError, &here).is_outage());
        let there = of(&Error::SocketNotFoundError("x".into()), &Endpoint::Tcp("there:2375".into()));
        assert!(there.cure.contains("listens on that port") && !there.cure.contains("systemctl"), "{there}");
    }
}
