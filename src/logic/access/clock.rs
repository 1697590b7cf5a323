//! Milliseconds since the epoch as the two formats write them, always in UTC.

use time::OffsetDateTime;

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// `2026-11-24T05:36:46.045Z` (RFC 3339).
pub(super) fn rfc3339(out: &mut Vec<u8>, time_ms: u64) {
    let time = utc(time_ms);
    year(out, time);
    out.push(b'-');
    two(out, time.month().into());
    out.push(b'-');
    two(out, time.day());
    out.push(b'T');
    of_day(out, time);
    out.push(b'.');
    out.extend_from_slice(&digits::<3>(u32::from(time.millisecond())));
    out.push(b'Z');
}

/// `24/Nov/2026:05:36:46 +0000`, as Apache writes it.
pub(super) fn apache(out: &mut Vec<u8>, time_ms: u64) {
    let time = utc(time_ms);
    two(out, time.day());
    out.push(b'/');
    out.extend_from_slice(MONTHS[usize::from(u8::from(time.month())) - 1]);
    out.push(b'/');
    year(out, time);
    out.push(b':');
    of_day(out, time);
    out.extend_from_slice(b" +0000");
}

/// A clock that is beyond the calendar's year 9999 is a broken clock: the epoch says so as well as any date.
fn utc(time_ms: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time_ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn year(out: &mut Vec<u8>, time: OffsetDateTime) {
    out.extend_from_slice(&digits::<4>(time.year().unsigned_abs()));
}

fn of_day(out: &mut Vec<u8>, time: OffsetDateTime) {
    two(out, time.hour());
    out.push(b':');
    two(out, time.minute());
    out.push(b':');
    two(out, time.second());
}

fn two(out: &mut Vec<u8>, value: u8) {
    out.extend_from_slice(&digits::<2>(u32::from(value)));
}

/// The last `N` decimal digits.
pub(super) fn digits<const N: usize>(mut value: u32) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(time_ms: u64) -> (String, String) {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        rfc3339(&mut one, time_ms);
        apache(&mut other, time_ms);
        (String::from_utf8(one).unwrap(), String::from_utf8(other).unwrap())
    }

    /// Expected values are those of GNU date.
    #[test]
    fn known_times_are_written_as_others_write_them() {
        let table = [
            (0, "1970-01-01T00:00:00.000Z", "01/Jan/1970:00:00:00 +0000"),
            (951_827_696_007, "2000-02-29T12:34:56.007Z", "29/Feb/2000:12:34:56 +0000"),
            (1_795_498_606_045, "2026-11-24T05:36:46.045Z", "24/Nov/2026:05:36:46 +0000"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z", "31/Dec/2099:23:59:59 +0000"),
        ];
        for (time_ms, one, other) in table {
            assert_eq!(both(time_ms), (one.to_owned(), other.to_owned()));
        }
    }

    #[test]
    fn a_clock_beyond_the_calendar_does_no_harm() {
        assert_eq!(both(u64::MAX).0, "1970-01-01T00:00:00.000Z");
    }
}
