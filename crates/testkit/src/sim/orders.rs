//! What an order asks for, as the engine takes it.

use super::commands;
use super::stage::Ground;
use super::story::{Doubt, Extra, Order, Remedy, Then, Way, Work};
use belay_model::back::Back;
use belay_model::config::{
    BackOrder, CanaryStep, Check, CommandLine, Duration, FirstFailure, Inconclusive, Percent,
    Strategy,
};
use belay_model::error::Class;
use belay_model::event::{Inputs, Kind, PhaseInput};
use belay_model::id::DeploymentId;
use belay_model::plan::{Action, Approval, Call, OnUnknown, Run, Step};
use belay_model::policy::{Act as Does, Rule};

impl Order {
    /// Nothing special.
    pub fn plain(release: u32) -> Self {
        Self {
            release,
            way: Way::Basic,
            bake_ms: 0,
            parallel: 1,
            approve: None,
            extras: Vec::new(),
            share: None,
            remedies: Vec::new(),
            of_phases: Vec::new(),
            of_group: Vec::new(),
            back: BackOrder::default(),
            asks: false,
            leaves: false,
            replaces: false,
        }
    }
}

/// What a deployment of that id starts from, but for what it leads to.
pub(super) fn inputs(id: &DeploymentId, ground: &Ground, order: &Order) -> Inputs {
    let mut checks = vec![check("live")];
    let is_staged = |world: &crate::World| {
        let target = super::stage::target("any");
        belay_driver::Driver::capabilities(world, &target).staged
    };
    if ground.worlds.values().all(is_staged) {
        checks.insert(0, check("staged"));
    }
    Inputs {
        kind: Kind::Deploy,
        scope: ground.scope.clone(),
        record: None,
        goal: None,
        strategy: strategy(&order.way),
        parallel: order.parallel,
        phases: phases(id, ground, order),
        back_order: order.back,
        approve: order.approve.map(|(count, within_ms)| Approval {
            title: "all of the traffic".to_owned(),
            by: Vec::new(),
            count,
            within_ms: Some(within_ms),
        }),
        on_failure: order.remedies.iter().map(rule).collect(),
        checks,
        bake_ms: order.bake_ms,
        warm_ms: 10_000,
        keep_good: 5,
        inconclusive: match order.asks {
            true => Inconclusive::Ask,
            false => Inconclusive::RollBack,
        },
        hotfix: None,
        promotion: None,
        on_first_failure: match order.leaves {
            true => FirstFailure::Leave,
            false => FirstFailure::Remove,
        },
        actor: "ann".to_owned(),
        reason: None,
        back: Back::default(),
    }
}

fn check(at: &str) -> Check {
    serde_json::from_value(serde_json::json!({ "http": "/", "at": at })).expect("a check")
}

fn strategy(way: &Way) -> Strategy {
    match way {
        Way::Basic => Strategy::Basic,
        Way::Rolling => Strategy::Rolling,
        Way::BlueGreen => Strategy::BlueGreen,
        Way::Canary(shares) => {
            let step = |(share, hold_ms): &(u32, u64)| CanaryStep {
                to: Percent::from_percent(*share),
                hold: Some(Duration::from_ms(*hold_ms)),
            };
            Strategy::Canary(shares.iter().map(step).collect())
        }
    }
}

/// Written out where there is anything to write.
fn phases(id: &DeploymentId, ground: &Ground, order: &Order) -> Vec<PhaseInput> {
    if order.extras.is_empty() && order.share.is_none() && order.of_phases.is_empty() {
        return Vec::new();
    }
    let extras = order.extras.iter().zip(0..);
    let of = |target: Option<usize>| extras.clone().filter(move |(it, _)| it.target == target);
    let free = of(None).map(|(extra, nth)| PhaseInput {
        before: vec![step(id, order, extra, nth)],
        ..PhaseInput::of(&format!("free {nth}"), None)
    });
    let mut phases: Vec<PhaseInput> = free.collect();
    let names: Vec<&String> = ground.worlds.keys().collect();
    if let Some(share) = order.share {
        phases.push(PhaseInput {
            share: Some(share),
            ..PhaseInput::of("a part", Some(names[0]))
        });
    }
    for (number, name) in names.into_iter().enumerate() {
        let steps = |is_late: bool| -> Vec<Step> {
            let here = of(Some(number)).filter(|(it, _)| it.is_late == is_late);
            here.map(|(it, nth)| step(id, order, it, nth)).collect()
        };
        let own = order.of_phases.iter().filter(|(it, ..)| *it == number);
        phases.push(PhaseInput {
            before: steps(false),
            after: steps(true),
            on_failure: own
                .map(|(_, class, remedy)| rule(&(*class, remedy.clone())))
                .collect(),
            ..PhaseInput::of(&format!("on {name}"), Some(name))
        });
    }
    phases
}

/// The name that a command has in its line, by which everybody knows whose it is.
pub(super) fn command(id: &DeploymentId, nth: usize) -> String {
    format!("{id}-x{nth}")
}

/// What takes a command back.
pub(super) fn back_of(command: &str) -> String {
    format!("un-{command}")
}

fn step(id: &DeploymentId, order: &Order, extra: &Extra, nth: usize) -> Step {
    let name = command(id, nth);
    let action = match &extra.work {
        Work::Run(fails, doubt, residue) => {
            let call = |name: &str, fails: u32| -> Call {
                let line: Result<CommandLine, _> = commands::text(name, fails).parse();
                Call::Command(line.expect("a command line"))
            };
            Action::Run(Run {
                title: format!("run {name}"),
                call: call(&name, *fails),
                back: Some(call(&back_of(&name), 0)),
                timeout_ms: 1_000,
                on_unknown: match doubt {
                    Doubt::RunAgain => OnUnknown::Retry,
                    Doubt::TakeBack => OnUnknown::RollBack,
                    Doubt::AskSomeone => OnUnknown::Ask,
                },
                residue: residue.then(|| format!("what {name} sent")),
                record: None,
            })
        }
        Work::Wait(ms) => Action::Wait { ms: *ms },
        Work::Ask(within_ms) => Action::Approve(Approval {
            title: format!("ask {name}"),
            by: vec!["ann".to_owned(), "bob".to_owned()],
            count: 1,
            within_ms: Some(*within_ms),
        }),
    };
    // Inner rules come before outer ones; those of phases and deployments the engine adds.
    let group = order.of_group.iter().filter(|_| extra.is_grouped);
    Step {
        on_failure: extra.remedies.iter().chain(group).map(rule).collect(),
        ..Step::of(action)
    }
}

fn rule((class, remedy): &(Class, Remedy)) -> Rule {
    let then = |then: &Then| match then {
        Then::GoOn => Does::Ignore { as_passed: false },
        Then::GoOnQuietly => Does::Ignore { as_passed: true },
        Then::PhaseBack => Does::RollBackPhase,
        Then::AllBack => Does::RollBack,
        Then::LeaveIt => Does::Stop,
    };
    Rule {
        on: vec![*class],
        act: match remedy {
            Remedy::TryAgain(times) => Does::Retry {
                times: *times,
                pause_ms: 50,
                factor: 2,
                longest_ms: 1000,
            },
            Remedy::AskFor(ms, last) => Does::Ask {
                within_ms: Some(*ms),
                then: Box::new(then(last)),
            },
            Remedy::Just(last) => then(last),
        },
    }
}
