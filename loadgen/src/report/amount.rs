//! Numbers as people read them: three digits that matter and a unit.

/// A time in nanoseconds as `850 ns`, `12.3 us`, `8.31 ms`, `2.50 s`.
#[must_use]
pub fn time(nanos: u64) -> String {
    time_of(nanos as f64)
}

/// The same of a number that need not be whole, such as a mean.
#[must_use]
pub fn time_of(nanos: f64) -> String {
    match nanos {
        n if n < 999.5 => format!("{n:.0} ns"),
        n if n < 999.5e3 => format!("{} us", three(n / 1e3)),
        n if n < 999.5e6 => format!("{} ms", three(n / 1e6)),
        n => format!("{} s", three(n / 1e9)),
    }
}

/// An offset on the time axis, as `0.250 s`.
#[must_use]
pub fn offset(millis: u64) -> String {
    format!("{:.3} s", millis as f64 / 1e3)
}

/// A whole number with its thousands apart: `1 234 567`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// Something a second: `49 870/s`, `12.3/s`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    if per_second >= 999.5 {
        format!("{}/s", count(per_second.round() as u64))
    } else {
        format!("{}/s", three(per_second))
    }
}

/// Bytes as `512 B`, `1.21 KiB`, `3.40 GiB`.
#[must_use]
pub fn bytes(number: f64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024.0 {
        return format!("{number:.0} B");
    }
    let mut value = number / 1024.0;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", three(value), units[unit])
}

/// A share of one as percent: `0.02 %`, `12.3 %`, `100 %`. What is not nothing never reads as nothing, and what is
/// not all never reads as all.
#[must_use]
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        p if p < 0.01 => "<0.01 %".to_owned(),
        p if p < 9.995 => format!("{p:.2} %"),
        p if p >= 100.0 => "100 %".to_owned(),
        p if p > 99.9 => ">99.9 %".to_owned(),
        p => format!("{p:.1} %"),
    }
}

/// Text that came from a network or a file, for a terminal: control characters, which could move the cursor or
/// change colours, are shown instead of obeyed, and no more than `max` characters.
#[must_use]
pub fn harmless(text: &str, max: usize) -> String {
    let mut out = String::new();
    for (at, char) in text.chars().enumerate() {
        if at == max {
            out.push('…');
            break;
        }
        if char.is_control() || is_direction(char) {
            out.extend(char.escape_unicode());
        } else {
            out.push(char);
        }
    }
    out
}

/// Marks that turn the direction of writing: they can make text read as what it is not.
fn is_direction(char: char) -> bool {
    matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Three digits that matter.
fn three(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_three_digits_across_the_borders_of_units() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 us"),
            (9_994, "9.99 us"),
            (9_996, "10.0 us"),
            (999_499, "999 us"),
            (999_600, "1.00 ms"),
            (8_310_000, "8.31 ms"),
            (2_500_000_000, "2.50 s"),
            (3_600_000_000_000, "3600 s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(time(nanos), text);
        }
    }

    #[test]
    fn counts_rates_and_bytes_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1 234 567");
        assert_eq!(rate(49_870.4), "49 870/s");
        assert_eq!(rate(12.34), "12.3/s");
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(1_240.0), "1.21 KiB");
        assert_eq!(bytes(1_048_000.0), "1.00 MiB");
    }

    #[test]
    fn percents_never_round_to_nothing_or_to_all() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.000_001), "<0.01 %");
        assert_eq!(percent(0.999_999), ">99.9 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.123_4), "12.3 %");
    }

    #[test]
    fn hostile_text_cannot_steer_a_terminal() {
        assert_eq!(harmless("a\u{1b}[31mb\r\n", 99), "a\\u{1b}[31mb\\u{d}\\u{a}");
        assert_eq!(harmless("\u{202e}x", 99), "\\u{202e}x");
        assert_eq!(harmless("abcdef", 3), "abc…");
    }
}
