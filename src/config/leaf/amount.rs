//! Durations, sizes, percentages, counts of workers.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Leaf, Trouble};
use crate::config::quoted;
use crate::logic::limits::{DURATION_MAX, WORKERS_MAX};

/// `250ms`, `10s`, `5m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Span(pub(in crate::config) Duration);

/// `64KiB`, `1MiB`, or a plain count of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Size(pub(in crate::config) u64);

/// A size, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct BodyLimit(pub(in crate::config) Option<u64>);

/// `70%`, in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Percent(pub(in crate::config) u32);

/// `auto`, or a number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Workers(pub(in crate::config) Option<NonZeroUsize>);

const MS_OF: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const BYTES_OF: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

impl Leaf for Span {
    const FORMAT: &'static str = "duration";
    const MEANING: &'static str = "a duration such as `250ms`, `10s`, `5m` or `1h`";

    fn read(text: &str) -> Result<Self, Trouble> {
        let (number, unit) = split(text).ok_or_else(|| wrong::<Self>(text))?;
        if unit.is_empty() {
            let trouble = Trouble::new(format!("the duration {} has no unit", quoted(text)));
            return Err(trouble.help(format!("did you mean `{number}s` or `{number}ms`?")));
        }
        let ms = unit_of(unit, MS_OF).ok_or_else(|| unknown_unit::<Self>(text, unit, MS_OF))?;
        let whole = times(number, ms).ok_or_else(|| wrong::<Self>(text))?;
        let span = Duration::from_millis(u64::try_from(whole).unwrap_or(u64::MAX));
        if span > DURATION_MAX {
            return Err(Trouble::new(format!("the duration {} is longer than a year", quoted(text))));
        }
        Ok(Self(span))
    }

    fn amount(&self) -> Option<u128> {
        Some(self.0.as_millis())
    }
}

impl Leaf for Size {
    const FORMAT: &'static str = "size";
    const MEANING: &'static str = "a size such as `64KiB` or `1MiB`";

    fn read(text: &str) -> Result<Self, Trouble> {
        let (number, unit) = split(text).ok_or_else(|| wrong::<Self>(text))?;
        let bytes = unit_of(if unit.is_empty() { "B" } else { unit }, BYTES_OF)
            .ok_or_else(|| unknown_unit::<Self>(text, unit, BYTES_OF))?;
        let whole = times(number, bytes).and_then(|whole| u64::try_from(whole).ok());
        let too_large = || {
            Trouble::new(format!(
                "the size {} is not a whole number of bytes that fits 64 bits",
                quoted(text)
            ))
        };
        whole.map(Self).ok_or_else(too_large)
    }

    fn amount(&self) -> Option<u128> {
        Some(self.0.into())
    }
}

impl Leaf for BodyLimit {
    const FORMAT: &'static str = "size-or-none";
    const MEANING: &'static str = "a size such as `1MiB`, or `none`";

    fn read(text: &str) -> Result<Self, Trouble> {
        match text {
            "none" => Ok(Self(None)),
            _ if text.starts_with(|first: char| first.is_ascii_digit()) => {
                Size::read(text).map(|size| Self(Some(size.0)))
            }
            _ => Err(wrong::<Self>(text)),
        }
    }

    fn amount(&self) -> Option<u128> {
        self.0.map(u128::from)
    }
}

impl Percent {
    /// In thousandths; what is finer is cut off.
    pub(in crate::config) fn permille(&self) -> u32 {
        self.0 / 10
    }
}

impl Leaf for Percent {
    const FORMAT: &'static str = "percentage";
    const MEANING: &'static str = "a percentage such as `50%`";

    fn read(text: &str) -> Result<Self, Trouble> {
        match split(text).ok_or_else(|| wrong::<Self>(text))? {
            (number, "%") => {
                let hundredths = times(number, 100).and_then(|hundredths| u32::try_from(hundredths).ok());
                hundredths.map(Self).ok_or_else(|| wrong::<Self>(text))
            }
            (number, "") => {
                let trouble = Trouble::new(format!("the percentage {} has no `%`", quoted(text)));
                Err(trouble.help(format!("did you mean `{number}%`?")))
            }
            _ => Err(wrong::<Self>(text)),
        }
    }

    fn amount(&self) -> Option<u128> {
        Some(self.0.into())
    }
}

impl Percent {
    /// As a share: 1 is 100 %.
    pub(in crate::config) fn share(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl Leaf for Workers {
    const FORMAT: &'static str = "workers";
    const MEANING: &'static str = "`auto` or a number of threads";

    fn read(text: &str) -> Result<Self, Trouble> {
        if text == "auto" {
            return Ok(Self(None));
        }
        let number = text.parse::<NonZeroUsize>().ok().filter(|number| number.get() <= WORKERS_MAX);
        number.map(|number| Self(Some(number))).ok_or_else(|| {
            Trouble::new(format!("{} is not a number of workers", quoted(text)))
                .help(format!("write `auto` for one a core, or 1 to {WORKERS_MAX}"))
        })
    }
}

fn wrong<L: Leaf>(text: &str) -> Trouble {
    Trouble::new(format!("expected {}, found {}", L::MEANING, quoted(text)))
}

fn unknown_unit<L: Leaf>(text: &str, unit: &str, units: &[(&str, u64)]) -> Trouble {
    let trouble = Trouble::new(format!("{} is not a unit, in {}", quoted(unit), quoted(text)));
    let number = text.trim_end_matches(unit).trim_end();
    match units.iter().find(|(name, _)| {
        name.eq_ignore_ascii_case(unit) || name.replace('i', "").eq_ignore_ascii_case(&format!("{unit}B"))
    }) {
        Some((name, _)) => trouble.help(format!("did you mean `{number}{name}`?")),
        None => trouble.help(format!("write {}", L::MEANING)),
    }
}

fn unit_of(unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)
}

/// A decimal number and what follows it. Signs, exponents and separators are no part of a number here.
fn split(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|one: char| !one.is_ascii_digit() && one != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole) && digits(fraction)).then_some((number, unit.trim_start()))
}

/// `number * factor`, exactly: `None` where that is no whole number or too large for any use.
fn times(number: &str, factor: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits = format!("{whole}{fraction}").parse::<u128>().ok()?;
    let product = digits.checked_mul(factor.into())?;
    (product % scale == 0).then_some(product / scale)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_exact() {
        for (text, ms) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1.5s", 1500),
            ("0s", 0),
            ("2 s", 2000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(Span::read(text), Ok(Span(Duration::from_millis(ms))), "{text}");
        }
        for bad in [
            "",
            "s",
            "10",
            "-1s",
            "+1s",
            "1e3s",
            "1.s",
            ".5s",
            "1..5s",
            "10 sec",
            "0.1ms",
            "1_000s",
            "99999d",
            "٣s",
            "18446744073709551616h",
        ] {
            assert!(Span::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_exact() {
        for (text, bytes) in [
            ("64KiB", 65_536),
            ("1MiB", 1 << 20),
            ("1.5KiB", 1536),
            ("10", 10),
            ("0", 0),
            ("2KB", 2000),
            ("7B", 7),
        ] {
            assert_eq!(Size::read(text), Ok(Size(bytes)), "{text}");
        }
        for bad in ["", "KiB", "-1", "1.0001KiB", "0x10", "1K", "1kib", "99999999TiB"] {
            assert!(Size::read(bad).is_err(), "{bad}");
        }
        assert_eq!(Size::read("1K").unwrap_err().help.as_deref(), Some("did you mean `1KiB`?"));
        assert_eq!(BodyLimit::read("none"), Ok(BodyLimit(None)));
    }

    #[test]
    fn percentages_need_their_sign() {
        assert_eq!(Percent::read("70%"), Ok(Percent(7000)));
        assert_eq!(Percent::read("0.5%"), Ok(Percent(50)));
        assert_eq!(Percent::read("70").unwrap_err().help.as_deref(), Some("did you mean `70%`?"));
        assert!(Percent::read("x%").is_err());
    }

    proptest! {
        #[test]
        fn a_written_duration_is_read_back(ms in 0u64..366 * 86_400_000) {
            let read = |text: String| Span::read(&text).map(|span| span.0);
            prop_assert_eq!(read(format!("{ms}ms")), Ok(Duration::from_millis(ms)));
            prop_assert_eq!(read(format!("{}.{:03}s", ms / 1000, ms % 1000)), Ok(Duration::from_millis(ms)));
        }

        #[test]
        fn a_written_size_is_read_back(bytes in any::<u64>(), unit in 0usize..4) {
            prop_assert_eq!(Size::read(&format!("{bytes}")), Ok(Size(bytes)));
            let (name, factor) = BYTES_OF[unit];
            if let Some(whole) = bytes.checked_mul(factor) {
                prop_assert_eq!(Size::read(&format!("{bytes}{name}")), Ok(Size(whole)));
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,12}") {
            let _ = (Span::read(&text), Size::read(&text), Percent::read(&text), Workers::read(&text));
        }
    }
}
