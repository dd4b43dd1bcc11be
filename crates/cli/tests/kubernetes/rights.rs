//! Rights that are missing: found before anything changes, by the doctor, and by whoever is about to deploy or go back.

use crate::shop::Shop;
use serde_json::{Value, json};

impl Shop {
    /// Takes verbs of a resource out of the Role that was printed for the environment.
    fn forbid(&self, resource: &str, verbs: &[&str]) {
        let mut role = self.get(&["role", "belay-shop-test"]);
        for rule in role["rules"].as_array_mut().expect("rules") {
            if rule["resources"] == json!([resource]) {
                let kept = rule["verbs"].as_array_mut().expect("verbs");
                kept.retain(|it| !verbs.iter().any(|verb| *it == *verb));
            }
        }
        role["rules"]
            .as_array_mut()
            .expect("rules")
            .retain(|it| it["verbs"] != json!([]));
        let patch = json!({ "rules": role["rules"] }).to_string();
        self.kubectl(&[
            "patch",
            "role",
            "belay-shop-test",
            "--type=merge",
            "-p",
            &patch,
        ]);
        crate::shop::until("the API server knows it", || {
            let known = self.doctor()["missing"].to_string();
            verbs.iter().all(|verb| known.contains(verb)) && known.contains(resource)
        });
    }

    fn doctor(&self) -> Value {
        let done = self.project.belay(&["doctor", "kubernetes", "-o", "json"]);
        let document: Value = serde_json::from_slice(&done.stdout).expect("JSON");
        document["kubernetes"][0].clone()
    }
}

#[test]
fn what_is_missing_is_refused_before_anything_changes() {
    let shop = Shop::new();
    let well = shop.project.json(0, &["doctor", "kubernetes"]);
    assert_eq!(well["kubernetes"][0]["missing"], json!([]), "{well:#}");
    assert_eq!(well["kubernetes"][0]["requests"], 1, "{well:#}");
    shop.project.json(0, &["deploy"]);
    shop.project.json(0, &["deploy", "--image", "shop/api:2"]);

    shop.forbid("events", &["list"]);
    shop.forbid("configmaps", &["create", "delete"]);
    let sick = shop.project.json(8, &["doctor", "kubernetes"]);
    assert_eq!(sick["error"]["code"], "E0336", "{sick:#}");
    let account = format!("system:serviceaccount:{}:belay", shop.namespace);
    assert_eq!(sick["kubernetes"][0]["who"], json!(account), "{sick:#}");
    let before = shop.get(&["deployments,configmaps,leases"]);
    for verb in [
        &["deploy", "--image", "shop/api:3"][..],
        &["rollback", "--yes"],
    ] {
        let refused = shop.project.json(6, verb);
        let said = refused.to_string();
        assert_eq!(refused["error"]["code"], "E0336", "{said}");
        let missing = refused["error"]["detail"].to_string();
        assert!(missing.contains("list events in namespace"), "{missing}");
        assert!(missing.contains("create, delete configmaps"), "{missing}");
        assert!(
            said.contains(&account)
                && said.contains("belay doctor kubernetes -e test --print-rbac"),
            "{said}"
        );
    }
    assert_eq!(shop.get(&["deployments,configmaps,leases"]), before);
    let ready = shop.project.json(6, &["ready"]);
    assert!(ready.to_string().contains("list events"), "{ready:#}");
    let plan = shop.project.json(0, &["plan", "--image", "shop/api:3"]);
    assert!(
        plan.to_string().contains("this would be refused"),
        "{plan:#}"
    );
}

#[test]
fn what_only_helps_is_told_and_not_insisted_on() {
    let shop = Shop::new();
    shop.project.json(0, &["doctor", "kubernetes"]);
    shop.forbid("pods/log", &["get"]);
    shop.forbid("horizontalpodautoscalers", &["list"]);
    shop.project.json(0, &["doctor", "kubernetes"]);
    let done = shop.project.belay(&["deploy"]);
    let talk = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{talk}");
    assert!(
        talk.contains("not allowed: get pods/log in namespace"),
        "{talk}"
    );
    assert_eq!(shop.image(), "shop/api:1");
}

#[test]
fn a_port_is_not_forwarded_without_both_of_its_rights() {
    for verb in ["get", "create"] {
        let shop = Shop::new();
        shop.configure("info", "    verify: [{ http: /health, at: live }]\n");
        shop.project.json(0, &["doctor", "kubernetes"]);
        shop.forbid("pods/portforward", &[verb]);
        let refused = shop.project.json(6, &["deploy"]).to_string();
        assert!(
            refused.contains(&format!("{verb} pods/portforward")),
            "{refused}"
        );
    }
}

#[test]
fn a_role_is_printed_without_a_cluster() {
    let mut shop = Shop::new();
    shop.project.env[0].1 = "/not/there".to_owned();
    let print = |more: &[&str]| {
        let arguments = [&["doctor", "kubernetes", "--print-rbac"], more].concat();
        String::from_utf8_lossy(&shop.project.belay(&arguments).stdout).into_owned()
    };
    let basic = print(&["--namespace", "shop"]);
    let canary = print(&["--namespace", "shop", "--strategy", "canary"]);
    assert!(
        !basic.contains("endpointslices") || basic.len() < canary.len(),
        "{basic}"
    );
    let own = print(&["--user", "ci"]);
    assert!(
        own.contains("kind: User, name: \"ci\"") && own.contains("[deployments]"),
        "{own}"
    );
    assert!(
        !own.contains("pods/portforward"),
        "nothing is asked there: {own}"
    );
    assert!(!own.contains("ClusterRole"), "{own}");
}

/// Whoever only looks has an account that may do no more; somebody else put it there.
#[test]
fn who_only_looks_needs_no_more_than_that() {
    let (theirs, mut own) = (Shop::new(), Shop::new());
    theirs.project.json(0, &["deploy"]);
    let place = std::mem::replace(&mut own.namespace, theirs.namespace.clone());
    let uri = own.uri("deployment/api");
    let known = own.project.json(0, &["history", &uri]);
    assert_eq!(
        known["revisions"][0]["images"],
        json!(["shop/api:1"]),
        "{known:#}"
    );
    own.project.json(0, &["logs", &uri, "--bundle", "trouble"]);
    assert!(own.project.path().join("trouble/events.txt").is_file());
    let account = format!("--as=system:serviceaccount:{place}:belay");
    for (verb, resource) in [
        ("patch", "deployments"),
        ("create", "leases"),
        ("list", "secrets"),
    ] {
        let may = own.may(&["auth", "can-i", verb, resource, &account]);
        assert!(!may, "{verb} {resource}");
    }
}

/// A chart without a Secret: those that helm keeps its revisions in are all that it takes.
#[test]
fn a_chart_takes_what_helm_does() {
    let shop = crate::helm::shop(belay_testbed::Helm::V3);
    let secret = "{ apiVersion: v1, kind: Secret, metadata: { name: api }, stringData: { KEY: {{ .Values.key | quote }} } }";
    shop.edit("chart/templates/all.yaml", secret, "");
    shop.edit(
        "chart/templates/all.yaml",
        "{ secretRef: { name: api } }, ",
        "",
    );
    shop.project.json(0, &["deploy"]);
    shop.project.json(0, &["deploy", "--image", "shop/api:2"]);
    shop.project.json(0, &["rollback", "--yes"]);
    assert_eq!(shop.image(), "shop/api:1");
    let mut looks = Shop::new();
    looks.namespace.clone_from(&shop.namespace);
    let known = looks.project.json(0, &["history", &looks.release()]);
    assert_eq!(
        known["revisions"].as_array().map(Vec::len),
        Some(3),
        "{known:#}"
    );
}
