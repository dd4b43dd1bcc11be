//! Verifications: asked of the verifier while the instances are watched.

use super::hands::Note;
use super::run::Course;
use super::sinks::{Keeper, Lines};
use crate::conclude;
use crate::mutant::{self, Mutant};
use crate::ports::{Ports, Question, StoreError};
use belay_driver::{Context, Driver, Progress};
use belay_model::error::Failure;
use belay_model::event::Event;
use belay_model::id::StepId;
use belay_model::plan::{Action, Look};
use belay_model::release::Target;
use belay_model::verdict::{self, Verdict};
use std::sync::Arc;
use tokio::sync::watch;

/// How often the instances are looked at while a verification watches, microseconds.
const LOOK_US: i64 = 1_000_000;
/// How long a bake is extended while the evidence does not say, milliseconds from its beginning.
const LONGEST_BAKE_MS: u64 = 30 * 60 * 1000;
/// How often in a row they must be seen unready before that is a verdict.
const UNREADY_LOOKS: u32 = 3;

impl Course {
    pub(super) async fn verify(&mut self, id: StepId) -> Result<(), StoreError> {
        let (look, checks, hold_ms) = match &self.state().step(id).0.action {
            Action::Verify {
                look,
                checks,
                hold_ms,
            } => (*look, checks.clone(), *hold_ms),
            _ => unreachable!("verify is asked of verify steps"),
        };
        let mut attempt = self.state().step(id).1.last_attempt;
        if !self.state().is_under_way(id, attempt) {
            attempt += 1;
            self.journal.push(Event::Started {
                step: id,
                attempt,
                fingerprint: String::new(),
                before: None,
            });
            if hold_ms > 0 {
                let due_ms = self.journal.now_us() / 1000
                    + i64::try_from(hold_ms).unwrap_or(i64::MAX / 2000);
                self.journal.push(Event::TimerSet { step: id, due_ms });
            }
        }
        // The end of the effect before is durable while we watch: a crash in a bake must not lose a promotion.
        self.journal.flush().await?;
        if !self.state().is_under_way(id, attempt) {
            // What it belonged to was taken back by a word that was heard first.
            return Ok(());
        }
        let name = self.state().target_of(id).unwrap_or_default().to_owned();
        let asked = self
            .record_in_question()
            .and_then(|record| Some((record.target(&name)?.clone(), record)));
        let Some((target, record)) = asked else {
            let verdict = nothing_to_ask();
            self.journal.push(Event::Verified { step: id, verdict });
            return Ok(());
        };
        let against = self.state().baseline_goal.as_ref().and_then(|goal| {
            goal.record
                .as_ref()
                .filter(|hash| **hash != record.hash())
                .and_then(|hash| goal.records.get(hash))
        });
        let question = Question {
            deployment: self.id.clone(),
            step: id,
            look,
            checks,
            hold_ms,
            since_us: self.state().step(id).1.started_us,
            target,
            state: self.state().left.of(&name).clone(),
            against: against.cloned(),
            record,
        };
        let watch = Watch {
            ports: self.ports.clone(),
            driver: self.place(id).map(|place| place.driver),
            cx: self.context(None, 0, Arc::default()),
        };
        self.hands.look(id, async move {
            Note::Decided(watch.answer_in_time(question).await)
        });
        Ok(())
    }

    pub(super) async fn decided(
        &mut self,
        id: StepId,
        mut verdict: Verdict,
    ) -> Result<(), StoreError> {
        if mutant::is(Mutant::Shrugs) && verdict.outcome == verdict::Outcome::Inconclusive {
            verdict.outcome = verdict::Outcome::Pass;
        }
        let is_timed = matches!(
            self.state().step(id).0.action,
            Action::Verify { hold_ms, .. } if hold_ms > 0
        );
        if is_timed {
            self.journal.push(Event::TimerFired { step: id });
        }
        self.journal.push(Event::Verified { step: id, verdict });
        conclude::after_step(&mut self.journal, &self.ports, id).await
    }

    fn record_in_question(&self) -> Option<belay_model::release::Record> {
        let (_, run) = self.state().current()?;
        let goal = run.goal.as_ref()?;
        goal.records.get(goal.record.as_ref()?).cloned()
    }
}

/// Whether a platform tells of changes.
enum Changes {
    NotAsked,
    /// It does not, or not any more: one has to look.
    Untold,
    Told(watch::Receiver<()>),
}

/// A verification in hand.
struct Watch {
    ports: Ports,
    driver: Result<Arc<dyn Driver>, Failure>,
    cx: Context,
}

impl Watch {
    /// A bake without enough evidence is extended before policy decides: traffic may come later.
    async fn answer_in_time(&self, mut question: Question) -> Verdict {
        let bake_ms = question.hold_ms;
        loop {
            let verdict = self.answer(&question).await;
            let spent_us = self.ports.clock.now_us() - question.since_us;
            let spent_ms = u64::try_from(spent_us / 1000).unwrap_or(0);
            let undecided =
                verdict.outcome == verdict::Outcome::Inconclusive && question.look == Look::Bake;
            if !undecided || spent_ms >= LONGEST_BAKE_MS {
                return verdict;
            }
            question.hold_ms = (spent_ms + bake_ms.max(1000)).min(LONGEST_BAKE_MS);
            let line = format!("the bake is extended: {}", verdict.sentence);
            self.lines(&question).line(&line);
        }
    }

    /// Asks the verifier while watching the instances.
    async fn answer(&self, question: &Question) -> Verdict {
        let clock = &self.ports.clock;
        let keeper = Keeper {
            ports: self.ports.clone(),
            id: question.deployment.clone(),
        };
        let lines = Arc::new(self.lines(question));
        let verifying = self.ports.verifier.verify(question, &keeper, lines);
        tokio::pin!(verifying);
        let mut unready = 0;
        let mut is_well = false;
        let mut look_us = clock.now_us() + LOOK_US;
        // Asked for before the first look, so that nothing happens in between unseen.
        let mut changes = Changes::NotAsked;
        loop {
            tokio::select! {
                biased;
                verdict = &mut verifying => return verdict,
                () = self.worth_a_look(&mut changes, is_well, look_us), if question.hold_ms > 0 => {
                    look_us = clock.now_us() + LOOK_US;
                    if matches!(changes, Changes::NotAsked) {
                        changes = self.changes(&question.target).await;
                    }
                    let seen = self.unready_instances(question).await;
                    is_well = matches!(seen, Some(None));
                    let why = seen.flatten();
                    unready = if why.is_some() { unready + 1 } else { 0 };
                    if let Some(why) = why.filter(|_| unready >= UNREADY_LOOKS) {
                        return unready_verdict(question, &why);
                    }
                }
            }
        }
    }

    /// Comes back when it is time to look again: not before the given one, and not before the platform says that something
    /// has changed, where it does say that and all was well when it was last seen.
    async fn worth_a_look(&self, changes: &mut Changes, is_well: bool, look_us: i64) {
        if let Changes::Told(told) = changes
            && is_well
            && told.changed().await.is_err()
        {
            // Nobody tells any more.
            *changes = Changes::Untold;
        }
        let clock = &self.ports.clock;
        let left_ms = (look_us - clock.now_us()).max(0) / 1000;
        clock.sleep_ms(u64::try_from(left_ms).unwrap_or(0)).await;
    }

    async fn changes(&self, target: &Target) -> Changes {
        let Ok(driver) = &self.driver else {
            return Changes::Untold;
        };
        match driver.changes(&self.cx, target).await {
            Some(told) => Changes::Told(told),
            None => Changes::Untold,
        }
    }

    /// What is not ready of the release's own; the outer none: nobody can say.
    async fn unready_instances(&self, question: &Question) -> Option<Option<String>> {
        let driver = self.driver.as_ref().ok()?;
        let now = driver.observe(&self.cx, &question.target).await.ok()?;
        let own = driver.desired(&question.record, &question.target);
        let sick = now.unhealthy();
        let is_own = |line: &String| {
            own.resources
                .keys()
                .any(|key| line.starts_with(key.as_str()))
        };
        Some(sick.into_iter().find(is_own))
    }

    fn lines(&self, question: &Question) -> Lines {
        Lines {
            ports: self.ports.clone(),
            id: question.deployment.clone(),
        }
    }
}

fn nothing_to_ask() -> Verdict {
    Verdict {
        outcome: verdict::Outcome::Pass,
        check: "nothing".to_owned(),
        sentence: "nothing serves at the goal, so there is nothing to verify".to_owned(),
        evidence: serde_json::Value::Null,
        first_bad_us: None,
    }
}

fn unready_verdict(question: &Question, why: &str) -> Verdict {
    Verdict {
        outcome: verdict::Outcome::Fail,
        check: "readiness".to_owned(),
        sentence: format!("{} is not ready any more: {why}", question.record.title()),
        evidence: serde_json::json!({ "seen": why, "looks": UNREADY_LOOKS }),
        first_bad_us: None,
    }
}
