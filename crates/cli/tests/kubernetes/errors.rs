//! What is said when a release cannot go to a cluster. Nothing is there then.

use crate::shop::Shop;

impl Shop {
    /// Deploying is refused with this code, and words that help.
    fn refuses(&self, code: &str, words: &str) {
        let exit = if code == "E0213" { 8 } else { 2 };
        let verb = if code == "E0213" { "plan" } else { "deploy" };
        let said = self.project.json(exit, &[verb]).to_string();
        assert!(said.contains(code) && said.contains(words), "{said}");
        let there = self.get(&["deployments,configmaps,secrets"]);
        let there = there["items"].as_array().expect("a list");
        let ours = |it: &&serde_json::Value| it["metadata"]["name"] != "kube-root-ca.crt";
        assert_eq!(there.iter().filter(ours).count(), 0, "{there:?}");
    }
}

#[test]
fn a_cluster_that_is_not_there() {
    let mut shop = Shop::new();
    let kubeconfig = shop.project.env[0].1.clone();
    shop.project.env[0].1 = "/not/there".to_owned();
    shop.refuses("E0340", "/not/there");
    shop.project.env[0].1 = String::new();
    shop.project
        .env
        .push(("HOME".to_owned(), "/not/there".to_owned()));
    shop.refuses("E0340", "kubeconfig:");
    shop.project.env[0].1 = kubeconfig.clone();
    let file = std::fs::read_to_string(shop.project.path().join("belay.yaml")).expect("read");
    shop.project.write(
        "belay.yaml",
        &file.replace("context: test", "context: tset"),
    );
    shop.refuses("E0340", "did you mean `test`?");
    shop.project
        .write("belay.yaml", &file.replace("context: test, ", ""));
    shop.refuses("E0340", "there are: test");
    // Nobody listens there.
    let text = std::fs::read_to_string(kubeconfig).expect("read");
    let at = text.find("https://127.0.0.1:").expect("a server");
    let end = at + text[at..].find(['"', '\n']).expect("its end");
    shop.project
        .write("dead", &text.replace(&text[at..end], "https://127.0.0.1:1"));
    shop.project.write(
        "belay.yaml",
        &file.replace("context: test", "context: test, kubeconfig: ./dead"),
    );
    shop.refuses("E0213", "Connection refused");
    let talk = shop.project.belay(&["plan"]).stderr;
    let talk = String::from_utf8_lossy(&talk).into_owned();
    assert!(talk.starts_with("error[E0213]"), "it is told once: {talk}");
    // The worker finds out, too: nothing is changed, and that is said.
    let failed = shop.project.json(3, &["deploy"]).to_string();
    assert!(failed.contains("nothing was changed"), "{failed}");
}

#[test]
fn what_does_not_fit() {
    let shop = Shop::new();
    shop.configure("info", "    strategy: { canary: [{ to: 10%, for: 1m }] }\n");
    let target = format!("namespace: {}", shop.namespace);
    shop.edit("belay.yaml", &target, &format!("{target}, service: api"));
    shop.edit(
        "k8s/api.yaml",
        "selector: { app: api }, ports",
        "selector: { app: web }, ports",
    );
    shop.refuses("E0349", "service/api");
    shop.edit(
        "k8s/api.yaml",
        "selector: { app: web }, ports",
        "selector: { app: api }, ports",
    );
    shop.edit("k8s/api.yaml", "kind: Deployment", "kind: DaemonSet");
    shop.refuses("E0348", "daemonset/api");
    shop.edit("k8s/api.yaml", "kind: DaemonSet", "kind: Deployment");
    shop.configure("info", "");
    shop.project.write(
        "k8s/secret.yaml",
        "{ apiVersion: v1, kind: Secret, metadata: { name: db }, stringData: { p: x } }",
    );
    shop.refuses("E0342", "secret/db");
    shop.project
        .write("k8s/secret.yaml", "{ apiVersion: v1, kind: Secret");
    shop.refuses("E0341", "k8s/secret.yaml");
    let large = "x".repeat(90_000);
    shop.project.write(
        "k8s/secret.yaml",
        &format!("{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: large }}, data: {{ a: {large} }} }}"),
    );
    shop.refuses("E0343", "bytes");
    let image = shop
        .project
        .json(2, &["deploy", "--artifact", "k8s"])
        .to_string();
    assert!(image.contains("E0344"), "{image}");
}
