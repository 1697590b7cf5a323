//! INT and TERM: the first ends the load, the second the wait for answers, the third the program.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::{emulate_default_handler, pipe};

/// After this many signals the program ends on the spot.
const PATIENCE: u8 = 2;

/// How many have come, from now on.
///
/// # Errors
/// When the system gives no pipe or thread.
pub fn count() -> io::Result<Arc<AtomicU8>> {
    let counter = Arc::new(AtomicU8::new(0));
    let (teller, mut told) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        pipe::register(signal, teller.try_clone()?)?;
    }
    let shared = Arc::clone(&counter);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while told.read_exact(&mut [0]).is_ok() {
            if shared.fetch_add(1, Ordering::Relaxed) >= PATIENCE {
                // Ends the program as if nobody had caught the signal; it does not come back.
                let _ = emulate_default_handler(SIGTERM);
            }
        }
    })?;
    Ok(counter)
}
