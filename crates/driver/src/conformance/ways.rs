//! Where a driver leads to: there, back, and to nothing; and that looking is only looking.

use super::{
    Platform, as_before, clear, context, go, goal, in_time, observe, perform, plan, same, target,
};
use belay_model::state::State;

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
