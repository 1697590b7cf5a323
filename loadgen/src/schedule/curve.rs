//! The planned rate over time: straight lines between corners.
//!
//! The number of requests due up to a moment is the area under the curve; the moment of the n-th request is
//! the inverse of that. Both are exact for straight lines, so a ramp has no steps in it.

/// A stretch of time in which the rate goes from one value to another in a straight line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// Seconds; may be infinite for the last piece.
    pub length_s: f64,
    /// Requests a second at its start.
    pub from: f64,
    /// Requests a second at its end.
    pub to: f64,
}

/// Pieces in order of time. After the last one there is no rate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateCurve {
    pieces: Vec<Piece>,
}

impl RateCurve {
    /// The same rate for ever.
    #[must_use]
    pub fn constant(rate: f64) -> Self {
        Self { pieces: vec![Piece { length_s: f64::INFINITY, from: rate, to: rate }] }
    }

    /// From one rate to another in so many seconds, then at that rate for ever.
    #[must_use]
    pub fn ramp(from: f64, to: f64, over_s: f64) -> Self {
        let hold = Piece { length_s: f64::INFINITY, from: to, to };
        Self { pieces: vec![Piece { length_s: over_s, from, to }, hold] }
    }

    /// Each rate for `each_s` seconds; the last one for ever.
    #[must_use]
    pub fn steps(rates: &[f64], each_s: f64) -> Self {
        let mut pieces: Vec<Piece> =
            rates.iter().map(|&rate| Piece { length_s: each_s, from: rate, to: rate }).collect();
        if let Some(last) = pieces.last_mut() {
            last.length_s = f64::INFINITY;
        }
        Self { pieces }
    }

    /// The same curve, moved back by a warm-up at its first rate.
    #[must_use]
    pub fn after_warmup(&self, warmup_s: f64) -> Self {
        let first = self.pieces.first().filter(|_| warmup_s > 0.0);
        let warmup = first.map(|piece| Piece { length_s: warmup_s, from: piece.from, to: piece.from });
        Self { pieces: warmup.into_iter().chain(self.pieces.iter().copied()).collect() }
    }

    /// Requests a second at a moment; 0 after the end.
    #[must_use]
    pub fn rate_at(&self, at_s: f64) -> f64 {
        let mut start = 0.0;
        for piece in &self.pieces {
            if at_s < start + piece.length_s {
                return piece.rate_after(at_s - start);
            }
            start += piece.length_s;
        }
        0.0
    }

    /// Requests due from 0 to a moment.
    #[must_use]
    pub fn area_to(&self, at_s: f64) -> f64 {
        let mut left = at_s;
        let mut area = 0.0;
        for piece in &self.pieces {
            area += piece.area_after(left.min(piece.length_s));
            left -= piece.length_s;
            if left <= 0.0 {
                break;
            }
        }
        area
    }

    /// The corners up to an end, as (seconds, rate): what a picture of the plan needs.
    #[must_use]
    pub fn corners(&self, end_s: f64) -> Vec<(f64, f64)> {
        let mut corners = Vec::new();
        let mut start = 0.0;
        for piece in &self.pieces {
            if start >= end_s {
                break;
            }
            let length = piece.length_s.min(end_s - start);
            corners.push((start, piece.from));
            corners.push((start + length, piece.rate_after(length)));
            start += piece.length_s;
        }
        corners
    }

    /// A walk along the curve that answers rising questions in constant time.
    #[must_use]
    pub fn walk(&self) -> Walk {
        Walk { pieces: self.pieces.clone(), index: 0, start_s: 0.0, area_before: 0.0 }
    }
}

impl Piece {
    fn slope(&self) -> f64 {
        if self.length_s.is_finite() && self.length_s > 0.0 {
            (self.to - self.from) / self.length_s
        } else {
            0.0
        }
    }

    fn rate_after(&self, elapsed_s: f64) -> f64 {
        self.from + self.slope() * elapsed_s
    }

    fn area_after(&self, elapsed_s: f64) -> f64 {
        // 0 times infinity is not a number: a rate of 0 for ever, or a slope of 0, adds nothing.
        let plus = |factor: f64, time: f64| if factor == 0.0 { 0.0 } else { factor * time };
        let elapsed_s = elapsed_s.max(0.0);
        plus(self.from, elapsed_s) + plus(self.slope() / 2.0, elapsed_s * elapsed_s)
    }

    /// Seconds after which the area is reached. The form of the quadratic solution that stays exact when
    /// the slope is 0 or tiny.
    fn time_of_area(&self, area: f64) -> f64 {
        if area <= 0.0 {
            return 0.0;
        }
        let root = (self.from * self.from + 2.0 * self.slope() * area).max(0.0).sqrt();
        2.0 * area / (self.from + root)
    }
}

/// See [`RateCurve::walk`].
#[derive(Clone, Debug)]
pub struct Walk {
    pieces: Vec<Piece>,
    index: usize,
    start_s: f64,
    area_before: f64,
}

impl Walk {
    /// The moment, in seconds, at which the area under the curve reaches `area`; `None` when it never does.
    /// Questions must not fall.
    pub fn time_of(&mut self, area: f64) -> Option<f64> {
        loop {
            let piece = self.pieces.get(self.index)?;
            let whole = piece.area_after(piece.length_s);
            let wanted = area - self.area_before;
            if wanted < whole {
                return Some(self.start_s + piece.time_of_area(wanted));
            }
            self.start_s += piece.length_s;
            self.area_before += whole;
            self.index += 1;
        }
    }
}
