//! Nodes that get lost, and autoscalers at work, while a release is on its way.

use crate::place::{Place, place, until};
use crate::way::shop;
use serde_json::json;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);

/// A node that nobody else's pods get to. No kubelet is there, real or simulated: the test writes what one would.
struct Node<'a> {
    place: &'a Place,
    name: String,
}

impl<'a> Node<'a> {
    fn new(place: &'a Place) -> Self {
        let name = format!("own-{}", place.namespace);
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
            "spec": { "taints": [{ "key": "only", "value": place.namespace, "effect": "NoSchedule" }] },
        });
        place.kubectl_with(&["create", "-f", "-"], &node.to_string());
        let node = Self { place, name };
        node.is("True");
        node
    }

    /// Whether it is there, as the API has it: `True`, `Unknown`.
    fn is(&self, ready: &str) {
        let size = json!({ "cpu": "10", "memory": "1Ti", "pods": "100" });
        let condition = json!({ "type": "Ready", "status": ready, "reason": "Test" });
        let status = json!({ "status": { "capacity": size, "allocatable": size, "conditions": [condition] } });
        self.patch("node", &self.name, &status);
    }

    /// The pod there is ready, or is not.
    async fn has_its_pod_ready(&self, ready: &str) {
        let mut pod = String::new();
        until("there is a pod on it", async || {
            let of = format!("spec.nodeName={}", self.name);
            let pods = [
                "get",
                "pods",
                "--field-selector",
                &of,
                "-o",
                "jsonpath={.items[*].metadata.name}",
            ];
            pod = self.place.kubectl(&pods);
            !pod.is_empty() && !pod.contains(' ')
        })
        .await;
        let ready = json!({ "type": "Ready", "status": ready });
        self.patch(
            "pod",
            &pod,
            &json!({ "status": { "phase": "Running", "conditions": [ready] } }),
        );
    }

    fn patch(&self, kind: &str, name: &str, patch: &serde_json::Value) {
        let patch = patch.to_string();
        self.place.kubectl(&[
            "patch",
            kind,
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ]);
    }
}

/// On that node, too.
fn everywhere(place: &Place, image: &str) -> String {
    let tolerates = format!(
        "spec:\n      tolerations: [{{key: only, value: {}, effect: NoSchedule}}]\n      containers:",
        place.namespace
    );
    shop(image, 1)
        .replace("kind: Deployment", "kind: DaemonSet")
        .replace(
            "replicas: 2",
            "updateStrategy: {rollingUpdate: {maxUnavailable: 2, maxSurge: 0}, type: RollingUpdate}",
        )
        .replace("spec:\n      containers:", &tolerates)
}

/// Release 1 everywhere, on a node of its own, too.
async fn runs_on<'a>(place: &'a Place) -> Node<'a> {
    let node = Node::new(place);
    let (told, rolls) = place.rolls(&everywhere(place, "app:1"), LONG).await;
    until("it is asked for there", async || told.has("3 of 3 updated")).await;
    node.has_its_pod_ready("True").await;
    rolls.await.expect("no panic").expect("rolled out");
    node
}

#[tokio::test]
async fn a_daemon_set_goes_on_without_a_node_that_was_lost() {
    let place = place();
    let node = runs_on(&place).await;
    node.is("Unknown");
    until("it is known to be lost", async || {
        let taints = [
            "get",
            "node",
            &node.name,
            "-o",
            "jsonpath={.spec.taints[*].key}",
        ];
        place.kubectl(&taints).contains("unreachable")
    })
    .await;
    let (target, before) = place.deploy(&everywhere(&place, "app:1")).await;
    place.deploy(&everywhere(&place, "app:2")).await;
    place.back(&target, &before).await;
}

#[tokio::test]
async fn a_node_that_is_lost_on_the_way_is_waited_for_no_more() {
    let place = place();
    let node = runs_on(&place).await;
    let (told, rolls) = place.rolls(&everywhere(&place, "app:2"), LONG).await;
    until("all others have it", async || {
        told.has("2 of 3 updated, 2 available")
    })
    .await;
    assert!(!rolls.is_finished());
    node.is("Unknown");
    // So does the platform itself, half a minute later; only then it counts anew.
    node.has_its_pod_ready("False").await;
    rolls.await.expect("no panic").expect("rolled out");
}

/// What the controller of an autoscaler writes, and as who; it needs metrics, and there are none.
fn scales(place: &Place, count: u32) {
    let patch = format!("{{\"spec\":{{\"replicas\":{count}}}}}");
    let scale = [
        "patch",
        "deployment/api",
        "--subresource=scale",
        "--field-manager=kube-controller-manager",
    ];
    place.kubectl(&[&scale[..], &["--type=merge", "-p", &patch]].concat());
}

#[tokio::test]
async fn an_autoscaler_at_work_keeps_its_number() {
    let place = place();
    let slow = |image: &str| {
        shop(image, 1).replace(
            "metadata: {labels: {app: api}}",
            "metadata: {labels: {app: api}, annotations: {kwok/ready-delay: 2s}}",
        )
    };
    let (target, before) = place.deploy(&slow("app:1")).await;
    place.kubectl(&[
        "autoscale",
        "deployment",
        "api",
        "--min=2",
        "--max=10",
        "--cpu=50%",
    ]);
    let replicas = [
        "get",
        "deployment/api",
        "-o",
        "jsonpath={.spec.replicas} {.status.availableReplicas}",
    ];
    scales(&place, 7);
    until("seven", async || place.kubectl(&replicas) == "7 7").await;
    let (told, rolls) = place.rolls(&slow("app:2"), LONG).await;
    until("it is on its way", async || told.has("of 7 updated")).await;
    scales(&place, 10);
    until("it is seen", async || told.has("of 10 updated")).await;
    scales(&place, 4);
    rolls.await.expect("no panic").expect("rolled out");
    assert_eq!(place.kubectl(&replicas), "4 4");
    // The number is the autoscaler's on the way back, too.
    place.back(&target, &before).await;
    assert_eq!(place.kubectl(&replicas), "4 4");
}
