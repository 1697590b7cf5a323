//! A program that is started from here: what it takes over, and what not.
#![allow(unsafe_code, reason = "what holds for a child alone is set between fork and exec")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// The child has pages of its own to choose (see [`refuse_huge_pages`](super::memory::refuse_huge_pages)), and is told to end
/// by TERM when the thread ends that starts it, however that comes: nobody else would.
pub fn prepare(command: &mut Command) {
    let parent = getpid();
    let prepare = move || {
        let _ = rustix::thread::disable_transparent_huge_pages(false);
        set_parent_process_death_signal(Some(Signal::TERM))?;
        // It may have ended before its end could be asked for.
        if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    // SAFETY: between fork and exec only what is safe in a signal's handler may be done: these are three system calls, which
    // take no lock and no memory.
    unsafe {
        command.pre_exec(prepare);
    }
}
