//! A Deployment and what belongs to it: as it is written, and after a hand was at it.

use crate::place::{Place, place};
use belay_model::release::Target;
use belay_model::state::Health;
use expect_test::expect;

pub(crate) const API: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, labels: {app: api}}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
      - name: app
        image: app:1
        env:
        - {name: LEVEL, value: info}
        - {name: TOKEN, valueFrom: {secretKeyRef: {name: api, key: token}}}
        envFrom: [{configMapRef: {name: api}}]
        ports: [{containerPort: 8080}]
        resources: {limits: {cpu: 0.5, memory: 1024Mi}}
        readinessProbe: {httpGet: {path: /health, port: 8080}}
      volumes: [{name: scratch, emptyDir: {}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: api}
data: {protocol: TCP, GREETING: hello}
---
apiVersion: v1
kind: Secret
metadata: {name: api}
stringData: {token: s3cret-token}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec:
  selector: {app: api}
  ports: [{port: 80, targetPort: 8080}]
";

pub(crate) fn api(place: &Place) -> Target {
    place.target(API)
}

#[tokio::test]
async fn what_is_written_is_what_is_there() {
    // However it got there: whoever sends whole objects owns what the server filled in, too.
    for how in [
        &["apply", "--server-side", "--field-manager", "belay"][..],
        &["apply"],
        &["create"],
    ] {
        let place = place();
        let target = api(&place);
        place.kubectl_with(&[how, &["-f", "-"]].concat(), API);
        let state = place.settled(&target).await;
        let differences = place.differences(&place.desired(&target), &state);
        assert_eq!(differences, "", "by {how:?}");
        let keys: Vec<&String> = state.resources.keys().collect();
        assert_eq!(
            keys,
            [
                "configmap/api",
                "deployment.apps/api",
                "secret/api",
                "service/api"
            ]
        );
        let facts = &state.resources["deployment.apps/api"].facts;
        assert_eq!(
            (&facts["desired"], &facts["available"]),
            (&2.into(), &2.into())
        );
    }
}

#[tokio::test]
async fn no_secret_value_is_in_a_state() {
    let place = place();
    // This one writes the whole object into an annotation.
    place.kubectl_with(&["apply", "-f", "-"], API);
    let state = place.observe(&api(&place)).await;
    let text = serde_json::to_string(&[state, place.desired(&api(&place))]).expect("JSON");
    assert!(text.contains("hmac:"), "{text}");
    for secret in ["s3cret-token", "czNjcmV0LXRva2Vu"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[tokio::test]
async fn changes_by_hand_are_told_by_their_weight() {
    let place = place();
    let target = api(&place);
    place.apply(API);
    let before = place.settled(&target).await;
    place.kubectl(&["set", "image", "deployment/api", "app=app:2"]);
    place.kubectl(&["set", "env", "deployment/api", "LEVEL=debug", "EXTRA=1"]);
    place.kubectl(&["scale", "deployment/api", "--replicas=3"]);
    place.kubectl(&["label", "deployment/api", "team=shop"]);
    place.kubectl(&[
        "annotate",
        "deployment/api",
        "kubernetes.io/change-cause=by hand",
    ]);
    place.kubectl(&[
        "patch",
        "configmap/api",
        "-p",
        r#"{"data":{"GREETING":"bye"}}"#,
    ]);
    place.kubectl(&[
        "patch",
        "secret/api",
        "-p",
        r#"{"stringData":{"token":"other"}}"#,
    ]);
    place.kubectl(&[
        "patch",
        "service/api",
        "-p",
        r#"{"spec":{"selector":{"track":"blue"}}}"#,
    ]);
    place.kubectl(&["create", "configmap", "unrelated"]);
    let after = place.settled(&target).await;
    let told = expect![[r#"
        must configmap/api
          data.GREETING: "hello" -> "bye"
        must deployment.apps/api
          spec.template.spec.containers[app].env[EXTRA].name: null -> "EXTRA"
          spec.template.spec.containers[app].env[EXTRA].value: null -> "1"
          spec.template.spec.containers[app].env[LEVEL].value: "info" -> "debug"
          spec.template.spec.containers[app].image: "app:1" -> "app:2"
        informational deployment.apps/api
          metadata.annotations.kubernetes.io/change-cause: null -> "by hand"
          metadata.labels.team: null -> "shop"
          spec.replicas: 2 -> 3
        must secret/api
          data.token: hmac -> hmac
        must service/api
          spec.selector.track: null -> "blue"
    "#]];
    told.assert_eq(&place.differences(&before, &after));
    // What was captured and what is written say the same of it.
    let desired = place.desired(&target);
    assert_eq!(
        place.differences(&desired, &after),
        place.differences(&before, &after)
    );
}

#[tokio::test]
async fn applying_again_leaves_what_others_added() {
    let place = place();
    let target = api(&place);
    place.apply(API);
    let before = place.settled(&target).await;
    place.kubectl(&["set", "env", "deployment/api", "LEVEL=debug", "EXTRA=1"]);
    place.apply(API);
    let after = place.settled(&target).await;
    let told = expect![[r#"
        must deployment.apps/api
          spec.template.spec.containers[app].env[EXTRA].name: null -> "EXTRA"
          spec.template.spec.containers[app].env[EXTRA].value: null -> "1"
    "#]];
    told.assert_eq(&place.differences(&before, &after));
}

#[tokio::test]
async fn the_same_made_anew_is_the_same() {
    let place = place();
    let target = api(&place);
    place.apply(API);
    let before = place.settled(&target).await;
    place.kubectl(&[
        "delete",
        "deployment/api",
        "service/api",
        "--cascade=foreground",
    ]);
    place.apply(API);
    let after = place.settled(&target).await;
    assert_eq!(place.differences(&before, &after), "");
    let uid = |state: &belay_model::state::State| {
        state.resources["deployment.apps/api"].facts["uid"].clone()
    };
    assert_ne!(uid(&before), uid(&after));
}

#[tokio::test]
async fn none_of_its_pods_is_a_must_whoever_scaled_it() {
    let place = place();
    let target = api(&place);
    place.apply(API);
    let before = place.settled(&target).await;
    place.kubectl(&["scale", "deployment/api", "--replicas=0"]);
    let after = place.settled(&target).await;
    let told = expect![[r#"
        must deployment.apps/api
          spec.replicas: 2 -> 0
    "#]];
    told.assert_eq(&place.differences(&before, &after));
}

#[tokio::test]
async fn a_rollout_is_there_when_it_is_over() {
    let place = place();
    let release = API.replace("replicas: 2", "replicas: 2\n  progressDeadlineSeconds: 2");
    let target = place.target(&release);
    place.apply(&release);
    place.settled(&target).await;
    let bad = release.replace("app:1", "bad:1");
    let goal = place.desired(&place.target(&bad));
    place.apply(&bad);
    let is_stuck = |state: &belay_model::state::State| {
        state.resources["deployment.apps/api"].spec["rollout"] == "stuck"
    };
    let state = place.once(&target, is_stuck).await;
    let told = expect![[r#"
        must deployment.apps/api
          rollout: "complete" -> "stuck"
    "#]];
    told.assert_eq(&place.differences(&goal, &state));
    let resource = &state.resources["deployment.apps/api"];
    let Health::Unhealthy(why) = &resource.health else {
        // The old pods serve still, all of them.
        panic!("{:?}", resource.health);
    };
    assert!(why.contains("ImagePullBackOff"), "{why}");
}

#[tokio::test]
async fn what_the_platform_does_moves_the_version_and_not_what_is_meant() {
    let place = place();
    let target = api(&place);
    place.apply(&API.replace(
        "metadata: {labels: {app: api}}",
        "metadata: {labels: {app: api}, annotations: {kwok/ready-delay: 2s}}",
    ));
    let key = "deployment.apps/api";
    let early = place
        .once(&target, |state| {
            state.resources[key].spec["rollout"] == "under way"
        })
        .await;
    let late = place.settled(&target).await;
    let fact =
        |state: &belay_model::state::State, name: &str| state.resources[key].facts[name].clone();
    // So a version that was seen is no precondition for a change of what is meant.
    assert_ne!(
        fact(&early, "resource_version"),
        fact(&late, "resource_version")
    );
    assert_eq!(fact(&early, "generation"), fact(&late, "generation"));
    let told = expect![""];
    told.assert_eq(&place.differences(&early, &late));
    assert!(matches!(early.resources[key].health, Health::Unhealthy(_)));
}

#[tokio::test]
async fn absent_is_a_state() {
    let place = place();
    let target = api(&place);
    assert!(place.observe(&target).await.is_absent());
    place.apply(API);
    let there = place.settled(&target).await;
    let nothing = belay_model::state::State::default();
    let told = expect![[r#"
        must configmap/api
          there -> absent
        must deployment.apps/api
          there -> absent
        must secret/api
          there -> absent
        must service/api
          there -> absent
    "#]];
    told.assert_eq(&place.differences(&there, &nothing));
    // What Belay applied goes when nothing is wanted; what others put beside it does not.
    place.kubectl(&["create", "service", "clusterip", "beside", "--tcp=80"]);
    place.kubectl(&[
        "patch",
        "service/beside",
        "-p",
        r#"{"spec":{"selector":{"app":"api"}}}"#,
    ]);
    let state = place.observe(&target).await;
    let told = expect![[r#"
        informational configmap/api
          absent -> there
        must deployment.apps/api
          absent -> there
        informational secret/api
          absent -> there
        must service/api
          absent -> there
        informational service/beside
          absent -> there
    "#]];
    told.assert_eq(&place.differences(&nothing, &state));
}
