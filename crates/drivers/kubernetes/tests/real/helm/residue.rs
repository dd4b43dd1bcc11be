//! What helm leaves of fields, and what others do to its objects.

use super::shop::{perform, shop};
use crate::way::FORWARD;
use belay_model::error::{Class, Effect};
use belay_testbed::Helm;
use serde_json::json;

#[tokio::test]
async fn what_a_merge_of_three_leaves_is_put_right() {
    for version in [Helm::V3, Helm::V4] {
        let shop = shop(version);
        let one = shop
            .record(json!({ "image": "app:1", "env": [{ "name": "A", "value": "1" }] }))
            .await;
        let first = shop.deploy(&one).await;
        let two = shop
            .record(json!({ "image": "app:2", "env": [{ "name": "A", "value": "1" }] }))
            .await;
        let second = shop.deploy(&two).await;
        shop.place
            .kubectl(&["set", "env", "deployment/shop", "EXTRA=theirs"]);
        let drifted = shop.place.settled(&shop.target).await;
        assert!(
            shop.place
                .differences(&second, &drifted)
                .contains("env[EXTRA]")
        );
        // Forward nothing is taken from anybody.
        let three = shop.record(json!({ "image": "app:3" })).await;
        let goal = shop.goal(&three);
        let effect = shop.planned(&goal, FORWARD).await.remove(0);
        let error = perform(&shop.driver, &shop.target, &effect, &drifted, &goal).await;
        let error = error.expect_err("it is somebody else's");
        assert_eq!(
            (error.class, error.effect),
            (Class::Conflict, Effect::NotApplied),
            "{error:?}"
        );
        assert!(error.detail.join("\n").contains("kubectl-set"), "{error:?}");
        // Back it goes, and what was captured comes back, too.
        shop.back(&first, &[&one]).await;
        shop.back(&drifted, &[&two]).await;
        shop.back(&first, &[&one]).await;
        // Helm goes on from there by itself.
        shop.said(&["rollback", "shop", "2"]);
        shop.place.settled(&shop.target).await;
        assert_eq!(
            shop.place.differences(&second, &shop.observe().await),
            "",
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn what_a_hand_did_to_its_objects_is_put_right_without_another_revision() {
    for version in [Helm::V3, Helm::V4] {
        let shop = shop(version);
        let one = shop.record(json!({ "image": "app:1" })).await;
        let first = shop.deploy(&one).await;
        shop.place.kubectl(&[
            "patch",
            "configmap/shop",
            "-p",
            r#"{"data":{"GREETING":"bye"}}"#,
        ]);
        shop.place.kubectl(&["delete", "secret/shop"]);
        let titles = shop.back(&first, &[&one]).await;
        assert_eq!(
            titles,
            ["put right what is not as helm has it: configmap/shop, secret/shop"]
        );
        assert_eq!(shop.newest().await.0, 1);
        let token = ["get", "secret/shop", "-o", "jsonpath={.data.token}"];
        assert_eq!(shop.place.kubectl(&token), "czNjcmV0LXRva2Vu");
    }
}

/// Helm 4 says that it is a conflict where the chart says how many there are: that is passed on.
#[tokio::test]
async fn a_scale_that_somebody_has_set_stays() {
    let shop = shop(Helm::V3);
    let one = shop.record(json!({ "image": "app:1" })).await;
    let first = shop.deploy(&one).await;
    let scale = ["scale", "deployment/shop", "--replicas=4"];
    shop.place.kubectl(&scale);
    shop.place.settled(&shop.target).await;
    let two = shop.record(json!({ "image": "app:2" })).await;
    let gone = shop.go(&shop.goal(&two), FORWARD).await;
    gone.expect("deployed");
    let count = ["get", "deployment/shop", "-o", "jsonpath={.spec.replicas}"];
    assert_eq!(shop.place.kubectl(&count), "4");
    let goal = shop.as_before(first, &[&one]);
    let gone = shop.go(&goal, belay_driver::Stage::BACK).await;
    gone.expect("gone back");
    assert_eq!(shop.place.kubectl(&count), "4");
}
