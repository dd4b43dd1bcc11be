//! A Helm release, end to end: the chart is the release.

use crate::shop::{Shop, encoded};
use belay_testbed::{ControlPlane, Helm};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

const CHART: &str = r"apiVersion: apps/v1
kind: Deployment
metadata: { name: api }
spec:
  replicas: {{ .Values.count }}
  selector: { matchLabels: { app: api } }
  template:
    metadata: { labels: { app: api } }
    spec:
      containers:
      - name: api
        image: '{{ .Values.image.repository }}:{{ .Values.image.tag }}'
        envFrom: [{ secretRef: { name: api } }, { configMapRef: { name: api } }]
---
{ apiVersion: v1, kind: Secret, metadata: { name: api }, stringData: { KEY: {{ .Values.key | quote }} } }
---
{ apiVersion: v1, kind: ConfigMap, metadata: { name: api }, data: { LEVEL: {{ .Values.log.level | quote }} } }
";

pub(crate) fn shop(version: Helm) -> Shop {
    let mut shop = Shop::new();
    let program = version.program().expect("helm");
    let programs = program.parent().unwrap_or(Path::new("/"));
    let path = shop.project.env.iter_mut().find(|(name, _)| name == "PATH");
    let (_, path) = path.expect("a PATH");
    *path = format!("{}:{path}", programs.display());
    let write = |file: &str, text: &str| shop.project.write(file, text);
    write(
        "chart/Chart.yaml",
        "{ apiVersion: v2, name: shop, version: 1.2.3, appVersion: '7' }",
    );
    write(
        "chart/values.yaml",
        "count: 1\nimage: { repository: shop/api, tag: none }\n",
    );
    write("chart/templates/all.yaml", CHART);
    write("values.yaml", "log: { level: none }\n");
    write("production.yaml", "count: 3\n");
    let (namespace, context) = (&shop.namespace, ControlPlane::CONTEXT);
    write(
        "belay.yaml",
        &format!(
            "service: shop\nrelease:\n  chart: ./chart\n  values: [values.yaml]\n  image: shop/api:1\n  values_from:\n    \
             image.repository: image.repository\n    image.tag: image.tag\n    log.level: config.LEVEL\n    key: secrets.KEY\n\
             config: {{ LEVEL: info }}\nsecrets: {{ KEY: \"env:KEY\" }}\nenvironments:\n  test:\n    target:\n      helm:\n        \
             context: {context}\n        namespace: {namespace}\n        values: [production.yaml]\n        set: {{ count: 2 }}\n    \
             keep: {{ bake: 0s }}\n"
        ),
    );
    shop
}

impl Shop {
    /// The helm of the shop.
    pub(crate) fn helm(&self, arguments: &[&str]) -> Command {
        let mut helm = Command::new("helm");
        helm.args(arguments)
            .args(["--namespace", &self.namespace])
            .envs(self.project.env.iter().cloned())
            .env("KUBECONFIG", self.admin())
            .current_dir(self.project.path())
            .stdin(Stdio::null());
        helm
    }

    /// What helm knows of its revisions, oldest first.
    pub(crate) fn releases(&self) -> Vec<Value> {
        let done = self.helm(&["history", "shop", "-o", "json"]).output();
        let done = done.expect("helm");
        serde_json::from_slice(&done.stdout).expect("JSON")
    }

    /// Of both: a ConfigMap and a Secret.
    pub(crate) fn both(&self) -> (Value, Value) {
        (
            self.given("configmap", "configMapRef"),
            self.given("secret", "secretRef"),
        )
    }
}

#[test]
fn a_chart_goes_out_and_back() {
    let shop = shop(Helm::V3);
    let belay = |exit, arguments: &[&str]| shop.project.json(exit, arguments);
    let plan = belay(0, &["plan"]).to_string();
    let words = "helm install shop with shop-1.2.3: configmap/api, deployment.apps/api, secret/api";
    assert!(plan.contains(words), "{plan}");
    belay(0, &["deploy"]);
    assert_eq!(shop.image(), "shop/api:1");
    assert_eq!(shop.get(&["deployment", "api"])["spec"]["replicas"], 2);
    let given = |shop: &Shop| {
        (
            shop.given("configmap", "configMapRef"),
            shop.given("secret", "secretRef"),
        )
    };
    let first = given(&shop);
    assert_eq!(
        first,
        (json!({ "LEVEL": "info" }), json!({ "KEY": encoded() }))
    );
    assert_eq!(
        belay(0, &["deploy"])["deployment"],
        json!(null),
        "nothing to do"
    );

    belay(0, &["deploy", "--image", "shop/api:2"]);
    assert_eq!(shop.image(), "shop/api:2");
    // It cannot be pulled: what was there serves again, and nobody had to say so.
    let bad = belay(3, &["deploy", "--image", "shop/bad:3"]);
    assert!(bad.to_string().contains("pull"), "{bad:#}");
    assert_eq!(shop.image(), "shop/api:2");

    shop.edit("belay.yaml", "LEVEL: info", "LEVEL: warn");
    belay(0, &["deploy", "--image", "shop/api:2"]);
    assert_eq!(given(&shop).0, json!({ "LEVEL": "warn" }));
    let ready = belay(0, &["ready"]).to_string();
    assert!(ready.contains("release 2"), "{ready}");
    belay(0, &["rollback", "--yes"]);
    assert_eq!(given(&shop), first);
    assert_eq!(shop.image(), "shop/api:2");
    belay(0, &["rollback", "--to", "1", "--yes"]);
    assert_eq!(shop.image(), "shop/api:1");
    shop.keeps_no_secret();
}

#[test]
fn what_does_not_fit_a_chart_is_refused() {
    let shop = shop(Helm::V4);
    let refused = |code: &str, words: &str, arguments: &[&str]| {
        let said = shop.project.json(2, arguments).to_string();
        assert!(said.contains(code) && said.contains(words), "{said}");
    };
    refused(
        "E0355",
        "nothing in `values_from` takes it",
        &["deploy", "--image", "web=shop/web:1"],
    );
    shop.edit("belay.yaml", "    key: secrets.KEY\n", "");
    refused("E0114", "takes this secret to the chart", &["deploy"]);
    shop.edit(
        "belay.yaml",
        "    log.level: config.LEVEL\n",
        "    log.level: config.LEVEL\n    key: secrets.KEY\n",
    );
    shop.edit(
        "chart/templates/all.yaml",
        "kind: ConfigMap, metadata: { name: api }, data: { ",
        "kind: ConfigMap, metadata: { name: api }, data: { IT: {{ .Values.key }}, ",
    );
    refused("E0356", "configmap/api", &["deploy"]);
    shop.edit(
        "chart/templates/all.yaml",
        "{{ .Values.count }}",
        "{{ .Values.count ",
    );
    refused("E0354", "parse error", &["deploy"]);
    let path = shop.project.env.iter().find(|(name, _)| name == "PATH");
    let path = path.expect("a PATH").1.clone();
    let (_, without) = path.split_once(':').expect("several");
    let mut shop = shop;
    for (name, value) in &mut shop.project.env {
        if name == "PATH" {
            without.clone_into(value);
        }
    }
    let said = shop.project.json(2, &["deploy"]).to_string();
    assert!(said.contains("E0353"), "{said}");
}
