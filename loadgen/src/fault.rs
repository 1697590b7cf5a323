//! Why a request got no whole answer, and whose doing that was.

use std::io;

/// The cause, in the words that the report groups by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody listens there.
    Refused,
    /// The connect was not answered within the timeout.
    ConnectTimeout,
    /// Any other failure to connect.
    ConnectFailed,
    /// The peer reset the connection.
    Reset,
    /// The peer closed before the answer was whole.
    ClosedEarly,
    /// No whole answer within the timeout.
    Timeout,
    /// The answer breaks the protocol.
    BadResponse,
    /// The answer is well-formed, but not the one that was asked for.
    UnexpectedAnswer,
    /// An answer whose status is not in `--ok`.
    Status(u16),
    /// Its time came, but no connection was free until the end.
    NeverSent,
    /// Still under way when the run was broken off.
    Unfinished,
}

impl Cause {
    /// The words of the result file.
    #[must_use]
    pub fn words(self) -> String {
        let fixed = match self {
            Self::Refused => "connection refused",
            Self::ConnectTimeout => "connect timeout",
            Self::ConnectFailed => "connect failed",
            Self::Reset => "reset",
            Self::ClosedEarly => "closed early",
            Self::Timeout => "timeout",
            Self::BadResponse => "bad response",
            Self::UnexpectedAnswer => "unexpected answer",
            Self::NeverSent => "never sent",
            Self::Unfinished => "unfinished",
            Self::Status(status) => return format!("status {status}"),
        };
        fixed.to_owned()
    }
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it counts as.
    pub cause: Cause,
    /// What the system or the parser said; may be empty.
    pub detail: String,
}

impl Fault {
    /// A failure with its details.
    #[must_use]
    pub fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self { cause, detail: detail.into() }
    }

    /// A connect that failed.
    #[must_use]
    pub fn of_connect(error: &io::Error) -> Self {
        let cause = match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Cause::Refused,
            io::ErrorKind::TimedOut => Cause::ConnectTimeout,
            _ => Cause::ConnectFailed,
        };
        Self::new(cause, error.to_string())
    }

    /// A read or write that failed.
    #[must_use]
    pub fn of_transfer(error: &io::Error) -> Self {
        let cause = match error.kind() {
            io::ErrorKind::TimedOut => Cause::Timeout,
            io::ErrorKind::UnexpectedEof => Cause::ClosedEarly,
            _ => Cause::Reset,
        };
        Self::new(cause, error.to_string())
    }

    /// An answer that breaks the protocol.
    #[must_use]
    pub fn bad_response(detail: impl Into<String>) -> Self {
        Self::new(Cause::BadResponse, detail)
    }

    /// The peer closed too early.
    #[must_use]
    pub fn closed_early(detail: impl Into<String>) -> Self {
        Self::new(Cause::ClosedEarly, detail)
    }
}
