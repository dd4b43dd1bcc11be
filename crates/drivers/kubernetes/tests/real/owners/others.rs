//! Those that move pods by themselves, and owners that nobody knows.

use super::{api, place_with_deliverers, says};
use belay_driver_kubernetes::Gitops;
use serde_json::json;

#[tokio::test]
async fn a_rollout_that_refers_to_it_cannot_be_held() {
    let place = place_with_deliverers();
    place.apply(&api("app:1", ""));
    let manifest = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: api}
spec:
  replicas: 2
  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: api}
  strategy: {canary: {steps: [{setWeight: 20}, {pause: {}}]}}
";
    place.kubectl_with(&["apply", "-f", "-"], manifest);
    let who = format!(
        "the Argo Rollout {}/api applies deployment.apps/api",
        place.namespace
    );
    for (gitops, expect) in [
        (
            None,
            format!("E0326 {who}, and would undo this at once; it moves the pods"),
        ),
        (
            Some(Gitops::Hold),
            format!("E0327 {who}, and cannot be held; it moves the pods"),
        ),
        (
            Some(Gitops::Ignore),
            format!("WARNING: {who}, and will undo this at once"),
        ),
    ] {
        says(
            &place.lines(&place.release_of("app:2", gitops)).await,
            &[&expect],
        );
    }
}

#[tokio::test]
async fn a_canary_of_flagger_cannot_be_held() {
    let place = place_with_deliverers();
    place.apply(&api("app:1", ""));
    let manifest = "
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: api}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: api}
  service: {port: 80}
  analysis: {interval: 1m, threshold: 5, iterations: 10}
";
    place.kubectl_with(&["apply", "-f", "-"], manifest);
    let target = place.release_of("app:2", Some(Gitops::Hold));
    let told = place.lines(&target).await;
    says(
        &told,
        &["and cannot be held; it sends users to pods of its own"],
    );
    assert!(told[0].starts_with("E0327 the Flagger canary"), "{told:?}");
    place.kubectl(&[
        "patch",
        "canary",
        "api",
        "--type=merge",
        "-p",
        r#"{"spec":{"suspend":true}}"#,
    ]);
    says(
        &place.lines(&target).await,
        &["and will not undo this: it is suspended"],
    );
}

#[tokio::test]
async fn whatever_controls_it_is_named() {
    let place = place_with_deliverers();
    place.apply(&api("app:1", ""));
    place.kubectl(&["create", "configmap", "shop"]);
    let uid = place.json(&["get", "configmap", "shop"])["metadata"]["uid"].clone();
    let reference = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "shop", "uid": uid, "controller": true });
    let fields = json!({ "metadata": { "ownerReferences": [reference] } }).to_string();
    place.kubectl(&["patch", "deployment", "api", "--type=merge", "-p", &fields]);
    let told = place.lines(&place.release_of("app:2", None)).await;
    says(
        &told,
        &[&format!(
            "WARNING: the ConfigMap {}/shop applies deployment.apps/api, and may undo this",
            place.namespace
        )],
    );
}
