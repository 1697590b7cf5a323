//! The distances between arrivals, in units of the mean distance.

use std::str::FromStr;

/// How arrivals lie within the planned rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spacing {
    /// Evenly: the kindest load, and the one whose results vary least.
    #[default]
    Constant,
    /// Gaps equally likely between none and twice the mean.
    Uniform,
    /// Exponential gaps: independent users, the load of queueing theory.
    Poisson,
}

impl Spacing {
    /// Its name on the command line and in the result.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Uniform => "uniform",
            Self::Poisson => "poisson",
        }
    }
}

impl FromStr for Spacing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Constant, Self::Uniform, Self::Poisson]
            .into_iter()
            .find(|spacing| spacing.name() == text)
            .ok_or_else(|| format!("`{text}` is none of constant, uniform, poisson"))
    }
}

/// A stream of gaps with mean 1, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Gaps {
    spacing: Spacing,
    draws: fastrand::Rng,
}

impl Gaps {
    /// The stream of a seed.
    #[must_use]
    pub fn new(spacing: Spacing, seed: u64) -> Self {
        Self { spacing, draws: fastrand::Rng::with_seed(seed) }
    }

    /// The distance of the first arrival from the start: an even load starts at once.
    pub fn first(&mut self) -> f64 {
        if self.spacing == Spacing::Constant { 0.0 } else { self.draw() }
    }

    /// The next distance.
    pub fn draw(&mut self) -> f64 {
        match self.spacing {
            Spacing::Constant => 1.0,
            Spacing::Uniform => 2.0 * self.draws.f64(),
            // 1 - u lies in (0, 1]: the logarithm is finite.
            Spacing::Poisson => -(1.0 - self.draws.f64()).ln(),
        }
    }
}
