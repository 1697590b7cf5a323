//! How busy a node's processors are: from the time that it has used them for, read about once a second.

use std::time::Duration;

/// A reading counts for this long: an engine that says nothing more leaves nothing known.
const READING_MAX_AGE: Duration = Duration::from_secs(5);

/// The readings of one node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Processor {
    /// When it was read last, and what it had used by then.
    read: Option<(Duration, Duration)>,
    /// The share between the last two readings, and when the later was.
    share: Option<(Duration, f64)>,
}

impl Processor {
    /// Takes a reading of `now`: what the node has used since it began, of so many cores. The share of them that it used since
    /// the reading before; `None` for the first, and where the two say nothing together.
    pub fn read(&mut self, now: Duration, used: Duration, cores: f64) -> Option<f64> {
        let before = self.read.replace((now, used));
        let (at, used_before) = before?;
        let (elapsed, spent) = (now.checked_sub(at)?, used.checked_sub(used_before)?);
        if elapsed.is_zero() || cores.is_nan() || cores <= 0.0 {
            return None;
        }
        let share = (spent.as_secs_f64() / elapsed.as_secs_f64() / cores).clamp(0.0, 1.0);
        self.share = Some((now, share));
        Some(share)
    }

    /// The share of its cores that it uses, from 0 to 1, where that is known.
    pub fn share(&self, now: Duration) -> Option<f64> {
        self.share.filter(|(at, _)| now.saturating_sub(*at) <= READING_MAX_AGE).map(|(_, share)| share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_share_is_what_was_used_between_two_readings() {
        let mut node = Processor::default();
        assert_eq!(node.read(ms(1000), ms(700), 2.0), None);
        assert_eq!(node.read(ms(2000), ms(1200), 2.0), Some(0.25));
        assert_eq!(node.share(ms(7000)), Some(0.25));
        assert_eq!(node.share(ms(7001)), None);
        assert_eq!(node.read(ms(3000), ms(9000), 2.0), Some(1.0));
    }

    #[test]
    fn readings_that_make_no_sense_say_nothing() {
        let mut node = Processor::default();
        node.read(ms(1000), ms(700), 1.0);
        assert_eq!(node.read(ms(1000), ms(800), 1.0), None);
        assert_eq!(node.read(ms(2000), ms(100), 1.0), None);
        assert_eq!(node.read(ms(3000), ms(200), 0.0), None);
        assert_eq!(node.share(ms(3000)), None);
    }
}
