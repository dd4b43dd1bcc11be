//! How many instances there are: brought up, seen, and taken away again.

use super::{Platform, as_before, clear, go, goal, observe, plan, target};
use belay_model::plan::Wave;
use belay_model::state::{State, States};

/// More of a release than its record asks for is a goal like any other: it is brought up, keeps nobody from the record's own
/// goal, and is taken away when everything else is over. Where there is no such number nothing is scaled.
pub async fn what_is_scaled_is_brought_up_and_taken_away(platform: &impl Platform) {
    let (driver, target) = (platform.driver(), target(platform));
    assert_eq!(driver.capacity(&target, &State::default()), None);
    let own = goal(platform, &platform.record(1));
    let want = own.want.of(&target.name);
    let Some(capacity) = driver.capacity(&target, want) else {
        assert_eq!(driver.scaled(&target, want, 9), *want);
        return;
    };
    let more = capacity.desired + 1;
    let mut scaled = own.clone();
    let state = driver.scaled(&target, want, more);
    scaled.want = States::one(&target.name, state);

    let two = platform.record(2);
    go(platform, &goal(platform, &two)).await;
    go(platform, &scaled).await;
    let there = observe(platform).await;
    let now = driver.capacity(&target, &there).map(|now| now.desired);
    assert_eq!(now, Some(more), "as many as were brought up");
    let difference = driver.diff(want, &there);
    assert!(difference.is_met(), "more is enough: {difference:?}");
    assert!(!difference.0.is_empty(), "and it is told");
    let fewer = driver.diff(scaled.want.of(&target.name), want);
    assert!(!fewer.is_met(), "fewer are not enough");

    let effects = plan(platform, &there, &own);
    let waves: Vec<Wave> = effects.iter().map(|effect| effect.wave).collect();
    assert_eq!(waves, [Wave::Shrink], "{effects:?}");
    go(platform, &own).await;
    let now = driver.capacity(&target, &observe(platform).await);
    assert_eq!(now.map(|now| now.desired), Some(capacity.desired));
    go(platform, &as_before(platform, State::default(), [&two])).await;
    clear(platform).await;
}
