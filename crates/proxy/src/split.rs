//! Which group a request goes to: pure arithmetic over weights, no state of its own.

use belay_proxy_api::WEIGHT_SUM;
use sha2::{Digest, Sha256};

/// Coprime to 1000, so that any 1000 numbers in a row hit each position once; near 1000 divided
/// by the golden ratio, so that a small share is spread and does not come in one go.
const STRIDE: u64 = 619;

/// Weights, summed up in the order of the groups.
#[derive(Debug)]
pub(crate) struct Split {
    ends: Vec<u32>,
}

impl Split {
    pub(crate) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let ends = weights.scan(0u32, |sum, weight| {
            *sum = sum.saturating_add(weight);
            Some(*sum)
        });
        Self {
            ends: ends.collect(),
        }
    }

    /// The index of the group that request number `n` goes to; none when all weights are 0.
    pub(crate) fn pick(&self, n: u64) -> Option<usize> {
        let sum = u64::from(WEIGHT_SUM);
        let position = (n % sum) * STRIDE % sum;
        self.ends.iter().position(|end| position < u64::from(*end))
    }

    pub(crate) fn has_weight(&self, index: usize) -> bool {
        let start = if index == 0 {
            0
        } else {
            self.ends.get(index - 1).copied().unwrap_or(0)
        };
        self.ends.get(index).is_some_and(|end| *end > start)
    }
}

/// The value of a sticky cookie: names the group without telling its name, and differs between
/// routes and cookies so that one split says nothing about another.
pub(crate) fn cookie_value(route: &str, cookie: &str, group: &str) -> String {
    let mut hash = Sha256::new();
    for part in ["belay sticky 1", route, cookie, group] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::{Split, cookie_value};

    #[test]
    fn any_thousand_in_a_row_are_exact() {
        for start in [0, 1, 617, 123_456_789] {
            let split = Split::new([10, 0, 240, 750].into_iter());
            let mut counts = [0; 4];
            for n in start..start + 1000 {
                counts[split.pick(n).unwrap()] += 1;
            }
            assert_eq!(counts, [10, 0, 240, 750], "from {start}");
        }
    }

    #[test]
    fn a_small_share_is_spread() {
        let split = Split::new([100, 900].into_iter());
        let hits: Vec<u64> = (0..1000).filter(|n| split.pick(*n) == Some(0)).collect();
        let widest = hits.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(widest <= 25, "{widest} requests without the group");
    }

    #[test]
    fn no_weight_no_group() {
        let split = Split::new([0, 0].into_iter());
        assert_eq!(split.pick(7), None);
        assert!(!split.has_weight(0) && !split.has_weight(1) && !split.has_weight(2));
        let split = Split::new([0, 1000].into_iter());
        assert!(!split.has_weight(0) && split.has_weight(1));
    }

    #[test]
    fn cookies_of_two_splits_differ() {
        assert_ne!(cookie_value("a", "c", "g"), cookie_value("b", "c", "g"));
        assert_ne!(cookie_value("a", "bc", "g"), cookie_value("ab", "c", "g"));
    }
}
