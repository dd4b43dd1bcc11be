//! What people ask of a deployment.

use super::{Deployment, Parked, Request, Status, StepRun};
use belay_model::event::Ask;
use belay_model::id::StepId;
use belay_model::plan::{Action, Approval, Step};

impl Deployment {
    /// Whether an approval waits for that person's answer.
    pub fn asks(&self, actor: &str) -> bool {
        self.open_approvals()
            .any(|(approval, course)| is_asked(approval, &self.yes(approval, course), actor))
    }

    /// Whom the open approvals name; empty: anyone.
    pub fn asked_people(&self) -> Vec<String> {
        self.open_approvals()
            .flat_map(|(approval, _)| approval.by.clone())
            .collect()
    }

    /// Who has said yes. The approval of the whole deployment is asked for on each of its targets, and given once.
    pub(crate) fn yes<'a>(&'a self, approval: &Approval, course: &'a StepRun) -> Vec<&'a str> {
        let inputs = self.inputs.as_ref();
        let is_of_all = inputs.is_some_and(|inputs| inputs.approve.as_ref() == Some(approval));
        let run = self.plans.first().filter(|_| is_of_all);
        let steps = run
            .into_iter()
            .flat_map(|run| run.plan.steps().zip(&run.steps));
        let same = steps.filter(
            |(step, _)| matches!(&step.action, Action::Approve(other) if other == approval),
        );
        let others = same.map(|(_, other)| other);
        let mut yes: Vec<&str> = [course]
            .into_iter()
            .chain(others)
            .flat_map(|course| course.approved_by.iter().map(String::as_str))
            .collect();
        yes.sort_unstable();
        yes.dedup();
        yes
    }

    fn open_approvals(&self) -> impl Iterator<Item = (&Approval, &StepRun)> {
        let run = self.plans.last();
        let steps = run
            .into_iter()
            .flat_map(|run| run.plan.steps().zip(&run.steps));
        steps.filter_map(|(step, course)| match &step.action {
            Action::Approve(approval) if *course.status() == Status::Started => {
                Some((approval, course))
            }
            _ => None,
        })
    }

    /// Leaves a step out, and what counts on it: nothing is switched to what did not grow, and nothing is removed whose traffic
    /// was not moved (I2).
    fn skip(&mut self, id: StepId, actor: &str) {
        let rest = self.counting_on(id);
        let titles = rest.iter().map(|id| self.step(*id).0.title());
        let lines = titles.map(|title| format!("skipped by {actor} with it: {title}"));
        let lines: Vec<String> = lines.collect();
        self.residue.extend(lines);
        for id in [id].into_iter().chain(rest) {
            self.set(id, Status::Skipped);
            self.note_promotion(id);
        }
    }

    /// Moves that count on that one having been done.
    pub(super) fn counting_on(&self, id: StepId) -> Vec<StepId> {
        let run = &self.plans[usize::from(id.plan)];
        let wave = |index: usize| run.step(index).effect().map(|effect| effect.wave);
        let index = usize::from(id.index);
        let first = wave(index);
        let rest = index + 1..run.range(run.phase_of(index)).end;
        let hangs = |later: &usize| first.is_some() && wave(*later) > first;
        let ids = rest.filter(hangs).map(|index| StepId {
            index: u16::try_from(index).expect("plans are bounded"),
            ..id
        });
        ids.collect()
    }

    /// Whether a person is asked if what is ready of the capacity of a way back will do.
    pub fn asks_for_capacity(&self) -> bool {
        let parked = self.parked.as_ref().filter(|_| self.goes_back());
        parked.is_some_and(|parked| parked.then.is_some())
    }

    /// The way back goes on with the instances that are ready, and says so in the end.
    pub(super) fn go_on_with_less(&mut self, who: &str) {
        if !self.asks_for_capacity() {
            return;
        }
        let Some(Parked {
            step: Some(step),
            why,
            ..
        }) = self.parked.take()
        else {
            return;
        };
        let title = self.step(step).0.title();
        self.residue.push(format!(
            "not all of its capacity is there, {who}: {title} ({why})"
        ));
        self.set(step, Status::Skipped);
    }

    /// The approvals that wait for that person.
    fn asked_for_approval(&mut self, actor: &str) -> Vec<&mut StepRun> {
        let Some(run) = self.plans.last() else {
            return Vec::new();
        };
        let waits = |index: &usize| match &run.step(*index).action {
            Action::Approve(approval) => {
                let course = &run.steps[*index];
                let yes = self.yes(approval, course);
                *course.status() == Status::Started && is_asked(approval, &yes, actor)
            }
            _ => false,
        };
        let waiting: Vec<usize> = run.open().filter(waits).collect();
        let run = self.plans.last_mut().expect("there is one");
        let steps = run.steps.iter_mut().enumerate();
        let waiting = steps.filter(|(index, _)| waiting.contains(index));
        waiting.map(|(_, course)| course).collect()
    }

    /// Whether time is what it waits for: a wait, or a watch that goes on for as long as a stage or a bake lasts.
    pub fn waits_for_time(&self) -> bool {
        self.plans.last().is_some_and(|run| {
            run.open().any(|index| {
                let is_begun = *run.steps[index].status() == Status::Started;
                is_begun && takes_time(run.step(index))
            })
        })
    }

    pub(super) fn asked(&mut self, at_us: i64, ask: &Ask, request: Request) {
        let actor = request.actor.clone();
        match ask {
            Ask::Abort => self.abort = Some(request),
            Ask::Abandon => self.abandon = Some(request),
            Ask::Stop => self.stop = Some(request),
            Ask::Supersede { by } => self.supersede.clone_from(by),
            Ask::Pause => self.paused = Some(request),
            Ask::Resume => self.paused = None,
            Ask::Approve => {
                for run in self.asked_for_approval(&actor) {
                    run.approved_by.push(actor.clone());
                }
            }
            Ask::Reject => {
                if !self.asked_for_approval(&actor).is_empty() {
                    let why = request
                        .reason
                        .map_or_else(String::new, |why| format!(": {why}"));
                    // A no does not say where to: who has said that already is heard.
                    self.abort.get_or_insert(Request {
                        actor: request.actor,
                        reason: Some(format!("rejected{why}")),
                        back: request.back,
                    });
                }
            }
            Ask::Advance if self.asks_for_capacity() => {
                self.go_on_with_less(&format!("{actor} said so"));
            }
            Ask::Advance => {
                let Some(run) = self.plans.last_mut() else {
                    return;
                };
                let waits = |index: &usize| {
                    let is_begun = *run.steps[*index].status() == Status::Started;
                    is_begun && takes_time(run.step(*index))
                };
                for index in run.open().filter(waits).collect::<Vec<_>>() {
                    run.steps[index].due_us = Some(at_us);
                    if matches!(run.step(index).action, Action::Verify { .. }) {
                        // What was seen until now is not the verdict that was asked for (P6).
                        run.steps[index].is_cut_short = true;
                        run.steps[index].ended_us = at_us;
                        run.set(index, Status::Skipped);
                    }
                }
            }
            Ask::Retry => {
                let Some(parked) = self.parked.take() else {
                    return;
                };
                if let Some(step) = parked.step {
                    self.set(step, Status::Pending);
                    let run = self.run_mut(step);
                    run.failures = 0;
                    run.losses = 0;
                    run.is_as_it_is = true;
                } else {
                    let is_done = self.current().is_some_and(|(_, run)| run.is_over());
                    self.replans = is_done && self.goes_back();
                }
            }
            Ask::Skip => {
                let Some(Parked { step, why, .. }) = self.parked.take() else {
                    return;
                };
                let title =
                    step.map_or_else(|| "going on".to_owned(), |step| self.step(step).0.title());
                self.residue
                    .push(format!("skipped by {actor}: {title} ({why})"));
                if let Some(step) = step {
                    self.skip(step, &actor);
                }
            }
        }
        if let Some(parked) = &mut self.parked {
            parked.is_stale = true;
        }
    }
}

/// Whether it lasts as long as someone wanted it to.
fn takes_time(step: &Step) -> bool {
    match step.action {
        Action::Wait { .. } => true,
        Action::Verify { hold_ms, .. } => hold_ms > 0,
        Action::Effect(_) | Action::Approve(_) | Action::Run(_) => false,
    }
}

/// Whoever may answer and has not.
fn is_asked(approval: &Approval, yes: &[&str], actor: &str) -> bool {
    !yes.contains(&actor) && approval.may(actor)
}
