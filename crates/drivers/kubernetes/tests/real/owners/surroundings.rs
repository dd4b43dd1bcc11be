//! What else is there and is said before anything changes.

use super::{api, place_with_deliverers, says};
use crate::place::place;
use crate::way::FORWARD;
use belay_driver::Stage;

#[tokio::test]
async fn quotas_budgets_autoscalers_and_pauses_are_said_before_anything_changes() {
    let place = place();
    let (target, before) = place.deploy(&api("app:1", "")).await;
    let newer = place.release_of("app:2", None);
    says(&place.lines(&newer).await, &[]);
    let manifest = "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: api}
spec: {minAvailable: 2, selector: {matchLabels: {app: api}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: other}
spec: {minAvailable: 2, selector: {matchLabels: {app: other}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: api}
spec:
  minReplicas: 2
  maxReplicas: 7
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
";
    place.kubectl_with(&["apply", "-f", "-"], manifest);
    place.kubectl(&[
        "wait",
        "--for=jsonpath={.status.expectedPods}=2",
        "--timeout=60s",
        "poddisruptionbudget/api",
    ]);
    place.kubectl(&["create", "quota", "few", "--hard=pods=2"]);
    place.kubectl(&[
        "wait",
        "--for=jsonpath={.status.used.pods}=2",
        "--timeout=60s",
        "resourcequota/few",
    ]);
    place.kubectl(&["rollout", "pause", "deployment/api"]);
    let scaler = "an autoscaler keeps deployment.apps/api between 2 and 7 pods, and has 2 now";
    let budget = "poddisruptionbudget/api allows no pod of deployment.apps/api to be evicted now";
    let paused = "WARNING: deployment.apps/api was paused by somebody, which is in the way: `kubectl rollout resume deployment/api`";
    let quota = "E0330 the release needs 1 more of pods, and the quota few has 0 left, so it would never get there";
    // Of two pods none may be missing, as a quarter of them is none.
    says(&place.lines(&newer).await, &[quota, paused, scaler, budget]);
    // Going back a pause is taken off.
    let goal = place.as_before(&target, before, &target);
    let effects = place.planned(&target, &goal, Stage::BACK).await;
    let from = place.observe(&target).await;
    let told = belay_driver::Driver::remarks(
        &place.driver,
        &crate::place::context(),
        &target,
        &from,
        &effects,
    )
    .await;
    let told: Vec<String> = told.expect("looked").iter().map(super::line).collect();
    assert!(
        told.iter()
            .any(|it| it == "deployment.apps/api is paused, and goes on with this"),
        "{told:?}"
    );
}

#[tokio::test]
async fn finalizers_and_what_is_being_deleted_are_said() {
    let place = place();
    let with_map = |image: &str| {
        format!(
            "{}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: extra}}\ndata: {{A: '1'}}\n",
            api(image, "")
        )
    };
    place.deploy(&with_map("app:1")).await;
    place.kubectl(&[
        "patch",
        "configmap",
        "extra",
        "--type=merge",
        "-p",
        r#"{"metadata":{"finalizers":["example.com/keep"]}}"#,
    ]);
    let without = place.target(&api("app:2", ""));
    says(
        &place.lines(&without).await,
        &[
            "WARNING: configmap/extra is not gone before its finalizers are taken off: example.com/keep",
        ],
    );
    place.kubectl(&["delete", "configmap", "extra", "--wait=false"]);
    let changed = place.target(&with_map("app:2").replace("A: '1'", "A: '2'"));
    says(
        &place.lines(&changed).await,
        &["E0331 configmap/extra is being deleted since "],
    );
    place.kubectl(&[
        "patch",
        "configmap",
        "extra",
        "--type=merge",
        "-p",
        r#"{"metadata":{"finalizers":null}}"#,
    ]);
}

#[tokio::test]
async fn a_namespace_that_goes_or_is_not_there_is_refused() {
    let place = place();
    let target = place.target(&api("app:1", ""));
    says(&place.lines(&target).await, &[]);
    // It stays half gone until the finalizer is taken off.
    place.kubectl(&["create", "configmap", "kept"]);
    place.kubectl(&[
        "patch",
        "configmap",
        "kept",
        "--type=merge",
        "-p",
        r#"{"metadata":{"finalizers":["example.com/keep"]}}"#,
    ]);
    place.kubectl(&["delete", "namespace", &place.namespace, "--wait=false"]);
    says(&place.lines(&target).await, &["E0329 the namespace"]);
    let gone = place.go(&target, &place.goal(&target), FORWARD).await;
    gone.expect_err("nothing is made there");
    place.kubectl(&[
        "patch",
        "configmap",
        "kept",
        "--type=merge",
        "-p",
        r#"{"metadata":{"finalizers":null}}"#,
    ]);
    // Where there is no namespace nobody can be granted anything in it.
    let mut elsewhere = target;
    elsewhere.settings["kubeconfig"] = serde_json::json!(place.plane.kubeconfig());
    elsewhere.settings["namespace"] = serde_json::json!("never-there");
    says(
        &place.lines(&elsewhere).await,
        &["E0329 the namespace never-there is not there"],
    );
}

#[tokio::test]
async fn a_service_of_others_is_looked_at_too() {
    let place = place_with_deliverers();
    let service = |marks: &str| {
        format!(
            "{}---\napiVersion: v1\nkind: Service\nmetadata: {{name: api{marks}}}\nspec: {{selector: {{app: api}}, ports: [{{port: 80}}]}}\n",
            api("app:1", "")
        )
    };
    place.apply(&service(""));
    let name = &place.namespace;
    let manifest = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}\nspec: {interval: 10m, prune: true, sourceRef: {kind: GitRepository, name: shop}}\n";
    place.kubectl_with(&["apply", "-f", "-"], manifest);
    place.kubectl(&[
        "label",
        "service/api",
        "kustomize.toolkit.fluxcd.io/name=apps",
        &format!("kustomize.toolkit.fluxcd.io/namespace={name}"),
    ]);
    let target = place.target(&service("").replace("app:1", "app:2"));
    says(
        &place.lines(&target).await,
        &["E0326 the Flux kustomization"],
    );
}
