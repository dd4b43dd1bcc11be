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
    let shown = shop.project.json(0, &["deploy"]);
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
    // Where the Service leads nobody listens.
    shop.configure("info", "    verify: [{ tcp: true, at: live }]\n");
    let port = "ports: [{ port: 8080 }]";
    shop.edit(
        "k8s/api.yaml",
        port,
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

#[test]
fn probes_are_offered_where_there_are_none() {
    let shop = Shop::new();
    let offered = shop.project.json(0, &["check"]);
    let offer = &offered["unprobed"][0];
    assert_eq!(offer["workload"], "deployment/api", "{offered:#}");
    let template = offer["template"].as_str().expect("YAML").to_owned();
    // Pasted below the container it is what the cluster takes, and nothing is offered any more.
    let indented: Vec<String> = template
        .lines()
        .map(|line| format!("          {line}"))
        .collect();
    shop.edit(
        "k8s/api.yaml",
        "      containers: [{ name: api, image: shop/api:1, ports: [{ containerPort: 8080 }], volumeMounts: [{ name: files, mountPath: /files }] }]\n",
        &format!("      containers:\n        - name: api\n          image: shop/api:1\n{}\n", indented.join("\n")),
    );
    assert_eq!(
        shop.project.json(0, &["check"])["unprobed"],
        serde_json::json!([])
    );
    shop.edit(
        "k8s/api.yaml",
        "      volumes: [{ name: files, configMap: { name: files } }]\n",
        "",
    );
    shop.project.json(0, &["deploy"]);
    let api = shop.get(&["deployment", "api"]);
    let probe = &api["spec"]["template"]["spec"]["containers"][0]["livenessProbe"];
    assert_eq!(
        (&probe["initialDelaySeconds"], &probe["periodSeconds"]),
        (&30.into(), &10.into())
    );
}
