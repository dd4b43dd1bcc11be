//! What the cluster does not let in, or not any more: said by name, and gone back from, or left to a person.

use crate::shop::{Shop, until};
use belay_testbed::{Answer, ControlPlane, Webhook};
use serde_json::{Value, json};

/// Waits until the API server asks a webhook of that name about Deployments.
fn is_asked(shop: &Shop, name: &str) {
    until("it is asked", || {
        let mut kubectl = shop.plane.kubectl();
        let probe = [
            "create",
            "deployment",
            "probe",
            "--image=app",
            "--dry-run=server",
        ];
        let done = kubectl.args(["-n", &shop.namespace]).args(probe).output();
        String::from_utf8_lossy(&done.expect("kubectl").stderr).contains(name)
    });
}

fn goes_back(answer: Answer, words: &str) {
    const NAME: &str = "images.rules.example";
    let shop = Shop::new();
    shop.project.json(0, &["deploy"]);
    let webhook = Webhook::start(answer).expect("a webhook");
    let mut object = webhook.configuration(NAME, &shop.namespace, ("apps", "deployments"));
    object["metadata"]["name"] = json!(shop.namespace);
    shop.make(&object);
    is_asked(&shop, NAME);
    let bad = shop
        .project
        .json(3, &["deploy", "--image", "shop/api:2"])
        .to_string();
    assert!(bad.contains(NAME) && bad.contains(words), "{bad}");
    assert_eq!(shop.image(), "shop/api:1");
    webhook.says(Answer::Allowed);
    shop.project.json(0, &["deploy", "--image", "shop/api:3"]);
    assert_eq!(shop.image(), "shop/api:3");
}

#[test]
fn what_a_webhook_refuses_goes_back_by_itself() {
    let why = "no image without a digest";
    goes_back(Answer::Denied(why.to_owned()), why);
}

#[test]
fn what_a_webhook_does_not_answer_goes_back_by_itself() {
    goes_back(Answer::None, "failed calling webhook");
}

/// An account of the namespace that may do everything in it, for as long as the binding is there.
fn binding(shop: &Shop) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "releases" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "name": "releases", "namespace": shop.namespace }],
    })
}

/// Belay is that account from now on.
fn as_an_account(shop: &mut Shop) {
    shop.kubectl(&["create", "serviceaccount", "releases"]);
    shop.make(&binding(shop));
    let token = shop.kubectl(&["create", "token", "releases"]);
    let text = std::fs::read_to_string(shop.plane.kubeconfig()).expect("a kubeconfig");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    config["users"][0]["user"] = json!({ "token": token.trim() });
    shop.project.write("kubeconfig", &config.to_string());
    let path = shop.project.path().join("kubeconfig").display().to_string();
    let own = shop
        .project
        .env
        .iter_mut()
        .find(|(name, _)| name == "KUBECONFIG");
    own.expect("it is said").1 = path;
}

#[test]
fn rights_that_are_taken_away_wait_for_a_person_and_retry_goes_on() {
    let mut shop = Shop::new();
    as_an_account(&mut shop);
    // A second workload, whose step comes when the rights are gone.
    let api = std::fs::read_to_string(shop.project.path().join("k8s/api.yaml")).expect("read");
    let web = api
        .split("---")
        .next()
        .expect("a workload")
        .replace("name: api,", "name: web,");
    let web = web
        .replace("metadata: { name: api }", "metadata: { name: web }")
        .replace("app: api", "app: web");
    shop.project.write("k8s/web.yaml", &web);
    let context = ControlPlane::CONTEXT;
    let target = format!("context: {context}, namespace: {}", shop.namespace);
    let ordered = format!("{target}, workloads: [deployment/api, deployment/web]");
    shop.edit("belay.yaml", &target, &ordered);
    shop.project.json(0, &["deploy"]);
    shop.slow("3s");
    shop.edit("k8s/api.yaml", "shop/api:1", "shop/api:2");
    shop.edit("k8s/web.yaml", "shop/api:1", "shop/api:2");
    let deploying = shop.project.beside(&["deploy"]);
    until("the first is on its way", || {
        shop.get(&["deployment", "api"])["spec"]["template"]["spec"]["containers"][0]["image"]
            == "shop/api:2"
    });
    shop.kubectl(&["delete", "rolebinding", "releases"]);
    let waits = shop.project.json(5, &["watch"]);
    drop(deploying);
    let stuck = waits
        .pointer("/deployment/stuck")
        .map(Value::to_string)
        .unwrap_or_default();
    assert!(stuck.contains("forbidden"), "{waits:#}");
    shop.make(&binding(&shop));
    until("it may do so again", || {
        let account = format!("system:serviceaccount:{}:releases", shop.namespace);
        let mut kubectl = shop.plane.kubectl();
        let may = kubectl.args([
            "-n",
            &shop.namespace,
            "auth",
            "can-i",
            "patch",
            "deployments",
            "--as",
            &account,
        ]);
        may.output().is_ok_and(|done| done.status.success())
    });
    let ends = shop.project.json(3, &["retry"]);
    assert_eq!(shop.image(), "shop/api:1", "{ends:#}");
}

/// A release is on its way when somebody deletes its namespace. `deleted`: does so; the worker stands still meanwhile if it `waits`.
fn is_deleted(waits: bool, deleted: impl Fn(&Shop)) {
    let shop = Shop::new();
    shop.project.json(0, &["deploy"]);
    shop.slow("60s");
    let deploying = shop.project.beside(&["deploy", "--image", "shop/api:2"]);
    until("it is on its way", || {
        shop.get(&["deployment", "api"])["spec"]["template"]["spec"]["containers"][0]["image"]
            == "shop/api:2"
    });
    let worker = shop.project.find(" worker --detached ").expect("a worker");
    if waits {
        shop.project.pause(worker);
    }
    deleted(&shop);
    if waits {
        shop.project.go_on(worker);
    }
    let waits = shop.project.json(5, &["watch"]);
    drop(deploying);
    let stuck = waits
        .pointer("/deployment/stuck")
        .map(Value::to_string)
        .unwrap_or_default();
    assert!(
        stuck.contains("namespace") && stuck.contains(&shop.namespace),
        "{waits:#}"
    );
}

fn delete_namespace(shop: &Shop, more: &[&str]) {
    let mut kubectl = shop.plane.kubectl();
    let delete = kubectl.args(["delete", "namespace", &shop.namespace]);
    assert!(delete.args(more).status().expect("kubectl").success());
}

#[test]
fn a_namespace_that_is_deleted_waits_for_a_person() {
    is_deleted(false, |shop| delete_namespace(shop, &[]));
}

#[test]
fn a_namespace_whose_objects_are_gone_already_waits_for_a_person() {
    is_deleted(true, |shop| {
        // The mark is there for as long as it is held, so that whoever looks sees that all the rest is missing.
        let lease = shop.kubectl(&["get", "lease", "-o", "name"]);
        let held = r#"{"metadata":{"finalizers":["example.com/held"]}}"#;
        shop.kubectl(&["patch", lease.trim(), "--type=merge", "-p", held]);
        delete_namespace(shop, &["--wait=false"]);
        until("its objects are gone", || {
            let all = shop.get(&["deployments,services,pods"]);
            all["items"].as_array().expect("a list").is_empty()
        });
    });
}

#[test]
fn a_namespace_that_is_gone_already_waits_for_a_person() {
    is_deleted(true, |shop| delete_namespace(shop, &[]));
}
