//! Latencies as counts in buckets, and quantiles of them. It must not invent precision: beyond the last bound only
//! "at least" can be said.

/// Counts by upper bound. The default has no buckets and no counts, and takes on the bounds of what is added first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    bounds_us: Vec<u64>,
    counts: Vec<u64>,
}

/// Why bounds and counts are not a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// There is one count per bound and one for what is above the last bound.
    Lengths,
    /// Bounds rise strictly and start above zero.
    Bounds,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lengths => "a histogram has one count more than it has bounds",
            Self::Bounds => "the bounds of a histogram rise strictly and start above zero",
        })
    }
}

impl std::error::Error for Malformed {}

/// Where a quantile lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantile {
    /// Here, microseconds: interpolated in its bucket as if latencies were spread evenly there.
    At(f64),
    /// Above the last bound, microseconds.
    Above(f64),
}

impl Histogram {
    /// `bounds_us` are upper bounds (inclusive) in microseconds; `counts` has one more, for what is above the last.
    pub fn new(bounds_us: Vec<u64>, counts: Vec<u64>) -> Result<Self, Malformed> {
        if counts.len() != bounds_us.len() + 1 {
            return Err(Malformed::Lengths);
        }
        let rising = bounds_us.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising || bounds_us.first() == Some(&0) {
            return Err(Malformed::Bounds);
        }
        Ok(Self { bounds_us, counts })
    }

    /// How many latencies it holds.
    pub fn total(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Adds what has the same bounds; anything else is left out (see [`crate::Counts::add`]).
    pub fn add(&mut self, other: &Self) {
        if self.counts.is_empty() {
            *self = other.clone();
        } else if self.bounds_us == other.bounds_us {
            for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
                *mine = mine.saturating_add(*theirs);
            }
        }
    }

    /// The latency that a share of the requests, 0.0 to 1.0, stays within; absent: there are none.
    pub fn quantile(&self, share: f64) -> Option<Quantile> {
        let total = self.counts.iter().map(|count| *count as f64).sum::<f64>();
        if total == 0.0 {
            return None;
        }
        let rank = share.clamp(0.0, 1.0) * total;
        let mut below = 0.0;
        let mut lower = 0.0;
        for (bound, count) in self.bounds_us.iter().zip(&self.counts) {
            let (upper, count) = (*bound as f64, *count as f64);
            if count > 0.0 && below + count >= rank {
                let part = ((rank - below) / count).clamp(0.0, 1.0);
                return Some(Quantile::At(lower + (upper - lower) * part));
            }
            below += count;
            lower = upper;
        }
        Some(Quantile::Above(lower))
    }
}

#[cfg(test)]
mod tests {
    use super::{Histogram, Malformed, Quantile};

    fn check(counts: [u64; 4], share: f64, expect: Option<Quantile>) {
        let histogram = Histogram::new(vec![100, 200, 400], counts.to_vec()).unwrap();
        assert_eq!(histogram.quantile(share), expect, "{counts:?} at {share}");
    }

    #[test]
    fn quantiles_are_interpolated() {
        check([0, 0, 0, 0], 0.95, None);
        check([100, 0, 0, 0], 0.95, Some(Quantile::At(95.0)));
        check([0, 10, 0, 0], 0.5, Some(Quantile::At(150.0)));
        check([50, 0, 50, 0], 0.75, Some(Quantile::At(300.0)));
        check([90, 0, 0, 10], 0.95, Some(Quantile::Above(400.0)));
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        let new = |bounds: &[u64], counts: &[u64]| Histogram::new(bounds.to_vec(), counts.to_vec());
        assert_eq!(new(&[1, 2], &[1, 1]), Err(Malformed::Lengths));
        assert_eq!(new(&[2, 2], &[1, 1, 1]), Err(Malformed::Bounds));
        assert_eq!(new(&[0], &[1, 1]), Err(Malformed::Bounds));
        assert!(new(&[], &[3]).is_ok());
    }

    #[test]
    fn other_bounds_are_left_out() {
        let one = Histogram::new(vec![10], vec![1, 2]).unwrap();
        let other = Histogram::new(vec![11], vec![5, 5]).unwrap();
        let mut sum = Histogram::default();
        for each in [&one, &other, &one] {
            sum.add(each);
        }
        assert_eq!(sum, Histogram::new(vec![10], vec![2, 4]).unwrap());
        assert_eq!(sum.total(), 6);
    }
}
