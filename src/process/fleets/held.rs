//! Who owns the containers of a configuration: one process at a time.
//!
//! An abstract unix socket is the lock: the kernel takes it back from a process that ends, however it does. It holds within
//! one network namespace; balancers in containers of their own are told apart by their files and machine ids alone.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A process that was killed is not gone at once.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// What this process holds, until it ends.
static HELD: Mutex<Vec<(String, UnixDatagram)>> = Mutex::new(Vec::new());

/// Takes hold of what belongs to `owner`. False where another process has it. Where there can be no lock, nobody is kept
/// from anything.
pub(super) fn take(owner: &str) -> bool {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if held.iter().any(|(known, _)| known == owner) {
        return true;
    }
    let Ok(name) = SocketAddr::from_abstract_name(format!("plimsoll-owner-{owner}")) else { return true };
    for attempt in 0..TRIES {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        match UnixDatagram::bind_addr(&name) {
            Ok(socket) => {
                held.push((owner.to_owned(), socket));
                return true;
            }
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(_) => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_holds_another_does_not_get() {
        assert!(take("test-mine") && take("test-mine"), "it is ours already");
        let name = SocketAddr::from_abstract_name("plimsoll-owner-test-theirs").unwrap();
        let _theirs = UnixDatagram::bind_addr(&name).unwrap();
        assert!(!take("test-theirs"));
    }
}
