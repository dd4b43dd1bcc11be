//! What every driver has to pass, against the real software of its platform. A driver is finished when it does.
//!
//! A test makes a [`Platform`] with nothing on it and calls [`crate::conformance!`], which makes one test of each case.
//! The suite looks only at what the trait promises: it calls a driver as the engine does, and as the engine would after
//! a crash.

use crate::{Applied, Context, Driver, Error, Material, Progress, Settled, Stage, is_there};
use async_trait::async_trait;
use belay_model::error::{Class, Effect as Touched};
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
}

/// Makes a test of each case. `$make` is an async function that answers a [`Platform`].
#[macro_export]
macro_rules! conformance {
    ($make:path) => {
        $crate::conformance!(@cases $make,
            round_trip, nothing_to_do_is_no_step, applied_twice_is_applied_once, settles_after_a_crash,
            a_foreign_change_is_not_overwritten, a_missing_target_is_absent, what_never_gets_ready_is_told_in_time,
            throttling_is_passed_on, wrong_credentials_are_named, looking_changes_nothing
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

/// To a release, to another, back to what was there, and to nothing.
pub async fn round_trip(platform: &impl Platform) {
    let (one, two) = (platform.record(1), platform.record(2));
    go(platform, &goal(platform, &one)).await;
    let baseline = observe(platform).await;
    assert!(!baseline.is_absent(), "a release is something");
    go(platform, &goal(platform, &two)).await;
    go(platform, &as_before(platform, baseline, [&one, &two])).await;
    go(platform, &as_before(platform, State::default(), [&one])).await;
    assert!(observe(platform).await.is_absent(), "nothing is left");
}

/// Where one is already there is nothing to do.
pub async fn nothing_to_do_is_no_step(platform: &impl Platform) {
    let goal = goal(platform, &platform.record(1));
    go(platform, &goal).await;
    let steps = plan(platform, &observe(platform).await, &goal);
    assert!(steps.is_empty(), "{steps:?}");
    clear(platform).await;
}

/// Each effect that calls itself idempotent may be repeated.
pub async fn applied_twice_is_applied_once(platform: &impl Platform) {
    for goal in [1, 2].map(|number| goal(platform, &platform.record(number))) {
        for effect in plan(platform, &observe(platform).await, &goal) {
            let seen = observe(platform).await;
            perform(platform, &effect, &seen, &goal)
                .await
                .expect("applied");
            let once = observe(platform).await;
            if effect.idempotent {
                perform(platform, &effect, &once, &goal)
                    .await
                    .expect("applied again");
                same(platform, &once, &observe(platform).await, &effect.title);
            }
        }
    }
    clear(platform).await;
}

/// I4: a call that was cut off anywhere is settled, and then what is there can be told and worked with.
pub async fn settles_after_a_crash(platform: &impl Platform) {
    for (round, cut_ms) in (0..).zip(CUTS_MS) {
        let goal = goal(platform, &platform.record(1 + round % 2));
        for effect in plan(platform, &observe(platform).await, &goal) {
            let seen = observe(platform).await;
            let driver = platform.driver();
            let (cx, target) = (context(&goal), target(platform));
            let call = driver.apply(&cx, &target, &effect, &seen);
            let _ = tokio::time::timeout(Duration::from_millis(cut_ms), call).await;
            let settled = driver.settle(&cx, &target, &effect, None);
            let settled = in_time(settled).await.expect("settled");
            let now = observe(platform).await;
            let after = driver.after(&target, &seen, &effect);
            let is_done = is_there(&*driver, &target, &effect, &seen, &now);
            assert!(
                is_done || settled != Settled::Done,
                "{} is said to be done",
                effect.title
            );
            if !is_done {
                let untouched = driver.diff(&seen, &now).is_met();
                assert!(
                    untouched || effect.idempotent,
                    "{} cannot be repeated",
                    effect.title
                );
                perform(platform, &effect, &now, &goal)
                    .await
                    .expect("applied after a crash");
            }
            same(platform, &after, &observe(platform).await, &effect.title);
        }
    }
    clear(platform).await;
}

/// I10: what someone else changed since it was looked at is a conflict, and stays.
pub async fn a_foreign_change_is_not_overwritten(platform: &impl Platform) {
    if !platform.takes_traffic() {
        return;
    }
    go(platform, &goal(platform, &platform.record(1))).await;
    let goal = goal(platform, &platform.record(2));
    let mut met = false;
    for effect in plan(platform, &observe(platform).await, &goal) {
        let seen = observe(platform).await;
        if effect.wave == Wave::Switch && !met {
            met = true;
            platform.meddle().await;
            let theirs = observe(platform).await;
            let error = perform(platform, &effect, &seen, &goal).await;
            let error = error.expect_err("someone else was there");
            assert_eq!(
                (error.class, error.effect),
                (Class::Conflict, Touched::NotApplied),
                "{error:?}"
            );
            same(
                platform,
                &theirs,
                &observe(platform).await,
                "a refused switch",
            );
        }
        // Looked at anew it is overwritten: that is what going back does.
        let now = observe(platform).await;
        perform(platform, &effect, &now, &goal)
            .await
            .expect("applied on what is there");
    }
    assert!(met, "nothing switches");
    clear(platform).await;
}

/// Absent is a state, not an error.
pub async fn a_missing_target_is_absent(platform: &impl Platform) {
    assert!(observe(platform).await.is_absent());
    let nothing = as_before(platform, State::default(), []);
    assert!(plan(platform, &State::default(), &nothing).is_empty());
    // What shall be removed and is not there is removed.
    let goal = goal(platform, &platform.record(1));
    let removal = plan(
        platform,
        goal.want.of(&target(platform).name),
        &as_before(platform, State::default(), [&platform.record(1)]),
    );
    for effect in removal {
        let seen = observe(platform).await;
        perform(platform, &effect, &seen, &goal)
            .await
            .expect("nothing to remove");
    }
    assert!(observe(platform).await.is_absent());
}

/// A release that does not get ready is an error of the release, in time, and can be removed.
pub async fn what_never_gets_ready_is_told_in_time(platform: &impl Platform) {
    let Some(broken) = platform.broken() else {
        return;
    };
    let goal = goal(platform, &broken);
    let mut failed = None;
    for effect in plan(platform, &State::default(), &goal) {
        let seen = observe(platform).await;
        if let Err(error) = perform(platform, &effect, &seen, &goal).await {
            failed = Some(error);
            break;
        }
        assert_ne!(
            effect.wave,
            Wave::Switch,
            "traffic goes to what is not ready"
        );
    }
    let error = failed.expect("it never gets ready");
    assert!(
        matches!(error.class, Class::Application | Class::Timeout),
        "{error:?}"
    );
    clear(platform).await;
}

/// The platform's own words about when to come back reach the engine.
pub async fn throttling_is_passed_on(platform: &impl Platform) {
    let goal = goal(platform, &platform.record(1));
    for effect in plan(platform, &State::default(), &goal) {
        let seen = observe(platform).await;
        if effect.wave == Wave::Switch && platform.throttle(1234) {
            let error = perform(platform, &effect, &seen, &goal).await;
            let error = error.expect_err("refused for now");
            assert_eq!(
                (error.class, error.retry_after_ms),
                (Class::Quota, Some(1234)),
                "{error:?}"
            );
            assert_eq!(error.effect, Touched::NotApplied);
        }
        perform(platform, &effect, &seen, &goal)
            .await
            .expect("later it goes through");
    }
    clear(platform).await;
}

/// Wrong credentials are that, and nothing else.
pub async fn wrong_credentials_are_named(platform: &impl Platform) {
    if !platform.lock_out() {
        return;
    }
    let target = target(platform);
    let goal = goal(platform, &platform.record(1));
    let error = platform.driver().observe(&context(&goal), &target).await;
    let class = error.expect_err("locked out").class;
    assert!(
        matches!(class, Class::Authentication | Class::Authorisation),
        "{class:?}"
    );
}

/// Preview and pre-flight touch nothing.
pub async fn looking_changes_nothing(platform: &impl Platform) {
    let (one, two) = (platform.record(1), platform.record(2));
    go(platform, &goal(platform, &one)).await;
    let before = observe(platform).await;
    let (driver, target) = (platform.driver(), target(platform));
    let goal = goal(platform, &two);
    let cx = context(&goal);
    in_time(driver.restorable(&cx, &target, &goal))
        .await
        .expect("looked at");
    in_time(driver.history(&cx, &target))
        .await
        .expect("looked at");
    same(platform, &before, &observe(platform).await, "looking");
    clear(platform).await;
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
            in_time(settled).await.map(|_| ())
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
