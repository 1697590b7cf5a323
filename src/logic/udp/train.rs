//! Datagrams of one size to one receiver that go out as one message, which the kernel or the card cuts up again
//! (`UDP_SEGMENT`): one way through the network stack for all of them.
//!
//! All are of the same size but the last, which may be shorter and then is the last. An empty one always goes alone.

use crate::logic::limits::{TRAIN_BYTES_MAX, TRAIN_SEGMENTS_MAX};

/// How large one message has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Train {
    /// Bytes of each datagram but the last.
    pub segment: usize,
    bytes: usize,
    segments: usize,
}

impl Train {
    /// One that begins with these bytes: a datagram, or several of `segment` bytes that were received as one.
    pub fn of(bytes: usize, segment: usize) -> Self {
        let segment = if segment == 0 { bytes } else { segment };
        Self { segment, bytes, segments: segments(bytes, segment) }
    }

    /// Datagrams that it is made of.
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// Does it have to be cut up?
    pub fn is_long(&self) -> bool {
        self.segments > 1
    }

    /// Takes in what came next, if it fits behind what is there.
    pub fn couple(&mut self, next: Train) -> bool {
        let whole = self.segment > 0 && self.bytes.is_multiple_of(self.segment);
        let alike = next.segment == self.segment || (!next.is_long() && next.segment < self.segment);
        let (bytes, segments) = (self.bytes + next.bytes, self.segments + next.segments);
        let fits = bytes <= TRAIN_BYTES_MAX && segments <= TRAIN_SEGMENTS_MAX;
        let couples = whole && alike && fits && next.bytes > 0;
        if couples {
            (self.bytes, self.segments) = (bytes, segments);
        }
        couples
    }
}

fn segments(bytes: usize, segment: usize) -> usize {
    if segment == 0 { 1 } else { bytes.div_ceil(segment).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The datagrams in which these sizes would go out: each train's segment and number.
    fn trains(sizes: &[usize]) -> Vec<(usize, usize)> {
        let mut all: Vec<Train> = Vec::new();
        for &size in sizes {
            let next = Train::of(size, 0);
            if !all.last_mut().is_some_and(|last| last.couple(next)) {
                all.push(next);
            }
        }
        all.iter().map(|train| (train.segment, train.segments())).collect()
    }

    #[test]
    fn datagrams_of_one_size_travel_together_and_a_shorter_one_is_the_last() {
        assert_eq!(trains(&[64, 64, 64]), [(64, 3)]);
        assert_eq!(trains(&[64, 64, 10, 64]), [(64, 3), (64, 1)]);
        assert_eq!(trains(&[10, 64]), [(10, 1), (64, 1)]);
    }

    #[test]
    fn an_empty_datagram_travels_alone() {
        assert_eq!(trains(&[0, 0, 8, 0, 8]), [(0, 1), (0, 1), (8, 1), (0, 1), (8, 1)]);
    }

    #[test]
    fn no_train_is_longer_than_the_kernel_takes() {
        let longest = trains(&vec![1; TRAIN_SEGMENTS_MAX + 1]);
        assert_eq!(longest, [(1, TRAIN_SEGMENTS_MAX), (1, 1)]);
        let heaviest = trains(&[TRAIN_BYTES_MAX / 2, TRAIN_BYTES_MAX / 2, TRAIN_BYTES_MAX / 2]);
        assert_eq!(heaviest, [(TRAIN_BYTES_MAX / 2, 2), (TRAIN_BYTES_MAX / 2, 1)]);
    }

    #[test]
    fn what_was_received_as_one_goes_on_as_one() {
        let mut train = Train::of(3000, 1000);
        assert_eq!(train.segments(), 3);
        assert!(train.couple(Train::of(1500, 1000)));
        assert!(!train.couple(Train::of(1000, 1000)), "the last one was short");
        assert_eq!(train.segments(), 5);
        assert!(!Train::of(1000, 0).couple(Train::of(600, 300)), "its own segments are shorter");
    }
}
