//! How long to wait before the command is started again. Pure.

use super::Timing;

#[derive(Debug, Default)]
pub(crate) struct Backoff {
    short_runs: u32,
}

impl Backoff {
    /// The wait after a run of `ran_ms`: doubles with every short run, starts afresh after a long one.
    pub(crate) fn after(&mut self, ran_ms: u64, timing: &Timing) -> u64 {
        if ran_ms >= timing.healthy_ms {
            self.short_runs = 0;
        }
        let factor = 1u64.checked_shl(self.short_runs).unwrap_or(u64::MAX);
        self.short_runs = self.short_runs.saturating_add(1);
        timing
            .backoff_first_ms
            .saturating_mul(factor)
            .min(timing.backoff_max_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_its_limit_and_starts_afresh_after_a_healthy_run() {
        let (mut backoff, timing) = (Backoff::default(), Timing::default());
        let waits: Vec<u64> = (0..9).map(|_| backoff.after(5, &timing)).collect();
        assert_eq!(
            waits,
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
        );
        assert_eq!(backoff.after(60_000, &timing), 100);
        assert_eq!(backoff.after(59_999, &timing), 200);
        for _ in 0..200 {
            backoff.after(0, &timing);
        }
        assert_eq!(backoff.after(0, &timing), 10_000, "no overflow");
    }
}
