//! Amounts as people write them, in flags, queries and control calls: `50k`, `1.5M`, `250ms`, `16KiB`, `10%`.

use std::time::Duration;

/// The highest rate that a plan may ask for, requests a second.
pub const RATE_MAX: f64 = 1e7;
/// The longest time that may be named: a week.
pub const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest time that a setting of the node may name: an hour. A longer one is a slip of the finger.
const SETTING_MAX: Duration = Duration::from_secs(3600);
/// The largest size that may be named: 1 TiB.
const SIZE_MAX: f64 = (1_u64 << 40) as f64;

/// A whole number above zero: `500`, `50k`.
///
/// # Errors
/// What is wrong with it.
pub fn count(text: &str) -> Result<u64, String> {
    let value = number(text)?;
    if value < 1.0 || value.fract() != 0.0 || value > 1e15 {
        return Err(format!("`{text}` is not a whole number from 1 on"));
    }
    Ok(value as u64)
}

/// The seed of draws: any whole number.
///
/// # Errors
/// What is wrong with it.
pub fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a seed: a whole number from 0 to {}", u64::MAX))
}

/// Requests a second: `0.5`, `50k`, `50k/s`.
///
/// # Errors
/// What is wrong with it.
pub fn rate(text: &str) -> Result<f64, String> {
    let value = number(text.strip_suffix("/s").unwrap_or(text))?;
    if value <= 0.0 {
        return Err(format!("a rate of `{text}` sends nothing"));
    }
    if value > RATE_MAX {
        return Err(format!("`{text}` is above the highest rate, 10M/s"));
    }
    Ok(value)
}

fn number(text: &str) -> Result<f64, String> {
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1e3),
        Some((at, 'm' | 'M')) => (&text[..at], 1e6),
        Some((at, 'g' | 'G')) => (&text[..at], 1e9),
        _ => (text, 1.0),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'_');
    match digits.replace('_', "").parse::<f64>() {
        Ok(value) if plain && value.is_finite() => Ok(value * factor),
        _ => Err(format!("`{text}` is not a number such as 500, 50k or 1.5M")),
    }
}

/// A time: `250ms`, `1m30s`, `30` (seconds).
///
/// # Errors
/// What is wrong with it.
pub fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as 250ms, 30s or 1m30s");
    let mut seconds = 0.0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let value: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        seconds += match &rest[..unit] {
            "d" | "day" | "days" => return Err(format!("`{text}` is in days: write {}h", value * 24.0)),
            unit => value * unit_seconds(unit).ok_or_else(wrong)?,
        };
        rest = &rest[unit..];
    }
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    if text.trim().is_empty() {
        return Err(wrong());
    }
    if time > TIME_MAX { Err(format!("`{text}` is longer than a week")) } else { Ok(time) }
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" | "sec" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

/// A time of the node: with a unit, for its settings are mostly milliseconds and a bare number would be
/// seconds; a bare `0` is no time at all. At most an hour.
///
/// # Errors
/// What is wrong with it.
pub fn setting(text: &str) -> Result<Duration, String> {
    let time = time(text).map_err(|error| error.replace("250ms, 30s or 1m30s", "20ms, 1.5s or 2m"))?;
    if !time.is_zero() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(format!("`{text}` has no unit: write for example {text}ms"));
    }
    if time > SETTING_MAX { Err(format!("`{text}` is too long: at most 1h")) } else { Ok(time) }
}

/// Bytes: a number with nothing, `B`, `kB`, `KiB`, `MB`, `MiB`, `GB` or `GiB`.
///
/// # Errors
/// What is wrong with it: no number, unknown unit, negative, or above 1 TiB.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "kb" => 1e3,
        "m" | "mib" => 1024.0 * 1024.0,
        "mb" => 1e6,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "gb" => 1e9,
        _ => return Err(format!("`{text}` is not a size such as 128, 16KiB or 10MB")),
    };
    let bytes = number * factor;
    if bytes > SIZE_MAX { Err(format!("`{text}` is too large: at most 1TiB")) } else { Ok(bytes as u64) }
}

/// A share of one: `10%` or `0.1`.
///
/// # Errors
/// When it is no number or outside 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    let value = match split(text)? {
        (number, "%") => number / 100.0,
        (number, "") => number,
        _ => return Err(format!("`{text}` is not a share such as 10% or 0.1")),
    };
    if value <= 1.0 { Ok(value) } else { Err(format!("`{text}` is more than the whole (100%)")) }
}

/// A switch: `1`, `on`, `yes`, `true` or nothing at all is on; `0`, `off`, `no`, `false` is off.
///
/// # Errors
/// When it is none of these.
pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "" | "1" | "on" | "yes" | "true" => Ok(true),
        "0" | "off" | "no" | "false" => Ok(false),
        _ => Err(format!("`{text}` is neither on nor off: write 1 or 0")),
    }
}

/// A time with the unit that makes it a short number: what [`setting`] reads back.
#[must_use]
pub fn show(time: Duration) -> String {
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
    let number: f64 = number.parse().map_err(|_| format!("`{text}` does not begin with a number"))?;
    Ok((number, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_suffixes() {
        assert_eq!(count("50k"), Ok(50_000));
        assert_eq!(count("1_000"), Ok(1000));
        assert_eq!(rate("1.5M/s"), Ok(1.5e6));
        assert_eq!(rate("0.5"), Ok(0.5));
        assert_eq!(seed("0"), Ok(0));
        assert!(seed("x").unwrap_err().contains("whole number"));
        for wrong in ["", "k", "-1", "1e3", "inf", "NaN", "0", "1.5", "5x", "é"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "-5", "11M", "fast"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_take_units_and_add_up() {
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(time("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("30"), Ok(Duration::from_secs(30)));
        assert_eq!(time("0"), Ok(Duration::ZERO));
        assert!(time("1d").unwrap_err().contains("24h") && time("1.5d").unwrap_err().contains("36h"));
        for wrong in ["", "s", "-1s", "1x", "1s-", "1d", "999999h", "1.2.3s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_have_a_unit_and_are_at_most_an_hour() {
        assert_eq!(setting("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(setting("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(setting("0"), Ok(Duration::ZERO));
        assert_eq!(show(Duration::from_micros(1500)), "1.5ms");
        for wrong in ["", "ms", "20", "-1ms", "1 week", "nan", "2h", "1e9s"] {
            assert!(setting(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_shares_and_switches() {
        assert_eq!(
            (size("16KiB"), size("128"), share("10%"), switch("")),
            (Ok(16384), Ok(128), Ok(0.1), Ok(true))
        );
        for wrong in ["", "x", "1XB", "-5", "99999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(share("101%").is_err() && share("1.1").is_err() && switch("maybe").is_err());
    }
}
