//! Random journals: events that may come, in an order that makes little sense. What the fold keeps so that it need not look
//! at all steps must agree with the steps, whatever comes.

use super::{Deployment, PlanRun, Status};
use belay_model::back::Back;
use belay_model::config::{FirstFailure, Inconclusive, Strategy};
use belay_model::error::{Class, Effect as Touched, Failure};
use belay_model::event::{Ask, Cause, Event, Finish, Inputs, Kind};
use belay_model::id::{DeploymentId, EnvironmentName, Scope, ServiceName, StepId};
use belay_model::plan::{Action, Approval, Effect, Look, Phase, Plan, Step, Verb, Wave};
use belay_model::policy::{Act, Rule};
use belay_model::state::{Goal, States};
use belay_model::verdict::{Outcome, Verdict};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn what_is_kept_of_the_steps_agrees_with_the_steps() {
    for seed in 0..200 {
        let mut story = Story::new(seed);
        let mut deployment = Deployment::new(story.id());
        for at_us in 0..200 {
            let event = story.next(&deployment);
            deployment.take(at_us, &event);
            for run in &deployment.plans {
                check(run, &format!("seed {seed}, {event:?}"));
            }
        }
    }
}

fn check(run: &PlanRun, told: &str) {
    let of = |wanted: &dyn Fn(usize) -> bool| -> Vec<usize> {
        (0..run.steps.len())
            .filter(|index| wanted(*index))
            .collect()
    };
    let open = of(&|index| !run.steps[index].is_over());
    assert_eq!(run.open().collect::<Vec<_>>(), open, "{told}");
    assert_eq!(run.is_over(), open.is_empty(), "{told}");
    let in_flight =
        of(&|index| run.step(index).is_effect() && *run.steps[index].status() == Status::Started);
    assert_eq!(run.in_flight().collect::<Vec<_>>(), in_flight, "{told}");
    let at = |phase: usize| {
        let mut steps = run.range(phase);
        steps.find(|index| !run.steps[*index].is_over())
    };
    let phases = 0..run.plan.phases.len();
    let expected: Vec<_> = phases
        .clone()
        .filter_map(|phase| Some((phase, at(phase)?)))
        .collect();
    assert_eq!(run.open_phases().collect::<Vec<_>>(), expected, "{told}");
    for phase in phases {
        assert_eq!(run.is_phase_over(phase), at(phase).is_none(), "{told}");
    }
}

/// Tells what may come next.
pub(crate) struct Story(StdRng);

impl Story {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    pub(crate) fn id(&self) -> DeploymentId {
        DeploymentId::new("dep_story")
    }

    /// One of so many.
    pub(crate) fn pick(&mut self, of: usize) -> usize {
        self.0.random_range(0..of)
    }

    pub(crate) fn next(&mut self, deployment: &Deployment) -> Event {
        if deployment.inputs.is_none() {
            return Event::Created(Box::new(inputs()));
        }
        let Some((number, run)) = deployment.current() else {
            return Event::Planned {
                plan: self.plan(),
                baseline: States::default(),
                baseline_goal: Box::new(goal()),
                goal: Box::new(goal()),
                takes_over: None,
                remarks: Vec::new(),
            };
        };
        let step = StepId {
            plan: number,
            index: u16::try_from(self.pick(run.steps.len())).expect("few steps"),
        };
        let attempt = deployment.step(step).1.last_attempt;
        match self.pick(40) {
            0 => Event::RollbackPlanned {
                number: number + 1,
                cause: Cause::Request {
                    actor: "ada".to_owned(),
                    reason: None,
                    back: Back::default(),
                },
                goal: Some(Box::new(goal())),
                plan: self.plan(),
                before: None,
                remarks: Vec::new(),
                again: false,
            },
            1..=4 => Event::Signal {
                actor: "ada".to_owned(),
                ask: self.ask(),
                reason: None,
                back: Back::default(),
            },
            5..=8 => Event::Parked {
                step: Some(step),
                why: "it is stuck".to_owned(),
                until_ms: (self.pick(2) == 0).then_some(1),
                then: None,
            },
            9..=11 => Event::TimerFired { step },
            12..=25 if attempt > 0 => Event::Finished {
                step,
                attempt,
                finish: self.finish(),
                state: None,
                times: BTreeMap::new(),
            },
            26..=28 if attempt > 0 => Event::Verified {
                step,
                verdict: self.verdict(),
            },
            _ => Event::Started {
                step,
                attempt: attempt + 1,
                fingerprint: String::new(),
                before: None,
            },
        }
    }

    fn plan(&mut self) -> Plan {
        let phases = (0..=self.pick(4)).map(|_| Phase {
            name: "shop".to_owned(),
            target: Some("shop".to_owned()),
            after: Vec::new(),
            // A phase may have none.
            steps: (0..self.pick(5)).map(|_| self.step()).collect(),
        });
        let mut phases: Vec<Phase> = phases.collect();
        phases.push(Phase {
            name: "last".to_owned(),
            target: None,
            after: Vec::new(),
            steps: vec![self.step()],
        });
        Plan::of(phases)
    }

    fn step(&mut self) -> Step {
        let action = match self.pick(4) {
            0 => Action::Verify {
                look: Look::Live,
                checks: Vec::new(),
                hold_ms: 0,
            },
            1 => Action::Approve(Approval {
                title: "go on?".to_owned(),
                by: Vec::new(),
                count: 1,
                within_ms: None,
            }),
            2 => Action::Wait { ms: 1 },
            _ => Action::Effect(Effect {
                verb: Verb::Deploy,
                wave: Wave::Grow,
                title: "deploy".to_owned(),
                params: Value::Null,
                records: Vec::new(),
                idempotent: true,
                residue: None,
            }),
        };
        let ignore = Act::Ignore { as_passed: false };
        let rule = match self.pick(3) {
            0 => Some(ignore),
            1 => Some(Act::Ask {
                within_ms: Some(1),
                then: Box::new(ignore),
            }),
            _ => None,
        };
        let on_failure = rule.map(|act| Rule {
            on: Vec::new(),
            act,
        });
        Step {
            promotes: self.pick(3) == 0,
            on_failure: on_failure.into_iter().collect(),
            ..Step::of(action)
        }
    }

    fn ask(&mut self) -> Ask {
        [
            Ask::Retry,
            Ask::Skip,
            Ask::Advance,
            Ask::Approve,
            Ask::Pause,
        ][self.pick(5)]
        .clone()
    }

    fn finish(&mut self) -> Finish {
        match self.pick(3) {
            0 => Finish::Done,
            1 => Finish::Unknown,
            _ => Finish::Failed(Failure {
                class: Class::Connectivity,
                effect: Touched::NotApplied,
                message: "reach it".to_owned(),
                detail: Vec::new(),
                retry_after_ms: None,
            }),
        }
    }

    fn verdict(&mut self) -> Verdict {
        Verdict {
            outcome: [Outcome::Pass, Outcome::Fail, Outcome::Inconclusive][self.pick(3)],
            check: "http".to_owned(),
            sentence: "it said so".to_owned(),
            evidence: Value::Null,
            first_bad_us: None,
        }
    }
}

fn goal() -> Goal {
    Goal {
        want: States::default(),
        records: BTreeMap::new(),
        title: "nothing".to_owned(),
        record: None,
    }
}

fn inputs() -> Inputs {
    Inputs {
        kind: Kind::Deploy,
        scope: Scope {
            service: ServiceName::new("shop"),
            environment: EnvironmentName::new("test"),
        },
        record: None,
        goal: None,
        strategy: Strategy::Basic,
        parallel: 1,
        phases: Vec::new(),
        back_order: belay_model::config::BackOrder::default(),
        approve: None,
        on_failure: Vec::new(),
        checks: Vec::new(),
        bake_ms: 0,
        warm_ms: 0,
        keep_good: 5,
        inconclusive: Inconclusive::Ask,
        on_first_failure: FirstFailure::Remove,
        hotfix: None,
        promotion: None,
        actor: "ada".to_owned(),
        reason: None,
        back: Back::default(),
    }
}
