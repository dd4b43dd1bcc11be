//! Parts that tests of the engine are put together from: strategies, checks, steps, phases, ends.

use belay_model::config::{CanaryStep, Check, Duration, Percent, Strategy};
use belay_model::event::{Outcome, PhaseInput, RollbackResult};
use belay_model::plan::{Action, Call, OnUnknown, Run, Step};

/// A canary through these percents of the traffic, each held for five seconds.
pub fn canary<const N: usize>(percents: [u32; N]) -> Strategy {
    let step = |percent| CanaryStep {
        to: Percent::from_percent(percent),
        hold: Some(Duration::from_secs(5)),
    };
    Strategy::Canary(percents.map(step).to_vec())
}

/// A check over HTTP, `staged` or `live`.
pub fn check_at(at: &str) -> Check {
    serde_json::from_value(serde_json::json!({ "http": "/", "at": at })).expect("a check")
}

/// What runs `name` for at most a second, and `un-name` to take it back; cut off, it is asked about.
pub fn command(name: &str) -> Run {
    let call = |text: &str| Call::Command(text.parse().expect("a command line"));
    Run {
        title: format!("run {name}"),
        call: call(name),
        back: Some(call(&format!("un-{name}"))),
        timeout_ms: 1000,
        on_unknown: OnUnknown::Ask,
        residue: None,
        record: None,
    }
}

/// The step that runs such a command.
pub fn run(name: &str) -> Step {
    Step::of(Action::Run(command(name)))
}

/// A phase with these steps around its moves.
pub fn phase(name: &str, target: Option<&str>, before: Vec<Step>, after: Vec<Step>) -> PhaseInput {
    PhaseInput {
        before,
        after,
        ..PhaseInput::of(name, target)
    }
}

/// It failed, and that is what became of going back; nothing stays behind.
pub fn failed(rollback: RollbackResult) -> Option<Outcome> {
    Some(Outcome::Failed {
        rollback,
        residue: Vec::new(),
    })
}

/// It failed, and all is as it was before.
pub fn rolled_back() -> Option<Outcome> {
    failed(RollbackResult::Complete)
}
