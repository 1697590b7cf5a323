//! The way of access log lines from the workers to their writer, and of the empty buffers back.
//!
//! A worker takes a buffer with [`LogSender::buffer`], fills it with lines, and hands it over with
//! [`LogSender::send`]; the writer gives it back with [`LogReceiver::give_back`]. Once as many buffers are on
//! the way as the load needs, nothing is allocated any more. No end ever waits for another but the writer for
//! lines.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::log_tap::Tap;
use super::report::LogBatch;
use crate::logic::limits::{LOG_BATCH_BYTES, LOG_BATCHES_MAX};

/// A buffer that grew beyond this (one line can be longer than a batch) is freed rather than kept.
const BUFFER_BYTES_KEPT_MAX: usize = 4 * LOG_BATCH_BYTES;

/// The workers' end; one clone each.
#[derive(Debug, Clone)]
pub struct LogSender {
    full: Sender<LogBatch>,
    empty: Receiver<Vec<u8>>,
    tap: Tap,
}

/// The writer's end.
#[derive(Debug)]
pub struct LogReceiver {
    full: Receiver<LogBatch>,
    empty: Sender<Vec<u8>>,
}

/// A connected pair. At most [`LOG_BATCHES_MAX`] batches wait in either direction.
pub fn log_channel() -> (LogSender, LogReceiver) {
    let (full_in, full_out) = bounded(LOG_BATCHES_MAX);
    let (empty_in, empty_out) = bounded(LOG_BATCHES_MAX);
    let tap = Tap::default();
    (LogSender { full: full_in, empty: empty_out, tap }, LogReceiver { full: full_out, empty: empty_in })
}

impl LogSender {
    /// An empty buffer to write lines into: one that came back, or a new one.
    pub fn buffer(&self) -> Vec<u8> {
        self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(LOG_BATCH_BYTES))
    }

    /// Where viewers see lines; the same for all clones.
    pub fn tap(&self) -> &Tap {
        &self.tap
    }

    /// Hands lines over. Never waits: where the writer does not keep up, or is gone, the batch comes back,
    /// for the worker to count its lines as dropped and to use the buffer again.
    pub fn send(&self, batch: LogBatch) -> Result<(), LogBatch> {
        match self.full.try_send(batch) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => Err(batch),
        }
    }
}

impl LogReceiver {
    /// The batches, to wait for; it disconnects when the last [`LogSender`] is gone.
    pub fn batches(&self) -> &Receiver<LogBatch> {
        &self.full
    }

    /// Gives a written batch's buffer back to whichever worker asks first.
    pub fn give_back(&self, LogBatch(mut buffer): LogBatch) {
        buffer.clear();
        if buffer.capacity() <= BUFFER_BYTES_KEPT_MAX {
            // A full channel means that there are buffers enough.
            let _ = self.empty.try_send(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_was_written_comes_back_empty_with_its_memory() {
        let (sender, receiver) = log_channel();
        let mut buffer = sender.buffer();
        buffer.extend_from_slice(b"line\n");
        let memory = buffer.as_ptr();
        sender.send(LogBatch(buffer)).unwrap();
        receiver.give_back(receiver.batches().try_recv().unwrap());
        let again = sender.buffer();
        assert!(again.is_empty());
        assert_eq!(again.as_ptr(), memory);
    }

    #[test]
    fn a_buffer_that_grew_too_large_is_let_go() {
        let (sender, receiver) = log_channel();
        receiver.give_back(LogBatch(Vec::with_capacity(BUFFER_BYTES_KEPT_MAX + 1)));
        assert_eq!(sender.buffer().capacity(), LOG_BATCH_BYTES);
    }

    #[test]
    fn a_full_channel_and_a_writer_that_left_give_the_batch_back() {
        let (sender, receiver) = log_channel();
        for _ in 0..LOG_BATCHES_MAX {
            sender.send(LogBatch(Vec::new())).unwrap();
        }
        assert!(sender.send(LogBatch(b"x\n".to_vec())).is_err());
        drop(receiver);
        assert_eq!(sender.send(LogBatch(b"y\n".to_vec())).unwrap_err().0, b"y\n");
    }
}
