//! Amounts as people write them: `20ms`, `1.5s`, `16KiB`, `10%`.

use std::time::Duration;

/// The longest time that a setting may name: an hour. A longer one is a slip of the finger.
const DURATION_MAX: Duration = Duration::from_secs(3600);
/// The largest size that a setting may name: 1 TiB.
const SIZE_MAX: f64 = (1_u64 << 40) as f64;

/// Reads a time: a number with `ns`, `us`, `ms`, `s`, `m` or `h`; a bare `0` is no time at all.
///
/// # Errors
/// Says what is wrong with `text`: no number, no unit, negative, or above one hour.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ns" => number / 1e9,
        "us" | "µs" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "" if number == 0.0 => 0.0,
        _ => return Err(format!("'{text}' is not a time: write for example 20ms, 1.5s or 2m")),
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if time <= DURATION_MAX => Ok(time),
        _ => Err(format!("'{text}' is too long: at most 1h")),
    }
}

/// Reads a size in bytes: a number with nothing, `B`, `kB`, `KiB`, `MB`, `MiB`, `GB` or `GiB`.
///
/// # Errors
/// Says what is wrong with `text`: no number, unknown unit, negative, or above 1 TiB.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "kb" => 1e3,
        "m" | "mib" => 1024.0 * 1024.0,
        "mb" => 1e6,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "gb" => 1e9,
        _ => return Err(format!("'{text}' is not a size: write for example 128, 16KiB or 10MB")),
    };
    let bytes = number * factor;
    if bytes > SIZE_MAX { Err(format!("'{text}' is too large: at most 1TiB")) } else { Ok(bytes as u64) }
}

/// Reads a share of one: `10%` or `0.1`.
///
/// # Errors
/// Says so when `text` is no number or is outside 0 to 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let value = match split(text)? {
        (number, "%") => number / 100.0,
        (number, "") => number,
        _ => return Err(format!("'{text}' is not a share: write for example 10% or 0.1")),
    };
    if value <= 1.0 { Ok(value) } else { Err(format!("'{text}' is more than the whole (100%)")) }
}

/// Reads a switch: `1`, `on`, `yes`, `true` or nothing at all is on; `0`, `off`, `no`, `false` is off.
///
/// # Errors
/// Says so when `text` is none of these.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "" | "1" | "on" | "yes" | "true" => Ok(true),
        "0" | "off" | "no" | "false" => Ok(false),
        _ => Err(format!("'{text}' is neither on nor off: write 1 or 0")),
    }
}

/// Writes a time with the unit that makes it a short number.
pub(crate) fn show(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    let (value, unit) = match nanos {
        n if n >= 1e9 => (n / 1e9, "s"),
        n if n >= 1e6 => (n / 1e6, "ms"),
        n if n >= 1e3 => (n / 1e3, "us"),
        n if n > 0.0 => (n, "ns"),
        _ => return "0".to_owned(),
    };
    format!("{}{unit}", (value * 1000.0).round() / 1000.0)
}

/// Cuts the number off its unit; the number is finite and not negative.
fn split(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| format!("'{text}' does not begin with a number"))?;
    Ok((number, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_and_shares_read_back() {
        assert_eq!(duration("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(size("16KiB"), Ok(16384));
        assert_eq!(size("128"), Ok(128));
        assert_eq!(share("10%"), Ok(0.1));
        assert_eq!(switch(""), Ok(true));
        assert_eq!(show(Duration::from_micros(1500)), "1.5ms");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "ms", "20", "-1ms", "1 week", "nan", "2h", "1e9s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "x", "1XB", "-5", "99999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert!(share("101%").is_err() && share("1.1").is_err() && switch("maybe").is_err());
    }
}
