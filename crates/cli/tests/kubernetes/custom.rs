//! Objects of kinds that are not the server's own, among the manifests: what it fills in in their lists is nobody's change, and
//! what a release says there goes with it.

use crate::shop::Shop;
use serde_json::{Value, json};

impl Shop {
    /// What a release says of its route.
    fn writes_route(&self, rules: &Value) {
        let spec = json!({ "parentRefs": [{ "name": "web" }], "rules": rules });
        let route = json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": "api" }, "spec": spec });
        self.project.write("k8s/route.yaml", &route.to_string());
    }

    fn rules(&self) -> Value {
        self.get(&["httproute", "api"])["spec"]["rules"].take()
    }
}

/// Each of them is the first, and one that would be filled in; all but the first have to be taken out again.
fn releases() -> [Value; 4] {
    let backend = json!({ "name": "api", "port": 8080 });
    let at = |value: &str| json!({ "path": { "value": value } });
    [
        json!([{ "backendRefs": [backend], "matches": [at("/shop")] }]),
        // A weight that is not filled in.
        json!([{ "backendRefs": [{ "name": "api", "port": 8080, "weight": 7 }], "matches": [at("/shop")] }]),
        // An item that is like what is filled in where there is none.
        json!([{ "backendRefs": [backend], "matches": [at("/shop"), at("/")] }]),
        // A rule that says nothing but where to.
        json!([{ "backendRefs": [backend], "matches": [at("/shop")] }, { "backendRefs": [backend] }]),
    ]
}

#[test]
fn what_a_release_says_in_a_list_goes_with_it() {
    let shop = Shop::new();
    shop.routes();
    let [first, others @ ..] = releases();
    shop.writes_route(&first);
    shop.project.json(0, &["deploy"]);
    let before = shop.rules();
    assert_eq!(before[0]["backendRefs"][0]["weight"], 1, "it is filled in");
    for (number, rules) in (2..).zip(others) {
        shop.writes_route(&rules);
        let image = format!("shop/api:{number}");
        shop.project.json(0, &["deploy", "--image", &image]);
        assert_ne!(shop.rules(), before);
        shop.project.json(0, &["rollback", "--yes", "--to", "1"]);
        assert_eq!(
            (shop.rules(), shop.image()),
            (before.clone(), "shop/api:1".to_owned())
        );
    }
}

#[test]
fn what_somebody_else_says_in_a_list_is_seen() {
    let shop = Shop::new();
    shop.routes();
    let [first, ..] = releases();
    shop.writes_route(&first);
    shop.project.json(0, &["deploy"]);
    let theirs = r#"[{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 7}]"#;
    shop.kubectl(&["patch", "httproute", "api", "--type=json", "-p", theirs]);
    let failed = shop.project.json(5, &["deploy", "--image", "shop/api:2"]);
    assert!(failed.to_string().contains("weight"), "{failed:#}");
    assert_eq!(shop.image(), "shop/api:1");
}
