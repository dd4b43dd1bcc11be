//! Flux: kustomizations and Helm releases.

use super::{Place, api, place_with_deliverers, says};
use crate::way::FORWARD;
use belay_driver::Stage;
use belay_driver_kubernetes::Gitops;
use belay_model::release::Target;
use serde_json::{Value, json};

/// A kustomization in the test's own namespace, its source, and what it has applied.
struct Kustomization<'a>(&'a Place);

impl<'a> Kustomization<'a> {
    fn new(place: &'a Place) -> Self {
        let name = &place.namespace;
        let manifest = "
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: shop}
spec: {interval: 1m, url: 'https://example.com/shop.git'}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps}
spec: {interval: 10m, prune: true, sourceRef: {kind: GitRepository, name: shop}}
";
        place.kubectl_with(&["apply", "-f", "-"], manifest);
        let marks = format!(
            ", labels: {{kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: {name}}}"
        );
        place.applied_by("kustomize-controller", &api("app:1", &marks));
        let it = Self(place);
        it.source_is_at("main@sha1:a");
        let id = format!("{name}_api_apps_Deployment");
        it.status(&json!({ "lastAppliedRevision": "main@sha1:a", "inventory": { "entries": [{ "id": id, "v": "v1" }] } }));
        it
    }

    fn status(&self, status: &Value) {
        let fields = json!({ "status": status }).to_string();
        self.0.kubectl(&[
            "patch",
            "kustomization.kustomize.toolkit.fluxcd.io",
            "apps",
            "--subresource=status",
            "--type=merge",
            "-p",
            &fields,
        ]);
    }

    fn source_is_at(&self, revision: &str) {
        let artifact = json!({
            "revision": revision, "path": "x", "url": "http://example.com/x", "lastUpdateTime": "2026-01-01T00:00:00Z",
            "digest": format!("sha256:{:064}", 0),
        });
        let fields = json!({ "status": { "artifact": artifact } }).to_string();
        self.0.kubectl(&[
            "patch",
            "gitrepository",
            "shop",
            "--subresource=status",
            "--type=merge",
            "-p",
            &fields,
        ]);
    }

    fn suspend(&self) -> Value {
        self.0
            .json(&["get", "kustomization.kustomize.toolkit.fluxcd.io", "apps"])["spec"]["suspend"]
            .clone()
    }
}

async fn go(place: &Place, target: &Target) -> usize {
    place
        .go(target, &place.goal(target), FORWARD)
        .await
        .expect("done")
        .len()
}

#[tokio::test]
async fn a_kustomization_is_suspended_and_resumed_by_what_its_source_says() {
    let place = place_with_deliverers();
    let flux = Kustomization::new(&place);
    let told = place.lines(&place.release_of("app:2", None)).await;
    says(
        &told,
        &[&format!(
            "E0326 the Flux kustomization {}/apps applies deployment.apps/api",
            place.namespace
        )],
    );
    let target = place.release_of("app:2", Some(Gitops::Hold));
    let before = place.observe(&target).await;
    assert_eq!(go(&place, &target).await, 3);
    // Its source has nothing new to say: resumed, it would apply the old one.
    assert_eq!(flux.suspend(), json!(true));
    // What was there before is what it says: it is put back as it was.
    place.back(&target, &before).await;
    assert_eq!(
        (place.image().as_str(), flux.suspend()),
        ("app:1", Value::Null)
    );

    // The source says the bad one by now: it stays suspended on the way back,
    assert_eq!(go(&place, &target).await, 3);
    flux.source_is_at("main@sha1:b");
    place.back(&target, &before).await;
    assert_eq!(
        (place.image().as_str(), flux.suspend()),
        ("app:1", json!(true))
    );
    // until a newer release goes out.
    let newer = place.release_of("app:3", Some(Gitops::Hold));
    assert_eq!(go(&place, &newer).await, 2);
    assert_eq!(
        (place.image().as_str(), flux.suspend()),
        ("app:3", Value::Null)
    );
}

#[tokio::test]
async fn what_flux_is_told_to_leave_alone_is_nobodys() {
    let place = place_with_deliverers();
    let flux = Kustomization::new(&place);
    let target = place.release_of("app:2", None);
    let annotate = |pair: &str| place.kubectl(&["annotate", "--overwrite", "deployment/api", pair]);
    annotate("kustomize.toolkit.fluxcd.io/reconcile=disabled");
    says(&place.lines(&target).await, &[]);
    annotate("kustomize.toolkit.fluxcd.io/reconcile=enabled");
    says(&place.lines(&target).await, &["E0326"]);
    // It has it no more, whatever the labels say.
    flux.status(
        &json!({ "inventory": { "entries": [{ "id": "x_y_apps_Deployment", "v": "v1" }] } }),
    );
    says(&place.lines(&target).await, &[]);
    flux.status(&json!({ "inventory": null }));
    place.kubectl(&[
        "patch",
        "kustomization.kustomize.toolkit.fluxcd.io",
        "apps",
        "--type=merge",
        "-p",
        r#"{"spec":{"suspend":true}}"#,
    ]);
    says(
        &place.lines(&target).await,
        &["and will not undo this: it is suspended"],
    );
    // Whoever suspended it has it suspended still, whatever we do.
    let target = place.release_of("app:2", Some(Gitops::Hold));
    let before = place.observe(&target).await;
    assert_eq!(go(&place, &target).await, 1);
    place.back(&target, &before).await;
    assert_eq!(flux.suspend(), json!(true));
}

#[tokio::test]
async fn a_helm_release_of_flux_undoes_what_it_looks_for() {
    let place = place_with_deliverers();
    let manifest = "
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: shop}
spec: {interval: 10m, chartRef: {kind: OCIRepository, name: shop}}
";
    place.kubectl_with(&["apply", "-f", "-"], manifest);
    let name = &place.namespace;
    let marks = format!(
        ", labels: {{helm.toolkit.fluxcd.io/name: shop, helm.toolkit.fluxcd.io/namespace: {name}}}"
    );
    place.applied_by("helm-controller", &api("app:1", &marks));
    let target = place.release_of("app:2", None);
    says(
        &place.lines(&target).await,
        &["and may undo this: with drift detection off, it does so at its next upgrade"],
    );
    let patch = |fields: &str| {
        place.kubectl(&[
            "patch",
            "helmrelease.helm.toolkit.fluxcd.io",
            "shop",
            "--type=merge",
            "-p",
            fields,
        ])
    };
    patch(r#"{"spec":{"driftDetection":{"mode":"enabled"}}}"#);
    says(
        &place.lines(&target).await,
        &["E0326 the Flux Helm release"],
    );
    let suspend = || {
        place.json(&["get", "helmrelease.helm.toolkit.fluxcd.io", "shop"])["spec"]["suspend"]
            .clone()
    };
    let target = place.release_of("app:2", Some(Gitops::Hold));
    assert_eq!(go(&place, &target).await, 3);
    assert_eq!(suspend(), json!(true));
    // Somebody writes a newer version into it, and that one goes out.
    patch(r#"{"spec":{"values":{"image":"app:3"}}}"#);
    assert_eq!(
        go(&place, &place.release_of("app:3", Some(Gitops::Hold))).await,
        2
    );
    assert_eq!(suspend(), Value::Null);
    // And back it is held again: it says the other one.
    let goal = place.goal(&target);
    let titles = place
        .go(&target, &goal, Stage::BACK)
        .await
        .expect("gone back");
    assert!(
        titles[0].starts_with("hold the Flux Helm release"),
        "{titles:?}"
    );
    assert_eq!(suspend(), json!(true));
}
