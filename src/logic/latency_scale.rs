//! The buckets of the latency heat map: one scale for the workers, who keep a line for each, and the monitor, which draws
//! them.

/// Upper bounds in microseconds, growing by the square root of two from 50 us to 52 s.
///
/// Each is the last value of a cell of the histograms that workers record into (two digits), at most 0.5 % from the exact
/// power: so a duration is in the same bucket whether it is counted from its cell or from its log line.
pub const BOUNDS_US: [u64; 41] = [
    50, 71, 100, 141, 200, 283, 399, 567, 799, 1_135, 1_599, 2_255, 3_199, 4_511, 6_399, 9_023, 12_799,
    18_047, 25_599, 36_095, 51_199, 72_191, 102_399, 144_383, 204_799, 288_767, 409_599, 577_535, 819_199,
    1_155_071, 1_638_399, 2_310_143, 3_276_799, 4_620_287, 6_553_599, 9_240_575, 13_107_199, 18_481_151,
    26_214_399, 36_962_303, 52_428_799,
];

/// How many buckets there are: the last one holds what is slower than all bounds.
pub const BUCKETS: usize = BOUNDS_US.len() + 1;

/// The bucket of a duration: the first whose bound is not below it.
pub fn bucket(duration_us: u64) -> u8 {
    let at = BOUNDS_US.partition_point(|&bound_us| bound_us < duration_us);
    u8::try_from(at).unwrap_or(u8::MAX)
}

const _: () = assert!(BUCKETS <= 64, "a worker marks the buckets that it has a line of in one u64");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_grow_by_the_square_root_of_two() {
        for (at, &bound_us) in BOUNDS_US.iter().enumerate() {
            let exact = 50.0 * 2_f64.powf(f64::from(u32::try_from(at).unwrap()) / 2.0);
            assert!((bound_us as f64 / exact - 1.0).abs() <= 0.005, "{bound_us} is not {exact}");
        }
    }

    #[test]
    fn a_duration_on_a_bound_is_in_its_bucket_and_one_beyond_all_in_the_last() {
        for (at, &bound_us) in BOUNDS_US.iter().enumerate() {
            assert_eq!(usize::from(bucket(bound_us)), at);
            assert_eq!(usize::from(bucket(bound_us + 1)), at + 1);
        }
        assert_eq!((bucket(0), usize::from(bucket(u64::MAX))), (0, BUCKETS - 1));
    }
}
