//! TERM and INT. In a container the node is process 1, for which the kernel has no default action: without a
//! handler these signals would do nothing at all.

use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag, low_level,
};

/// What a second signal exits with: a node that was not let finish.
const IMPATIENT: i32 = 1;

/// Tells that a signal asked the process to end. Each clone is told on its own.
#[derive(Debug)]
pub(crate) struct Stop {
    told: UnixStream,
}

impl Stop {
    /// Begins to watch for the signals. The first asks the node to finish; a second one ends it at once.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag down and raises it, the second finds it up.
            flag::register_conditional_shutdown(signal, IMPATIENT, Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&asked))?;
        }
        Self::another()
    }

    /// A further end that is told.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn another() -> io::Result<Self> {
        let (teller, told) = UnixStream::pair()?;
        for signal in [SIGTERM, SIGINT] {
            low_level::pipe::register(signal, teller.try_clone()?)?;
        }
        Ok(Self { told })
    }

    /// Waits for this time; `true` as soon as a signal comes.
    ///
    /// # Errors
    /// The wait itself failed.
    pub(crate) fn comes_within(&mut self, time: Duration) -> io::Result<bool> {
        if time.is_zero() {
            return Ok(false);
        }
        self.told.set_read_timeout(Some(time))?;
        match self.told.read(&mut [0]) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Waits for a signal, on a runtime.
    ///
    /// # Errors
    /// The wait itself failed.
    pub(crate) async fn comes(self) -> io::Result<()> {
        self.told.set_nonblocking(true)?;
        monoio::net::UnixStream::from_std(self.told)?.readable(false).await
    }
}
