//! How long a node waits before it answers: one fixed time, or a draw from a distribution.

use std::{fmt, str::FromStr, time::Duration};

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp1, StandardNormal};

use crate::amount;

/// No draw is longer than this: a heavy tail should slow a test, not hang it.
const DRAW_MAX: Duration = Duration::from_secs(60);

/// A distribution of waiting times. Its text form is what flags and query parameters hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Delay {
    /// `20ms`: always the same; `0` is none.
    Constant(Duration),
    /// `uniform:10ms..30ms`: every time between the two is as likely.
    Uniform(Duration, Duration),
    /// `exp:20ms`: exponential with this mean.
    Exponential(Duration),
    /// `lognormal:20ms,0.5`: this median, and sigma of the underlying normal.
    Lognormal(Duration, f64),
    /// `bimodal:5ms,200ms,5%`: the first time, and the second for this share of the requests.
    Bimodal(Duration, Duration, f64),
}

impl Delay {
    /// No waiting at all.
    pub(crate) const NONE: Self = Self::Constant(Duration::ZERO);

    /// Draws a waiting time, at most a minute.
    pub(crate) fn draw(self, random: &mut impl Rng) -> Duration {
        let drawn = match self {
            Self::Constant(time) => return time,
            Self::Uniform(low, high) => low + (high - low).mul_f64(random.random::<f64>()),
            Self::Exponential(mean) => mean.mul_f64(Exp1.sample(random)),
            Self::Lognormal(median, sigma) => {
                let normal: f64 = StandardNormal.sample(random);
                let factor = (sigma * normal).exp().min(1e6);
                median.mul_f64(factor)
            }
            Self::Bimodal(usual, rare, share) => {
                if random.random::<f64>() < share {
                    rare
                } else {
                    usual
                }
            }
        };
        drawn.min(DRAW_MAX)
    }
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((kind, rest)) = text.split_once(':') else {
            return amount::setting(text).map(Self::Constant);
        };
        match kind {
            "constant" => amount::setting(rest).map(Self::Constant),
            "uniform" => uniform(rest),
            "exp" | "exponential" => amount::setting(rest).map(Self::Exponential),
            "lognormal" => lognormal(rest),
            "bimodal" => bimodal(rest),
            _ => {
                Err(format!("'{kind}' is no distribution: constant, uniform, exp, lognormal and bimodal are"))
            }
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = amount::show;
        match *self {
            Self::Constant(time) => write!(out, "{}", show(time)),
            Self::Uniform(low, high) => write!(out, "uniform:{}..{}", show(low), show(high)),
            Self::Exponential(mean) => write!(out, "exp:{}", show(mean)),
            Self::Lognormal(median, sigma) => write!(out, "lognormal:{},{sigma}", show(median)),
            Self::Bimodal(usual, rare, share) => {
                write!(out, "bimodal:{},{},{}%", show(usual), show(rare), share * 100.0)
            }
        }
    }
}

fn uniform(text: &str) -> Result<Delay, String> {
    let wrong = || format!("'{text}' is no range: write for example uniform:10ms..30ms");
    let (low, high) = text.split_once("..").ok_or_else(wrong)?;
    let (low, high) = (amount::setting(low)?, amount::setting(high)?);
    if low <= high { Ok(Delay::Uniform(low, high)) } else { Err(wrong()) }
}

fn lognormal(text: &str) -> Result<Delay, String> {
    let wrong = || format!("'{text}' needs a median and a sigma of 0 to 5: lognormal:20ms,0.5");
    let (median, sigma) = text.split_once(',').ok_or_else(wrong)?;
    let sigma: f64 = sigma.trim().parse().map_err(|_| wrong())?;
    if !(0.0..=5.0).contains(&sigma) {
        return Err(wrong());
    }
    Ok(Delay::Lognormal(amount::setting(median)?, sigma))
}

fn bimodal(text: &str) -> Result<Delay, String> {
    let parts: Vec<&str> = text.split(',').collect();
    let [usual, rare, share] = parts[..] else {
        return Err(format!("'{text}' needs two times and a share: bimodal:5ms,200ms,5%"));
    };
    Ok(Delay::Bimodal(amount::setting(usual)?, amount::setting(rare)?, amount::share(share)?))
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    fn mean_ms(text: &str) -> f64 {
        let delay: Delay = text.parse().unwrap();
        let mut random = SmallRng::seed_from_u64(7);
        let draws = 20_000;
        (0..draws).map(|_| delay.draw(&mut random).as_secs_f64()).sum::<f64>() * 1e3 / f64::from(draws)
    }

    #[test]
    fn the_mean_of_the_draws_is_the_theory() {
        // Lognormal: median * exp(sigma^2 / 2).
        for (text, mean) in [
            ("20ms", 20.0),
            ("uniform:10ms..30ms", 20.0),
            ("exp:20ms", 20.0),
            ("lognormal:20ms,0.5", 20.0 * (0.125_f64).exp()),
            ("bimodal:5ms,205ms,10%", 25.0),
        ] {
            let found = mean_ms(text);
            assert!((found / mean - 1.0).abs() < 0.03, "{text}: {found} instead of {mean}");
        }
    }

    #[test]
    fn one_seed_gives_one_sequence() {
        let delay: Delay = "exp:20ms".parse().unwrap();
        let draws = |seed| {
            let mut random = SmallRng::seed_from_u64(seed);
            (0..9).map(|_| delay.draw(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }

    #[test]
    fn the_text_form_reads_back() {
        for text in
            ["0", "20ms", "uniform:10ms..30ms", "exp:1.5s", "lognormal:20ms,0.5", "bimodal:5ms,200ms,5%"]
        {
            assert_eq!(text.parse::<Delay>().unwrap().to_string(), text);
        }
        for text in [
            "uniform:3ms",
            "uniform:3ms..1ms",
            "lognormal:1ms",
            "lognormal:1ms,9",
            "bimodal:1ms,2ms",
            "pareto:1",
        ] {
            assert!(text.parse::<Delay>().is_err(), "{text}");
        }
    }
}
