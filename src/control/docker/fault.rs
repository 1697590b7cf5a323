//! The engine's errors in our words: whose fault it is, and the cure.

use bollard::errors::Error;

use super::Endpoint;
use crate::control::fleet::{EngineError, EngineFault};

/// An error of any call.
pub(super) fn of(error: &Error, endpoint: &Endpoint) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code, message } => answered(*status_code, message),
        Error::DockerStreamError { error } => answered(500, error),
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
    EngineError::new(
        EngineFault::Missing,
        message,
        "correct `image`, log in to its registry, or load it by hand",
    )
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

fn down(endpoint: &Endpoint, why: &str) -> EngineError {
    let cure = match why {
        _ if why.contains("ermission denied") => "add this user to the group `docker`, or set DOCKER_HOST",
        _ => "start it (`systemctl start docker`), or set DOCKER_HOST; it is asked again by itself",
    };
    EngineError::new(EngineFault::Down, format!("the engine at {endpoint} cannot be reached ({why})"), cure)
}

fn odd(endpoint: &Endpoint, why: &str) -> EngineError {
    let message = format!("the engine at {endpoint} answers what is no Docker API ({why})");
    EngineError::new(EngineFault::Down, message, "see what listens there; it is asked again by itself")
}

fn answered(status: u16, message: &str) -> EngineError {
    let lower = message.to_lowercase();
    let says = |part: &str| lower.contains(part);
    let (fault, cure) = match status {
        _ if says("no space left") => (EngineFault::NoSpace, "free disk space: `docker system prune`"),
        _ if says("port is already allocated") || says("address already in use") => {
            (EngineFault::PortTaken, "end what holds the port; another one is tried")
        }
        404 if says("no such container") => (EngineFault::NoSuchUnit, "it is gone already"),
        404 if says("network") => (EngineFault::Missing, "create the network, or correct `network`"),
        404 => (EngineFault::Missing, "correct `image`, or allow its pull (`pull: missing`)"),
        400 => (EngineFault::Refused, "correct `docker` of this backend"),
        401 | 403 => (EngineFault::Refused, "this user may not do that on the engine"),
        _ if says("executable file not found") || says("no such file or directory") => {
            (EngineFault::Missing, "correct `command`, or the image")
        }
        _ => (EngineFault::Refused, "see the engine's log; it is tried again by itself"),
    };
    EngineError::new(fault, format!("the engine says: {} (status {status})", message.trim()), cure)
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
        for (status, message, fault) in [
            (500, "write /var/lib/x: no space left on device", EngineFault::NoSpace),
            (500, "Bind for 127.0.0.1:1 failed: port is already allocated", EngineFault::PortTaken),
            (404, "No such container: abc", EngineFault::NoSuchUnit),
            (404, "network nowhere not found", EngineFault::Missing),
            (404, "No such image: nowhere:latest", EngineFault::Missing),
            (400, "invalid reference format", EngineFault::Refused),
            (500, "OCI runtime: exec: \"x\": executable file not found in $PATH", EngineFault::Missing),
            (500, "something else", EngineFault::Refused),
        ] {
            let error = of(status, message);
            assert_eq!(error.fault, fault, "{error}");
            assert!(error.message.contains(message) && !error.cure.is_empty(), "{error}");
        }
    }

    #[test]
    fn an_engine_that_is_not_there_says_how_to_start_it() {
        let here = Endpoint::Unix("/run/none.sock".into());
        let error = of(&Error::SocketNotFoundError("x".into()), &here);
        assert!(error.is_outage());
        assert!(error.to_string().contains("unix:///run/none.sock"), "{error}");
        assert!(of(&Error::RequestTimeoutError, &here).is_outage());
    }
}
