//! Forward and back.

use crate::shop::{Shop, encoded};
use serde_json::json;

#[test]
fn out_and_back_again() {
    let shop = Shop::new();
    let belay = |exit, arguments: &[&str]| shop.project.json(exit, arguments);

    let plan = belay(0, &["plan"]);
    assert!(
        plan.to_string()
            .contains("create deployment.apps/api with shop/api:1"),
        "{plan:#}"
    );
    belay(0, &["deploy"]);
    assert_eq!(shop.image(), "shop/api:1");
    assert_eq!(
        shop.given("configmap", "configMapRef"),
        json!({ "LEVEL": "info" })
    );
    assert_eq!(
        shop.given("secret", "secretRef"),
        json!({ "KEY": encoded() })
    );
    assert_eq!(
        belay(0, &["deploy"])["deployment"],
        json!(null),
        "nothing to do"
    );

    belay(0, &["deploy", "--image", "shop/api:2"]);
    assert_eq!(shop.image(), "shop/api:2");

    // It cannot be pulled: what was there serves again, and nobody had to say so.
    let bad = belay(3, &["deploy", "--image", "api=shop/bad:3"]);
    assert!(bad.to_string().contains("pull"), "{bad:#}");
    assert_eq!(shop.image(), "shop/api:2");
    belay(6, &["deploy", "--image", "shop/bad:3"]);

    let ready = belay(0, &["ready"]);
    assert!(ready.to_string().contains("release 1"), "{ready:#}");
    belay(0, &["rollback", "--yes"]);
    assert_eq!(shop.image(), "shop/api:1");
    let status = belay(0, &["status"]);
    let group = &status["services"][0]["targets"][0]["groups"][0];
    assert_eq!(group["ready"], 2, "{status:#}");
    let history = belay(0, &["history"]);
    let count = history["deployments"].as_array().map(Vec::len);
    assert_eq!(count, Some(4), "{history:#}");
    let logs = shop.project.belay(&["logs"]).stderr;
    let logs = String::from_utf8_lossy(&logs).into_owned();
    let command = format!("-n {} logs deployment/api", shop.namespace);
    assert!(logs.contains(&command), "{logs}");
    shop.keeps_no_secret();
}

#[test]
fn settings_travel_with_the_release() {
    let mut shop = Shop::new();
    let given = |shop: &Shop| {
        let level = shop.given("configmap", "configMapRef")["LEVEL"].clone();
        let key = shop.given("secret", "secretRef")["KEY"].clone();
        (shop.image(), level, key)
    };
    shop.project.json(0, &["deploy"]);
    let first = given(&shop);
    shop.configure("warn", "");
    shop.project.json(0, &["deploy"]);
    let second = given(&shop);
    let image = "shop/api:1".to_owned();
    assert_eq!(second, (image, json!("warn"), first.2.clone()));
    // Another value of the secret is another record; going back, the value before is there again.
    shop.project.env[2].1 = "another".to_owned();
    shop.project.json(0, &["deploy"]);
    assert_ne!(given(&shop).2, second.2);
    let plan = shop.project.json(0, &["rollback", "--plan"]).to_string();
    let words = "env:KEY has another value now than release 2, which goes on with the one it had";
    assert!(plan.contains(words), "{plan}");
    shop.project.json(0, &["rollback", "--yes"]);
    assert_eq!(given(&shop), second);
}

#[test]
fn a_kustomization_is_rendered() {
    let shop = Shop::new();
    shop.project.write(
        "k8s/kustomization.yaml",
        "resources: [api.yaml]\nimages: [{ name: shop/api, newTag: '7' }]\n",
    );
    shop.project.json(0, &["deploy"]);
    assert_eq!(shop.image(), "shop/api:7");
}

#[test]
fn what_gets_sick_in_the_bake_goes_back_by_itself() {
    let shop = Shop::new();
    shop.project.json(0, &["deploy"]);
    shop.edit("belay.yaml", "bake: 0s", "bake: 10m");
    let until_promoted = ["deploy", "--image", "shop/api:2", "--until", "promoted"];
    shop.project.json(0, &until_promoted);
    shop.makes_pods_unready("shop/api:2");
    let bad = shop.project.json(3, &["watch"]).to_string();
    assert!(bad.contains("is not ready any more"), "{bad}");
    assert_eq!(shop.image(), "shop/api:1");
}

#[test]
fn workloads_have_their_turn() {
    let shop = Shop::new();
    let api = std::fs::read_to_string(shop.project.path().join("k8s/api.yaml")).expect("read");
    let web = api.split("---").next().expect("a workload");
    let web = web.replace(" api", " web").replace("shop/api", "shop/web");
    shop.project.write("k8s/web.yaml", &web);
    let order = "namespace: \"N\", workloads: [deployment/web, deployment/api]";
    let order = order.replace("\"N\"", &shop.namespace);
    shop.edit(
        "belay.yaml",
        &format!("namespace: {}", shop.namespace),
        &order,
    );
    shop.project.json(0, &["deploy"]);
    // The second one fails: both go back.
    let images = ["--image", "web=shop/web:2", "--image", "api=shop/bad:2"];
    let plan = shop.project.json(0, &[&["plan"][..], &images[..]].concat());
    let steps = plan["plan"]["steps"].as_array().expect("steps");
    let titles: Vec<_> = steps.iter().filter_map(|it| it["title"].as_str()).collect();
    let at = |name: &str| titles.iter().position(|title| title.contains(name));
    assert!(at("apps/web") < at("apps/api"), "{titles:?}");
    shop.project
        .json(3, &[&["deploy"][..], &images[..]].concat());
    assert_eq!(shop.image(), "shop/api:1");
    let web = &shop.get(&["deployment", "web"])["spec"]["template"]["spec"];
    assert_eq!(web["containers"][0]["image"], "shop/web:1");
}
