//! `verify:` where releases take each other's place: what the pods behind the Service answer, through the API server.

use crate::shop::Shop;
use serde_json::Value;

impl Shop {
    /// With these checks.
    fn verifying(checks: &str) -> Self {
        let shop = Self::new();
        shop.configure("info", &format!("    verify: [{checks}]\n"));
        shop
    }
}

/// What a deployment's document says of the checks of its last verification.
fn words(document: &Value) -> String {
    document.to_string()
}

#[test]
fn a_live_check_asks_each_pod_behind_the_service() {
    let shop = Shop::verifying("{ http: /health, at: live, json: { release: \"shop/api:1\" } }");
    shop.project.json(0, &["deploy"]);
    let shown = shop.project.json(0, &["watch"]);
    assert!(
        words(&shown).contains("`http /health` passed on all 2 instances"),
        "{shown:#}"
    );
    // Another one answers, and it is not what was asked for.
    let bad = shop.project.json(3, &["deploy", "--image", "shop/api:2"]);
    let words = words(&bad);
    assert!(words.contains("behind service/api"), "{bad:#}");
    assert!(words.contains("`release` is"), "{bad:#}");
    assert_eq!(shop.image(), "shop/api:1");
}

#[test]
fn a_release_that_answers_badly_goes_back_by_itself() {
    let shop = Shop::verifying("{ http: /health, at: live }");
    shop.project.json(0, &["deploy"]);
    let bad = shop
        .project
        .json(3, &["deploy", "--image", "shop/api:2-sick"]);
    let said = "it answered with status 503 instead of 200";
    assert!(words(&bad).contains(said), "{bad:#}");
    assert_eq!(shop.image(), "shop/api:1");
}

#[test]
fn ports_and_commands_are_asked_through_the_api_server() {
    let command = r#"sh -c \"curl -sf http://$BELAY_ADDRESS/health | grep -q shop/api:1\""#;
    let shop = Shop::verifying(&format!(
        "{{ tcp: true, at: live }}, {{ command: \"{command}\", at: live }}"
    ));
    shop.project.json(0, &["deploy"]);
    let bad = shop.project.json(3, &["deploy", "--image", "shop/api:2"]);
    assert!(words(&bad).contains("it ended with exit code 1"), "{bad:#}");
    // What a pod says is its port, and is not.
    shop.edit(
        "k8s/api.yaml",
        "ports: [{ port: 8080 }]",
        "ports: [{ port: 8080, targetPort: 9 }]",
    );
    let bad = shop.project.json(3, &["deploy"]);
    assert!(words(&bad).contains("it accepts no connections"), "{bad:#}");
}

#[test]
fn a_check_that_nobody_could_ask_is_refused_before_anything_is_changed() {
    let shop = Shop::verifying("{ http: /health }");
    let refused = |code: &str, words: &str| {
        let said = shop.project.json(2, &["deploy"]).to_string();
        assert!(said.contains(code) && said.contains(words), "{said}");
        assert_eq!(shop.get(&["deployments"])["items"], serde_json::json!([]));
    };
    refused(
        "E0114",
        "a check at `staged` asks a release that no user reaches yet",
    );
    shop.configure("info", "    verify: [{ http: /health, at: live }]\n");
    shop.edit(
        "k8s/api.yaml",
        "selector: { app: api }, ports",
        "selector: { app: web }, ports",
    );
    refused("E0346", "deployment/api");
    shop.edit(
        "k8s/api.yaml",
        "selector: { app: web }, ports",
        "selector: { app: api }, ports",
    );
    let second = "{ apiVersion: v1, kind: Service, metadata: { name: web }, spec: { selector: { app: api }, ports: [{ port: 81 }] } }";
    shop.project.write("k8s/second.yaml", second);
    refused("E0347", "api and web");
    let target = format!("namespace: {}", shop.namespace);
    shop.edit("belay.yaml", &target, &format!("{target}, service: api"));
    shop.project.json(0, &["deploy"]);
}
