//! What is beside and around a group: what lay in place before, autoscalers, previews, Services of others, older groups.

use crate::beside::{OVER, group, manifest, settings};
use crate::place::{Place, place};
use crate::way::FORWARD;
use belay_driver::{Driver, Old, Stage};
use belay_driver_kubernetes::{Settings, parse_manifest};
use belay_model::release::Target;
use std::collections::BTreeMap;

const QUARTER: Stage = Stage {
    share: 250,
    capacity: 250,
    old: Old::Proportional,
    overwrites: false,
};

const SCALER: &str = "
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: api}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}, minReplicas: 2, maxReplicas: 6}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: api}
spec: {minAvailable: 1, selector: {matchLabels: {app: api}}}
";

fn selector(place: &Place, service: &str) -> serde_json::Value {
    place.json(&["get", "service", service])["spec"]["selector"].clone()
}

fn only(image: &str, pods: usize) -> BTreeMap<String, usize> {
    [(image.to_owned(), pods)].into()
}

async fn made_by_kubectl(place: &Place, target: &Target) -> belay_model::state::State {
    place.kubectl_with(&["apply", "-f", "-"], &manifest("app:1"));
    place.settled(target).await
}

#[tokio::test]
async fn from_what_kubectl_made_to_side_by_side_and_back() {
    let place = place();
    let new = place.beside("app:2");
    let two = group(&new);
    let before = made_by_kubectl(&place, &new).await;
    let titles = place.stage(&new, OVER).await;
    let told = [
        "point service/api at api alone, so that nothing else is reached yet".to_owned(),
        format!("create deployment.apps/api-{two} with 4 pods of app:2"),
        format!("point service/api at {two} (4 pods)"),
    ];
    assert_eq!(titles, told);
    assert_eq!(place.behind("api"), only("app:2", 4));
    let titles = place.back(&new, &before).await;
    let told = [
        "point service/api at api (4 pods)".to_owned(),
        format!("delete deployment.apps/api-{two}"),
        "point service/api at api (4 pods)".to_owned(),
    ];
    assert_eq!(titles, told);
    assert_eq!(selector(&place, "api"), serde_json::json!({ "app": "api" }));
    assert_eq!(place.behind("api"), only("app:1", 4));
}

#[tokio::test]
async fn what_kubectl_made_is_built_again() {
    let place = place();
    let new = place.beside("app:2");
    let before = made_by_kubectl(&place, &new).await;
    place.stage(&new, FORWARD).await;
    assert!(
        !place
            .kubectl(&["get", "deployments", "-o", "name"])
            .contains("/api\n")
    );
    place.back(&new, &before).await;
    assert_eq!(selector(&place, "api"), serde_json::json!({ "app": "api" }));
    assert_eq!(place.behind("api"), only("app:1", 4));
}

#[tokio::test]
async fn a_canary_beside_what_kubectl_made_is_broken_off() {
    let place = place();
    let new = place.beside("app:2");
    let before = made_by_kubectl(&place, &new).await;
    place.stage(&new, QUARTER).await;
    let shares = BTreeMap::from([("app:1".to_owned(), 3), ("app:2".to_owned(), 1)]);
    assert_eq!(place.behind("api"), shares);
    place.back(&new, &before).await;
    assert_eq!(place.behind("api"), only("app:1", 4));
}

#[tokio::test]
async fn from_side_by_side_to_in_place_and_back() {
    let place = place();
    let old = place.beside("app:1");
    place.stage(&old, OVER).await;
    let before = place.observe(&old).await;
    let new = place.target(&manifest("app:2"));
    place.stage(&new, FORWARD).await;
    assert_eq!(place.behind("api"), only("app:2", 4));
    assert_eq!(selector(&place, "api"), serde_json::json!({ "app": "api" }));
    place.back(&old, &before).await;
    assert_eq!(place.behind("api"), only("app:1", 4));
}

#[tokio::test]
async fn an_autoscaler_and_a_budget_go_with_their_group() {
    let place = place();
    let of = |image: &str| place.target_with(settings(&(manifest(image) + SCALER)));
    let (old, new) = (of("app:1"), of("app:2"));
    let [one, two] = [&old, &new].map(group);
    place.stage(&old, OVER).await;
    let before = place.observe(&old).await;
    let names =
        |kind: &str| place.kubectl(&["get", kind, "-o", "jsonpath={.items[*].metadata.name}"]);
    // Before it has all of its pods nobody adds to a canary.
    place
        .stage(
            &new,
            Stage {
                old: Old::Keep,
                ..QUARTER
            },
        )
        .await;
    assert_eq!(names("hpa"), format!("api-{one}"));
    place.stage(&new, OVER).await;
    for kind in ["hpa", "pdb"] {
        let mut both = [format!("api-{one}"), format!("api-{two}")];
        both.sort();
        assert_eq!(names(kind), both.join(" "));
    }
    let scaled = place.json(&["get", "hpa", &format!("api-{two}")]);
    assert_eq!(
        scaled["spec"]["scaleTargetRef"]["name"],
        format!("api-{two}")
    );
    place.back(&old, &before).await;
    for kind in ["hpa", "pdb"] {
        assert_eq!(names(kind), format!("api-{one}"));
    }
}

#[tokio::test]
async fn a_preview_reaches_what_is_staged() {
    let place = place();
    let of = |image: &str| {
        place.target_with(Settings {
            preview: Some("next".to_owned()),
            ..settings(&manifest(image))
        })
    };
    let (old, new) = (of("app:1"), of("app:2"));
    place.stage(&old, OVER).await;
    let before = place.observe(&old).await;
    let goal = place.goal(&new);
    let plan = place.planned(&new, &goal, OVER).await;
    let staged = plan.iter().take_while(|it| !it.title.starts_with("point"));
    for it in staged {
        let seen = place.observe(&new).await;
        crate::way::perform(&place.driver, &new, it, &seen, &goal)
            .await
            .expect("done");
    }
    place
        .once(&new, |_| place.behind("next") == only("app:2", 4))
        .await;
    assert_eq!(place.behind("api"), only("app:1", 4));
    place.stage(&new, OVER).await;
    place.back(&old, &before).await;
    place
        .once(&new, |_| place.behind("next") == only("app:1", 4))
        .await;
}

#[tokio::test]
async fn a_service_of_others_is_pointed_and_put_back() {
    let place = place();
    let all = parse_manifest(&manifest("app:1")).expect("a manifest");
    let service = all
        .iter()
        .find(|it| it["kind"] == "Service")
        .expect("a Service");
    place.kubectl_with(&["apply", "-f", "-"], &service.to_string());
    let of = |image: &str| {
        let mut settings = settings(&manifest(image));
        settings.objects.retain(|it| it["kind"] != "Service");
        place.target_with(settings)
    };
    let (old, new) = (of("app:1"), of("app:2"));
    let nothing = place.observe(&old).await;
    place.stage(&old, OVER).await;
    place.stage(&new, OVER).await;
    assert_eq!(place.behind("api"), only("app:2", 4));
    place.back(&old, &nothing).await;
    assert_eq!(selector(&place, "api"), serde_json::json!({ "app": "api" }));
    assert!(
        place
            .kubectl(&["get", "deployments", "-o", "name"])
            .is_empty()
    );
}

#[tokio::test]
async fn an_older_group_that_stands_by_gets_no_share() {
    let place = place();
    let [first, second, third] = ["app:1", "app:2", "app:3"].map(|image| place.beside(image));
    place.stage(&first, OVER).await;
    place.stage(&second, OVER).await;
    let titles = place.stage(&third, QUARTER).await;
    assert!(
        titles.contains(&format!("scale deployment.apps/api-{} to 0", group(&first))),
        "{titles:?}"
    );
    let shares = BTreeMap::from([("app:2".to_owned(), 3), ("app:3".to_owned(), 1)]);
    assert_eq!(place.behind("api"), shares);
}

#[tokio::test]
async fn a_third_release_takes_over_from_a_canary() {
    let place = place();
    let [first, second, third] = ["app:1", "app:2", "app:3"].map(|image| place.beside(image));
    place.stage(&first, OVER).await;
    place.stage(&second, QUARTER).await;
    let titles = place.stage(&third, OVER).await;
    let kept = format!(
        "point service/api at {} alone, so that nothing else is reached yet",
        group(&first)
    );
    assert!(titles.contains(&kept), "{titles:?}");
    assert_eq!(place.behind("api"), only("app:3", 4));
}

#[test]
fn what_cannot_stand_twice_is_refused_before_anything_changes() {
    let place = place();
    let target = place.target_with(settings(
        &manifest("app:1").replace("kind: Deployment", "kind: StatefulSet"),
    ));
    let planned = place
        .driver
        .plan(&target, &Default::default(), &place.goal(&target), OVER);
    let error = planned.expect_err("refused");
    assert!(error.message.contains("statefulset/api"), "{error:?}");
}
