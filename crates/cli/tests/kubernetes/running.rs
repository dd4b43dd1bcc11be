//! Releases of what is running: somebody else's manifests, and our images and settings.

use crate::shop::Shop;
use serde_json::{Value, json};

/// With these lines below its environment, and this in its release.
fn configure(shop: &Shop, release: &str, level: &str, environment: &str) {
    shop.configure(level, environment);
    let written = std::fs::read_to_string(shop.project.path().join("belay.yaml")).expect("read");
    let written = written
        .replace("manifests: ./k8s", &format!("running: true{release}"))
        .replace("namespace:", "workloads: [deployment/api], namespace:");
    shop.project.write("belay.yaml", &written);
}

fn container(shop: &Shop) -> Value {
    shop.get(&["deployment", "api"])["spec"]["template"]["spec"]["containers"][0].clone()
}

#[test]
fn an_image_and_settings_go_out_and_back_and_all_else_is_as_others_say() {
    let shop = Shop::new();
    shop.apply();
    let before = container(&shop);
    configure(&shop, ", image: \"shop/api:2\"", "info", "");
    shop.project.json(0, &["check"]);
    shop.project.json(0, &["deploy"]);
    assert_eq!(shop.image(), "shop/api:2");
    assert_eq!(
        shop.given("configmap", "configMapRef"),
        json!({ "LEVEL": "info" })
    );
    let second = container(&shop);
    for field in ["ports", "volumeMounts"] {
        assert_eq!(second[field], before[field], "{field}");
    }

    // Whoever has the manifests goes on with them; the image on the command line goes before the one that is written.
    shop.kubectl(&["set", "env", "deployment/api", "MODE=on"]);
    shop.kubectl(&["scale", "deployment/api", "--replicas=3"]);
    shop.rolled_out("deployment/api");
    configure(&shop, ", image: \"shop/api:2\"", "debug", "");
    shop.project
        .json(0, &["deploy", "--image", "api=shop/api:3"]);
    assert_eq!(shop.image(), "shop/api:3");
    assert_eq!(
        shop.given("configmap", "configMapRef"),
        json!({ "LEVEL": "debug" })
    );
    let third = container(&shop);
    assert_eq!(third["env"], json!([{ "name": "MODE", "value": "on" }]));
    let sources = third["envFrom"].as_array().expect("sources");
    assert_eq!(
        sources.len(),
        2,
        "what the release before added is gone: {third:#}"
    );
    assert_eq!(shop.get(&["deployment", "api"])["spec"]["replicas"], 3);

    shop.project.json(0, &["rollback", "--yes"]);
    assert_eq!(shop.image(), "shop/api:2");
    let mut was = second;
    was["env"] = third["env"].clone();
    assert_eq!(
        container(&shop),
        was,
        "as it was before, changes by hand included"
    );
    assert_eq!(shop.get(&["deployment", "api"])["spec"]["replicas"], 3);
}

#[test]
fn a_bad_image_goes_back_to_what_was_running() {
    let shop = Shop::new();
    shop.apply();
    let before = container(&shop);
    configure(&shop, "", "info", "");
    let failed = shop.project.json(3, &["deploy", "--image", "shop/api:bad"]);
    assert!(
        failed.to_string().contains("ImagePullBackOff"),
        "{failed:#}"
    );
    assert_eq!(shop.image(), "shop/api:1");
    assert_eq!(container(&shop), before);
}

#[test]
fn what_a_release_of_what_is_running_cannot_be_is_said() {
    let shop = Shop::new();
    configure(&shop, "", "info", "");
    let refused = shop.project.json(2, &["deploy", "--image", "shop/api:2"]);
    let refused = refused.to_string();
    assert!(
        refused.contains("E0339") && refused.contains("deployment/api"),
        "{refused}"
    );
    shop.apply();
    let refused = shop
        .project
        .json(2, &["deploy", "--image", "web=shop/web:2"]);
    assert!(refused.to_string().contains("E0342"), "{refused:#}");
    let refused = shop.project.json(2, &["deploy", "--artifact", "k8s"]);
    assert!(refused.to_string().contains("E0344"), "{refused:#}");

    configure(&shop, "", "info", "    strategy: blue_green\n");
    let refused = shop.project.json(2, &["check"]).to_string();
    assert!(
        refused.contains("E0110") && refused.contains("belay adopt"),
        "{refused}"
    );
    shop.configure("info", "");
    shop.edit("belay.yaml", "manifests: ./k8s", "running: true");
    let refused = shop.project.json(2, &["check"]).to_string();
    assert!(
        refused.contains("workloads: [deployment/NAME]"),
        "{refused}"
    );
    shop.edit(
        "belay.yaml",
        "running: true",
        "running: true, manifests: ./k8s",
    );
    let refused = shop.project.json(2, &["check"]).to_string();
    assert!(refused.contains("exactly one of"), "{refused}");
    assert_eq!(shop.image(), "shop/api:1");
}

/// Two places in one namespace, each with a workload of its own.
#[test]
fn it_is_asked_and_goes_from_one_environment_to_the_next() {
    let shop = Shop::new();
    shop.apply();
    shop.kubectl(&["create", "deployment", "web", "--image", "shop/api:1"]);
    shop.rolled_out("deployment/web");
    let place = |workload: &str| {
        format!(
            "target: {{ kubernetes: {{ context: {}, namespace: {}, workloads: [{workload}] }} }}\n    keep: {{ bake: 0s }}\n",
            belay_testbed::ControlPlane::CONTEXT,
            shop.namespace
        )
    };
    let (staging, production) = (place("deployment/api"), place("deployment/web"));
    let written = format!(
        "service: shop\nrelease: {{ running: true }}\nenvironments:\n  staging:\n    {staging}    \
         verify: [{{ http: /health, at: live, json: {{ release: \"shop/api:2\" }} }}]\n  production:\n    {production}    \
         from: staging\n"
    );
    shop.project.write("belay.yaml", &written);
    let image = ["--image", "shop/api:2"];
    let plan = [&["plan", "-e", "staging"], &image[..]].concat();
    let planned = shop.project.json(0, &plan).to_string();
    assert!(planned.contains("shop/api:2"), "{planned}");
    shop.project
        .json(0, &[&["deploy", "-e", "staging"], &image[..]].concat());
    shop.project.json(0, &["promote", "staging", "production"]);
    let image = |name: &str| {
        let found = shop.get(&["deployment", name]);
        found["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    assert_eq!(
        (image("api"), image("web")),
        (json!("shop/api:2"), json!("shop/api:2"))
    );

    // Where something else is released by now, there is nothing to lay the images over.
    shop.project.write(
        "belay.yaml",
        &written
            .replace("running: true", "manifests: ./k8s")
            .replace(", workloads: [deployment/web]", ""),
    );
    let refused = shop.project.json(2, &["promote", "staging", "production"]);
    assert!(refused.to_string().contains("E0345"), "{refused:#}");
}
