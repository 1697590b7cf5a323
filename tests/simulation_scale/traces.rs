//! What clients ask for, second by second.

/// A rate of requests over time.
pub(crate) struct Trace {
    pub(crate) name: &'static str,
    pub(crate) seconds: u64,
    /// Requests a second at a time in seconds.
    pub(crate) rate: fn(f64) -> f64,
}

/// The four of the comparison, and a steady one that nothing should move.
pub(crate) const STEP: Trace =
    Trace { name: "step", seconds: 900, rate: |t| if (300.0..600.0).contains(&t) { 1500.0 } else { 150.0 } };
/// Up to fifteen times the load within a minute, a minute there, and back.
pub(crate) const RAMP: Trace = Trace {
    name: "ramp",
    seconds: 900,
    rate: |t| {
        let t = t % 300.0;
        100.0 + 1400.0 * ((t - 60.0) / 60.0).clamp(0.0, 1.0).min((240.0 - t) / 60.0).clamp(0.0, 1.0)
    },
};
/// A day in forty minutes.
pub(crate) const DAILY: Trace = Trace {
    name: "daily wave",
    seconds: 2400,
    rate: |t| 800.0 - 650.0 * (t / 2400.0 * std::f64::consts::TAU).cos(),
};
/// The same with gusts of half as much again for twenty seconds: clocks strike, and clients obey.
pub(crate) const GUSTS: Trace = Trace {
    name: "gusts",
    seconds: 2400,
    rate: |t| if t % 200.0 >= 180.0 { 1.5 * (DAILY.rate)(t) } else { (DAILY.rate)(t) },
};
pub(crate) const SPIKES: Trace =
    Trace { name: "spike train", seconds: 1200, rate: |t| if t % 150.0 >= 120.0 { 1200.0 } else { 200.0 } };
pub(crate) const STEADY: Trace = Trace { name: "steady", seconds: 1200, rate: |_| 700.0 };

/// A small generator with a seed (xorshift64*): runs are repeatable.
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// 0 (not included) to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        (bits as f64 + 1.0) / (1u64 << 53) as f64
    }

    /// Exponential, with this mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -self.unit().ln() * mean
    }
}
