use super::*;
use crate::manifest::parse;
use crate::settings::Layout;

const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  selector: {matchLabels: {app: api}}
  template: {metadata: {labels: {app: api, tier: web}}, spec: {containers: [{name: app, image: 'app:1'}]}}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {type: NodePort, selector: {app: api}, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: metrics}
spec: {selector: {tier: web}, ports: [{port: 9090}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: api}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}, maxReplicas: 4}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: budget}
spec: {selector: {matchLabels: {tier: web}}, minAvailable: 1}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: another}
spec: {selector: {matchLabels: {tier: database}}, minAvailable: 1}
";

fn settings() -> Settings {
    Settings {
        objects: parse(MANIFEST).expect("a manifest"),
        service: vec!["api".to_owned()],
        layout: Layout::SideBySide,
        ..Settings::default()
    }
}

fn find<'a>(laid: &'a [Value], kind: &str, called: &str) -> &'a Value {
    let is_it = |it: &&Value| it["kind"] == kind && named(it) == called;
    let found = laid.iter().find(is_it);
    found.unwrap_or_else(|| panic!("no {kind} {called} in {laid:#?}"))
}

#[test]
fn what_runs_and_what_belongs_to_it_goes_by_its_group() {
    let preview = Some("next".to_owned());
    let laid = lay_out(
        &Settings {
            preview,
            ..settings()
        },
        "r7-1a2b3c4d",
    );
    let grouped = json!({ "app": "api", LABEL: "r7-1a2b3c4d" });
    let api = find(&laid, "Deployment", "api-r7-1a2b3c4d");
    assert_eq!(api["spec"]["selector"]["matchLabels"], grouped);
    assert_eq!(
        api["spec"]["template"]["metadata"]["labels"][LABEL],
        "r7-1a2b3c4d"
    );
    let scaler = find(&laid, "HorizontalPodAutoscaler", "api-r7-1a2b3c4d");
    assert_eq!(scaler["spec"]["scaleTargetRef"]["name"], "api-r7-1a2b3c4d");
    let budget = find(&laid, "PodDisruptionBudget", "budget-r7-1a2b3c4d");
    assert_eq!(
        budget["spec"]["selector"]["matchLabels"][LABEL],
        "r7-1a2b3c4d"
    );
    assert_eq!(find(&laid, "Service", "api")["spec"]["selector"], grouped);
    let next = find(&laid, "Service", "next");
    assert_eq!(
        next["spec"],
        json!({ "selector": grouped, "ports": [{ "port": 80 }] })
    );
    // All else is as it is written.
    for (kind, called) in [("Service", "metrics"), ("PodDisruptionBudget", "another")] {
        assert_eq!(
            find(&laid, kind, called),
            find(&settings().objects, kind, called)
        );
    }
}

#[test]
fn names_are_short_enough_and_tell_their_group() {
    let group = "r12345-1a2b3c4d";
    for base in ["api", &"a".repeat(70), &format!("{}-b", "a".repeat(60))] {
        let name = name(base, group);
        assert!(name.len() <= LONGEST, "{name}");
        assert_eq!(of_name(base, &name), Some(group));
    }
    assert_ne!(name(&"a".repeat(70), group), name(&"a".repeat(71), group));
    assert_eq!(of_name("api", "web-r1-1a2b3c4d"), None);
    assert_eq!(of_name("api", "api"), None);
}

#[test]
fn what_cannot_stand_twice_is_refused() {
    let check = |change: &dyn Fn(&mut Settings), words: &str| {
        let mut settings = settings();
        change(&mut settings);
        let why = possible(&settings).expect_err("impossible").message;
        assert!(why.contains(words), "{why}");
    };
    possible(&settings()).expect("it can");
    check(
        &|it| it.objects[0]["kind"] = json!("StatefulSet"),
        "statefulset/api: its volumes",
    );
    check(
        &|it| it.objects[0]["kind"] = json!("DaemonSet"),
        "daemonset/api: a node has one",
    );
    check(
        &|it| it.objects[1]["spec"]["selector"] = json!({ "app": "web" }),
        "service/api selects no Deployment",
    );
    check(
        &|it| {
            it.service.clear();
            it.preview = Some("next".to_owned());
        },
        "a preview needs the Service",
    );
    check(
        &|it| {
            it.service = vec!["theirs".to_owned()];
            it.route = Some("httproute/api".to_owned());
        },
        "have to have service/theirs",
    );
}
