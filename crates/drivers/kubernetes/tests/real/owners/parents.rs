//! Those that would set a hold back: whoever applies what is held.

use super::argo::Application;
use super::{Place, api, place_with_deliverers, says};
use crate::way::FORWARD;
use belay_driver_kubernetes::Gitops;
use serde_json::{Value, json};

/// The application of applications, which lists the other one.
fn root(place: &Place, policy: &str) {
    let name = &place.namespace;
    let manifest = format!(
        "
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: root}}
spec:
  project: default
  destination: {{server: https://kubernetes.default.svc, namespace: {name}}}
  source: {{repoURL: https://example.com/all.git, path: .}}
  syncPolicy: {policy}
status: {{resources: [{{group: argoproj.io, version: v1alpha1, kind: Application, namespace: {name}, name: shop, status: Synced}}]}}
"
    );
    place.kubectl_with(&["apply", "-f", "-"], &manifest);
    let tracking =
        format!("argocd.argoproj.io/tracking-id={name}_root:argoproj.io/Application:{name}/shop");
    place.kubectl(&["annotate", "application.argoproj.io", "shop", &tracking]);
}

fn automated(place: &Place, name: &str) -> Value {
    place.json(&["get", "application.argoproj.io", name])["spec"]["syncPolicy"]["automated"].clone()
}

#[tokio::test]
async fn an_application_of_applications_is_held_first_and_let_go_last() {
    let place = place_with_deliverers();
    let application = Application::new(&place, "{automated: {selfHeal: true}}");
    root(&place, "{automated: {selfHeal: true}}");
    let name = &place.namespace;
    let target = place.release_of("app:2", Some(Gitops::Hold));
    *application.source.borrow_mut() = "app:2".to_owned();
    let effects = place.planned(&target, &place.goal(&target), FORWARD).await;
    let (root, shop) = (
        format!("the Argo CD application {name}/root"),
        format!("the Argo CD application {name}/shop"),
    );
    assert_eq!(effects[0].title, format!("hold {root}, then {shop}"));
    assert!(
        effects[2]
            .title
            .starts_with(&format!("let go {shop}, then {root}, if")),
        "{}",
        effects[2].title
    );
    application.go(&target, None, FORWARD).await;
    for name in ["shop", "root"] {
        assert_eq!(
            automated(&place, name),
            json!({ "selfHeal": true }),
            "{name}"
        );
    }
    // While the one below stays held, so does the one above.
    *application.source.borrow_mut() = "app:1".to_owned();
    application
        .go(
            &place.release_of("app:3", Some(Gitops::Hold)),
            None,
            FORWARD,
        )
        .await;
    for name in ["shop", "root"] {
        assert_eq!(automated(&place, name), Value::Null, "{name}");
    }
}

#[tokio::test]
async fn a_set_of_applications_that_would_set_a_hold_back_is_named() {
    let place = place_with_deliverers();
    let application = Application::new(&place, "{automated: {selfHeal: true}}");
    let manifest = "
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: shops}
spec:
  generators: [{list: {elements: []}}]
  template: {metadata: {name: shop}, spec: {project: default, destination: {}, source: {repoURL: 'https://example.com'}}}
";
    place.kubectl_with(&["apply", "-f", "-"], manifest);
    let uid = place.json(&["get", "applicationset", "shops"])["metadata"]["uid"].clone();
    let reference = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "name": "shops", "uid": uid, "controller": true });
    application.patch(&json!({ "metadata": { "ownerReferences": [reference] } }));
    let target = place.release_of("app:2", Some(Gitops::Hold));
    let told = place.lines(&target).await;
    says(
        &told,
        &["and cannot be held; the ApplicationSet shops would set a hold back"],
    );
    assert!(told[0].starts_with("E0327 "), "{told:?}");
    place.kubectl(&[
        "patch",
        "applicationset",
        "shops",
        "--type=merge",
        "-p",
        r#"{"spec":{"ignoreApplicationDifferences":[{"jsonPointers":["/spec/syncPolicy"]}]}}"#,
    ]);
    says(&place.lines(&target).await, &["it is held first"]);
}

#[tokio::test]
async fn a_kustomization_above_another_is_held_where_it_says_that_it_is_not_suspended() {
    let place = place_with_deliverers();
    let name = &place.namespace;
    let flux = |name: &str, more: &str| {
        format!(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: {name}, labels: {{kustomize.toolkit.fluxcd.io/name: all, kustomize.toolkit.fluxcd.io/namespace: {}}}}}\nspec: {{interval: 10m, prune: true{more}, sourceRef: {{kind: GitRepository, name: shop}}}}\n",
            place.namespace
        )
    };
    place.applied_by("flux", &flux("all", ""));
    place.applied_by("kustomize-controller", &flux("apps", ""));
    let marks = format!(
        ", labels: {{kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: {name}}}"
    );
    place.applied_by("kustomize-controller", &api("app:1", &marks));
    let target = place.release_of("app:2", Some(Gitops::Hold));
    let first = async || {
        let effects = place.planned(&target, &place.goal(&target), FORWARD).await;
        effects[0].title.clone()
    };
    // Who does not say it leaves it as others have it.
    assert_eq!(
        first().await,
        format!("hold the Flux kustomization {name}/apps")
    );
    place.applied_by("kustomize-controller", &flux("apps", ", suspend: false"));
    assert_eq!(
        first().await,
        format!("hold the Flux kustomization {name}/all, then the Flux kustomization {name}/apps")
    );
}
