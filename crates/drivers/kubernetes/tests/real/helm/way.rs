//! Releases there and back, and those that do not get there.

use super::shop::{perform, shop};
use crate::place::{context, said};
use crate::way::FORWARD;
use belay_driver::{Driver, Restorability, Stage};
use belay_model::error::{Class, Effect};
use belay_model::state::State;
use belay_testbed::Helm;
use serde_json::json;

#[tokio::test]
async fn a_helm_release_goes_out_and_back() {
    for version in [Helm::V3, Helm::V4] {
        let shop = shop(version);
        let one = shop.record(json!({ "image": "app:1" })).await;
        let first = shop.deploy(&one).await;
        assert_eq!(
            first.resources["release/shop"].facts["record"],
            one.hash().as_str()
        );
        let two = shop.record(json!({ "image": "app:2" })).await;
        let goal = shop.goal(&two);
        let titles = shop.go(&goal, FORWARD).await.expect("deployed");
        assert_eq!(
            titles,
            ["helm upgrade shop to shop-1.2.3: deployment.apps/shop"]
        );
        let second = shop.observe().await;
        assert_eq!(shop.differences(2, &second).await, "", "{version:?}");
        assert!(shop.planned(&goal, FORWARD).await.is_empty());
        // Values are those of the release, and nobody has told them.
        let text = serde_json::to_string(&(&second, shop.planned(&shop.goal(&one), FORWARD).await));
        let text = text.expect("JSON");
        assert!(!text.contains(super::shop::TOKEN), "{text}");
        let values = shop.said(&["get", "values", "shop", "-o", "json"]);
        assert_eq!(values.trim(), r#"{"image":"app:2","token":"s3cret-token"}"#);

        let titles = shop.back(&first, &[&one]).await;
        assert_eq!(
            titles,
            ["helm rollback shop to revision 1 (shop-1.2.3): deployment.apps/shop"]
        );
        assert_eq!(shop.newest().await, (3, "deployed".to_owned()));
        // The record of what runs is known still, though this revision came by a rollback.
        let release = &shop.observe().await.resources["release/shop"];
        assert_eq!(release.facts["record"], one.hash().as_str());
        let history = shop
            .driver
            .history(&context(), &shop.target)
            .await
            .expect("a history");
        let names: Vec<&str> = history.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(
            names,
            ["release/shop/3", "release/shop/2", "release/shop/1"]
        );
        let newest = &history[0];
        assert!(newest.is_current, "{history:?}");
        assert_eq!(newest.title, "shop-1.2.3 (app 7), deployed");
        assert_eq!(newest.images, ["app:1"]);
        let before = &history[1];
        assert!(!before.is_current, "{history:?}");
        assert!(before.title.ends_with("superseded"), "{history:?}");
        let why = before.cause.as_deref().unwrap_or_default();
        assert!(why.starts_with("by belay: deployment dep_helm"), "{why}");
        let titles = shop.back(&State::default(), &[]).await;
        assert_eq!(titles, ["helm uninstall shop"]);
    }
}

#[tokio::test]
async fn only_values_change_and_come_back() {
    let shop = shop(Helm::V3);
    let one = shop
        .record(json!({ "image": "app:1", "greeting": "hello" }))
        .await;
    let first = shop.deploy(&one).await;
    let two = shop
        .record(json!({ "image": "app:1", "greeting": "bye" }))
        .await;
    let titles = shop.go(&shop.goal(&two), FORWARD).await.expect("deployed");
    assert_eq!(titles, ["helm upgrade shop to shop-1.2.3: configmap/shop"]);
    shop.back(&first, &[&one]).await;
    let greeting = ["get", "configmap/shop", "-o", "jsonpath={.data.GREETING}"];
    assert_eq!(shop.place.kubectl(&greeting), "hello");
}

#[tokio::test]
async fn two_bad_ones_then_back_to_the_good_one() {
    let shop = shop(Helm::V4);
    let good = shop.record(json!({ "image": "app:1" })).await;
    let baseline = shop.deploy(&good).await;
    for image in ["bad:2", "crash:3"] {
        let bad = shop.record(json!({ "image": image })).await;
        let error = shop
            .go(&shop.goal(&bad), FORWARD)
            .await
            .expect_err("it does not get there");
        assert_eq!(
            (error.class, error.effect),
            (Class::Application, Effect::MaybeApplied),
            "{error:?}"
        );
        assert!(
            error
                .message
                .starts_with("see deployment.apps/shop rolled out: "),
            "{error:?}"
        );
    }
    // Helm calls both of them deployed.
    let titles = shop.back(&baseline, &[&good]).await;
    assert_eq!(
        titles,
        ["helm rollback shop to revision 1 (shop-1.2.3): deployment.apps/shop"]
    );
}

#[tokio::test]
async fn a_first_install_that_fails_is_uninstalled_or_left() {
    let shop = shop(Helm::V3);
    let bad = shop
        .record(json!({ "image": "app:1", "migrate": "fail:1" }))
        .await;
    let error = shop
        .go(&shop.goal(&bad), FORWARD)
        .await
        .expect_err("its hook fails");
    assert!(error.message.contains("pre-install"), "{error:?}");
    assert_eq!(shop.newest().await, (1, "failed".to_owned()));
    // Left as it is, another one goes over it.
    let good = shop.record(json!({ "image": "app:2" })).await;
    shop.deploy(&good).await;
    let titles = shop.back(&State::default(), &[]).await;
    assert_eq!(titles, ["helm uninstall shop"]);
    shop.go(&shop.goal(&bad), FORWARD)
        .await
        .expect_err("its hook fails");
    let titles = shop.back(&State::default(), &[]).await;
    assert_eq!(titles, ["helm uninstall shop"]);
    assert!(shop.observe().await.is_absent());
    let pods = shop
        .place
        .kubectl(&["get", "pods", "-l", "app=shop", "-o", "name"]);
    assert_eq!(pods, "");
}

#[tokio::test]
async fn a_hook_that_fails_is_told_with_what_the_platform_knows() {
    for version in [Helm::V3, Helm::V4] {
        let shop = shop(version);
        let good = shop.record(json!({ "image": "app:1" })).await;
        let baseline = shop.deploy(&good).await;
        let bad = shop
            .record(json!({ "image": "app:2", "migrate": "fail:1" }))
            .await;
        let goal = shop.goal(&bad);
        let planned = shop.planned(&goal, FORWARD).await;
        let residue = planned[0].residue.as_deref().unwrap_or_default();
        assert_eq!(
            residue,
            "helm leaves behind: what its hooks did (job.batch/migrate)"
        );
        let error = shop.go(&goal, FORWARD).await.expect_err("its hook fails");
        assert_eq!(
            (error.class, error.effect),
            (Class::Application, Effect::MaybeApplied),
            "{error:?}"
        );
        assert!(
            error.message.contains("pre-upgrade hooks failed"),
            "{error:?}"
        );
        let detail = error.detail.join("\n");
        assert!(detail.contains("hook migrate: "), "{detail}");
        assert!(detail.contains("BackoffLimitExceeded"), "{detail}");
        assert!(detail.contains("it ended with exit code 1"), "{detail}");
        assert_eq!(shop.newest().await, (2, "failed".to_owned()));
        shop.back(&baseline, &[&good]).await;
        // A hook that ends well is waited for.
        let migrated = shop
            .record(json!({ "image": "app:3", "migrate": "app:3" }))
            .await;
        shop.deploy(&migrated).await;
        let done = ["get", "job/migrate", "-o", "jsonpath={.status.succeeded}"];
        assert_eq!(shop.place.kubectl(&done), "1");
    }
}

#[tokio::test]
async fn a_revision_that_helm_has_forgotten_is_built_again() {
    let mut shop = shop(Helm::V3);
    shop.history_max = Some(2);
    let one = shop.record(json!({ "image": "app:1" })).await;
    let first = shop.deploy(&one).await;
    for number in 2..=4 {
        let next = shop
            .record(json!({ "image": format!("app:{number}") }))
            .await;
        shop.deploy(&next).await;
    }
    let kept = shop.said(&["history", "shop", "-o", "json"]);
    assert!(!kept.contains(r#""revision":1,"#), "{kept}");
    let goal = shop.as_before(first.clone(), &[&one]);
    let ready = shop
        .driver
        .restorable(&context(), &shop.target, &goal)
        .await
        .expect("looked at");
    let Restorability::Partial(notes) = ready else {
        panic!("{ready:?}");
    };
    assert!(notes[0].contains("built again"), "{notes:?}");
    // Nobody knows what it was made of: that is said before anything is changed.
    let goal = shop.as_before(first.clone(), &[]);
    let ready = shop
        .driver
        .restorable(&context(), &shop.target, &goal)
        .await
        .expect("looked at");
    assert!(
        matches!(&ready, Restorability::No(why) if why[0].contains("helm has forgotten")),
        "{ready:?}"
    );
    let titles = shop.back(&first, &[&one]).await;
    let told = "helm upgrade shop to shop-1.2.3, built again from the record: deployment.apps/shop";
    assert_eq!(titles, [told]);
}

#[tokio::test]
async fn a_rollback_by_somebody_else_is_seen() {
    for version in [Helm::V3, Helm::V4] {
        let shop = shop(version);
        let one = shop.record(json!({ "image": "app:1" })).await;
        shop.deploy(&one).await;
        let two = shop.record(json!({ "image": "app:2" })).await;
        let second = shop.deploy(&two).await;
        let three = shop.record(json!({ "image": "app:3" })).await;
        let goal = shop.goal(&three);
        let planned = shop.planned(&goal, FORWARD).await;
        said(&mut shop.helm(&["rollback", "shop", "1"]), "");
        let theirs = shop.place.settled(&shop.target).await;
        let error = perform(&shop.driver, &shop.target, &planned[0], &second, &goal).await;
        let error = error.expect_err("someone else was there");
        assert_eq!(
            (error.class, error.effect),
            (Class::Conflict, Effect::NotApplied),
            "{error:?}"
        );
        assert!(
            error.message.contains("its newest revision is 3"),
            "{error:?}"
        );
        assert!(error.message.contains("Rollback to 1"), "{error:?}");
        assert_eq!(shop.place.differences(&theirs, &shop.observe().await), "");
        // Going back it is captured, and overwritten.
        let titles = shop.back(&second, &[&two]).await;
        assert_eq!(
            titles,
            ["helm rollback shop to revision 2 (shop-1.2.3): deployment.apps/shop"]
        );
        let titles = shop.back(&theirs, &[]).await;
        assert_eq!(
            titles,
            ["helm rollback shop to revision 3 (shop-1.2.3): deployment.apps/shop"]
        );
    }
}

#[tokio::test]
async fn a_chart_that_says_something_else_each_time() {
    let shop = shop(Helm::V3);
    let one = shop
        .record(json!({ "image": "app:1", "random": true }))
        .await;
    let first = shop.deploy(&one).await;
    assert!(shop.planned(&shop.goal(&one), FORWARD).await.is_empty());
    let two = shop
        .record(json!({ "image": "app:2", "random": true }))
        .await;
    let second = shop.deploy(&two).await;
    let made = |state: &State| state.resources["secret/shop"].spec["data"]["made"].clone();
    assert_ne!(made(&first), made(&second));
    // Back it is what it was.
    shop.back(&first, &[&one]).await;
    assert_eq!(made(&shop.observe().await), made(&first));
    let goal = shop.as_before(first, &[&one]);
    assert!(
        shop.driver
            .plan(&shop.target, &second, &goal, Stage::BACK)
            .is_ok()
    );
}
