//! The writer of the access log: one thread that puts the workers' lines where the operator wants them.
//!
//! A full disk or a reader that left must cost log lines and nothing else: what cannot be written is counted,
//! said once on stderr, and let go. Workers never notice but by a full channel.

mod output;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::config::settings::LogTarget;
use crate::shared::log_channel::LogReceiver;
use crate::shared::report::LogBatch;
use output::Output;

/// Orders that may wait for the writer.
const ORDERS_MAX: usize = 16;
/// The longest that the end of the process waits for lines that nobody takes.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// What became of the lines; shared with the metrics.
#[derive(Debug, Default)]
pub struct LogCounters {
    written: AtomicU64,
    lost: AtomicU64,
}

impl LogCounters {
    /// Lines that were written whole.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Lines that the target did not take.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

/// The running writer.
#[derive(Debug)]
pub struct AccessLogHandle {
    orders: Sender<Order>,
    finished: Receiver<()>,
    thread: JoinHandle<()>,
    counters: Arc<LogCounters>,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Reopen,
    Finish,
}

/// Opens the target and starts writing. Fails where a file cannot be opened for appending: the operator has
/// to change its path or its rights.
pub fn start(target: &LogTarget, lines: LogReceiver) -> io::Result<AccessLogHandle> {
    start_with(Output::open(target)?, lines)
}

fn start_with(output: Output, lines: LogReceiver) -> io::Result<AccessLogHandle> {
    let counters = Arc::new(LogCounters::default());
    let (orders, orders_out) = bounded(ORDERS_MAX);
    // Nothing is ever sent through it: it tells by its end that the thread has ended.
    let (alive, finished) = bounded(0);
    let writer = Writer { output, lines, orders: orders_out, counters: Arc::clone(&counters) };
    let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
        let _alive = alive;
        writer.run();
    })?;
    Ok(AccessLogHandle { orders, finished, thread, counters })
}

impl AccessLogHandle {
    /// Opens the file anew, by its path: after a rotation that moved the old one away. Never waits; lines that
    /// were handed over before may still go to the old file. Does nothing for stdout and stderr.
    pub fn reopen(&self) {
        // A full queue holds a reopen that has yet to happen.
        let _ = self.orders.try_send(Order::Reopen);
    }

    /// Writes what was handed over so far, and ends. False where the target did not take it within two seconds:
    /// then the thread is left behind, for the end of the process to end it.
    pub fn finish(self) -> bool {
        let _ = self.orders.send_timeout(Order::Finish, FINISH_TIMEOUT);
        // The channel is empty for ever: it ends by the thread's end, or the wait does by its timeout.
        let ended = matches!(
            self.finished.recv_timeout(FINISH_TIMEOUT),
            Err(crossbeam_channel::RecvTimeoutError::Disconnected)
        );
        ended && self.thread.join().is_ok()
    }

    /// What became of the lines.
    pub fn counters(&self) -> Arc<LogCounters> {
        Arc::clone(&self.counters)
    }
}

struct Writer {
    output: Output,
    lines: LogReceiver,
    orders: Receiver<Order>,
    counters: Arc<LogCounters>,
}

impl Writer {
    fn run(mut self) {
        let (batches, orders) = (self.lines.batches().clone(), self.orders.clone());
        loop {
            select! {
                recv(batches) -> batch => match batch {
                    Ok(batch) => self.write(batch),
                    // All workers are gone, and what they sent is written.
                    Err(_) => return,
                },
                recv(orders) -> order => match order {
                    Ok(Order::Reopen) => self.output.reopen(),
                    Ok(Order::Finish) | Err(_) => return self.drain(),
                },
            }
        }
    }

    fn drain(&mut self) {
        while let Ok(batch) = self.lines.batches().try_recv() {
            self.write(batch);
        }
    }

    fn write(&mut self, batch: LogBatch) {
        let written = self.output.write(&batch.0);
        self.counters.written.fetch_add(lines_in(&batch.0[..written]), Relaxed);
        self.counters.lost.fetch_add(lines_in(&batch.0[written..]), Relaxed);
        self.lines.give_back(batch);
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;
    use std::time::Instant;

    use super::*;
    use crate::shared::log_channel::{LogSender, log_channel};

    /// A folder of its own for each test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("plimsoll-log-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn send(sender: &LogSender, text: &str) {
        let mut buffer = sender.buffer();
        buffer.extend_from_slice(text.as_bytes());
        sender.send(LogBatch(buffer)).unwrap();
    }

    fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < deadline, "{what} did not happen");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn lines_are_appended_in_order_and_all_are_there_at_the_end() {
        let folder = Folder::new("order");
        let path = folder.0.join("access.log");
        fs::write(&path, "before\n").unwrap();
        let (sender, receiver) = log_channel();
        let handle = start(&LogTarget::File(path.clone()), receiver).unwrap();
        (0..100).for_each(|at| send(&sender, &format!("a{at}\nb{at}\n")));
        let counters = handle.counters();
        assert!(handle.finish());
        let expected: String = (0..100).map(|at| format!("a{at}\nb{at}\n")).collect();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("before\n{expected}"));
        assert_eq!((counters.written(), counters.lost()), (200, 0));
    }

    #[test]
    fn a_reopened_file_is_the_one_at_the_path() {
        let folder = Folder::new("reopen");
        let (path, moved) = (folder.0.join("access.log"), folder.0.join("access.log.1"));
        let (sender, receiver) = log_channel();
        let handle = start(&LogTarget::File(path.clone()), receiver).unwrap();
        send(&sender, "old\n");
        wait_for("the first line", || handle.counters().written() == 1);
        fs::rename(&path, &moved).unwrap();
        handle.reopen();
        wait_for("a new file", || path.exists());
        send(&sender, "new\n");
        assert!(handle.finish());
        assert_eq!(fs::read_to_string(&moved).unwrap(), "old\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
    }

    #[test]
    fn a_file_that_cannot_be_reopened_leaves_the_old_one_in_use() {
        let folder = Folder::new("lost-folder");
        let inner = folder.0.join("logs");
        fs::create_dir(&inner).unwrap();
        let (sender, receiver) = log_channel();
        let handle = start(&LogTarget::File(inner.join("access.log")), receiver).unwrap();
        fs::rename(&inner, folder.0.join("moved")).unwrap();
        handle.reopen();
        send(&sender, "still here\n");
        assert!(handle.finish());
        assert_eq!(fs::read_to_string(folder.0.join("moved/access.log")).unwrap(), "still here\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
        let (_sender, receiver) = log_channel();
        let target = LogTarget::File("/nonexistent/access.log".into());
        let error = start(&target, receiver).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let text = error.to_string();
        assert!(
            text.contains("`access_log`: /nonexistent/access.log") && text.contains("make its folder"),
            "{text}"
        );
    }

    /// /dev/full refuses every write with ENOSPC.
    #[test]
    fn a_full_disk_costs_lines_and_nothing_else() {
        let (sender, receiver) = log_channel();
        let handle = start(&LogTarget::File("/dev/full".into()), receiver).unwrap();
        send(&sender, "one\ntwo\n");
        let counters = handle.counters();
        wait_for("the loss", || counters.lost() == 2);
        send(&sender, "three\n");
        assert!(handle.finish());
        assert_eq!((counters.written(), counters.lost()), (0, 3));
    }

    /// A writer into a pipe, and the pipe's read end.
    fn piped() -> (fs::File, AccessLogHandle, LogSender) {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let target = LogTarget::File(format!("/proc/self/fd/{}", write.as_raw_fd()).into());
        let (sender, receiver) = log_channel();
        let handle = start(&target, receiver).unwrap();
        (read.into(), handle, sender)
    }

    #[test]
    fn a_reader_that_leaves_costs_lines_and_nothing_else() {
        let (read, handle, sender) = piped();
        send(&sender, "read\n");
        wait_for("the first line", || handle.counters().written() == 1);
        drop(read);
        send(&sender, "one\ntwo\n");
        let counters = handle.counters();
        assert!(handle.finish());
        assert_eq!((counters.written(), counters.lost()), (1, 2));
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_nothing_else() {
        let (_read, handle, sender) = piped();
        // More than a pipe holds, many times.
        (0..50).for_each(|_| send(&sender, &"line\n".repeat(20_000)));
        let counters = handle.counters();
        assert!(handle.finish());
        assert!(counters.lost() > 900_000, "{}", counters.lost());
        assert_eq!(counters.written() + counters.lost(), 1_000_000);
    }

    /// Standard output is shared with others, so it stays as it is, and may block.
    #[test]
    fn a_target_that_blocks_does_not_hold_up_the_end_for_long() {
        let (_read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let (sender, receiver) = log_channel();
        let handle = start_with(Output::of(write.into()), receiver).unwrap();
        send(&sender, &"line\n".repeat(20_000));
        let before = Instant::now();
        assert!(!handle.finish());
        assert!(before.elapsed() < FINISH_TIMEOUT * 3, "{:?}", before.elapsed());
    }

    #[test]
    fn a_named_pipe_that_nobody_reads_is_an_error_at_the_start() {
        let folder = Folder::new("fifo");
        let path = folder.0.join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
            .unwrap();
        let (_sender, receiver) = log_channel();
        let error = start(&LogTarget::File(path), receiver).unwrap_err();
        assert!(error.to_string().contains("os error 6"), "{error}");
    }

    #[test]
    fn the_writer_ends_with_the_last_worker() {
        let folder = Folder::new("ends");
        let path = folder.0.join("access.log");
        let (sender, receiver) = log_channel();
        let handle = start(&LogTarget::File(path.clone()), receiver).unwrap();
        send(&sender, "last\n");
        drop(sender);
        wait_for("the end of the thread", || handle.thread.is_finished());
        assert!(handle.finish());
        assert_eq!(fs::read_to_string(&path).unwrap(), "last\n");
    }
}
