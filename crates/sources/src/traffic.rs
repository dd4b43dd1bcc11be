//! `traffic: ...`: what the proxy counted, looked at until it decides. The numbers are judged by a
//! [`Rule`]; here they are gathered, and time is kept.
//!
//! Counted are the seconds that began at or after the start of the watching. While both releases serve, the old one's same
//! seconds are the comparison. In the bake the old one serves nothing any more: its last five minutes are.
//! A pass needs a reading that was asked for when the time was over: what was seen before the counters went
//! silent is not enough (P6).

use crate::answer::Answer;
use crate::counters::{Bucket, Counters, Reading};
use crate::watch::Watch;
use belay_analysis::{Arm, Arms, Counts, Decision, Finding, Rule, Thresholds};
use belay_engine::ports::{Evidence, Ledger};
use belay_model::config::Traffic;
use belay_model::plan::Look;
use belay_model::release::Record;
use belay_model::verdict::Outcome;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TICK_MS: u64 = 250;
/// How long the counters may be silent before nothing is known any more.
const BLIND_MS: u64 = 5000;
const KEEP_EVERY_US: i64 = 1_000_000;
const SAY_EVERY_US: i64 = 2_000_000;
const OLD_RATES_SECONDS: i64 = 5 * 60;
const SECOND_US: i64 = 1_000_000;

/// The traffic checks of one verification: they share one look at the counters.
pub(crate) struct TrafficWatch<'a> {
    watch: &'a Watch<'a>,
    counters: &'a dyn Counters,
    ledger: &'a dyn Ledger,
    rules: Vec<Ruled>,
    counted: Counted,
    cursor: Option<String>,
    kept_us: Option<i64>,
    said_us: Option<i64>,
}

struct Ruled {
    check: String,
    rule: Box<dyn Rule>,
    /// When a pass may be said, and when there is nothing to wait for any more; since the watching began.
    pass_after_ms: u64,
    over_after_ms: u64,
    answer: Option<Answer>,
}

impl<'a> TrafficWatch<'a> {
    pub(crate) fn new(
        watch: &'a Watch<'a>,
        counters: &'a dyn Counters,
        ledger: &'a dyn Ledger,
        checks: Vec<(String, Traffic)>,
    ) -> Self {
        let question = watch.question;
        let rules = checks.into_iter().map(|(check, traffic)| {
            let (hold_ms, within_ms) = (question.hold_ms, traffic.within.as_ms());
            Ruled {
                check,
                rule: Box::new(Thresholds {
                    max_errors: traffic.max_errors.map(|limit| limit.as_ratio()),
                    max_slower: traffic.max_slower,
                    min_requests: traffic.min_requests,
                }),
                pass_after_ms: hold_ms,
                over_after_ms: match question.look {
                    Look::Bake if hold_ms > 0 => hold_ms,
                    _ => within_ms.max(hold_ms),
                },
                answer: None,
            }
        });
        Self {
            watch,
            counters,
            ledger,
            rules: rules.collect(),
            counted: Counted::new(watch),
            cursor: None,
            kept_us: None,
            said_us: None,
        }
    }

    /// Looks until every check has an answer, or one has failed.
    pub(crate) async fn run(mut self) -> Vec<Answer> {
        let mut seen_us = self.watch.clock.now_us();
        loop {
            let asked_us = self.watch.clock.now_us();
            match self.read(seen_us).await {
                Ok(reading) => {
                    seen_us = asked_us;
                    self.cursor = Some(reading.cursor.clone());
                    self.counted.add(reading);
                    self.look(asked_us).await;
                }
                Err(why) => self.blind(seen_us, &why),
            }
            let answers = self.rules.iter().filter_map(|rule| rule.answer.as_ref());
            let failed = answers
                .clone()
                .any(|answer| answer.outcome == Outcome::Fail);
            if failed || answers.count() == self.rules.len() {
                return self
                    .rules
                    .into_iter()
                    .filter_map(|rule| rule.answer)
                    .collect();
            }
            self.watch.clock.sleep_ms(TICK_MS).await;
        }
    }

    async fn read(&self, seen_us: i64) -> Result<Reading, String> {
        let silent_ms = silence_ms(self.watch, seen_us);
        let left_ms = BLIND_MS.saturating_sub(silent_ms) + 1;
        let target = &self.watch.question.target;
        let reading = self.counters.read(target, self.cursor.clone());
        match self.watch.within(left_ms, reading).await {
            Some(reading) => reading,
            None => Err("no answer".to_owned()),
        }
    }

    /// Too long without a reading: every check that has no answer yet will get none.
    fn blind(&mut self, seen_us: i64, why: &str) {
        let silent_ms = silence_ms(self.watch, seen_us);
        if silent_ms <= BLIND_MS {
            return;
        }
        let sentence = format!(
            "the proxy's counters could not be read for {} ({why}), so nothing is known about {}",
            belay_analysis::span(silent_ms),
            self.watch.question.record.title()
        );
        for rule in self.rules.iter_mut().filter(|rule| rule.answer.is_none()) {
            let answer = Answer::inconclusive(&rule.check, "traffic", sentence.clone());
            rule.answer = Some(answer);
        }
    }

    async fn look(&mut self, asked_us: i64) {
        let elapsed_ms = self.watch.elapsed_ms_at(asked_us);
        let arms = self.counted.arms(elapsed_ms);
        let mut findings = Vec::new();
        for ruled in self.rules.iter_mut().filter(|rule| rule.answer.is_none()) {
            let finding = ruled.rule.look(&arms);
            findings.push(json!({
                "check": ruled.check,
                "decision": decision(&finding),
                "numbers": finding.numbers,
            }));
            let outcome = match finding.decision {
                Decision::Fail => Some(Outcome::Fail),
                Decision::Pass if elapsed_ms >= ruled.pass_after_ms => Some(Outcome::Pass),
                Decision::Undecided if elapsed_ms >= ruled.over_after_ms => {
                    Some(Outcome::Inconclusive)
                }
                Decision::Pass | Decision::Undecided => None,
            };
            if let Some(outcome) = outcome {
                let answer = self
                    .counted
                    .answer(&ruled.check, outcome, finding, &self.cursor);
                ruled.answer = Some(answer);
            }
        }
        self.keep(asked_us, &findings).await;
    }

    /// Keeps what a look was made from, at most once a second; what decided is in the verdict's own evidence.
    async fn keep(&mut self, asked_us: i64, findings: &[Value]) {
        // Not before there is something to say.
        if is_due(self.said_us, asked_us, SAY_EVERY_US)
            && let Some(line) = self.counted.candidate_line()
        {
            self.said_us = Some(asked_us);
            self.watch.progress.line(&line);
        }
        if !is_due(self.kept_us, asked_us, KEEP_EVERY_US) {
            return;
        }
        self.kept_us = Some(asked_us);
        let evidence = Evidence {
            step: self.watch.question.step,
            at_us: asked_us,
            cursor: self.cursor.clone().unwrap_or_default(),
            counts: json!({ "checks": findings }),
        };
        self.ledger.keep(evidence).await;
    }
}

/// Whether it is time again; a clock that was set back does not silence anything.
fn is_due(last_us: Option<i64>, now_us: i64, every_us: i64) -> bool {
    last_us.is_none_or(|last_us| !(0..every_us).contains(&now_us.saturating_sub(last_us)))
}

fn silence_ms(watch: &Watch<'_>, seen_us: i64) -> u64 {
    let silent_us = watch.clock.now_us().saturating_sub(seen_us);
    u64::try_from(silent_us).unwrap_or(0) / 1000
}

fn decision(finding: &Finding) -> &'static str {
    match finding.decision {
        Decision::Fail => "fail",
        Decision::Pass => "pass",
        Decision::Undecided => "undecided",
    }
}

/// What was counted so far, second by second: a second that comes again replaces itself.
struct Counted {
    since_us: i64,
    candidate: Group,
    baseline: Option<Group>,
    first_error_us: Option<i64>,
}

struct Group {
    name: String,
    title: String,
    /// Which seconds count, Unix seconds: from, and before.
    from: i64,
    before: i64,
    seconds: BTreeMap<i64, Counts>,
}

impl Counted {
    fn new(watch: &Watch<'_>) -> Self {
        let question = watch.question;
        let since_us = question.since_us;
        // Rounded up: the second that was running when the watching began belongs to what was before, in part.
        let first = since_us.saturating_add(SECOND_US - 1).div_euclid(SECOND_US);
        let group = |record: &Record, from, before| Group {
            name: record.group(),
            title: record.title(),
            from,
            before,
            seconds: BTreeMap::new(),
        };
        let against = question.against.as_ref();
        let baseline = against.filter(|against| against.group() != question.record.group());
        let baseline = baseline.map(|against| {
            let mut baseline = match question.look {
                Look::Bake => {
                    let last = since_us.div_euclid(SECOND_US);
                    group(against, last.saturating_sub(OLD_RATES_SECONDS), last)
                }
                Look::Live | Look::Staged => group(against, first, i64::MAX),
            };
            // The same release with another configuration.
            if against.release == question.record.release {
                baseline.title = format!("{} as it was", baseline.title);
            }
            baseline
        });
        Self {
            since_us,
            candidate: group(&question.record, first, i64::MAX),
            baseline,
            first_error_us: None,
        }
    }

    fn add(&mut self, reading: Reading) {
        let Reading {
            mut groups,
            first_error_us,
            ..
        } = reading;
        for group in [Some(&mut self.candidate), self.baseline.as_mut()]
            .into_iter()
            .flatten()
        {
            for bucket in groups.remove(&group.name).unwrap_or_default() {
                group.add(bucket);
            }
        }
        if let Some(first_us) = first_error_us.get(&self.candidate.name) {
            self.first_error_us = Some(*first_us);
        }
    }

    fn arms(&self, span_ms: u64) -> Arms {
        Arms {
            candidate: self.candidate.arm(),
            baseline: self.baseline.as_ref().map(Group::arm),
            span_ms,
        }
    }

    fn answer(
        &self,
        check: &str,
        outcome: Outcome,
        finding: Finding,
        cursor: &Option<String>,
    ) -> Answer {
        let seen = json!({
            "candidate": self.candidate.name,
            "baseline": self.baseline.as_ref().map(|group| &group.name),
            "cursor": cursor,
            "numbers": finding.numbers,
        });
        Answer {
            check: check.to_owned(),
            kind: "traffic",
            outcome,
            sentence: finding.sentence,
            seen,
            first_bad_us: match outcome {
                Outcome::Fail => self.first_bad_us(),
                Outcome::Pass | Outcome::Inconclusive => None,
            },
        }
    }

    /// The proxy knows the first error of a group's whole life. If that was before the watching (an earlier deployment of
    /// the same content, as a rule), the second of the first error that was counted is the best there is.
    fn first_bad_us(&self) -> Option<i64> {
        if let Some(first_us) = self.first_error_us.filter(|us| *us >= self.since_us) {
            return Some(first_us);
        }
        let mut bad = self.candidate.seconds.iter();
        let (second, _) = bad.find(|(_, counts)| counts.errors > 0)?;
        Some(second.saturating_mul(SECOND_US))
    }

    fn candidate_line(&self) -> Option<String> {
        let Arm { title, counts } = self.candidate.arm();
        let rate = counts.error_rate()?;
        Some(format!(
            "{title}: {} requests, {} with an error",
            counts.requests,
            belay_analysis::percent(rate)
        ))
    }
}

impl Group {
    fn add(&mut self, bucket: Bucket) {
        if bucket.second < self.from || bucket.second >= self.before {
            return;
        }
        let seen = self.seconds.entry(bucket.second).or_default();
        // A second can only grow. One that shrank was counted by a proxy that started anew in it: what is known stays.
        if bucket.requests >= seen.requests {
            *seen = Counts {
                requests: bucket.requests,
                errors: bucket.errors.max(seen.errors),
                latency: bucket.latency,
            };
        }
    }

    fn arm(&self) -> Arm {
        let mut counts = Counts::default();
        for second in self.seconds.values() {
            counts.add(second);
        }
        Arm {
            title: self.title.clone(),
            counts,
        }
    }
}
