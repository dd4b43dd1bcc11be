//! What others do while a release is on its way, and what they did before a way back.

use crate::place::{Place, place};
use crate::way::{FORWARD, perform, shop};
use belay_driver::{Driver, Settled, Stage};
use belay_driver_kubernetes::{Kubernetes, Settings, digest, parse_manifest};
use belay_model::error::{Class, Effect};
use belay_model::release::Target;

/// Gone forward to this release, what others said is theirs stands in the way, by name.
async fn is_refused(place: &Place, manifest: &str, words: &[&str]) -> Target {
    let target = place.target(manifest);
    let gone = place.go(&target, &place.goal(&target), FORWARD).await;
    let (_, error) = gone.expect_err("others were there");
    let what = (error.class, error.effect);
    assert_eq!(what, (Class::Conflict, Effect::NotApplied), "{error:?}");
    let told = error.detail.join("\n");
    for word in words {
        assert!(told.contains(word), "{word}: {error:?}");
    }
    target
}

#[tokio::test]
async fn forward_nothing_is_taken_from_others_and_back_it_is() {
    let place = place();
    let (target, before) = place.deploy(&shop("app:1", 1)).await;
    place.kubectl(&["set", "image", "deployment/api", "app=app:theirs"]);
    place.kubectl(&["set", "env", "deployment/api", "EXTRA=1"]);
    place.kubectl(&["label", "deployment/api", "team=shop"]);
    let words = ["containers[app].env[EXTRA]", "kubectl"];
    is_refused(&place, &shop("app:2", 1), &words).await;
    let revision = "jsonpath={.metadata.annotations.deployment\\.kubernetes\\.io/revision}";
    let get = ["get", "deployment/api", "-o", revision];
    let was: u32 = place.kubectl(&get).parse().expect("a number");
    place.back(&target, &before).await;
    // In one go: nothing in between was ever rolled out.
    assert_eq!(place.kubectl(&get).parse(), Ok(was + 1));
    // What does not matter to what runs stays theirs.
    let label = [
        "get",
        "deployment/api",
        "-o",
        "jsonpath={.metadata.labels.team}",
    ];
    assert_eq!(place.kubectl(&label), "shop");
}

/// The first release changes what pods are given, and leaves the image as it was: that is its own all the same.
#[tokio::test]
async fn what_kubectl_said_just_so_is_taken_over_too() {
    let place = place();
    place.kubectl_with(&["apply", "-f", "-"], &shop("app:1", 1));
    for (image, config) in [("app:1", 2), ("app:2", 2)] {
        let target = place.target(&shop(image, config));
        place.settled(&target).await;
        let gone = place.go(&target, &place.goal(&target), FORWARD).await;
        gone.unwrap_or_else(|error| panic!("{image}: {error:?}"));
    }
}

#[tokio::test]
async fn the_image_that_others_have_set_is_named() {
    let place = place();
    place.deploy(&shop("app:1", 1)).await;
    place.kubectl(&["set", "image", "deployment/api", "app=app:theirs"]);
    let words = [".image", "kubectl-set"];
    is_refused(&place, &shop("app:2", 1), &words).await;
}

#[tokio::test]
async fn what_kubectl_made_is_taken_over_and_given_back() {
    let place = place();
    place.kubectl_with(&["apply", "-f", "-"], &shop("app:1", 1));
    place.kubectl(&["set", "env", "deployment/api", "EXTRA=1"]);
    let target = place.target(&shop("app:2", 2));
    let before = place.settled(&target).await;
    let gone = place.go(&target, &place.goal(&target), FORWARD).await;
    let told = [
        "apply configmap/config-2, secret/secret-2",
        "roll deployment.apps/api to app:2, taken over from kubectl-client-side-apply, kubectl-set",
    ];
    assert_eq!(gone.expect("taken over"), told);
    let there = place.observe(&target).await;
    let lines = place.driver.diff(&place.desired(&target), &there).lines();
    assert!(lines.is_empty(), "{lines:#?}");
    place.back(&target, &before).await;
    let names = "jsonpath={.spec.template.spec.containers[0].env[*].name}";
    let get = ["get", "deployment/api", "-o", names];
    assert_eq!(place.kubectl(&get), "EXTRA");
}

#[tokio::test]
async fn a_paused_workload() {
    let place = place();
    let (target, before) = place.deploy(&shop("app:1", 1)).await;
    place.kubectl(&["rollout", "pause", "deployment/api"]);
    let words = ["spec.paused", "kubectl-rollout"];
    is_refused(&place, &shop("app:2", 1), &words).await;
    place.back(&target, &before).await;
    let paused = ["get", "deployment/api", "-o", "jsonpath={.spec.paused}"];
    assert_eq!(place.kubectl(&paused), "");
}

#[tokio::test]
async fn an_image_that_is_changed_during_the_rollout() {
    let place = place();
    let (target, before) = place.deploy(&shop("app:1", 1)).await;
    let next = place.target(&shop("manual:2", 1));
    let (effect, handle) = place.begun(&next, &place.goal(&next)).await;
    place.kubectl(&["set", "image", "deployment/api", "app=app:theirs"]);
    let settled = place.settled_as(&next, &effect, Some(&handle)).await;
    assert_eq!(settled, Settled::Quiet, "what was asked for is not there");
    place.back(&target, &before).await;
}

#[tokio::test]
async fn a_scale_that_is_changed_during_the_rollout() {
    let place = place();
    place.deploy(&shop("app:1", 1)).await;
    let next = place.target(&shop("app:2", 1));
    let (effect, handle) = place.begun(&next, &place.goal(&next)).await;
    place.kubectl(&["scale", "deployment/api", "--replicas=3"]);
    let settled = place.settled_as(&next, &effect, Some(&handle)).await;
    assert_eq!(settled, Settled::Done);
    let there = place.observe(&next).await;
    let told = place.differences(&place.desired(&next), &there);
    assert_eq!(
        told,
        "informational deployment.apps/api\n  spec.replicas: 2 -> 3\n"
    );
    // And is kept by what comes next.
    place.deploy(&shop("app:3", 1)).await;
    let replicas = ["get", "deployment/api", "-o", "jsonpath={.spec.replicas}"];
    assert_eq!(place.kubectl(&replicas), "3");
}

#[tokio::test]
async fn a_rollback_while_it_rolls_waits_for_nothing() {
    let place = place();
    let (target, before) = place.deploy(&shop("app:1", 1)).await;
    // This one never gets there, and nobody is told that it will not.
    let next = place.target(&shop("manual:2", 1));
    let (effect, _) = place.begun(&next, &place.goal(&next)).await;
    let settled = place.settled_as(&next, &effect, None).await;
    assert_eq!(settled, Settled::Quiet);
    let titles = place.back(&target, &before).await;
    assert_eq!(titles, ["roll deployment.apps/api to app:1"]);
}

#[tokio::test]
async fn a_request_of_before_it_was_settled_is_refused() {
    let place = place();
    let (target, _) = place.deploy(&shop("app:1", 1)).await;
    let version = "jsonpath={.metadata.resourceVersion}";
    let get = ["get", "deployment/api", "-o", version];
    let was = place.kubectl(&get);
    let next = place.target(&shop("app:2", 1));
    let plan = place.planned(&next, &place.goal(&next), FORWARD).await;
    place.settled_as(&next, &plan[0], None).await;
    // As one is that a worker had sent before it died: it names the version that it has seen.
    let late =
        format!("{{\"metadata\":{{\"resourceVersion\":\"{was}\"}},\"spec\":{{\"replicas\":7}}}}");
    let mut kubectl = place.plane.kubectl();
    let said = kubectl
        .args([
            "-n",
            &place.namespace,
            "patch",
            "deployment/api",
            "-p",
            &late,
        ])
        .output();
    let said = String::from_utf8_lossy(&said.expect("run").stderr).into_owned();
    assert!(said.contains("the object has been modified"), "{said}");
    let there = place.observe(&target).await;
    let told = place.differences(&place.desired(&target), &there);
    assert_eq!(told, "", "settling changes nothing that is meant");
}

#[tokio::test]
async fn another_store_is_refused_and_the_holder_named() {
    let place = place();
    let (target, _) = place.deploy(&shop("app:1", 1)).await;
    let next = place.target(&shop("app:2", 1));
    let goal = place.goal(&next);
    let other = Kubernetes::new(&[7; 32], "another-store");
    let seen = place.observe(&target).await;
    for effect in place.planned(&next, &goal, Stage::BACK).await {
        let done = perform(&other, &next, &effect, &seen, &goal).await;
        let error = done.expect_err("it is another's");
        assert_eq!(error.class, Class::Conflict, "{error:?}");
        for word in ["store-of-tests", "dep_way", "lease"] {
            assert!(error.message.contains(word), "{error:?}");
        }
    }
    let there = place.observe(&target).await;
    assert_eq!(place.differences(&seen, &there), "");
}

#[tokio::test]
async fn only_a_secret_changes_and_comes_back() {
    let place = place();
    let (target, before) = place.deploy(&shop("app:1", 1)).await;
    let other = shop("app:1", 1)
        .replace("secret-1", "secret-2")
        .replace("token 1", "token 2");
    let next = place.target(&other);
    let gone = place.go(&next, &place.goal(&next), FORWARD).await;
    let told = ["apply secret/secret-2", "roll deployment.apps/api"];
    assert_eq!(gone.expect("deployed"), told);
    let titles = place.back(&target, &before).await;
    assert_eq!(titles[0], "roll deployment.apps/api");
}

#[tokio::test]
async fn only_what_pods_are_given_changes_and_comes_back() {
    let place = place();
    let (target, before) = place.deploy(&shop("app:1", 1)).await;
    let next = place.target(&shop("app:1", 2));
    let titles = place.go(&next, &place.goal(&next), FORWARD).await;
    let titles = titles.expect("deployed");
    let told = [
        "apply configmap/config-2, secret/secret-2",
        "roll deployment.apps/api",
    ];
    assert_eq!(titles, told);
    // What the earlier template names is kept, so that nothing has to be made to go back.
    let titles = place.back(&target, &before).await;
    assert_eq!(titles, ["roll deployment.apps/api"]);
}

#[tokio::test]
async fn what_no_template_names_any_more_is_collected_and_made_again() {
    let of = |config| {
        shop("app:1", config).replace("replicas: 2", "replicas: 2\n  revisionHistoryLimit: 0")
    };
    let place = place();
    let (first, before) = place.deploy(&of(1)).await;
    place.deploy(&of(2)).await;
    // Its ReplicaSet is pruned soon, and then nobody needs it.
    let is_unneeded = |state: &belay_model::state::State| {
        state.resources["configmap/config-1"].facts["kept_by"].is_null()
    };
    place.once(&first, is_unneeded).await;
    place.deploy(&of(3)).await;
    let left = ["get", "configmaps,secrets", "-o", "name"];
    let left = place.kubectl(&left);
    assert!(!left.contains("-1\n") && left.contains("-2\n"), "{left}");
    let titles = place.back(&first, &before).await;
    assert_eq!(titles[0], "apply configmap/config-1, secret/secret-1");
}

#[tokio::test]
async fn what_was_deleted_by_hand_is_made_again() {
    let place = place();
    let (target, before) = place.deploy(&shop("app:1", 1)).await;
    place.deploy(&shop("app:2", 2)).await;
    place.kubectl(&["delete", "configmap/config-1", "secret/secret-1"]);
    let titles = place.back(&target, &before).await;
    assert_eq!(titles[0], "apply configmap/config-1, secret/secret-1");
    let token = ["get", "secret/secret-1", "-o", "jsonpath={.data.TOKEN}"];
    assert_eq!(place.kubectl(&token), "dG9rZW4gMQ==");
}

#[tokio::test]
async fn secret_values_come_with_the_step_or_nobody_knows_them() {
    let place = place();
    // As records have it: no value in it.
    let mut objects = parse_manifest(&shop("app:1", 1)).expect("a manifest");
    let secret = objects.iter_mut().find(|it| it["kind"] == "Secret");
    let secret = secret.expect("a Secret");
    let hidden = digest(&crate::place::KEY, b"token 1");
    secret["data"]["TOKEN"] = hidden.into();
    secret
        .as_object_mut()
        .expect("an object")
        .remove("stringData");
    let target = place.target_with(Settings {
        objects,
        ..Settings::default()
    });
    let goal = place.goal(&target);
    let gone = place.go(&target, &goal, FORWARD).await;
    let (_, error) = gone.expect_err("nobody knows it");
    assert!(
        error.message.contains("nobody knows the values of TOKEN"),
        "{error:?}"
    );
    // The same Secret made of its value is what the record means.
    place.deploy(&shop("app:1", 1)).await;
    let state = place.observe(&target).await;
    assert_eq!(place.differences(&place.desired(&target), &state), "");
    let text = serde_json::to_string(&place.planned(&target, &goal, FORWARD).await);
    assert!(!text.expect("JSON").contains("token 1"));
}

#[tokio::test]
async fn history_tells_image_time_and_cause() {
    let place = place();
    let (target, _) = place.deploy(&shop("app:1", 1)).await;
    let cause = "kubernetes.io/change-cause=a try";
    place.kubectl(&["annotate", "deployment/api", cause]);
    place.deploy(&shop("app:2", 1)).await;
    let history = place
        .driver
        .history(&crate::place::context(), &target)
        .await;
    let history = history.expect("looked at");
    let told: Vec<(&str, &str)> = history
        .iter()
        .map(|it| (it.name.as_str(), it.title.as_str()))
        .collect();
    let expected = [
        (
            "deployment.apps/api/2",
            "app:2 (a try), 2 available, current",
        ),
        ("deployment.apps/api/1", "app:1"),
    ];
    assert_eq!(told[0], expected[0]);
    assert!(told[1].1.starts_with("app:1"), "{told:?}");
    assert!(history.iter().all(|it| it.since_us.is_some()));
}
