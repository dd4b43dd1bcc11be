//! What becomes of manifests, and which are refused.

use super::{
    Error, Images, Laid, MAX_BYTES, Manifest, Overlay, from_list, lay_out, read, replace, to_list,
};
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const API: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: api }
spec:
  template:
    spec:
      initContainers: [{ name: migrate, image: shop/migrate:1 }]
      containers: [{ name: api, image: shop/api:1, env: [{ name: LEVEL, value: debug }, { name: OWN, value: 'yes' }] }]
";

fn web() -> String {
    API.replace("name: api", "name: web")
        .replace("shop/api", "shop/web")
}

fn manifest(text: &str) -> Manifest {
    Manifest {
        file: "k8s/all.yaml".to_owned(),
        text: text.to_owned(),
    }
}

fn release(text: &str) -> Result<Vec<Value>, Error> {
    read(&[manifest(text)])
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    owned.collect()
}

fn overlay() -> Overlay {
    Overlay {
        service: "shop".to_owned(),
        namespace: "prod".to_owned(),
        ..Overlay::default()
    }
}

fn laid(text: &str, overlay: &Overlay) -> Laid {
    lay_out(&release(text).expect("a release"), overlay, MAX_BYTES).expect("laid out")
}

/// What is said, and what to do about it.
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, expect: Expect) {
    let error = result.expect_err("refused");
    expect.assert_eq(&format!("{error}\n-> {}", error.next()));
}

#[test]
fn documents_lists_and_nothing_at_all() {
    let text = format!(
        "---\n# nothing\n---{API}---\napiVersion: v1\nkind: ConfigMapList\nitems:\n- {{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: a }} }}\n\
         - apiVersion: v1\n  kind: List\n  items: [{{ apiVersion: v1, kind: Service, metadata: {{ name: api }} }}]\n"
    );
    let objects = release(&text).expect("a release");
    let kinds: Vec<_> = objects.iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["Deployment", "ConfigMap", "Service"]);
    assert_eq!(from_list(&to_list(&objects)), Some(objects));
    assert_eq!(from_list("{}"), None);
}

#[test]
fn what_the_server_wrote_is_left_out() {
    let text = API.replace(
        "{ name: api }\nspec",
        "{ name: api, uid: x, resourceVersion: '3', generation: 2, creationTimestamp: null, managedFields: [], labels: { a: b }, \
         annotations: { kubectl.kubernetes.io/last-applied-configuration: '{}', kept: 'yes' } }\nstatus: { replicas: 3 }\nspec",
    );
    let objects = release(&text).expect("a release");
    assert_eq!(
        objects[0]["metadata"],
        json!({ "name": "api", "labels": { "a": "b" }, "annotations": { "kept": "yes" } })
    );
    assert_eq!(objects[0].get("status"), None);
}

#[test]
fn modes_are_octal_as_kubectl_has_them() {
    let text = format!("{API}      volumes: [{{ name: v, emptyDir: {{}}, mode: 0644 }}]\n");
    let objects = release(&text).expect("a release");
    let mode = &objects[0]["spec"]["template"]["spec"]["volumes"][0]["mode"];
    assert_eq!(*mode, 0o644);
}

#[test]
fn what_is_no_release() {
    let with = |more: &str| release(&format!("{API}---\n{more}"));
    refused(
        release("a: [\n"),
        expect![[r#"
            read k8s/all.yaml: error: line 1 column 4: unclosed bracket '['
             --> <input>:1:4
              |
            1 | a: [
              |    ^ unclosed bracket '['
            -> correct it; `kubectl apply --dry-run=client -f FILE` reads it, too"#]],
    );
    refused(
        with("kind: Service\nmetadata: { name: a }"),
        expect![[r#"
        read k8s/all.yaml: document 2 has no apiVersion
        -> correct it; `kubectl apply --dry-run=client -f FILE` reads it, too"#]],
    );
    refused(
        with("just text"),
        expect![[r#"
        read k8s/all.yaml: document 2 is no object
        -> correct it; `kubectl apply --dry-run=client -f FILE` reads it, too"#]],
    );
    refused(
        with("apiVersion: v1\nkind: ConfigMap\nmetadata: { generateName: a- }"),
        expect![[r#"
            read k8s/all.yaml: document 2 gets its name from the server (generateName), and nobody could find it again
            -> correct it; `kubectl apply --dry-run=client -f FILE` reads it, too"#]],
    );
    refused(
        release("# nothing"),
        expect![[r#"
        make a release of the manifests: there is no object in them
        -> see that `release.manifests` names the right place"#]],
    );
    refused(
        release("apiVersion: v1\nkind: Service\nmetadata: { name: a }"),
        expect![[r#"
            make a release of the manifests: there is no Deployment, StatefulSet or DaemonSet in them
            -> see that `release.manifests` names the right place"#]],
    );
    refused(
        with(API),
        expect![[r#"
        make a release of the manifests: deployment/api is in them twice, in k8s/all.yaml and in k8s/all.yaml
        -> remove one of the two"#]],
    );
    refused(
        with("apiVersion: v1\nkind: Secret\nmetadata: { name: db }\nstringData: { p: x }"),
        expect![[r#"
            make a release of the manifests: secret/db has values in it, and would be kept in clear
            -> name its values under `secrets:` in belay.yaml, or make it in the cluster and only refer to it"#]],
    );
    refused(
        with("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: { name: disk }"),
        expect![[r#"
            make a release of the manifests: going back could remove persistentvolumeclaim/disk, and what is kept in it
            -> take it out of the manifests, and make it once with `kubectl apply`"#]],
    );
    // Nobody's value: the cluster fills it.
    with("apiVersion: v1\nkind: Secret\nmetadata: { name: token }\ntype: kubernetes.io/service-account-token")
        .expect("a release");
    // Another API's object of the same kind and name is another one.
    with("apiVersion: other.io/v1\nkind: Deployment\nmetadata: { name: api }").expect("a release");
}

#[test]
fn images() {
    let images = |only: Option<&str>, named: &[(&str, &str)]| Images {
        only: only.map(str::to_owned),
        named: map(named),
    };
    let with = |text: &str, images: &Images| {
        let mut objects = release(text)?;
        replace(&mut objects, images)?;
        let pods = objects.iter().map(|it| &it["spec"]["template"]["spec"]);
        let of = |list: &Value| {
            let list = list.as_array().into_iter().flatten();
            list.map(|it| it["image"].clone()).collect::<Vec<_>>()
        };
        let all = pods.flat_map(|pod| [of(&pod["initContainers"]), of(&pod["containers"])]);
        Ok(all.flatten().collect::<Vec<_>>())
    };
    let two = format!("{API}---{}", web().replace("migrate", "warm"));
    let only = with(API, &images(Some("shop/api:2"), &[]));
    assert_eq!(only, Ok(vec![json!("shop/migrate:1"), json!("shop/api:2")]));
    let named = with(&two, &images(None, &[("web", "w:2"), ("migrate", "m:2")]));
    assert_eq!(
        named,
        Ok(["m:2", "shop/api:1", "shop/warm:1", "w:2"]
            .map(|it| json!(it))
            .to_vec())
    );
    refused(
        with(&two, &images(Some("x"), &[])),
        expect![[r#"
        give the container another image: there are several
        -> name it, as `--image api=IMAGE` or under `images:`; there are: api, web"#]],
    );
    refused(
        with(API, &images(None, &[("ap", "x")])),
        expect![[r#"
        give container ap another image: no workload has one of that name
        -> there are: api, migrate"#]],
    );
}

#[test]
fn names_change_with_the_content_and_wherever_they_are_used() {
    let text = format!(
        "{API}      volumes:
      - {{ name: a, configMap: {{ name: files }} }}
      - {{ name: b, projected: {{ sources: [{{ configMap: {{ name: files }} }}, {{ secret: {{ name: token }} }}] }} }}
      - {{ name: c, secret: {{ secretName: token }} }}
      imagePullSecrets: [{{ name: files }}]
---
{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: files }}, data: {{ a: b }} }}
---
{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: read-by-name }}, data: {{ a: b }} }}
---
{{ apiVersion: v1, kind: Secret, metadata: {{ name: token }} }}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{ name: nightly }}
spec:
  jobTemplate: {{ spec: {{ template: {{ spec: {{ containers: [{{ name: n, image: i, envFrom: [{{ configMapRef: {{ name: files }} }}],
    env: [{{ name: A, valueFrom: {{ configMapKeyRef: {{ name: files, key: a }} }} }}] }}] }} }} }} }}
"
    );
    let names = |text: &str| {
        let laid = laid(text, &overlay());
        let text = json!(laid.objects).to_string();
        let hashed = text.split('"').filter(|it| it.starts_with("files"));
        hashed.map(str::to_owned).collect::<Vec<_>>()
    };
    let found = names(&text);
    expect![[r#"
        [
            "files",
            "files-32dd891d",
            "files-32dd891d",
            "files-32dd891d",
            "files-32dd891d",
            "files-32dd891d",
        ]
    "#]]
    .assert_debug_eq(&found);
    // The order of keys is no content, and what is said elsewhere is none of its.
    let other = text.replace(
        "metadata: { name: files }, data: { a: b }",
        "data: { a: b }, metadata: { name: files }",
    );
    assert_ne!(other, text);
    assert_eq!(names(&other.replace("shop/api:1", "shop/api:2")), found);
    let changed = names(&text.replace(
        "name: files }, data: { a: b }",
        "name: files }, data: { a: c }",
    ));
    assert_ne!(changed, found);
    let untouched = laid(&text, &overlay()).objects;
    let is_there = |name: &str| untouched.iter().any(|it| it["metadata"]["name"] == name);
    assert!(is_there("read-by-name") && is_there("token"));
}

#[test]
fn settings_and_secrets_become_variables_of_every_container() {
    let with = Overlay {
        config: map(&[("LEVEL", "info"), ("PORT", "80")]),
        secrets: map(&[("KEY", &"ab".repeat(32))]),
        ..overlay()
    };
    let Laid {
        objects, workloads, ..
    } = laid(API, &with);
    assert_eq!(workloads, ["deployment/api"]);
    expect![[r#"
        [
          {
            "apiVersion": "v1",
            "data": {
              "LEVEL": "info",
              "PORT": "80"
            },
            "kind": "ConfigMap",
            "metadata": {
              "name": "shop-config-e11efd41"
            }
          },
          {
            "apiVersion": "v1",
            "data": {
              "KEY": "hmac:abababababababababababababababab"
            },
            "kind": "Secret",
            "metadata": {
              "name": "shop-secrets-9f2091ee"
            }
          },
          {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
              "name": "api"
            },
            "spec": {
              "template": {
                "spec": {
                  "containers": [
                    {
                      "env": [
                        {
                          "name": "OWN",
                          "value": "yes"
                        }
                      ],
                      "envFrom": [
                        {
                          "configMapRef": {
                            "name": "shop-config-e11efd41"
                          }
                        },
                        {
                          "secretRef": {
                            "name": "shop-secrets-9f2091ee"
                          }
                        }
                      ],
                      "image": "shop/api:1",
                      "name": "api"
                    }
                  ],
                  "initContainers": [
                    {
                      "envFrom": [
                        {
                          "configMapRef": {
                            "name": "shop-config-e11efd41"
                          }
                        },
                        {
                          "secretRef": {
                            "name": "shop-secrets-9f2091ee"
                          }
                        }
                      ],
                      "image": "shop/migrate:1",
                      "name": "migrate"
                    }
                  ]
                }
              }
            }
          }
        ]"#]]
    .assert_eq(&format!("{:#}", json!(objects)));
    let plain = laid(API, &overlay()).objects;
    assert_eq!(
        plain,
        release(API).expect("a release"),
        "nothing is given, nothing is changed"
    );
    let other = Overlay {
        secrets: map(&[("KEY", &"cd".repeat(32))]),
        ..with.clone()
    };
    let name = |laid: &Laid| laid.objects[1]["metadata"]["name"].clone();
    assert_ne!(name(&laid(API, &other)), name(&laid(API, &with)));
    let unfit = Overlay {
        config: map(&[("A B", "1")]),
        ..overlay()
    };
    refused(
        lay_out(&plain, &unfit, MAX_BYTES),
        expect![[r#"
        make an environment variable of `A B`: only letters, digits, `-`, `_` and `.` can be in its name on Kubernetes
        -> call it otherwise"#]],
    );
}

#[test]
fn every_workload_has_its_turn() {
    let two = format!("{API}---{}", web().replace("Deployment", "StatefulSet"));
    let objects = release(&two).expect("a release");
    let order = |names: &[&str]| {
        let workloads = names.iter().map(|name| (*name).to_owned()).collect();
        let overlay = Overlay {
            workloads,
            ..overlay()
        };
        lay_out(&objects, &overlay, MAX_BYTES).map(|laid| laid.workloads)
    };
    let written = order(&[]).expect("in order");
    assert_eq!(written, ["deployment/api", "statefulset/web"]);
    let turned = ["statefulset/web", "deployment/api"];
    assert_eq!(order(&turned).expect("in order"), turned);
    refused(
        order(&["deployment/web"]),
        expect![[r#"
        find deployment/web in the manifests
        -> there are: deployment/api, statefulset/web"#]],
    );
    refused(
        order(&["deployment/api"]),
        expect![[r#"
        put the manifests in order: statefulset/web is in them, and not in `workloads`
        -> add `statefulset/web` to `workloads`, where it has its turn"#]],
    );
}

#[test]
fn the_target_says_the_namespace() {
    let in_namespace = |name: &str| {
        let text = API.replace(
            "{ name: api }\n",
            &format!("{{ name: api, namespace: {name} }}\n"),
        );
        lay_out(&release(&text).expect("a release"), &overlay(), MAX_BYTES)
    };
    let home = in_namespace("prod").expect("laid out");
    assert_eq!(home.objects[0]["metadata"], json!({ "name": "api" }));
    refused(
        in_namespace("staging"),
        expect![[r#"
        put the manifests into the namespace prod: deployment/api says the namespace staging
        -> leave `namespace` out of the manifests: the target says it"#]],
    );
}

#[test]
fn what_is_too_large_for_a_record() {
    let large = format!(
        "{API}---\n{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: large }}, data: {{ a: {} }} }}",
        "x".repeat(MAX_BYTES)
    );
    refused(
        lay_out(&release(&large).expect("a release"), &overlay(), MAX_BYTES),
        expect![[r#"
            keep the objects of the release: they are 82290 bytes, and a record holds 81920
            -> move large files out of ConfigMaps: into the image, or into a volume"#]],
    );
}
