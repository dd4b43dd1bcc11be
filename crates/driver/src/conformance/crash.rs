//! I4: what becomes of calls that were lost sight of. The suite cuts them off at several points and asks as whoever takes
//! over would: with the handle where there is one, and without.

use super::{
    CUTS_MS, Platform, clear, context, goal, in_time, observe, perform, plan, same, target,
};
use crate::{Applied, Context, Settled, is_there, is_untouched};
use belay_model::error::{Class, Effect as Touched};
use belay_model::id::DeploymentId;
use belay_model::plan::Effect;
use belay_model::state::{Goal, State};
use std::time::Duration;

/// How long it is looked whether what was settled stays as it is.
const AFTERWARDS: Duration = Duration::from_millis(200);

/// A call that was cut off anywhere is settled, and then what is there can be told and worked with.
pub async fn settles_after_a_crash(platform: &impl Platform) {
    for (round, cut_ms) in (0..).zip(CUTS_MS) {
        let goal = goal(platform, &platform.record(1 + round % 2));
        for effect in plan(platform, &observe(platform).await, &goal) {
            let seen = observe(platform).await;
            let (driver, cx, target) = (platform.driver(), context(&goal), target(platform));
            let call = driver.apply(&cx, &target, &effect, &seen);
            let _ = tokio::time::timeout(Duration::from_millis(cut_ms), call).await;
            let settled = driver.settle(&cx, &target, &effect, None);
            let settled = in_time(settled).await.expect("settled");
            go_on(platform, &goal, &effect, &seen, settled).await;
        }
    }
    clear(platform).await;
}

/// Following an operation can be cut off, too, and be taken up by someone who does not have its handle.
pub async fn following_can_be_cut_off(platform: &impl Platform) {
    for (round, cut_ms) in (0..).zip(CUTS_MS) {
        let goal = goal(platform, &platform.record(1 + round % 2));
        for effect in plan(platform, &observe(platform).await, &goal) {
            let seen = observe(platform).await;
            let (driver, cx, target) = (platform.driver(), context(&goal), target(platform));
            let applied = in_time(driver.apply(&cx, &target, &effect, &seen)).await;
            if let Applied::Accepted { handle } = applied.expect("applied") {
                let follow = driver.settle(&cx, &target, &effect, Some(&handle));
                let _ = tokio::time::timeout(Duration::from_millis(cut_ms), follow).await;
            }
            let settled = driver.settle(&cx, &target, &effect, None);
            let settled = in_time(settled).await.expect("settled");
            go_on(platform, &goal, &effect, &seen, settled).await;
        }
    }
    clear(platform).await;
}

/// What the platform accepted and then broke off is not said to be done, and can be asked for once more.
pub async fn what_was_broken_off_is_not_done(platform: &impl Platform) {
    for number in [1, 2] {
        let goal = goal(platform, &platform.record(number));
        for effect in plan(platform, &observe(platform).await, &goal) {
            let seen = observe(platform).await;
            if platform.break_off() {
                let (driver, cx, target) = (platform.driver(), context(&goal), target(platform));
                let applied = in_time(driver.apply(&cx, &target, &effect, &seen)).await;
                let handle = match applied {
                    Ok(Applied::Accepted { handle }) => Some(handle),
                    Ok(Applied::Done { .. }) => panic!("{} is said to be done", effect.title),
                    // Who was told at once looks all the same.
                    Err(error) => {
                        assert_eq!(error.effect, Touched::MaybeApplied, "{error:?}");
                        None
                    }
                };
                let settled = driver.settle(&cx, &target, &effect, handle.as_ref());
                // An operation that failed may be an error: of what was asked for, not of the asking.
                let settled = in_time(settled).await.unwrap_or(Settled::Quiet);
                go_on(platform, &goal, &effect, &seen, settled).await;
            } else {
                let applied = perform(platform, &effect, &seen, &goal).await;
                applied.expect("applied");
            }
        }
    }
    clear(platform).await;
}

/// I6: where requests carry a mark, those of a worker that was replaced are refused and change nothing.
pub async fn who_was_replaced_is_refused(platform: &impl Platform) {
    if !platform.fences() {
        return;
    }
    let goal = goal(platform, &platform.record(1));
    let at = |epoch| Context {
        deployment: DeploymentId::new("dep_replaced"),
        epoch,
        ..context(&goal)
    };
    for effect in plan(platform, &State::default(), &goal) {
        let seen = observe(platform).await;
        let (driver, target) = (platform.driver(), target(platform));
        let (old, new) = (at(1), at(2));
        let settled = driver.settle(&new, &target, &effect, None);
        in_time(settled).await.expect("settled by the newer one");
        let late = in_time(driver.apply(&old, &target, &effect, &seen)).await;
        let error = late.expect_err("an older worker is refused");
        let told = (error.class, error.effect);
        assert_eq!(told, (Class::Conflict, Touched::NotApplied), "{error:?}");
        same(platform, &seen, &observe(platform).await, "a refused call");
        perform(platform, &effect, &seen, &goal)
            .await
            .expect("another deployment is not concerned");
    }
    clear(platform).await;
}

/// As the engine goes on from what was settled: nothing of it happens any more, it is there whole or can be repeated.
async fn go_on(
    platform: &impl Platform,
    goal: &Goal,
    effect: &Effect,
    seen: &State,
    settled: Settled,
) {
    let (driver, target) = (platform.driver(), target(platform));
    let now = observe(platform).await;
    tokio::time::sleep(AFTERWARDS).await;
    let later = driver.diff(&now, &observe(platform).await);
    let title = &effect.title;
    assert!(
        later.0.is_empty(),
        "{title} was settled, and went on: {later:?}"
    );
    let is_done = is_there(&*driver, &target, effect, seen, &now);
    assert!(
        is_done || settled != Settled::Done,
        "{title} is said to be done"
    );
    if !is_done {
        let is_untouched = is_untouched(&*driver, &target, effect, seen, &now);
        assert!(
            is_untouched || effect.idempotent,
            "{title} cannot be repeated"
        );
        let again = perform(platform, effect, &now, goal).await;
        again.expect("applied after a crash");
    }
    let after = driver.after(&target, seen, effect);
    same(platform, &after, &observe(platform).await, title);
}
