//! Releases side by side, by the selector of a Service: blue/green, canaries by pods, and ways back from each.

use crate::place::{Place, place, record};
use crate::way::{FORWARD, perform};
use belay_driver::{Driver, Old, Stage};
use belay_driver_kubernetes::{Layout, Settings, parse_manifest, shares};
use belay_model::error::{Class, Effect as Touched};
use belay_model::plan::Effect;
use belay_model::release::Target;
use belay_model::state::{Goal, State};
use serde_json::Value;
use std::collections::BTreeMap;

/// All of the traffic, and what had it stands by.
pub(crate) const OVER: Stage = Stage {
    old: Old::Keep,
    ..FORWARD
};
/// A quarter of it, of four pods.
const QUARTER: Stage = Stage {
    share: 250,
    capacity: 250,
    old: Old::Proportional,
    overwrites: false,
};

pub(crate) fn manifest(image: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: api}}
spec: {{selector: {{app: api}}, ports: [{{port: 80}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: api}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: api}}}}
  template:
    metadata: {{labels: {{app: api}}}}
    spec: {{containers: [{{name: app, image: '{image}'}}]}}
"
    )
}

pub(crate) fn settings(manifest: &str) -> Settings {
    Settings {
        objects: parse_manifest(manifest).expect("a manifest"),
        service: vec!["api".to_owned()],
        layout: Layout::SideBySide,
        ..Settings::default()
    }
}

impl Place {
    pub(crate) fn beside(&self, image: &str) -> Target {
        self.target_with(settings(&manifest(image)))
    }

    /// A stage towards a release; what it did.
    pub(crate) async fn stage(&self, target: &Target, stage: Stage) -> Vec<String> {
        let gone = self.go(target, &self.goal(target), stage).await;
        gone.unwrap_or_else(|(title, error)| panic!("failed to {title}: {error:?}"))
    }

    /// The ready pods behind a Service, by their images, as its EndpointSlices have it now.
    pub(crate) fn behind(&self, service: &str) -> BTreeMap<String, usize> {
        let labels = format!("kubernetes.io/service-name={service}");
        let slices = self.json(&["get", "endpointslices", "-l", &labels]);
        let pods = self.json(&["get", "pods"]);
        let items = |list: &Value| list["items"].as_array().cloned().unwrap_or_default();
        let mut images = BTreeMap::new();
        let endpoints = items(&slices)
            .into_iter()
            .flat_map(|it| it["endpoints"].as_array().cloned().unwrap_or_default());
        for it in endpoints.filter(|it| it["conditions"]["ready"] == true) {
            let pods = items(&pods);
            let pod = pods
                .iter()
                .find(|pod| pod["metadata"]["name"] == it["targetRef"]["name"]);
            let image = pod.map_or("gone", |pod| {
                pod["spec"]["containers"][0]["image"]
                    .as_str()
                    .unwrap_or_default()
            });
            *images.entry(image.to_owned()).or_default() += 1;
        }
        images
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let said = self.kubectl(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&said).expect("JSON")
    }

    /// Versions of all objects of a kind, by name.
    fn versions(&self, kind: &str) -> BTreeMap<String, Value> {
        let list = self.json(&["get", kind]);
        let items = list["items"].as_array().into_iter().flatten();
        let version = |it: &Value| {
            let metadata = &it["metadata"];
            let name = metadata["name"].as_str().unwrap_or_default().to_owned();
            (name, metadata["resourceVersion"].clone())
        };
        items.map(version).collect()
    }
}

fn of(images: &[(&str, usize)]) -> BTreeMap<String, usize> {
    images
        .iter()
        .map(|(image, pods)| ((*image).to_owned(), *pods))
        .collect()
}

pub(crate) fn group(target: &Target) -> String {
    record(target).group()
}

#[tokio::test]
async fn blue_green_out_and_back_by_one_change_of_one_object() {
    let place = place();
    let (blue, green) = (place.beside("app:1"), place.beside("app:2"));
    let [one, two] = [&blue, &green].map(group);
    let titles = place.stage(&blue, OVER).await;
    let told = [
        format!("create deployment.apps/api-{one} with 4 pods of app:1"),
        format!("create service/api, and point service/api at {one} (4 pods)"),
    ];
    assert_eq!(titles, told);
    let before = place.observe(&blue).await;
    let titles = place.stage(&green, OVER).await;
    let told = [
        format!("create deployment.apps/api-{two} with 4 pods of app:2"),
        format!("point service/api at {two} (4 pods)"),
    ];
    assert_eq!(titles, told);
    assert_eq!(place.behind("api"), of(&[("app:2", 4)]));
    let there = place.observe(&green).await;
    assert_eq!(shares(&there), [(two.clone(), 1000)].into());
    assert_eq!(there.resources["service/api"].facts["weights"][&two], 1000);
    // The way back is the Service, and nothing else, before the rest is removed.
    let (pods, services) = (place.versions("pods"), place.versions("services"));
    let goal = place.as_before(&green, before.clone(), &blue);
    let keep = Stage {
        old: Old::Keep,
        ..Stage::BACK
    };
    let gone = place.go(&green, &goal, keep).await.expect("gone back");
    assert_eq!(gone, [format!("point service/api at {one} (4 pods)")]);
    assert_eq!(place.behind("api"), of(&[("app:1", 4)]));
    assert_eq!(place.versions("pods"), pods, "no pod was touched");
    let changed = place.versions("services");
    let changed: Vec<&String> = changed
        .iter()
        .filter(|(name, it)| services.get(*name) != Some(it))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(changed, ["api"]);
    let titles = place.back(&blue, &before).await;
    assert_eq!(titles, [format!("delete deployment.apps/api-{two}")]);
}

#[tokio::test]
async fn a_canary_by_pods_goes_on_and_back() {
    let place = place();
    let (old, new) = (place.beside("app:1"), place.beside("app:2"));
    let [one, two] = [&old, &new].map(group);
    place.stage(&old, OVER).await;
    let before = place.observe(&old).await;
    let titles = place.stage(&new, QUARTER).await;
    let told = [
        format!("create deployment.apps/api-{two} with 1 pod of app:2"),
        format!("traffic of service/api: 25 % to {two} (1 of 4 pods)"),
        format!("scale deployment.apps/api-{one} to 3"),
    ];
    assert_eq!(titles, told);
    assert_eq!(place.behind("api"), of(&[("app:1", 3), ("app:2", 1)]));
    let there = place.observe(&new).await;
    assert_eq!(
        shares(&there),
        [(one.clone(), 750), (two.clone(), 250)].into()
    );
    assert_eq!(place.stage(&new, QUARTER).await, [""; 0], "it is there");
    let titles = place.stage(&new, OVER).await;
    let told = [
        format!("scale deployment.apps/api-{two} to 4"),
        format!("point service/api at {two} (4 pods)"),
    ];
    assert_eq!(titles, told);
    assert_eq!(place.behind("api"), of(&[("app:2", 4)]));
    let titles = place.back(&old, &before).await;
    let told = [
        format!("scale deployment.apps/api-{one} to 4"),
        format!("point service/api at {one} (4 pods)"),
        format!("delete deployment.apps/api-{two}"),
    ];
    assert_eq!(titles, told);
    assert_eq!(place.behind("api"), of(&[("app:1", 4)]));
}

#[tokio::test]
async fn a_canary_is_broken_off_in_the_middle() {
    let place = place();
    let (old, new) = (place.beside("app:1"), place.beside("app:2"));
    let [one, two] = [&old, &new].map(group);
    place.stage(&old, OVER).await;
    let before = place.observe(&old).await;
    place.stage(&new, QUARTER).await;
    let titles = place.back(&old, &before).await;
    let told = [
        format!("scale deployment.apps/api-{one} to 4"),
        format!("point service/api at {one} (4 pods)"),
        format!("delete deployment.apps/api-{two}"),
    ];
    assert_eq!(titles, told);
    assert_eq!(place.behind("api"), of(&[("app:1", 4)]));
}

#[tokio::test]
async fn a_canary_that_cannot_be_pulled_never_gets_traffic_and_goes_away() {
    let place = place();
    let (old, new) = (place.beside("app:1"), place.beside("bad:2"));
    place.stage(&old, OVER).await;
    let before = place.observe(&old).await;
    let gone = place.go(&new, &place.goal(&new), QUARTER).await;
    let (title, error) = gone.expect_err("it cannot be pulled");
    assert!(title.starts_with("create deployment.apps/api-"), "{title}");
    assert_eq!(error.class, Class::Application, "{error:?}");
    assert_eq!(place.behind("api"), of(&[("app:1", 4)]));
    let titles = place.back(&old, &before).await;
    assert_eq!(
        titles,
        [format!("delete deployment.apps/api-{}", group(&new))]
    );
}

#[tokio::test]
async fn an_old_group_that_is_gone_is_built_again() {
    let place = place();
    let (old, new) = (place.beside("app:1"), place.beside("app:2"));
    let [one, two] = [&old, &new].map(group);
    place.stage(&old, OVER).await;
    let before = place.observe(&old).await;
    place.stage(&new, FORWARD).await;
    let titles = place.back(&old, &before).await;
    let told = [
        format!("create deployment.apps/api-{one} with 4 pods of app:1"),
        format!("point service/api at {one} (4 pods)"),
        format!("delete deployment.apps/api-{two}"),
    ];
    assert_eq!(titles, told);
}

/// The one step of a plan that points a Service.
fn switch(plan: &[Effect]) -> &Effect {
    let found = plan
        .iter()
        .find(|it| it.title.contains("point service/api"));
    found.unwrap_or_else(|| panic!("no switch in {plan:#?}"))
}

async fn warm(place: &Place) -> (Target, Goal, State) {
    let (old, new) = (place.beside("manual:1"), place.beside("app:2"));
    let (effect, handle) = place.begun(&old, &place.goal(&old)).await;
    ready(place, 4, "True").await;
    place.settled_as(&old, &effect, Some(&handle)).await;
    place.stage(&old, OVER).await;
    let before = place.observe(&old).await;
    place.stage(&new, OVER).await;
    let goal = place.as_before(&old, before, &old);
    let seen = place.observe(&old).await;
    (old, goal, seen)
}

/// Says of so many pods that nobody else cares for whether they are ready.
async fn ready(place: &Place, pods: usize, status: &str) {
    let names = loop {
        let said = place.kubectl(&["get", "pods", "-o", "jsonpath={range .items[?(@.spec.nodeName)]}{.metadata.name} {.spec.containers[0].image}{'\\n'}{end}"]);
        let manual = said
            .lines()
            .filter_map(|line| line.strip_suffix(" manual:1").map(str::to_owned));
        let names: Vec<String> = manual.collect();
        if names.len() >= pods {
            break names;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    for (nth, name) in names.iter().take(pods).enumerate() {
        let patch = format!(
            r#"{{"status":{{"phase":"Running","podIP":"10.250.{}.{}","podIPs":[{{"ip":"10.250.{0}.{1}"}}],"conditions":[{{"type":"Ready","status":"{status}"}},{{"type":"ContainersReady","status":"{status}"}}]}}}}"#,
            name.bytes().fold(0_u8, u8::wrapping_add),
            nth + 1
        );
        place.kubectl(&[
            "patch",
            "pod",
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ]);
    }
}

#[tokio::test]
async fn nothing_moves_to_fewer_pods_than_it_needs() {
    let place = place();
    let (old, goal, seen) = warm(&place).await;
    let plan = place
        .driver
        .plan(&old, &seen, &goal, Stage::BACK)
        .expect("planned");
    // Between the look and the step one of them gets sick.
    ready(&place, 1, "False").await;
    let done = perform(&place.driver, &old, switch(&plan), &seen, &goal).await;
    let error = done.expect_err("three are not four");
    assert_eq!(
        (error.class, error.effect),
        (Class::Application, Touched::NotApplied),
        "{error:?}"
    );
    assert!(error.message.contains("3 of the 4 pods"), "{error:?}");
    assert_eq!(place.behind("api"), of(&[("app:2", 4)]));
}

#[tokio::test]
async fn who_points_the_service_elsewhere_meanwhile_is_told_of() {
    let place = place();
    let (old, goal, seen) = warm(&place).await;
    let plan = place
        .driver
        .plan(&old, &seen, &goal, Stage::BACK)
        .expect("planned");
    place.kubectl(&[
        "patch",
        "service",
        "api",
        "-p",
        r#"{"spec":{"selector":{"app":"theirs"}}}"#,
    ]);
    let done = perform(&place.driver, &old, switch(&plan), &seen, &goal).await;
    let error = done.expect_err("someone else was there");
    assert_eq!(
        (error.class, error.effect),
        (Class::Conflict, Touched::NotApplied),
        "{error:?}"
    );
    assert!(
        error.detail.join("\n").contains("spec.selector.app"),
        "{error:?}"
    );
    let selector = ["get", "service/api", "-o", "jsonpath={.spec.selector.app}"];
    assert_eq!(place.kubectl(&selector), "theirs");
}

#[tokio::test]
async fn what_has_traffic_is_not_removed() {
    let place = place();
    let (old, goal, _) = warm(&place).await;
    let seen = place.observe(&old).await;
    let plan = place
        .driver
        .plan(&old, &seen, &goal, Stage::BACK)
        .expect("planned");
    let removal = plan.last().expect("a removal");
    assert!(removal.title.starts_with("delete"), "{}", removal.title);
    let done = perform(&place.driver, &old, removal, &seen, &goal).await;
    let error = done.expect_err("it serves");
    assert!(
        error.message.contains("service/api sends traffic to it"),
        "{error:?}"
    );
    assert_eq!(place.behind("api"), of(&[("app:2", 4)]));
}
