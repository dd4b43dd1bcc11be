//! The same release from one namespace to the next.

use crate::shop::Shop;
use belay_testbed::ControlPlane;
use serde_json::json;

#[test]
fn a_release_goes_on_as_it_is() {
    let mut shop = Shop::new();
    let staging = shop.another_namespace();
    let (production, context) = (shop.namespace.clone(), ControlPlane::CONTEXT);
    let target = |namespace: &str| {
        format!("target: {{ kubernetes: {{ context: {context}, namespace: {namespace} }} }}")
    };
    shop.project.write(
        "belay.yaml",
        &format!(
            "service: shop\nrelease: {{ manifests: ./k8s }}\nconfig: {{ LEVEL: debug }}\nenvironments:\n  staging:\n    {}\n    \
             keep: {{ bake: 0s }}\n  production:\n    from: staging\n    config: {{ LEVEL: warn }}\n    {}\n    keep: {{ bake: 0s }}\n",
            target(&staging),
            target(&production)
        ),
    );
    let refused = shop.project.json(6, &["deploy", "-e", "production"]);
    assert!(refused.to_string().contains("E0242"), "{refused:#}");
    shop.project
        .json(0, &["deploy", "-e", "staging", "--image", "shop/api:5"]);
    // What lies in the folder by now is not what goes on.
    shop.edit("k8s/api.yaml", "shop/api:1", "shop/api:9");
    let promoted = shop.project.json(0, &["promote", "staging", "production"]);
    assert_eq!(promoted["deployment"]["release"], 1, "{promoted:#}");
    let here = |shop: &Shop| {
        let level = shop.given("configmap", "configMapRef")["LEVEL"].clone();
        (shop.image(), level)
    };
    assert_eq!(here(&shop), ("shop/api:5".to_owned(), json!("warn")));
    shop.namespace = staging;
    assert_eq!(here(&shop), ("shop/api:5".to_owned(), json!("debug")));
}
