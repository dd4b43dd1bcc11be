//! A deployment's news as lines for people. Pure: what is told depends on the journal alone, so a terminal and a log read
//! the same words. It must not decide anything; the journal has.

use belay_model::error::Class;
use belay_model::event::{Ask, Entry, Event, Finish};
use belay_model::id::{Scope, StepId};
use belay_model::plan::{Plan, Step};
use belay_model::policy::{self, Act};
use belay_model::verdict::{Outcome, Verdict};
use belay_runtime::Line;
use std::collections::{BTreeMap, BTreeSet};

use crate::output::table::printable;
use crate::output::time::{length, moment};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Good,
    Bad,
    Unsure,
}

impl Mark {
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Mark::Good => "✓",
            Mark::Bad => "✗",
            Mark::Unsure => "?",
        }
    }
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Say {
    /// A line that stands alone.
    Note(String),
    /// A step begins.
    Begin { step: StepId, title: String },
    /// What is new about the step that runs.
    Detail(String),
    /// A step ended.
    End {
        step: StepId,
        mark: Mark,
        text: String,
    },
}

/// What has been told, as far as it matters for what comes.
#[derive(Debug, Default)]
pub(crate) struct Story {
    scope: Option<Scope>,
    plans: BTreeMap<u16, Plan>,
    running: BTreeMap<StepId, i64>,
    /// How often each step failed since someone last said to try again.
    failures: BTreeMap<StepId, u32>,
    /// Promotions, each on one target.
    promoted: BTreeSet<StepId>,
    /// Effects of the forward plan whose last attempt failed: where it goes on all the same, nothing is promoted.
    undone: BTreeSet<StepId>,
    /// The step that people are asked about up to a deadline.
    asked: Option<StepId>,
    last_detail: String,
}

impl Story {
    /// The next news, in the order they happened.
    pub(crate) fn tell(&mut self, entries: &[Entry], lines: &[Line]) -> Vec<Say> {
        let mut says = Vec::new();
        let mut lines = lines.iter().peekable();
        for entry in entries {
            while let Some(line) = lines.next_if(|line| line.at_us < entry.at_us) {
                self.detail(line, &mut says);
            }
            self.entry(entry, &mut says);
        }
        for line in lines {
            self.detail(line, &mut says);
        }
        says
    }

    fn detail(&mut self, line: &Line, says: &mut Vec<Say>) {
        if line.text != self.last_detail {
            self.last_detail.clone_from(&line.text);
            says.push(Say::Detail(printable(&line.text)));
        }
    }

    fn entry(&mut self, entry: &Entry, says: &mut Vec<Say>) {
        match &entry.event {
            Event::Created(inputs) => {
                self.scope = Some(inputs.scope.clone());
                let what = match &inputs.record {
                    Some(record) => record.title(),
                    None => "what was there before".to_owned(),
                };
                let from = inputs.promotion.as_ref();
                let from = from.map(|it| format!(", promoted from {}", it.from));
                let why = reason(inputs.reason.as_deref());
                says.push(note(format!(
                    "{what} to {}{}, asked for by {}{why}",
                    inputs.scope,
                    from.unwrap_or_default(),
                    inputs.actor
                )));
            }
            Event::Planned {
                plan,
                baseline_goal,
                goal,
                takes_over,
                remarks,
                ..
            } => {
                if let Some(over) = takes_over {
                    says.push(note(format!(
                        "it takes over from {}, and goes back to where that would have gone",
                        over.from
                    )));
                }
                says.extend(remarks.iter().map(|remark| note(format!("note: {remark}"))));
                let steps = counted(plan.len(), "step");
                let back = &baseline_goal.title;
                says.push(note(format!(
                    "{steps} to {}; the way back: {back}",
                    goal.title
                )));
                self.plans.insert(0, plan.clone());
            }
            Event::Started { step, attempt, .. } => {
                self.started(entry.at_us, *step, *attempt, says)
            }
            Event::Finished { step, finish, .. } => self.finished(entry.at_us, *step, finish, says),
            Event::Verified { step, verdict } => self.verified(entry.at_us, *step, verdict, says),
            Event::Signal {
                actor,
                ask,
                reason: why,
                back,
            } => {
                if let Ask::Supersede { by: None } = ask {
                    says.push(note(format!("it goes on{}", reason(why.as_deref()))));
                    return;
                }
                let trigger = back.trigger.map(|trigger| format!(" ({trigger})"));
                self.asked = None;
                if *ask == Ask::Retry {
                    self.failures.clear();
                }
                let ask = words(ask);
                says.push(note(format!(
                    "{actor} said: {ask}{}{}",
                    trigger.unwrap_or_default(),
                    reason(why.as_deref())
                )));
            }
            Event::RollbackPlanned {
                number,
                cause,
                goal,
                plan,
                remarks,
                again,
                ..
            } => {
                self.close_all(says);
                let to = goal
                    .as_ref()
                    .map_or("nowhere: there is nothing to go back to", |goal| {
                        &goal.title
                    });
                says.push(note(if *again {
                    format!("going on to {to}, from what is there now")
                } else {
                    format!("going back to {to}: {}", cause.sentence())
                }));
                says.extend(remarks.iter().map(|remark| note(format!("note: {remark}"))));
                self.plans.insert(*number, plan.clone());
            }
            Event::Parked {
                step,
                why,
                until_ms,
                then,
            } => {
                self.close_all(says);
                self.asked = step.filter(|_| until_ms.is_some());
                let until = until_ms.map_or_else(String::new, |ms| {
                    let then = then.as_ref().map_or("", in_words);
                    let until = moment(ms.saturating_mul(1000));
                    format!(" until {until} (belay retry, skip, abandon or rollback), then {then}")
                });
                says.push(note(format!("waits for a person{until}: {why}")));
            }
            Event::TimerFired { step } if self.asked == Some(*step) => {
                self.asked = None;
                says.push(note("nobody answered in time".to_owned()));
            }
            Event::Ended { .. } => self.close_all(says),
            Event::Claimed { .. }
            | Event::Accepted { .. }
            | Event::TimerSet { .. }
            | Event::TimerFired { .. } => {}
        }
    }

    fn started(&mut self, at_us: i64, step: StepId, attempt: u32, says: &mut Vec<Say>) {
        self.running.insert(step, at_us);
        let mut title = self.title(step);
        if attempt > 1 {
            title = format!("{title} (attempt {attempt})");
        }
        says.push(Say::Begin { step, title });
    }

    fn finished(&mut self, at_us: i64, step: StepId, finish: &Finish, says: &mut Vec<Say>) {
        // A verification was told with its verdict.
        let Some(began) = self.running.remove(&step) else {
            return;
        };
        let (title, took) = (self.title(step), length(at_us - began));
        let (mark, text) = match finish {
            Finish::Done => (Mark::Good, format!("{title} ({took})")),
            Finish::Unknown => {
                let text = format!("{title}: lost sight of it; it did not take effect ({took})");
                (Mark::Unsure, text)
            }
            Finish::Failed(failure) => {
                let why = printable(&failure.message);
                let (mark, goes_on) = self.against(step, failure.class);
                let text = format!("{title}: failed to {why}{goes_on} ({took})");
                (mark.unwrap_or(Mark::Bad), text)
            }
        };
        says.push(Say::End { step, mark, text });
        let is_effect = self.step(step).is_some_and(|it| it.effect().is_some());
        if *finish == Finish::Done {
            self.undone.remove(&step);
        } else if is_effect && step.plan == 0 {
            self.undone.insert(step);
        }
        if let Finish::Failed(failure) = finish {
            let lines = failure.detail.iter();
            says.extend(lines.map(|line| note(format!("  | {}", printable(line)))));
        }
        if *finish == Finish::Done {
            self.promoted(step, says);
        }
    }

    fn verified(&mut self, at_us: i64, step: StepId, verdict: &Verdict, says: &mut Vec<Say>) {
        let began = self.running.remove(&step).unwrap_or(at_us);
        let mark = match verdict.outcome {
            Outcome::Pass => Mark::Good,
            Outcome::Fail => Mark::Bad,
            Outcome::Inconclusive => Mark::Unsure,
        };
        let (title, took) = (self.title(step), length(at_us - began));
        let (by_rule, goes_on) = match verdict.outcome {
            Outcome::Pass => (None, ""),
            _ => self.against(step, Class::Verification),
        };
        let why = printable(&verdict.sentence);
        let text = format!("{title}: {why}{goes_on} ({took})");
        says.push(Say::End {
            step,
            mark: by_rule.unwrap_or(mark),
            text,
        });
        if mark == Mark::Good {
            self.promoted(step, says);
        }
    }

    /// A step failed once more: how a rule that ignores it shows that.
    fn against(&mut self, step: StepId, class: Class) -> (Option<Mark>, &'static str) {
        let failures = self.failures.entry(step).or_default();
        *failures += 1;
        let failures = *failures;
        let rules = self.step(step).map(|step| step.on_failure.as_slice());
        match policy::first(rules.unwrap_or_default(), class, failures) {
            Some(Act::Ignore { as_passed: true }) => (
                Some(Mark::Good),
                "; it counts as passed, as `on_failure` says",
            ),
            Some(Act::Ignore { as_passed: false }) => {
                (Some(Mark::Bad), "; ignored, as `on_failure` says")
            }
            _ => (None, ""),
        }
    }

    /// A release is promoted when it is so on all of its targets.
    fn promoted(&mut self, step: StepId, says: &mut Vec<Say>) {
        if step.plan > 0 || !self.step(step).is_some_and(|step| step.promotes) {
            return;
        }
        self.promoted.insert(step);
        let steps = self.plans.get(&0).into_iter().flat_map(Plan::steps);
        let is_all = steps.filter(|step| step.promotes).count() == self.promoted.len();
        if is_all && self.undone.is_empty() {
            says.push(note("promoted".to_owned()));
        }
    }

    /// What runs no longer without having said so: a wait that was cut short.
    fn close_all(&mut self, says: &mut Vec<Say>) {
        for (step, _) in std::mem::take(&mut self.running) {
            let text = format!("{}: not waited for any longer", self.title(step));
            says.push(Say::End {
                step,
                mark: Mark::Unsure,
                text,
            });
        }
    }

    fn step(&self, id: StepId) -> Option<&Step> {
        self.plans.get(&id.plan)?.steps().nth(usize::from(id.index))
    }

    fn title(&self, id: StepId) -> String {
        let index = usize::from(id.index);
        let plan = self.plans.get(&id.plan);
        let title = match &self.scope {
            Some(scope) => plan.and_then(|plan| plan.title(scope, index)),
            None => self.step(id).map(Step::title),
        };
        title.unwrap_or_else(|| format!("step {id}"))
    }
}

/// What is done when nobody answers.
fn in_words(act: &Act) -> &'static str {
    match act {
        Act::Ignore { .. } => "it goes on",
        Act::RollBackPhase => "this phase goes back",
        Act::RollBack => "it goes back",
        Act::Stop => "it ends as it is",
        Act::Retry { .. } => "it is tried again",
        Act::Ask { .. } => "it goes on waiting",
    }
}

/// What someone asks of a deployment, in words.
pub(crate) fn words(ask: &Ask) -> &'static str {
    match ask {
        Ask::Supersede { by: Some(_) } => "make way for a hotfix",
        Ask::Supersede { by: None } => "go on, as the hotfix does not",
        Ask::Abort => "go back",
        Ask::Retry => "try again",
        Ask::Skip => "go on without the step",
        Ask::Abandon => "end as it is",
        Ask::Approve => "yes",
        Ask::Reject => "no",
        Ask::Pause => "pause",
        Ask::Resume => "go on",
        Ask::Advance => "do not wait any longer",
        Ask::Stop => "end, and leave it as it is",
    }
}

fn note(text: String) -> Say {
    Say::Note(text)
}

fn reason(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(" ({})", printable(reason)))
}

/// `1 step`, `2 steps`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests;
