//! Values of flags as people type them: `1k..50k/60s`, `500/1s`, `200-399,404`. The amounts in them are
//! those of [`crate::amount`].

use std::time::Duration;

pub use crate::amount::{RATE_MAX, TIME_MAX, count, rate, seed, time};

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

/// `-t`, which is a time in hey and oha.
///
/// # Errors
/// What is wrong with it.
pub fn threads(text: &str) -> Result<u64, String> {
    count(text).map_err(|error| match time(text) {
        Ok(time) if time.is_zero() => format!("{error}; without -t there is one thread a core"),
        Ok(_) => format!("{error}; -t is threads, as in wrk: the time for an answer is --timeout {text}"),
        Err(_) => error,
    })
}

/// `-d`, which is a body in hey and oha.
///
/// # Errors
/// What is wrong with it.
pub fn length(text: &str) -> Result<Duration, String> {
    time(text).map_err(|error| {
        // What begins with a number was meant to be a time.
        let is_time = text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
        let hint = "; -d is the duration, as in wrk: a body is -b, a body's file -D";
        if is_time { error } else { error + hint }
    })
}

/// `-T`, which is a timeout in wrk.
///
/// # Errors
/// When it can only be a time.
pub fn media_type(text: &str) -> Result<String, String> {
    if time(text).is_ok() {
        return Err(format!(
            "`{text}` is a time; -T is the content type, as in hey and oha: the time for an answer is --timeout {text}"
        ));
    }
    Ok(text.to_owned())
}

/// `-a`.
///
/// # Errors
/// When there is no colon between user and password.
pub fn credentials(text: &str) -> Result<String, String> {
    // The value is not repeated: it may be a password.
    if text.contains(':') {
        Ok(text.to_owned())
    } else {
        Err("a user and a password have a colon between them, as USER:PASSWORD".to_owned())
    }
}

/// `--node-header`.
///
/// # Errors
/// When no header can be called so.
pub fn header_name(text: &str) -> Result<String, String> {
    if is_header_name(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not the name of a header"))
    }
}

fn is_header_name(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
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
    if !is_header_name(name) {
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
    fn what_others_mean_by_a_letter_is_said() {
        assert!(threads("20s").unwrap_err().contains("--timeout 20s"));
        assert!(threads("0").unwrap_err().contains("one thread a core"));
        assert!(length("{\"a\":1}").unwrap_err().contains("a body is -b"));
        let days = length("1d").unwrap_err();
        assert!(days.contains("24h") && !days.contains("body"), "{days}");
        assert!(media_type("5s").unwrap_err().contains("--timeout 5s") && media_type("5").is_err());
        assert_eq!(media_type("text/5s"), Ok("text/5s".to_owned()));
    }

    #[test]
    fn a_password_is_not_repeated_in_an_error() {
        assert_eq!(credentials("u:p"), Ok("u:p".to_owned()));
        assert!(!credentials("hunter2").unwrap_err().contains("hunter2"));
        assert!(
            header_name("").is_err() && header_name("not there").is_err() && header_name("x-node").is_ok()
        );
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
