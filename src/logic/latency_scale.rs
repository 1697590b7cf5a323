//! The buckets of the latency heat map: one scale for the workers, who keep a line for each, and the monitor, which draws
//! them.

/// Upper bounds in microseconds, growing by the square root of two from 50 us to 52 s.
pub const BOUNDS_US: [u64; 41] = [
    50, 71, 100, 141, 200, 283, 400, 566, 800, 1_131, 1_600, 2_263, 3_200, 4_525, 6_400, 9_051, 12_800,
    18_102, 25_600, 36_204, 51_200, 72_408, 102_400, 144_815, 204_800, 289_631, 409_600, 579_262, 819_200,
    1_158_524, 1_638_400, 2_317_048, 3_276_800, 4_634_095, 6_553_600, 9_268_190, 13_107_200, 18_536_380,
    26_214_400, 37_072_760, 52_428_800,
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
            assert!((bound_us as f64 - exact).abs() <= 0.5, "{bound_us} is not {exact}");
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
