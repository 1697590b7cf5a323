//! Amounts as people type them: `50k`, `1.5M`, `250ms`, `1k..50k/60s`.

use std::time::Duration;

/// The highest rate that a plan may ask for, requests a second.
pub const RATE_MAX: f64 = 1e7;
/// The longest time that may be named: a week.
pub const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most steps of one plan.
const STEPS_MAX: usize = 1000;

/// `--ramp`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// Rate at the start.
    pub from: f64,
    /// Rate at the end.
    pub to: f64,
    /// From start to end.
    pub over: Duration,
}

/// `--steps`.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// One after another.
    pub rates: Vec<f64>,
    /// Length of one.
    pub each: Duration,
}

/// `--burst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurstOf {
    /// Requests at once.
    pub size: u64,
    /// Distance of two bursts.
    pub every: Duration,
}

/// `--ok`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(pub Vec<(u16, u16)>);

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
        seconds += value * unit_seconds(&rest[..unit]).ok_or_else(wrong)?;
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

fn time_above_zero(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    if time.is_zero() { Err(format!("a time of `{text}` is none at all")) } else { Ok(time) }
}

/// `1k..50k/60s`.
///
/// # Errors
/// What is wrong with it.
pub fn ramp(text: &str) -> Result<Ramp, String> {
    let wrong = || format!("`{text}` is not a ramp such as 1k..50k/60s");
    let (rates, over) = text.rsplit_once('/').ok_or_else(wrong)?;
    let (from, to) = rates.split_once("..").ok_or_else(wrong)?;
    let from = if from == "0" { 0.0 } else { rate(from)? };
    let to = if to == "0" { 0.0 } else { rate(to)? };
    if from + to == 0.0 {
        return Err("a ramp from 0 to 0 sends nothing".to_owned());
    }
    Ok(Ramp { from, to, over: time_above_zero(over)? })
}

/// `1k,2k,4k/10s`.
///
/// # Errors
/// What is wrong with it.
pub fn steps(text: &str) -> Result<Steps, String> {
    let (rates, each) =
        text.rsplit_once('/').ok_or_else(|| format!("`{text}` is not steps such as 1k,2k,4k/10s"))?;
    let rates = rates.split(',').map(rate).collect::<Result<Vec<_>, _>>()?;
    if rates.len() > STEPS_MAX {
        return Err(format!("more than {STEPS_MAX} steps"));
    }
    Ok(Steps { rates, each: time_above_zero(each)? })
}

/// `500/1s`.
///
/// # Errors
/// What is wrong with it.
pub fn burst(text: &str) -> Result<BurstOf, String> {
    let (size, every) =
        text.split_once('/').ok_or_else(|| format!("`{text}` is not a burst such as 500/1s"))?;
    let (size, every) = (count(size)?, time_above_zero(every)?);
    if size as f64 / every.as_secs_f64() > RATE_MAX {
        return Err(format!("bursts of `{text}` are above the highest rate, 10M/s"));
    }
    Ok(BurstOf { size, every })
}

/// `200-399,404`.
///
/// # Errors
/// What is wrong with it.
pub fn statuses(text: &str) -> Result<Statuses, String> {
    let range = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        match (low.trim().parse::<u16>(), high.trim().parse::<u16>()) {
            (Ok(low), Ok(high)) if (100..=high).contains(&low) && high < 1000 => Ok((low, high)),
            _ => Err(format!("`{part}` is not a status or a range such as 200-399")),
        }
    };
    text.split(',').map(range).collect::<Result<_, _>>().map(Statuses)
}

/// `name: value`.
///
/// # Errors
/// What is wrong with it.
pub fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| format!("`{text}` is not a header such as 'accept: text/plain'"))?;
    let (name, value) = (name.trim(), value.trim());
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("`{name}` is not the name of a header"));
    }
    if value.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
        return Err(format!("the value of header `{name}` holds a control character"));
    }
    Ok((name.to_owned(), value.to_owned()))
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
        for wrong in ["", "s", "-1s", "1x", "1s-", "1d", "999999h", "1.2.3s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn plans_are_read_and_nonsense_is_not() {
        assert_eq!(
            ramp("1k..50k/60s"),
            Ok(Ramp { from: 1000.0, to: 50_000.0, over: Duration::from_secs(60) })
        );
        assert_eq!(steps("1k,2k/5s").unwrap().rates, [1000.0, 2000.0]);
        assert_eq!(burst("500/1s"), Ok(BurstOf { size: 500, every: Duration::from_secs(1) }));
        for wrong in ["1k..2k", "1k/5s", "0..0/5s", "1..2/0s", "..2/1s"] {
            assert!(ramp(wrong).is_err(), "{wrong}");
        }
        assert!(steps("1k,,2k/5s").is_err() && steps("1k,2k").is_err());
        assert!(burst("0/1s").is_err() && burst("5").is_err() && burst("100M/1ms").is_err());
    }

    #[test]
    fn statuses_and_headers() {
        assert_eq!(statuses("200-299,404"), Ok(Statuses(vec![(200, 299), (404, 404)])));
        for wrong in ["", "20", "300-200", "2000", "x"] {
            assert!(statuses(wrong).is_err(), "{wrong}");
        }
        assert_eq!(header("Accept:  a:b "), Ok(("Accept".into(), "a:b".into())));
        for wrong in ["novalue", ": x", "a b: c", "x: a\r\ny: b"] {
            assert!(header(wrong).is_err(), "{wrong:?}");
        }
    }
}
