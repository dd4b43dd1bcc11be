//! What must hold when a deployment has ended, on every kind of platform and whatever happened on the way.

use crate::oracle::check_journal;
use crate::{Kind, Scene};
use belay_driver::Driver;
use belay_model::event::{Event, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::state::Goal;
use belay_model::summary::Phase;

/// What is there before something is asked for.
pub struct Before {
    serving: Option<String>,
    withdrawals: u32,
}

impl Before {
    /// Now.
    pub fn of(scene: &Scene) -> Self {
        Self {
            serving: scene.serving(),
            withdrawals: scene.world.withdrawals(),
        }
    }
}

/// What is wrong with how a deployment of a scene with one target ended, one line each.
pub async fn judge(scene: &Scene, id: &DeploymentId, before: &Before) -> Vec<String> {
    let journal = scene.store.journal(id);
    check_journal(&journal);
    let mut wrong = scene.world.breaches();
    let summary = scene.summary(id).await;
    if summary.phase != Phase::Ended {
        wrong.push(format!("it is {:?}: {:?}", summary.phase, summary.outcome));
        return wrong;
    }
    if !scene.world.is_quiet() {
        wrong.push("it ended, and something of it may still happen".to_owned());
    }
    let goals = journal.iter().filter_map(|entry| match &entry.event {
        Event::Planned { goal, .. } => Some((**goal).clone()),
        Event::RollbackPlanned { goal, .. } => goal.as_deref().cloned(),
        _ => None,
    });
    let goals: Vec<Goal> = goals.collect();
    let serving = scene.serving();
    match &summary.outcome {
        Some(Outcome::Succeeded) => {
            wrong.extend(unmet(scene, goals.first()));
        }
        Some(Outcome::Failed {
            rollback: RollbackResult::Complete,
            residue,
        }) => {
            wrong.extend(unmet(scene, goals.last()));
            wrong.extend(residue.iter().map(|line| format!("residue: {line}")));
            if serving != before.serving {
                wrong.push(format!("from {:?} to {serving:?}", before.serving));
            }
        }
        Some(Outcome::Failed {
            rollback: RollbackResult::None,
            ..
        }) => {
            if serving != before.serving {
                wrong.push(format!(
                    "unchanged, from {:?} to {serving:?}",
                    before.serving
                ));
            }
        }
        outcome => wrong.push(format!("it ended as {outcome:?}")),
    }
    let is_gone = before.withdrawals != scene.world.withdrawals();
    if is_gone && before.serving.is_some() && serving.is_some() {
        wrong.push("I2: the service was taken away in between".to_owned());
    }
    let known = scene.view().serving().map(|known| known.record.group());
    if known != serving {
        wrong.push(format!("{serving:?} serves, and {known:?} is known to"));
    }
    let is_beside = |name: &String| Some(name) != serving.as_ref();
    // What stands in the other place has no traffic, and the place is not ours to remove.
    if scene.world.kind() != Kind::Swap {
        let groups = scene.world.groups().into_iter();
        wrong.extend(
            groups
                .filter(is_beside)
                .map(|name| format!("{name} is left")),
        );
    }
    wrong
}

/// What keeps the world from a goal.
fn unmet(scene: &Scene, goal: Option<&Goal>) -> Vec<String> {
    let Some(goal) = goal else {
        return vec!["there was no goal".to_owned()];
    };
    let target = scene.record(1).targets.remove(0);
    let now = scene.world.state();
    let lines = scene.world.diff(goal.want.of(&target.name), &now).lines();
    let mut wrong: Vec<String> = lines
        .into_iter()
        .map(|line| format!("unmet: {line}"))
        .collect();
    let record = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
    let wanted = record.map(belay_model::release::Record::group);
    if wanted != scene.serving() {
        let users = scene.world.weights();
        wrong.push(format!(
            "{wanted:?} shall serve alone, and users reach {users:?}"
        ));
    }
    wrong
}
