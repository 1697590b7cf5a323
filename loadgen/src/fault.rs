//! Why a request got no whole answer, and whose doing that was.

use std::{fmt, io};

use rustix::io::Errno;

/// The cause, in the words that the report groups by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody listens there.
    Refused,
    /// There is no such file: nobody has ever listened there.
    NoSocket,
    /// The connect was not answered within the timeout.
    ConnectTimeout,
    /// Any other failure to connect.
    ConnectFailed,
    /// This machine had no free file, port or memory for one more connection: not the server's doing.
    LocalLimit,
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
            Self::NoSocket => "no such socket file",
            Self::ConnectTimeout => "connect timeout",
            Self::ConnectFailed => "connect failed",
            Self::LocalLimit => "limit of the client",
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

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.cause.words())?;
        if self.detail.is_empty() { Ok(()) } else { write!(out, " ({})", self.detail) }
    }
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
            _ if is_local_limit(error) => Cause::LocalLimit,
            io::ErrorKind::NotFound => return Self::new(Cause::NoSocket, ""),
            io::ErrorKind::ConnectionRefused => Cause::Refused,
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

/// Descriptors, local ports and memory are the client's to have.
fn is_local_limit(error: &io::Error) -> bool {
    const LIMITS: [Errno; 6] =
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL, Errno::ADDRINUSE];
    Errno::from_io_error(error).is_some_and(|errno| LIMITS.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_lacks_is_not_the_servers_failure() {
        let cause = |errno: Errno| Fault::of_connect(&errno.into()).cause;
        assert_eq!(cause(Errno::MFILE), Cause::LocalLimit);
        assert_eq!(cause(Errno::ADDRNOTAVAIL), Cause::LocalLimit);
        assert_eq!((cause(Errno::CONNREFUSED), cause(Errno::NOENT)), (Cause::Refused, Cause::NoSocket));
        assert_eq!(cause(Errno::NETUNREACH), Cause::ConnectFailed);
    }
}
