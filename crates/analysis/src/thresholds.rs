//! Plain thresholds with a minimum count.
//!
//! What is fair: a release is only failed for what it does worse. When the release beside it fails just as often (a
//! broken database, a flood of bad requests), going back would not help and calling it good would be a lie, so the
//! answer is neither. A plain threshold knows nothing of chance: with a small `min_requests` one unlucky request can be
//! above a strict limit. That is what was asked for; a sequential test does better.

use crate::rule::{Decision, Finding, Rule};
use crate::words::{are, few, latency, percent, percent_beside, requests, span, times};
use crate::{Arm, Arms, Quantile};
use std::collections::BTreeMap;

/// Limits on errors and on latency. The limit itself is allowed; what is above it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// The largest share of requests that may fail, 0.0 to 1.0; absent: not looked at.
    ///
    /// Above it the release fails, unless the release beside it has enough requests and is above it, too: then it fails
    /// only if it is worse by more than chance explains (two standard errors of the difference), else it is undecided.
    pub max_errors: Option<f64>,
    /// How many times the other release's 95th percentile this one's may be; absent: not looked at. Both need
    /// `min_requests` latencies. Errors are in it, too, so a release that fails fast is not slow.
    pub max_slower: Option<f64>,
    /// Below this many requests nothing is said. Zero counts as one: no data is never a pass.
    pub min_requests: u64,
}

/// What one limit says.
type Judgement = (Decision, String);

type Numbers = BTreeMap<&'static str, f64>;

impl Rule for Thresholds {
    fn look(&mut self, arms: &Arms) -> Finding {
        self.judge(arms)
    }
}

impl Thresholds {
    /// The look of [`Rule`]; thresholds remember nothing.
    pub fn judge(&self, arms: &Arms) -> Finding {
        let mut numbers = counted(arms);
        let seen = arms.candidate.counts.requests;
        let (decision, clause) = if seen < self.needed() {
            let title = &arms.candidate.title;
            let clause = format!(
                "{title} answered {} in {}; {} needed",
                few(seen),
                span(arms.span_ms),
                are(self.needed())
            );
            (Decision::Undecided, clause)
        } else {
            let errors = self.errors(arms);
            let slower = self.slower(arms, &mut numbers);
            self.worst(arms, errors, slower)
        };
        Finding {
            decision,
            sentence: clause,
            numbers,
        }
    }

    fn needed(&self) -> u64 {
        self.min_requests.max(1)
    }

    /// The worse of the two judgements; two passes are both said.
    fn worst(
        &self,
        arms: &Arms,
        errors: Option<Judgement>,
        slower: Option<Judgement>,
    ) -> Judgement {
        let judgements: Vec<Judgement> = errors.into_iter().chain(slower).collect();
        for wanted in [Decision::Fail, Decision::Undecided] {
            if let Some(found) = judgements.iter().find(|(decision, _)| *decision == wanted) {
                return found.clone();
            }
        }
        if judgements.is_empty() {
            let clause = match self.max_slower {
                Some(_) => "there is no earlier release whose speed could be compared",
                None => "no limit is set",
            };
            return (Decision::Undecided, clause.to_owned());
        }
        let clauses: Vec<String> = judgements.into_iter().map(|(_, clause)| clause).collect();
        let seen = requests(arms.candidate.counts.requests);
        let clause = format!(
            "{}; seen on {seen} in {}",
            clauses.join(", and "),
            span(arms.span_ms)
        );
        (Decision::Pass, clause)
    }

    fn errors(&self, arms: &Arms) -> Option<Judgement> {
        let limit = self.max_errors?;
        let Arm { title, counts } = &arms.candidate;
        let rate = counts.error_rate()?;
        let beside = beside(arms);
        if rate <= limit {
            let clause = format!(
                "{title} answers {} of requests with an error{beside}, within the {} allowed",
                percent(rate),
                percent(limit)
            );
            return Some((Decision::Pass, clause));
        }
        let rate = percent_beside(rate, limit);
        if let Some(baseline) = self.as_bad(arms, limit) {
            let clause = format!(
                "{title} answers {rate} of requests with an error, but {} is as bad ({}), so the release is neither \
                 to blame nor proved",
                baseline.title,
                percent(baseline.counts.error_rate()?)
            );
            return Some((Decision::Undecided, clause));
        }
        let clause = format!(
            "{title} answers {rate} of requests with an error{beside}, more than the {} allowed; seen on {} of {} in {}",
            percent(limit),
            counts.errors.min(counts.requests),
            requests(counts.requests),
            span(arms.span_ms)
        );
        Some((Decision::Fail, clause))
    }

    /// The baseline, if it is above the limit as well and the candidate is not clearly worse.
    fn as_bad<'a>(&self, arms: &'a Arms, limit: f64) -> Option<&'a Arm> {
        let baseline = arms.baseline.as_ref()?;
        let theirs = baseline.counts.error_rate()?;
        let ours = arms.candidate.counts.error_rate()?;
        if baseline.counts.requests < self.needed() || theirs <= limit {
            return None;
        }
        let (n, m) = (
            arms.candidate.counts.requests as f64,
            baseline.counts.requests as f64,
        );
        let pooled = (ours * n + theirs * m) / (n + m);
        let standard_error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m))
            .max(0.0)
            .sqrt();
        (ours - theirs <= 2.0 * standard_error).then_some(baseline)
    }

    /// Without a baseline there is nothing to be slower than: the limit does not apply.
    fn slower(&self, arms: &Arms, numbers: &mut Numbers) -> Option<Judgement> {
        let limit = self.max_slower?;
        let baseline = arms.baseline.as_ref()?;
        for arm in [&arms.candidate, baseline] {
            let known = arm.counts.latency.total();
            if known < self.needed() {
                let clause = format!(
                    "how long {} takes is known of {}; {} needed to compare",
                    arm.title,
                    few(known),
                    are(self.needed())
                );
                return Some((Decision::Undecided, clause));
            }
        }
        let ours = arms.candidate.counts.latency.quantile(0.95)?;
        let theirs = baseline.counts.latency.quantile(0.95)?;
        let compared = compare(ours, theirs);
        let told = format!(
            "{} takes {} (95th percentile; {}: {})",
            arms.candidate.title,
            told(ours),
            baseline.title,
            told(theirs)
        );
        let Some(compared) = compared else {
            let clause = format!("{told}: both are too slow to be measured");
            return Some((Decision::Undecided, clause));
        };
        if compared.factor.is_finite() {
            numbers.insert("slower_factor", compared.factor);
        }
        let judgement = if compared.factor <= limit && !compared.at_least {
            let clause = format!("{told}, within the {} allowed", times(limit));
            (Decision::Pass, clause)
        } else if compared.factor <= limit {
            // Somewhere above the last bucket: perhaps within the limit, perhaps not.
            let clause = format!("{told}: too slow to be measured");
            (Decision::Undecided, clause)
        } else {
            let clause = format!(
                "{told}, more than the {} allowed; seen on {} in {}",
                times(limit),
                requests(arms.candidate.counts.requests),
                span(arms.span_ms)
            );
            (Decision::Fail, clause)
        };
        Some(judgement)
    }
}

struct Compared {
    factor: f64,
    /// The true factor may be larger.
    at_least: bool,
}

/// Ours over theirs; absent: both are off the scale.
fn compare(ours: Quantile, theirs: Quantile) -> Option<Compared> {
    let (ours, theirs, at_least) = match (ours, theirs) {
        (Quantile::At(ours), Quantile::At(theirs) | Quantile::Above(theirs)) => {
            (ours, theirs, false)
        }
        (Quantile::Above(ours), Quantile::At(theirs)) => (ours, theirs, true),
        (Quantile::Above(_), Quantile::Above(_)) => return None,
    };
    let factor = match (ours > 0.0, theirs > 0.0) {
        (_, true) => ours / theirs,
        (true, false) => f64::INFINITY,
        (false, false) => 1.0,
    };
    Some(Compared { factor, at_least })
}

fn told(quantile: Quantile) -> String {
    match quantile {
        Quantile::At(us) => latency(us),
        Quantile::Above(us) => format!("more than {}", latency(us)),
    }
}

/// ` (release 1: 0 %)`, if there is something to compare with.
fn beside(arms: &Arms) -> String {
    match &arms.baseline {
        None => String::new(),
        Some(baseline) => match baseline.counts.error_rate() {
            Some(rate) => format!(" ({}: {})", baseline.title, percent(rate)),
            None => format!(" ({}: no requests)", baseline.title),
        },
    }
}

fn counted(arms: &Arms) -> Numbers {
    let mut numbers = Numbers::new();
    let mut put = |arm: &Arm, names: [&'static str; 4]| {
        numbers.insert(names[0], arm.counts.requests as f64);
        numbers.insert(names[1], arm.counts.errors as f64);
        if let Some(rate) = arm.counts.error_rate() {
            numbers.insert(names[2], rate);
        }
        if let Some(Quantile::At(us) | Quantile::Above(us)) = arm.counts.latency.quantile(0.95) {
            numbers.insert(names[3], us);
        }
    };
    let names = [
        "candidate_requests",
        "candidate_errors",
        "candidate_error_rate",
        "candidate_p95_us",
    ];
    put(&arms.candidate, names);
    if let Some(baseline) = &arms.baseline {
        let names = [
            "baseline_requests",
            "baseline_errors",
            "baseline_error_rate",
            "baseline_p95_us",
        ];
        put(baseline, names);
    }
    numbers
}

#[cfg(test)]
mod tests;
