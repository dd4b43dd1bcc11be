//! Releases side by side, by the weights of a route of the Gateway API.

use crate::beside::{OVER, group, manifest, settings};
use crate::place::{Place, place_with_routes};
use crate::way::{in_time, perform};
use belay_driver::{Driver, Old, Stage};
use belay_driver_kubernetes::{Settings, parse_manifest, shares};
use belay_model::error::Class;
use belay_model::release::Target;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: gateway}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /docs}}]
    backendRefs: [{name: docs, port: 80}]
  - filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-shop, value: '1'}]}}]
    backendRefs: [{name: api, port: 80}]
";

const TENTH: Stage = Stage {
    share: 100,
    capacity: 250,
    old: Old::Keep,
    overwrites: false,
};

/// Somebody else's route: it is not in the manifests.
fn target(place: &Place, image: &str) -> Target {
    place.target_with(Settings {
        route: Some("httproute/web".to_owned()),
        ..settings(&manifest(image))
    })
}

fn rules(place: &Place) -> Value {
    place.json(&["get", "httproute/web"])["spec"]["rules"].clone()
}

/// Backends of the rule that is for the service, with their weights.
fn backends(place: &Place) -> BTreeMap<String, u64> {
    let rules = rules(place);
    let refs = rules[1]["backendRefs"].as_array().expect("backends").iter();
    let one = |it: &Value| Some((it["name"].as_str()?.to_owned(), it["weight"].as_u64()?));
    refs.filter_map(one).collect()
}

/// The same in a mesh: what is asked of the Service itself goes by the route.
const IN_MESH: &str = "{group: '', kind: Service, name: api, port: 80}";

fn in_mesh() -> String {
    let parent = "{name: gateway}";
    assert!(ROUTE.contains(parent));
    ROUTE.replace(parent, IN_MESH)
}

#[tokio::test]
async fn a_route_of_others_is_shared_and_the_rest_of_it_kept() {
    shared_and_kept(ROUTE).await;
}

#[tokio::test]
async fn a_route_whose_parent_is_the_service_is_shared_and_kept_the_same_way() {
    shared_and_kept(&in_mesh()).await;
}

async fn shared_and_kept(route: &str) {
    let place = place_with_routes();
    place.kubectl_with(&["apply", "-f", "-"], route);
    let was = rules(&place);
    let parents = || place.json(&["get", "httproute/web"])["spec"]["parentRefs"].clone();
    let of = parents();
    let (old, new) = (target(&place, "app:1"), target(&place, "app:2"));
    let [one, two] = [&old, &new].map(group);
    let nothing = place.observe(&old).await;
    place.stage(&old, OVER).await;
    assert_eq!(backends(&place), [(format!("api-{one}"), 1000)].into());
    let before = place.observe(&old).await;
    let titles = place.stage(&new, TENTH).await;
    let told = [
        format!("apply service/api-{two}"),
        format!("create deployment.apps/api-{two} with 1 pod of app:2"),
        format!("traffic of httproute.gateway.networking.k8s.io/web: 90 % to {one}, 10 % to {two}"),
    ];
    assert_eq!(titles, told);
    assert_eq!(
        backends(&place),
        [(format!("api-{one}"), 900), (format!("api-{two}"), 100)].into()
    );
    let there = place.observe(&new).await;
    assert_eq!(
        shares(&there),
        [(one.clone(), 900), (two.clone(), 100)].into()
    );
    place.stage(&new, OVER).await;
    // Zero is zero: it is not among them.
    assert_eq!(backends(&place), [(format!("api-{two}"), 1000)].into());
    place.back(&old, &before).await;
    assert_eq!(backends(&place), [(format!("api-{one}"), 1000)].into());
    let now = rules(&place);
    assert_eq!(now[0], was[0], "the other rule is as it was");
    assert_eq!(now[1]["filters"], was[1]["filters"]);
    // And to where nothing of ours was: the route goes to the Service again.
    place.back(&old, &nothing).await;
    assert_eq!(rules(&place), was);
    assert_eq!(parents(), of);
}

#[tokio::test]
async fn whoever_moves_the_weights_meanwhile_is_told_of() {
    let place = place_with_routes();
    place.kubectl_with(&["apply", "-f", "-"], ROUTE);
    let (old, new) = (target(&place, "app:1"), target(&place, "app:2"));
    place.stage(&old, OVER).await;
    place.stage(&new, TENTH).await;
    let goal = place.goal(&new);
    let seen = place.observe(&new).await;
    let plan = place
        .driver
        .plan(&new, &seen, &goal, OVER)
        .expect("planned");
    let shift = plan
        .iter()
        .find(|it| it.title.starts_with("traffic of"))
        .expect("a shift");
    for it in plan.iter().take_while(|it| it.title != shift.title) {
        let now = place.observe(&new).await;
        perform(&place.driver, &new, it, &now, &goal)
            .await
            .expect("done");
    }
    let seen = place.observe(&new).await;
    let fewer =
        json!([{ "op": "replace", "path": "/spec/rules/1/backendRefs/0/weight", "value": 500 }]);
    place.kubectl(&[
        "patch",
        "httproute",
        "web",
        "--type=json",
        "-p",
        &fewer.to_string(),
    ]);
    let done = perform(&place.driver, &new, shift, &seen, &goal).await;
    let error = done.expect_err("someone else was there");
    assert_eq!(error.class, Class::Conflict, "{error:?}");
    assert!(backends(&place).iter().any(|(_, weight)| *weight == 500));
}

#[tokio::test]
async fn a_route_that_its_parent_refuses_is_no_switch() {
    refused(ROUTE, json!({ "name": "gateway" })).await;
}

#[tokio::test]
async fn a_route_that_a_mesh_refuses_is_no_switch() {
    let service = json!({ "group": "", "kind": "Service", "name": "api", "port": 80 });
    refused(&in_mesh(), service).await;
}

async fn refused(route: &str, parent: Value) {
    let place = place_with_routes();
    place.kubectl_with(&["apply", "-f", "-"], route);
    let name = parent["name"].as_str().expect("a name");
    let status = |word: &str, generation: u64| {
        let condition = |kind: &str, status: &str| {
            json!({ "type": kind, "status": status, "reason": "Test", "message": "of the test", "observedGeneration": generation,
                    "lastTransitionTime": "2026-01-01T00:00:00Z" })
        };
        let conditions = [
            condition("Accepted", "True"),
            condition("ResolvedRefs", word),
        ];
        let parent = json!({ "parentRef": parent, "controllerName": "example.com/test", "conditions": conditions });
        let patch = json!({ "status": { "parents": [parent] } }).to_string();
        place.kubectl(&[
            "patch",
            "httproute",
            "web",
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ]);
    };
    // Of this generation it says yes; it is the next one that it does not know.
    status("True", 1);
    let old = target(&place, "app:1");
    let goal = place.goal(&old);
    let going = place.go(&old, &goal, OVER);
    let refusing = async {
        let changed = || place.json(&["get", "httproute/web"])["metadata"]["generation"].as_u64();
        while changed() < Some(2) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        status("False", 2);
    };
    let (gone, ()) = in_time(async { tokio::join!(going, refusing) }).await;
    let (title, error) = gone.expect_err("its parent says no");
    assert!(title.starts_with("traffic of"), "{title}");
    assert!(
        error
            .message
            .contains(&format!("{name} says no to it (ResolvedRefs)")),
        "{error:?}"
    );
}

#[test]
fn a_route_that_sends_nothing_to_the_service_is_refused() {
    let place = place_with_routes();
    let mut settings = settings(&manifest("app:1"));
    let other = ROUTE.replace("name: api,", "name: other,");
    settings
        .objects
        .extend(parse_manifest(&other).expect("a manifest"));
    settings.route = Some("httproute/web".to_owned());
    let target = place.target_with(settings);
    let planned = place
        .driver
        .plan(&target, &Default::default(), &place.goal(&target), OVER);
    let error = planned.expect_err("it sends nothing there");
    assert!(error.message.contains("no rule of the route"), "{error:?}");
}
