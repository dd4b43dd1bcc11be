//! What never gets ready: said while it is waited for, and over at a deadline, the platform's or ours.

use crate::place::{Place, place, until};
use crate::way::{FORWARD, shop};
use belay_model::error::Class;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);

/// A workload of another kind.
fn of(kind: &str, image: &str) -> String {
    let own = match kind {
        "StatefulSet" => "serviceName: api\n  replicas: 2",
        _ => "revisionHistoryLimit: 10",
    };
    shop(image, 1)
        .replace("kind: Deployment", &format!("kind: {kind}"))
        .replace("replicas: 2", own)
}

/// It says how long nothing may move.
fn in_a_hurry(kind: &str, image: &str) -> String {
    of(kind, image).replace(
        "metadata: {name: api}",
        "metadata: {name: api, annotations: {belay.dev/progress-deadline-seconds: '2'}}",
    )
}

async fn has_a_deadline(kind: &str) {
    let place = place();
    let (target, before) = place.deploy(&of(kind, "app:1")).await;
    // The way back may take what it takes.
    let next = place.target(&in_a_hurry(kind, "manual:2"));
    let gone = place.go(&next, &place.goal(&next), FORWARD).await;
    let (_, error) = gone.expect_err("it does not get there");
    assert_eq!(error.class, Class::Timeout, "{error:?}");
    for words in [
        "nothing of it has moved for 2 s",
        "not ready: api-",
        "(node node-",
    ] {
        assert!(error.message.contains(words), "{error:?}");
    }
    place.back(&target, &before).await;
}

#[tokio::test]
async fn a_stateful_set_that_never_gets_ready_has_a_deadline() {
    has_a_deadline("StatefulSet").await;
}

#[tokio::test]
async fn a_daemon_set_that_never_gets_ready_has_a_deadline() {
    has_a_deadline("DaemonSet").await;
}

/// What a kubelet writes when a readiness probe fails; there is none here.
fn probe_fails(place: &Place, pod: &str) {
    let (name, namespace) = (format!("{pod}.1"), &place.namespace);
    let event = serde_json::json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": name }, "type": "Warning", "reason": "Unhealthy",
        "message": "Readiness probe failed: HTTP probe failed with statuscode: 503",
        "involvedObject": { "apiVersion": "v1", "kind": "Pod", "name": pod, "namespace": namespace },
        "source": { "component": "kubelet" },
    });
    place.kubectl_with(&["create", "-f", "-"], &event.to_string());
}

#[tokio::test]
async fn a_probe_that_fails_is_told_while_it_is_waited_for() {
    let place = place();
    place.deploy(&shop("app:1", 1)).await;
    let (told, rolls) = place.rolls(&shop("manual:2", 1), LONG).await;
    let mut sick = String::new();
    until("there is a pod of it", async || {
        let pods = [
            "get",
            "pods",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name} {.spec.containers[0].image}{'\\n'}{end}",
        ];
        let pods = place.kubectl(&pods);
        let new = pods.lines().find_map(|line| line.strip_suffix(" manual:2"));
        sick = new.unwrap_or_default().to_owned();
        !sick.is_empty()
    })
    .await;
    probe_fails(&place, &sick);
    let words = format!(
        "pod {sick} is not ready: Readiness probe failed: HTTP probe failed with statuscode: 503"
    );
    until("it is told", async || told.has(&words)).await;
    assert!(!rolls.is_finished());
    rolls.abort();
}
