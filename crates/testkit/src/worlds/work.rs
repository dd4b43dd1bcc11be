//! What a platform has to do: requests that are on their way to it, and operations that it goes on with by itself.
//! Nothing of it needs the caller to live. It is done when somebody looks, as of the times at which it was due, so that
//! a paused clock makes it deterministic.

use super::rules::{Broken, NOBODY, Rules};
use belay_driver::Context;
use belay_model::id::DeploymentId;
use belay_model::plan::{Effect, Verb};
use belay_model::state::State;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// From a request to what it changes, milliseconds.
pub const LATENCY_MS: u64 = 8;
/// From one change of an operation to the next, milliseconds. An operation takes longer than any request.
const OPERATION_MS: u64 = 24;
/// The longest time that a request can be under way, milliseconds.
pub const LONGEST_MS: u64 = 40;

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum End {
    /// All of it was done.
    Done,
    /// The platform broke it off and took it back.
    GaveUp,
    /// It came from a worker that was replaced.
    Refused,
    /// All of it was done, and what it brought does not work.
    NotReady,
}

pub(super) struct Job {
    pub(super) deployment: DeploymentId,
    pub(super) epoch: u64,
    pub(super) effect: Effect,
    /// Changes that are still to be made.
    pub(super) parts: Range<usize>,
    /// It goes on when nobody asks any more; a driver can see that it does.
    pub(super) is_operation: bool,
    /// It is broken off there.
    pub(super) gives_up_at: Option<usize>,
}

struct Running {
    job: Job,
    due: Instant,
    has_begun: bool,
    end: Option<End>,
}

/// The platform's side of a world.
pub(super) struct Platform {
    pub(super) truth: State,
    pub(super) broken: Broken,
    /// Epoch and deployment of the last settling: nothing older of it is taken any more.
    pub(super) fences: BTreeMap<DeploymentId, u64>,
    /// Effects in the order in which they began to happen.
    pub(super) log: Vec<String>,
    /// What may never happen, and did.
    pub(super) breaches: Vec<String>,
    /// How often the service was taken away on purpose.
    pub(super) withdrawals: u32,
    jobs: Vec<Running>,
}

impl Platform {
    pub(super) fn new() -> Self {
        Self {
            truth: State::default(),
            broken: Broken::new(),
            fences: BTreeMap::new(),
            log: Vec::new(),
            breaches: Vec::new(),
            withdrawals: 0,
            jobs: Vec::new(),
        }
    }

    /// A request is on its way, for that many milliseconds longer than usual; answers how to ask for it.
    pub(super) fn send_late(&mut self, job: Job, late_ms: u64) -> usize {
        let is_under_way = |other: &&Running| other.end.is_none() && !other.job.effect.idempotent;
        let other = self.jobs.iter().find(is_under_way);
        if let Some(other) = other.filter(|_| !job.effect.idempotent) {
            self.breaches.push(format!(
                "I4: \"{}\" was asked for while \"{}\" could still happen",
                job.effect.title, other.job.effect.title
            ));
        }
        self.jobs.push(Running {
            due: Instant::now() + Duration::from_millis(LATENCY_MS + late_ms),
            has_begun: false,
            end: job.parts.is_empty().then_some(End::Done),
            job,
        });
        self.jobs.len() - 1
    }

    pub(super) fn end_of(&self, job: usize) -> Option<&End> {
        self.jobs.get(job)?.end.as_ref()
    }

    /// Whether an operation is running: that, a driver can see.
    pub(super) fn is_at_work(&self) -> bool {
        let at_work = |it: &Running| it.end.is_none() && it.has_begun && it.job.is_operation;
        self.jobs.iter().any(at_work)
    }

    /// Whether anything may still happen.
    pub(super) fn is_quiet(&self) -> bool {
        self.jobs.iter().all(|running| running.end.is_some())
    }

    /// Does what is due.
    pub(super) fn advance(&mut self, rules: &dyn Rules) {
        let now = Instant::now();
        loop {
            let due = self.jobs.iter().enumerate();
            let due = due.filter(|(_, running)| running.end.is_none() && running.due <= now);
            let Some(next) = due
                .min_by_key(|(index, running)| (running.due, *index))
                .map(|(index, _)| index)
            else {
                return;
            };
            self.step(rules, next);
        }
    }

    /// Whether the caller was replaced, and this kind of platform knows it.
    pub(super) fn is_fenced(&self, cx: &Context) -> bool {
        let newest = self.fences.get(&cx.deployment);
        newest.is_some_and(|epoch| cx.epoch < *epoch)
    }

    fn step(&mut self, rules: &dyn Rules, index: usize) {
        let running = &mut self.jobs[index];
        let newest = self.fences.get(&running.job.deployment);
        if !running.has_begun && newest.is_some_and(|epoch| running.job.epoch < *epoch) {
            running.end = Some(End::Refused);
            return;
        }
        running.has_begun = true;
        let part = running.job.parts.start;
        let finds = rules.breaks_off(&self.truth, &running.job.effect, part);
        if finds || running.job.gives_up_at == Some(part) {
            running.end = Some(End::GaveUp);
            return;
        }
        running.job.parts.start += 1;
        let pause = if running.job.is_operation {
            OPERATION_MS
        } else {
            LATENCY_MS
        };
        running.due += Duration::from_millis(pause);
        let effect = running.job.effect.clone();
        if running.job.parts.is_empty() {
            let is_broken = effect.records.iter().any(|it| self.broken.contains(it));
            let end = if is_broken { End::NotReady } else { End::Done };
            running.end = Some(end);
        }
        if part == 0 {
            self.log.push(effect.title.clone());
        }
        let before = rules.users(&self.truth);
        rules.make(&mut self.truth, &effect, part, &self.broken);
        let after = rules.users(&self.truth);
        self.audit(&effect, &before, &after);
    }

    /// I2 and P4, of every single change.
    fn audit(
        &mut self,
        effect: &Effect,
        before: &BTreeMap<String, u32>,
        after: &BTreeMap<String, u32>,
    ) {
        let lost = |users: &BTreeMap<String, u32>| users.get(NOBODY).copied().unwrap_or(0);
        let title = &effect.title;
        if lost(after) > lost(before) {
            let (title, lost) = (title.clone(), lost(after));
            self.breaches.push(format!(
                "P4: \"{title}\" sends {lost}‰ of the users where no healthy copy is"
            ));
        }
        if after.is_empty() && before.keys().any(|who| who != NOBODY) {
            if effect.verb == Verb::Retire {
                self.withdrawals += 1;
            } else {
                let breach = format!("I2: \"{title}\" removed the last healthy copy");
                self.breaches.push(breach);
            }
        }
    }
}
