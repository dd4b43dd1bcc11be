//! From what people wrote under `phases:` and `on_failure:` to what a deployment starts from. The rules were checked before;
//! names are resolved, defaults filled in, and rules of groups given to their steps.

use crate::prepare::target_name;
use belay_model::config::{
    Approve, Call as Written, Check, Duration, Environment, FailureAction, OnFailure, Phase,
    Step as WrittenStep, StepKind, Unanswered,
};
use belay_model::event::PhaseInput;
use belay_model::id::Scope;
use belay_model::plan::{Action, Approval, Call, Look, Run, Step};
use belay_model::policy::{Act, Rule};

/// The phases of an environment, in parts of one target each.
pub(crate) fn phases(scope: &Scope, environment: &Environment) -> Vec<PhaseInput> {
    let phases = environment.phases.iter();
    phases
        .flat_map(|phase| parts(scope, environment, phase))
        .collect()
}

/// Where there are several targets, what comes before and behind them is of no target.
fn parts(scope: &Scope, environment: &Environment, phase: &Phase) -> Vec<PhaseInput> {
    let targets: Vec<String> = match &phase.targets {
        Some(names) => names
            .iter()
            .map(|name| target_name(scope, Some(name)))
            .collect(),
        None if !phase.steps.is_empty() => Vec::new(),
        None => {
            let places = environment.places();
            places.map(|place| target_name(scope, place.name)).collect()
        }
    };
    let part = |target: Option<String>| PhaseInput {
        strategy: phase.strategy.clone(),
        share: phase
            .share
            .map(|share| share.as_basis_points().div_ceil(10)),
        on_failure: rules(&phase.on_failure),
        ..PhaseInput::of(&phase.name, target.as_deref())
    };
    let back_before = steps(&phase.rollback.before);
    let back_after = steps(&phase.rollback.after);
    if targets.len() < 2 {
        let before = [steps(&phase.steps), steps(&phase.before)].concat();
        return vec![PhaseInput {
            before,
            after: steps(&phase.after),
            back_before,
            back_after,
            ..part(targets.into_iter().next())
        }];
    }
    let first = PhaseInput {
        before: steps(&phase.before),
        back_after,
        ..part(None)
    };
    let last = PhaseInput {
        before: steps(&phase.after),
        back_before,
        ..part(None)
    };
    let has_steps = |part: &PhaseInput| {
        [&part.before, &part.back_before, &part.back_after]
            .iter()
            .any(|steps| !steps.is_empty())
    };
    let targets = targets.into_iter().map(|target| part(Some(target)));
    let parts = [first].into_iter().chain(targets).chain([last]);
    parts
        .filter(|part| part.target.is_some() || has_steps(part))
        .collect()
}

fn steps(written: &[WrittenStep]) -> Vec<Step> {
    let mut steps = Vec::new();
    add(written, &[], &mut steps);
    steps
}

/// Steps one after the other, those of groups among them; `outer`: the rules of the groups around them, inner ones first.
fn add(written: &[WrittenStep], outer: &[Rule], steps: &mut Vec<Step>) {
    for step in written {
        let on_failure = [rules(&step.on_failure), outer.to_vec()].concat();
        let action = match step.kind() {
            Ok(StepKind::Group(group)) => {
                let outer = [rules(&group.on_failure), on_failure].concat();
                add(&group.steps, &outer, steps);
                continue;
            }
            Ok(StepKind::Run(call)) => run(step, call),
            Ok(StepKind::Wait(time)) => Action::Wait { ms: time.as_ms() },
            Ok(StepKind::Approve(approve)) => {
                let approval = approval(approve);
                let title = step
                    .name
                    .as_ref()
                    .map(|name| format!("{name}: {}", approval.title));
                Action::Approve(Approval {
                    title: title.unwrap_or(approval.title),
                    ..approval
                })
            }
            Ok(StepKind::Verify(checks)) => verify(step, checks),
            Err(_) => unreachable!("refused with the configuration"),
        };
        steps.push(Step {
            on_failure,
            ..Step::of(action)
        });
    }
}

fn run(step: &WrittenStep, what: &Written) -> Action {
    Action::Run(Run {
        title: step.name.clone().unwrap_or_else(|| what.title()),
        call: call(what),
        back: step.rollback.as_ref().map(call),
        timeout_ms: step.timeout().as_ms(),
        on_unknown: step.on_unknown.unwrap_or_default(),
        residue: step.residue.clone(),
        record: None,
    })
}

fn call(written: &Written) -> Call {
    match written {
        Written::Command(line) => Call::Command(line.clone()),
        Written::Http(call) => Call::Http {
            method: call.method.clone(),
            url: call.url.clone(),
            header: call.header.clone(),
            body: call.body.clone(),
        },
    }
}

fn verify(step: &WrittenStep, checks: &[Check]) -> Action {
    Action::Verify {
        look: Look::Live,
        checks: checks.to_vec(),
        hold_ms: step.hold.map_or(0, Duration::as_ms),
    }
}

/// Who is asked, and how.
pub(crate) fn approval(approve: &Approve) -> Approval {
    let who = match (approve.by.as_slice(), approve.count) {
        ([], 1) => "anyone".to_owned(),
        ([], count) => format!("{count} people"),
        ([one], _) => one.clone(),
        (several, count) => format!("{count} of {}", several.join(", ")),
    };
    Approval {
        title: format!("wait for approval by {who}"),
        by: approve.by.clone(),
        count: approve.count,
        within_ms: approve.within.map(Duration::as_ms),
    }
}

/// Rules, in order.
pub(crate) fn rules(written: &[OnFailure]) -> Vec<Rule> {
    let rule = |rule: &OnFailure| Rule {
        on: rule.class.iter().map(|class| class.class()).collect(),
        act: act(rule.action),
    };
    written.iter().map(rule).collect()
}

fn act(action: FailureAction) -> Act {
    match action {
        FailureAction::Retry(retry) => Act::Retry {
            times: retry.times,
            pause_ms: retry.pause.as_ms(),
            factor: retry.factor,
            longest_ms: retry.longest().as_ms(),
        },
        FailureAction::Ignore => Act::Ignore { as_passed: false },
        FailureAction::Pass => Act::Ignore { as_passed: true },
        FailureAction::Ask(ask) => Act::Ask {
            within_ms: ask.within.map(Duration::as_ms),
            then: Box::new(match ask.then.unwrap_or_default() {
                Unanswered::Ignore => Act::Ignore { as_passed: false },
                Unanswered::Pass => Act::Ignore { as_passed: true },
                Unanswered::RollBackPhase => Act::RollBackPhase,
                Unanswered::RollBack => Act::RollBack,
                Unanswered::Stop => Act::Stop,
            }),
        },
        FailureAction::RollBackPhase => Act::RollBackPhase,
        FailureAction::RollBack => Act::RollBack,
        FailureAction::Stop => Act::Stop,
    }
}
