//! What every driver has to pass, against the real software of its platform. A driver is finished when it does.
//!
//! A test makes a [`Platform`] with nothing on it and calls [`crate::conformance!`], which makes one test of each case.
//! The suite looks only at what the trait promises: it calls a driver as the engine does, and as the engine would after
//! a crash.

mod capacity;
mod crash;
mod trouble;
mod ways;

pub use capacity::what_is_scaled_is_brought_up_and_taken_away;
pub use crash::{
    following_can_be_cut_off, settles_after_a_crash, what_was_broken_off_is_not_done,
    who_was_replaced_is_refused,
};
pub use trouble::{
    a_foreign_change_is_not_overwritten, throttling_is_passed_on,
    what_never_gets_ready_is_told_in_time, wrong_credentials_are_named,
};
pub use ways::{
    a_missing_target_is_absent, applied_twice_is_applied_once, looking_changes_nothing,
    nothing_to_do_is_no_step, round_trip,
};

use crate::{Applied, Context, Driver, Error, Material, Progress, Settled, Stage, is_there};
use async_trait::async_trait;
use belay_model::error::Class;
use belay_model::id::{DeploymentId, StepId};
use belay_model::plan::{Effect, Wave};
use belay_model::release::{Record, Target};
use belay_model::state::{Goal, State, States};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long an answer may take at all.
const PATIENCE: Duration = Duration::from_secs(60);
/// When a call is cut off, milliseconds after it began: before, within and perhaps after what it does.
const CUTS_MS: [u64; 4] = [0, 3, 30, 150];

/// A place to deploy to, and someone there who makes trouble.
#[async_trait]
pub trait Platform: Send + Sync {
    /// The driver.
    fn driver(&self) -> Arc<dyn Driver>;
    /// A release that works; another number is other content.
    fn record(&self, number: u32) -> Record;
    /// A release that never becomes ready, and says so within ten seconds. None: the platform has no such thing.
    fn broken(&self) -> Option<Record>;
    /// Whether traffic goes to what is deployed here. False: no step switches, so there is no traffic that someone else
    /// could have moved in between, and [`a_foreign_change_is_not_overwritten`] is left out.
    fn takes_traffic(&self) -> bool;
    /// Someone else moves the traffic. Not called where there is none.
    async fn meddle(&self);
    /// The next change of traffic is refused for now: the platform asks to come back after that many milliseconds.
    /// False: nobody throttles here.
    fn throttle(&self, retry_after_ms: u64) -> bool;
    /// Credentials are wrong from now on. False: there are none.
    fn lock_out(&self) -> bool;
    /// The next operation that the platform accepts is broken off by it half-way. False: none ever is.
    fn break_off(&self) -> bool {
        false
    }
    /// Whether requests carry a mark, so that those of a worker that was replaced are refused.
    fn fences(&self) -> bool {
        false
    }
}

/// Makes a test of each case. `$make` is an async function that answers a [`Platform`].
#[macro_export]
macro_rules! conformance {
    ($make:path) => {
        $crate::conformance!(@cases $make,
            round_trip, nothing_to_do_is_no_step, applied_twice_is_applied_once, settles_after_a_crash,
            a_foreign_change_is_not_overwritten, a_missing_target_is_absent, what_never_gets_ready_is_told_in_time,
            throttling_is_passed_on, wrong_credentials_are_named, looking_changes_nothing,
            following_can_be_cut_off, what_was_broken_off_is_not_done, who_was_replaced_is_refused,
            what_is_scaled_is_brought_up_and_taken_away
        );
    };
    (@cases $make:path, $($case:ident),*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let platform = $make().await;
                $crate::conformance::$case(&platform).await;
            }
        )*
    };
}

/// Plans and does all of it, and holds what is there against what was foreseen after each effect.
async fn go(platform: &impl Platform, goal: &Goal) {
    let (driver, target) = (platform.driver(), target(platform));
    let mut at = observe(platform).await;
    for effect in plan(platform, &at, goal) {
        perform(platform, &effect, &at, goal)
            .await
            .unwrap_or_else(|error| {
                panic!("failed to {}: {error:?}", effect.title);
            });
        let after = driver.after(&target, &at, &effect);
        at = observe(platform).await;
        same(platform, &after, &at, &effect.title);
        let switches = effect.wave == Wave::Switch;
        assert!(
            platform.takes_traffic() || !switches,
            "{} is said of no traffic",
            effect.title
        );
    }
    same(platform, goal.want.of(&target.name), &at, &goal.title);
}

async fn clear(platform: &impl Platform) {
    let mut records: Vec<_> = [1, 2].map(|number| platform.record(number)).into();
    records.extend(platform.broken());
    go(platform, &as_before(platform, State::default(), &records)).await;
}

fn plan(platform: &impl Platform, from: &State, goal: &Goal) -> Vec<Effect> {
    let planned = platform
        .driver()
        .plan(&target(platform), from, goal, Stage::BACK);
    let effects = planned.expect("planned");
    let waves: Vec<Wave> = effects.iter().map(|effect| effect.wave).collect();
    assert!(waves.is_sorted(), "waves out of order: {waves:?}");
    effects
}

async fn perform(
    platform: &impl Platform,
    effect: &Effect,
    seen: &State,
    goal: &Goal,
) -> Result<(), Error> {
    let (driver, target, cx) = (platform.driver(), target(platform), context(goal));
    match in_time(driver.apply(&cx, &target, effect, seen)).await? {
        Applied::Done { .. } => Ok(()),
        Applied::Accepted { handle } => {
            let settled = driver.settle(&cx, &target, effect, Some(&handle));
            match in_time(settled).await? {
                Settled::Done => Ok(()),
                // It is over, and what came of it is what is there.
                Settled::Quiet => {
                    let now = driver.observe(&cx, &target).await?;
                    let is_there = is_there(&*driver, &target, effect, seen, &now);
                    let message = "see it done: the platform broke it off";
                    let error = || Error::maybe_applied(Class::Unknown, message);
                    is_there.then_some(()).ok_or_else(error)
                }
            }
        }
    }
}

async fn observe(platform: &impl Platform) -> State {
    let cx = context(&as_before(platform, State::default(), []));
    let observed = platform.driver().observe(&cx, &target(platform)).await;
    observed.expect("observed")
}

async fn in_time<T>(call: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(PATIENCE, call).await;
    answer.expect("an answer, whatever it is")
}

fn same(platform: &impl Platform, want: &State, have: &State, what: &str) {
    let lines = platform.driver().diff(want, have).lines();
    assert!(lines.is_empty(), "after {what}: {lines:#?}");
}

fn goal(platform: &impl Platform, record: &Record) -> Goal {
    let target = &record.targets[0];
    let want = platform.driver().desired(record, target);
    Goal {
        want: States::one(&target.name, want),
        records: BTreeMap::from([(record.hash(), record.clone())]),
        title: record.title(),
        record: Some(record.hash()),
    }
}

fn as_before<'a>(
    platform: &impl Platform,
    want: State,
    records: impl IntoIterator<Item = &'a Record>,
) -> Goal {
    let records = records
        .into_iter()
        .map(|record| (record.hash(), record.clone()));
    Goal {
        want: States::one(&target(platform).name, want),
        records: records.collect(),
        title: "what was there before".to_owned(),
        record: None,
    }
}

fn target(platform: &impl Platform) -> Target {
    platform.record(1).targets.remove(0)
}

fn context(goal: &Goal) -> Context {
    let material = goal.records.iter().map(|(hash, record)| {
        let material = Material {
            record: record.clone(),
            secrets: BTreeMap::new(),
        };
        (hash.clone(), material)
    });
    Context {
        deployment: DeploymentId::new("dep_conformance"),
        step: Some(StepId { plan: 0, index: 0 }),
        attempt: 1,
        epoch: 1,
        deadline_ms: u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX),
        material: Arc::new(material.collect()),
        progress: Arc::new(Silent),
    }
}

struct Silent;

impl Progress for Silent {
    fn line(&self, _: &str) {}
}
