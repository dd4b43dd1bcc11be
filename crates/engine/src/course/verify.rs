//! Verifications: asked of the verifier while the instances are watched.

use super::hands::Note;
use super::rest::{Quiet, until};
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
use belay_model::release::{Record, Target};
use belay_model::verdict::{self, Verdict};
use std::sync::Arc;
use tokio::sync::watch;

/// How often the instances are looked at while a verification watches, microseconds.
const LOOK_US: i64 = 1_000_000;
/// How long a bake is extended while the evidence does not say, milliseconds from its beginning.
const LONGEST_BAKE_MS: u64 = 30 * 60 * 1000;
/// How often in a row they must be seen unready before that is a verdict.
const UNREADY_LOOKS: u32 = 3;
/// How long a verifier that only waits may take to say what it knows from the beginning, microseconds: until then it is not
/// dropped.
const SAYS_US: i64 = 5_000_000;

impl Course {
    pub(super) async fn verify(&mut self, id: StepId) -> Result<(), StoreError> {
        let hold_ms = match &self.state().step(id).0.action {
            Action::Verify { hold_ms, .. } => *hold_ms,
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
        // Else what it belonged to was taken back by a word that was heard first.
        if self.state().is_under_way(id, attempt) {
            self.watch(id, None);
        }
        Ok(())
    }

    /// Asks, or goes on with what only waited.
    pub(super) fn watch(&mut self, id: StepId, quiet: Option<Quiet>) {
        let Some(question) = self.question(id) else {
            let verdict = nothing_to_ask();
            self.journal.push(Event::Verified { step: id, verdict });
            return;
        };
        let watch = Watch {
            ports: self.ports.clone(),
            driver: self.place(id).map(|place| place.driver),
            cx: self.context(None, 0, Arc::default()),
            attempt: self.state().step(id).1.last_attempt,
        };
        self.hands.look(id, watch.answer_in_time(question, quiet));
    }

    /// None: nothing serves at the goal.
    fn question(&self, id: StepId) -> Option<Question> {
        let (step, run) = self.state().step(id);
        let Action::Verify {
            look,
            checks,
            hold_ms,
        } = &step.action
        else {
            unreachable!("only what verifies asks");
        };
        let name = self.state().target_of(id).unwrap_or_default();
        let record = self.record_in_question()?;
        let against = self.state().baseline_goal.as_ref().and_then(|goal| {
            goal.record
                .as_ref()
                .filter(|hash| **hash != record.hash())
                .and_then(|hash| goal.records.get(hash))
        });
        Some(Question {
            deployment: self.id.clone(),
            step: id,
            look: *look,
            checks: checks.clone(),
            hold_ms: *hold_ms,
            since_us: run.started_us,
            target: record.target(name)?.clone(),
            state: self.state().left.of(name).clone(),
            against: against.cloned(),
            record: record.clone(),
        })
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

    fn record_in_question(&self) -> Option<&Record> {
        let (_, run) = self.state().current()?;
        let goal = run.goal.as_ref()?;
        goal.records.get(goal.record.as_ref()?)
    }
}

/// Whether a platform tells of changes.
enum Changes {
    NotAsked,
    /// It does not, or not any more: one has to look.
    Untold,
    Told(watch::Receiver<()>),
}

/// What a verification is told of the instances, and what it saw of them.
struct Sight {
    changes: Changes,
    /// How often in a row they were seen unready.
    unready: u32,
    is_well: bool,
    /// When to look again, Unix microseconds.
    look_us: i64,
    /// Until when the verifier may have something to say at once, Unix microseconds.
    says_us: i64,
}

impl Sight {
    fn new(now_us: i64, quiet: Option<Quiet>) -> Self {
        let (changes, look_us, says_us) = match quiet {
            Some(quiet) => (Changes::Told(quiet.told), quiet.look_us, now_us),
            // Asked for before the first look, so that nothing happens in between unseen.
            None => (Changes::NotAsked, now_us + LOOK_US, now_us + SAYS_US),
        };
        Self {
            is_well: matches!(changes, Changes::Told(_)),
            changes,
            unready: 0,
            look_us,
            says_us,
        }
    }

    /// Whoever tells of changes, if all was well when it was last seen.
    fn told_while_well(&self) -> Option<&watch::Receiver<()>> {
        match &self.changes {
            Changes::Told(told) if self.is_well => Some(told),
            _ => None,
        }
    }
}

/// What came of watching.
enum Seen {
    Answer(Verdict),
    /// Nothing is to be done until then.
    Quiet(Quiet),
}

/// A verification in hand.
struct Watch {
    ports: Ports,
    driver: Result<Arc<dyn Driver>, Failure>,
    cx: Context,
    attempt: u32,
}

impl Watch {
    /// A bake without enough evidence is extended before policy decides: traffic may come later.
    async fn answer_in_time(self, mut question: Question, mut quiet: Option<Quiet>) -> Note {
        let bake_ms = question.hold_ms;
        loop {
            // Again after a kill it would not be known how long.
            let may_rest = question.hold_ms == bake_ms;
            let verdict = match self.answer(&question, may_rest, quiet.take()).await {
                Seen::Answer(verdict) => verdict,
                Seen::Quiet(quiet) => return Note::Rests(quiet),
            };
            let spent_us = self.ports.clock.now_us() - question.since_us;
            let spent_ms = u64::try_from(spent_us / 1000).unwrap_or(0);
            let undecided =
                verdict.outcome == verdict::Outcome::Inconclusive && question.look == Look::Bake;
            if !undecided || spent_ms >= LONGEST_BAKE_MS {
                return Note::Decided(verdict);
            }
            question.hold_ms = (spent_ms + bake_ms.max(1000)).min(LONGEST_BAKE_MS);
            let line = format!("the bake is extended: {}", verdict.sentence);
            self.lines(&question).line(&line);
        }
    }

    /// Asks the verifier while watching the instances.
    async fn answer(&self, question: &Question, may_rest: bool, quiet: Option<Quiet>) -> Seen {
        let clock = &self.ports.clock;
        let keeper = Keeper {
            ports: self.ports.clone(),
            id: question.deployment.clone(),
        };
        let lines = Arc::new(self.lines(question));
        let may_rest = may_rest && self.ports.verifier.only_waits(question);
        let verifying = self.ports.verifier.verify(question, &keeper, lines);
        tokio::pin!(verifying);
        let mut sight = Sight::new(clock.now_us(), quiet);
        loop {
            let quiet = may_rest.then(|| self.quiet(question, &sight)).flatten();
            tokio::select! {
                biased;
                verdict = &mut verifying => return Seen::Answer(verdict),
                () = until(clock.as_ref(), sight.says_us), if quiet.is_some() => {
                    return Seen::Quiet(quiet.expect("just asked"));
                }
                () = self.worth_a_look(&mut sight), if question.hold_ms > 0 => {
                    sight.look_us = clock.now_us() + LOOK_US;
                    if matches!(sight.changes, Changes::NotAsked) {
                        sight.changes = self.changes(&question.target).await;
                    }
                    let seen = self.unready_instances(question).await;
                    sight.is_well = matches!(seen, Some(None));
                    let why = seen.flatten();
                    sight.unready = if why.is_some() { sight.unready + 1 } else { 0 };
                    if let Some(why) = why.filter(|_| sight.unready >= UNREADY_LOOKS) {
                        return Seen::Answer(unready_verdict(question, &why));
                    }
                }
            }
        }
    }

    /// What is waited for, if there is nothing to do before that.
    fn quiet(&self, question: &Question, sight: &Sight) -> Option<Quiet> {
        let hold_us = i64::try_from(question.hold_ms.saturating_mul(1000)).unwrap_or(i64::MAX / 2);
        let quiet = Quiet {
            attempt: self.attempt,
            told: sight.told_while_well()?.clone(),
            look_us: sight.look_us,
            due_us: question.since_us.saturating_add(hold_us),
        };
        let begins_us = self.ports.clock.now_us().max(sight.says_us);
        // A change that was told and not looked at comes first.
        quiet.is_quiet(begins_us).then_some(quiet)
    }

    /// Comes back when it is time to look again: not before the given one, and not before the platform says that something
    /// has changed, where it does say that and all was well when it was last seen.
    async fn worth_a_look(&self, sight: &mut Sight) {
        if let Changes::Told(told) = &mut sight.changes
            && sight.is_well
            && told.changed().await.is_err()
        {
            // Nobody tells any more.
            sight.changes = Changes::Untold;
        }
        let clock = &self.ports.clock;
        let left_ms = (sight.look_us - clock.now_us()).max(0) / 1000;
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
