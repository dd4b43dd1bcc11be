//! What Belay never deployed: its history, and the way back of it.

use crate::shop::{Shop, until};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

impl Shop {
    fn revisions(&self, workload: &str) -> Vec<Value> {
        let history = self.project.json(0, &["history", &self.uri(workload)]);
        history["revisions"].as_array().expect("revisions").clone()
    }

    fn has_revisions(&self, count: usize) -> bool {
        let sets = self.get(&["replicasets"]);
        let sets = sets["items"].as_array().expect("a list");
        sets.iter()
            .filter(|it| {
                !it["metadata"]["annotations"]["deployment.kubernetes.io/revision"].is_null()
            })
            .count()
            == count
    }
}

#[test]
fn bad_then_bad_then_the_good_one_that_belay_never_deployed() {
    let shop = Shop::new();
    std::fs::remove_file(shop.project.path().join("belay.yaml")).expect("removed");
    shop.apply();
    shop.kubectl(&["set", "image", "deployment/api", "api=shop/bad:2"]);
    until("the second is made", || shop.has_revisions(2));
    shop.kubectl(&["set", "image", "deployment/api", "api=shop/bad:3"]);
    until("the third is made", || shop.has_revisions(3));
    let uri = shop.uri("deployment/api");

    // No store is made by looking.
    let all = shop.revisions("deployment/api");
    assert!(!shop.project.path().join(".belay").exists());
    let of = |name: &str| all.iter().map(|it| it[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("revision"), [3, 2, 1]);
    assert_eq!(of("current"), [true, false, false]);
    assert_eq!(all[0]["images"], json!(["shop/bad:3"]));
    assert_ne!(all[1]["available"], "yes", "{all:#?}");
    assert_eq!(all[2]["available"], "yes");
    assert_eq!(all[2]["evidence"], "2 of its pods are available");

    let plan = shop.project.json(0, &["rollback", &uri, "--plan"]);
    let preview = &plan["preview"];
    assert_eq!(preview["goal"], "revision 1 (shop/api:1)", "{plan:#}");
    assert_eq!(preview["leaves_there"], "revision 3 (shop/bad:3)");
    let passed_over = preview["passed_over"].to_string();
    assert!(
        passed_over.contains("revision 2 (shop/bad:2): "),
        "{plan:#}"
    );

    let reason = ["--yes", "--reason", "no orders"];
    shop.project
        .json(0, &[&["rollback", &uri][..], &reason[..]].concat());
    assert_eq!(shop.image(), "shop/api:1");
    let status = shop.project.json(0, &["status", &uri]);
    assert_eq!(
        status["services"][0]["service"], "deployment/api",
        "{status:#}"
    );

    // What was gone back from is no place to go to.
    let refused = shop
        .project
        .json(6, &["rollback", &uri, "--yes"])
        .to_string();
    assert!(refused.contains("E0323"), "{refused}");
    let refused = shop
        .project
        .json(6, &["rollback", &uri, "--to", "3"])
        .to_string();
    assert!(
        refused.contains("Belay went back from it (") && refused.contains("no orders"),
        "{refused}"
    );
}

#[test]
fn by_its_number_and_taken_back_again() {
    let shop = Shop::new();
    shop.apply();
    shop.kubectl(&[
        "annotate",
        "deployment/api",
        "kubernetes.io/change-cause=the first",
    ]);
    shop.kubectl(&["set", "image", "deployment/api", "api=shop/api:2"]);
    shop.kubectl(&["set", "env", "deployment/api", "ADDED=by hand"]);
    shop.kubectl(&["scale", "deployment/api", "--replicas=3"]);
    shop.rolled_out("deployment/api");
    let uri = shop.uri("deployment/api");
    let spec = || shop.get(&["deployment", "api"])["spec"].clone();
    let before = spec();
    let first = shop.revisions("deployment/api").pop().expect("the first");
    assert_eq!(first["revision"], 1);

    shop.project.json(
        0,
        &[
            "rollback",
            &uri,
            "--to",
            "1",
            "--yes",
            "--reason",
            "it was better",
        ],
    );
    assert_eq!(shop.image(), "shop/api:1");
    let after = spec();
    assert_eq!(
        after["template"]["spec"]["containers"][0]["env"],
        Value::Null,
        "{after:#}"
    );
    assert_eq!(after["replicas"], 3, "whoever scales is left alone");

    shop.project.json(
        0,
        &[
            "rollback",
            &uri,
            "--undo",
            "--yes",
            "--reason",
            "it was not",
        ],
    );
    assert_eq!(shop.image(), "shop/api:2");
    assert_eq!(spec(), before);
}

#[test]
fn who_alone_carried_it_is_known_to_have_worked() {
    let shop = Shop::new();
    shop.apply();
    let api = shop.get(&["deployment", "api"]);
    let conditions = api["status"]["conditions"]
        .as_array()
        .expect("conditions")
        .clone();
    let available = conditions
        .into_iter()
        .find(|it| it["type"] == "Available")
        .expect("available");
    let since = available["lastTransitionTime"]
        .as_str()
        .expect("a time")
        .to_owned();
    // The API's times are whole seconds: another one has to begin.
    let second = |time: &str| time[17..19].parse::<u64>().expect("seconds");
    until("another second", || {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        now % 60 != second(&since)
    });
    shop.kubectl(&["set", "image", "deployment/api", "api=shop/api:2"]);
    shop.rolled_out("deployment/api");
    until("its pods are gone", || {
        let first = shop.revisions("deployment/api").pop().expect("the first");
        first["evidence"] == "it alone had pods for a while, and the Deployment stayed available"
    });
    shop.project
        .json(0, &["rollback", &shop.uri("deployment/api"), "--yes"]);
    assert_eq!(shop.image(), "shop/api:1");
}

#[test]
fn what_belay_deploys_goes_back_by_its_service() {
    let shop = Shop::new();
    shop.project.json(0, &["deploy"]);
    shop.project.json(0, &["deploy", "--image", "shop/api:2"]);
    let uri = shop.uri("deployment/api");
    let history = shop.project.json(0, &["history", &uri]);
    assert_eq!(history["target"], "shop/test");
    let evidence = history["revisions"][1]["evidence"].to_string();
    assert!(
        evidence.contains("shop/test") || evidence.contains("alone"),
        "{history:#}"
    );
    let refused = shop
        .project
        .json(6, &["rollback", &uri, "--to", "1"])
        .to_string();
    assert!(
        refused.contains("E0322") && refused.contains("belay rollback shop -e test"),
        "{refused}"
    );
    let refused = shop
        .project
        .json(6, &["adopt", &uri, "--to", "adopted"])
        .to_string();
    assert!(refused.contains("E0322"), "{refused}");
}

#[test]
fn what_its_pods_are_given_is_not_what_it_was() {
    let shop = Shop::new();
    shop.apply();
    shop.kubectl(&["set", "image", "deployment/api", "api=shop/api:2"]);
    shop.rolled_out("deployment/api");
    let uri = shop.uri("deployment/api");
    let plan = ["rollback", uri.as_str(), "--to", "1", "--plan"];
    let made = shop.get(&["replicasets"])["items"][0]["metadata"]["creationTimestamp"].clone();
    // The API's times are whole seconds.
    until("it is changed in another second", || {
        let motto = r#"{"data":{"motto":"changed"}}"#;
        shop.kubectl(&[
            "patch",
            "configmap",
            "files",
            "-p",
            r#"{"data":{"motto":"once more"}}"#,
        ]);
        shop.kubectl(&["patch", "configmap", "files", "-p", motto]);
        let files = shop.get(&["configmap", "files", "--show-managed-fields"]);
        let managed = files["metadata"]["managedFields"]
            .as_array()
            .expect("managers")
            .clone();
        managed
            .iter()
            .any(|it| it["manager"] == "kubectl-patch" && it["time"].as_str() > made.as_str())
    });
    let changed = shop.project.json(0, &plan).to_string();
    assert!(
        changed.contains("configmap/files was changed after revision 1"),
        "{changed}"
    );
    shop.kubectl(&["delete", "configmap", "files"]);
    let gone = shop.project.json(6, &plan).to_string();
    assert!(
        gone.contains("E0323") && gone.contains("configmap/files"),
        "{gone}"
    );
}

#[test]
fn a_stateful_set_that_is_stuck() {
    let shop = Shop::new();
    let api = std::fs::read_to_string(shop.project.path().join("k8s/api.yaml")).expect("read");
    shop.project.write(
        "k8s/api.yaml",
        &api.replace("kind: Deployment", "kind: StatefulSet"),
    );
    let folder = shop.project.path().join("k8s").display().to_string();
    shop.kubectl(&["apply", "-f", &folder]);
    shop.rolled_out("statefulset/api");
    shop.kubectl(&["set", "image", "statefulset/api", "api=shop/bad:2"]);
    until("a pod is stuck", || {
        let pods = shop.get(&["pods"]).to_string();
        pods.contains("ImagePullBackOff")
    });
    let all = shop.revisions("statefulset/api");
    let of = |name: &str| all.iter().map(|it| it[name].clone()).collect::<Vec<_>>();
    assert_eq!(
        (of("available"), of("current")),
        (
            vec![json!("no"), json!("yes")],
            vec![json!(true), json!(false)]
        ),
        "{all:#?}"
    );
    shop.project
        .json(0, &["rollback", &shop.uri("statefulset/api"), "--yes"]);
    let pods = shop.get(&["pods"]);
    let images: Vec<_> = pods["items"]
        .as_array()
        .expect("pods")
        .iter()
        .map(|it| &it["spec"]["containers"][0]["image"])
        .collect();
    assert_eq!(images, ["shop/api:1", "shop/api:1"]);
}

#[test]
fn a_daemon_set_and_what_is_not_there() {
    let shop = Shop::new();
    shop.project.write(
        "k8s/api.yaml",
        "{ apiVersion: apps/v1, kind: DaemonSet, metadata: { name: agent }, spec: { selector: { matchLabels: { app: agent } }, \
         template: { metadata: { labels: { app: agent } }, spec: { containers: [{ name: agent, image: shop/agent:1 }] } } } }",
    );
    let folder = shop.project.path().join("k8s").display().to_string();
    shop.kubectl(&["apply", "-f", &folder]);
    shop.rolled_out("daemonset/agent");
    shop.kubectl(&["set", "image", "daemonset/agent", "agent=shop/agent:2"]);
    shop.rolled_out("daemonset/agent");
    let uri = shop.uri("daemonset/agent");
    let refused = shop
        .project
        .json(6, &["rollback", &uri, "--yes"])
        .to_string();
    assert!(
        refused.contains("revision 1 (shop/agent:1): it has no pods now"),
        "{refused}"
    );
    let accepted = [
        "rollback",
        &uri,
        "--accept",
        "unproven",
        "--reason",
        "it worked for a year",
        "--yes",
    ];
    shop.project.json(0, &accepted);
    let agent = shop.get(&["daemonset", "agent"]);
    assert_eq!(
        agent["spec"]["template"]["spec"]["containers"][0]["image"],
        "shop/agent:1"
    );
    let nothing = shop
        .project
        .json(2, &["history", &shop.uri("deployment/nobody")])
        .to_string();
    assert!(nothing.contains("E0321"), "{nothing}");
    let other = shop.uri("deployment/api").replace("//test/", "//tset/");
    let other = shop.project.json(2, &["history", &other]).to_string();
    assert!(other.contains("did you mean `test`?"), "{other}");
}

#[test]
fn a_way_back_is_finished_by_another_worker() {
    let shop = Shop::new();
    // Slow enough to be killed on its way, and not waited for by the clock.
    shop.edit(
        "k8s/api.yaml",
        "metadata: { labels: { app: api } }",
        "metadata: { labels: { app: api }, annotations: { kwok/ready-delay: 2s } }",
    );
    shop.apply();
    shop.kubectl(&["set", "image", "deployment/api", "api=shop/api:2"]);
    shop.rolled_out("deployment/api");
    let uri = shop.uri("deployment/api");
    let back = ["rollback", &uri, "--to", "1", "--yes", "--detach"];
    let begun = shop.project.json(0, &back);
    let id = begun["deployment"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    until("it has changed something", || {
        let api = shop.get(&["deployment", "api"]);
        api["spec"]["template"]["spec"]["containers"][0]["image"] == "shop/api:1"
    });
    shop.project.kill_worker();
    // Whoever asks next starts another one.
    shop.project.json(0, &["watch", &id]);
    assert_eq!(shop.image(), "shop/api:1");
    // While one was open, a revision would have been another goal than its own.
    let status = shop.project.json(0, &["status", &uri]);
    assert_eq!(status["services"][0]["open"], json!([]), "{status:#}");
}
