//! Failures that a deployment went past, because a rule says so or a person: its end names them, and it has not succeeded where its
//! release is not there because of them (ADR 0016). Found here from the events, and not from what the engine makes of them.

use super::ended::Case;
use super::policies;
use belay_driver::Driver;
use belay_engine::fold::Status;
use belay_model::environment::Standing;
use belay_model::error::{Class, Effect, Failure};
use belay_model::event::{Event, Finish, Kind, Outcome, RollbackResult};
use belay_model::id::StepId;
use belay_model::plan::{Step, Wave};
use belay_model::policy::Act;
use belay_model::state::ROUTE;
use belay_model::verdict;
use std::collections::BTreeMap;

/// How the last attempt of a step failed, and where in the journal.
struct Failed {
    seq: u64,
    failure: Failure,
}

/// What is said of a move that was not reached.
const UNMET: &str = "the goal is not met: ";

impl Case<'_> {
    /// See the module. `ignored`: what its end says that it went past.
    pub(super) fn went_past(&self, outcome: &Outcome, ignored: &[String]) {
        let Some(run) = self.deployment.plans.first() else {
            return;
        };
        let mut past = Vec::new();
        if self.inputs.kind == Kind::Deploy {
            for (index, failed) in self.failed() {
                let id = StepId { plan: 0, index };
                let act = policies::act(self.deployment, self.inputs, id, failed.failure.class);
                match act {
                    Some(Act::Ignore { as_passed }) => past.push((id, failed, *as_passed)),
                    _ => self.is_excused(outcome, id),
                }
            }
        }
        let mut moves = false;
        for (id, failed, as_passed) in &past {
            let (step, _) = self.deployment.step(*id);
            self.audit.count("failures: gone past");
            self.is_named(ignored, step, failed, *as_passed);
            moves |= step.is_effect();
            self.nothing_counts_on(ignored, *id, failed.seq);
        }
        let titles: Vec<String> = run.plan.steps().map(Step::title).collect();
        let is_about = |line: &&String| {
            titles.iter().any(|title| line.starts_with(title.as_str()))
                || self.deployment.residue.contains(line)
        };
        if let Some(line) = ignored.iter().find(|line| !is_about(line)) {
            self.breach(format!(
                "it says that it went past what is none of it: {line}"
            ));
        }
        if moves {
            self.audit.count("failures: gone past, of a move");
        }
        self.is_there_or_says_so(outcome);
    }

    /// The steps of the first plan whose last attempt failed.
    fn failed(&self) -> BTreeMap<u16, Failed> {
        let mut last = BTreeMap::new();
        for entry in self.journal {
            let (step, failure) = match &entry.event {
                Event::Started { step, .. } => (step, None),
                Event::Finished {
                    step,
                    finish: Finish::Failed(failure),
                    ..
                } => (step, Some(failure.clone())),
                Event::Finished { step, .. } => (step, None),
                Event::Verified { step, verdict } => {
                    let passed = verdict.outcome == verdict::Outcome::Pass;
                    (step, (!passed).then(|| refusal(&verdict.sentence)))
                }
                _ => continue,
            };
            if step.plan == 0 {
                last.insert(step.index, (entry.seq, failure));
            }
        }
        let failed = last.into_iter();
        let failed = failed.filter_map(|(index, (seq, failure))| {
            let failure = failure?;
            Some((index, Failed { seq, failure }))
        });
        failed.collect()
    }

    /// It failed, and no rule goes past it: then that was its end, or a person went past it.
    fn is_excused(&self, outcome: &Outcome, id: StepId) {
        let was_skipped = *self.deployment.step(id).1.status() == Status::Skipped;
        if *outcome == Outcome::Succeeded && !was_skipped {
            let title = self.deployment.step(id).0.title();
            self.breach(format!(
                "failures: it went past {title}, and nobody said so"
            ));
        }
    }

    fn is_named(&self, ignored: &[String], step: &Step, failed: &Failed, as_passed: bool) {
        let title = step.title();
        let mut lines = ignored.iter().filter(|line| line.starts_with(&title));
        let is_named = lines.any(|line| line.contains(&failed.failure.message));
        let shall_be = !as_passed || step.effect().is_some();
        match (is_named, shall_be) {
            (false, true) => self.breach(format!(
                "failures: it went past {title}, and its end does not say so"
            )),
            // Two of one title may differ in that.
            (true, false) => {
                let run = &self.deployment.plans[0];
                let alike = run.plan.steps().filter(|it| it.title() == title);
                if alike.count() == 1 {
                    self.breach(format!(
                        "failures: {title} counts as passed, and its end names it"
                    ));
                }
            }
            _ => {}
        }
    }

    /// I2: nothing is switched to what did not grow, and nothing removed whose traffic was not moved.
    fn nothing_counts_on(&self, ignored: &[String], id: StepId, seq: u64) {
        let run = &self.deployment.plans[0];
        let wave = |index: usize| run.step(index).effect().map(|effect| effect.wave);
        let index = usize::from(id.index);
        let Some(first) = wave(index) else { return };
        let behind = index + 1..run.range(run.phase_of(index)).end;
        for later in behind.filter(|later| wave(*later) > Some(first)) {
            let begins = |event: &Event| matches!(event, Event::Started { step, .. } if step.plan == 0 && usize::from(step.index) == later);
            let mut after = self.journal.iter().filter(|entry| entry.seq > seq);
            let title = run.step(later).title();
            if after.any(|entry| begins(&entry.event)) {
                self.breach(format!(
                    "I2: {title} begins, and what it counts on failed and was gone past"
                ));
            }
            if !ignored.iter().any(|line| line.starts_with(&title)) {
                self.breach(format!(
                    "failures: {title} was left out, and its end does not say so"
                ));
            }
        }
    }

    /// The world says what it came to.
    fn is_there_or_says_so(&self, outcome: &Outcome) {
        let run = &self.deployment.plans[0];
        let left_out = |status: &Status| matches!(status, Status::Ignored(_) | Status::Skipped);
        let steps = run.plan.steps().zip(&run.steps);
        let moves = steps.filter(|(_, course)| left_out(course.status()));
        let moves: Vec<Wave> = moves
            .filter_map(|(step, _)| Some(step.effect()?.wave))
            .collect();
        if moves.is_empty() || self.inputs.kind != Kind::Deploy {
            return;
        }
        let view = self.audit.store().view(&self.inputs.scope);
        let record = self.inputs.record.as_ref();
        let known = record.and_then(|record| view.records.get(&record.hash()));
        let known = known.filter(|it| it.deployment.as_ref() == Some(&self.deployment.id));
        let standing = known.map(|known| known.standing);
        match outcome {
            Outcome::Succeeded => {
                self.audit
                    .count("failures: gone past, and there all the same");
                self.serves(record);
                if !self.is_foreign {
                    for line in self.lacks() {
                        self.breach(format!(
                            "P2: it succeeded although moves were left out, and it is not there: {line}"
                        ));
                    }
                }
                let proves = moves.iter().all(|wave| *wave == Wave::Shrink);
                if !proves && standing.is_some_and(Standing::is_good) {
                    self.breach(
                        "P5: what was verified was perhaps not the release, and it counts as good",
                    );
                }
            }
            Outcome::Failed {
                rollback: RollbackResult::Limited,
                residue,
            } if residue.first().is_some_and(|line| line.starts_with(UNMET)) => {
                self.audit.count("failures: gone past, and not there");
                if standing == Some(Standing::Quarantined) {
                    self.breach("P5: whoever ignores a failure wants nothing taken back for it, and it is quarantined");
                }
                // What could not be seen is not met, either.
                let mut unmet = residue.iter().filter_map(|line| line.strip_prefix(UNMET));
                let was_seen = unmet.all(|line| line.contains(": want "));
                if was_seen && !self.is_foreign && self.lacks().is_empty() {
                    self.breach("P2: it is all there, and its end says that it is not");
                }
            }
            _ => {}
        }
    }

    /// What keeps the release from being there on all targets, but for what may stand by beside it.
    fn lacks(&self) -> Vec<String> {
        let goal = self.deployment.plans[0].goal.as_ref();
        let mut lines = Vec::new();
        for (name, world) in &self.ground.worlds {
            let Some(want) = goal.and_then(|goal| goal.want.get(name)) else {
                continue;
            };
            let mut have = world.state();
            if world.capabilities(&super::stage::target(name)).warm_standby {
                have.resources
                    .retain(|key, _| key == ROUTE || want.resources.contains_key(key));
            }
            lines.extend(world.diff(want, &have).lines());
        }
        lines
    }
}

fn refusal(sentence: &str) -> Failure {
    Failure {
        class: Class::Verification,
        effect: Effect::NotApplied,
        message: sentence.to_owned(),
        detail: Vec::new(),
        retry_after_ms: None,
    }
}
