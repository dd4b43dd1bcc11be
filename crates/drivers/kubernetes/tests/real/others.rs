//! What others do to a Deployment, and have the right to: no `must` comes of it.

use crate::deployment::{API, api};
use crate::place::{Place, place};
use belay_driver::Driver;
use belay_model::state::State;
use expect_test::expect;
use std::time::Duration;

fn musts(place: &Place, want: &State, have: &State) -> Vec<String> {
    place.driver.diff(want, have).lines()
}

#[tokio::test]
async fn replicas_belong_to_the_autoscaler() {
    let place = place();
    let target = api(&place);
    place.apply(API);
    let before = place.settled(&target).await;
    // Without metrics it still keeps to its bounds.
    place.kubectl(&[
        "autoscale",
        "deployment",
        "api",
        "--min=4",
        "--max=9",
        "--cpu=50%",
    ]);
    let key = "deployment.apps/api";
    let after = place
        .once(&target, |state| {
            state.resources[key].facts["available"] == 4
        })
        .await;
    let told = expect![[r#"
        informational deployment.apps/api
          spec.replicas: 2 -> 4
        informational horizontalpodautoscaler.autoscaling/api
          absent -> there
    "#]];
    told.assert_eq(&place.differences(&before, &after));
    // A release that says nothing of replicas leaves them as they are.
    let silent = place.target(&API.replace("  replicas: 2\n", ""));
    assert_eq!(musts(&place, &place.desired(&silent), &after), [""; 0]);
}

#[tokio::test]
async fn what_admission_puts_in_is_no_difference() {
    let place = place();
    let target = api(&place);
    inject(&place).await;
    place.apply(API);
    let state = place.settled(&target).await;
    let containers = place.kubectl(&[
        "get",
        "deployment/api",
        "-o",
        "jsonpath={.spec.template.spec.containers[*].name}",
    ]);
    assert_eq!(containers, "app proxy", "nothing was put in");
    let pods = place.kubectl(&[
        "get",
        "pods",
        "-o",
        "jsonpath={.items[0].spec.containers[*].name}",
    ]);
    assert_eq!(pods, "app proxy");
    assert_eq!(place.differences(&place.desired(&target), &state), "");
    // Somebody's hand on it makes it somebody's.
    place.kubectl(&["set", "image", "deployment/api", "proxy=proxy:2"]);
    let state = place.settled(&target).await;
    let told = expect![[r#"
        must deployment.apps/api
          spec.template.spec.containers[proxy].image: null -> "proxy:2"
          spec.template.spec.containers[proxy].name: null -> "proxy"
    "#]];
    told.assert_eq(&place.differences(&place.desired(&target), &state));
}

/// A sidecar for each Deployment of this namespace, put in by the API server itself.
async fn inject(place: &Place) {
    let name = &place.namespace;
    let policy = format!(
        "
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}
    resourceRules:
    - {{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}}
  matchConditions:
  - {{name: once, expression: '!object.spec.template.spec.containers.exists(it, it.name == \"proxy\")'}}
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: >-
        Object{{spec: Object.spec{{template: Object.spec.template{{spec: Object.spec.template.spec{{
        containers: [Object.spec.template.spec.containers{{name: \"proxy\", image: \"proxy:1\"}}]}}}}}}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec: {{policyName: {name}}}
"
    );
    place.kubectl_with(&["apply", "-f", "-"], &policy);
    // It is heard of a moment later.
    let probe = [
        "create",
        "deployment",
        "probe",
        "--image=app",
        "--dry-run=server",
        "-o",
        "yaml",
    ];
    for _ in 0..600 {
        if place.kubectl(&probe).contains("proxy:1") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the policy does nothing");
}

#[tokio::test]
async fn what_clients_write_down_for_themselves_is_no_difference() {
    let place = place();
    let target = api(&place);
    place.apply(API);
    let before = place.settled(&target).await;
    place.kubectl(&[
        "annotate",
        "deployment/api",
        "kubernetes.io/change-cause=a try",
    ]);
    place.kubectl(&["rollout", "restart", "deployment/api"]);
    let after = place.settled(&target).await;
    assert_eq!(musts(&place, &before, &after), [""; 0]);
    let differences = place.differences(&before, &after);
    assert!(
        differences.starts_with("informational deployment.apps/api\n"),
        "{differences}"
    );
    assert!(differences.contains("restartedAt"), "{differences}");
}
