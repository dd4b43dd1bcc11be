//! What a driver says when a platform refuses, or someone else was there.

use super::{Platform, clear, context, go, goal, observe, perform, plan, same, target};
use belay_model::error::{Class, Effect as Touched};
use belay_model::plan::Wave;
use belay_model::state::State;

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
