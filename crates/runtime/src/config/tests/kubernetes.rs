//! Targets on Kubernetes, and releases that are manifests.

use belay_model::config::{ReleaseKind, Strategy};
use expect_test::expect;

use super::{check, good};

/// A configuration for a cluster; `k8s` is a file that is there.
fn with(release: &str, kubernetes: &str, more: &str) -> String {
    format!(
        "service: shop\nrelease: {{ {release} }}\nenvironments:\n  production:\n    target: {{ kubernetes: {{ {kubernetes} }} }}\n{more}"
    )
}

const MANIFESTS: &str = "manifests: ./dist";
const CLUSTER: &str = "context: prod, namespace: shop";

#[test]
fn what_is_written_for_a_cluster() {
    let text = with(
        "manifests: ./dist, images: { api: api:1 }",
        "context: prod, namespace: shop, kubeconfig: ./config, workloads: [deployment/api, statefulset/db]",
        "    strategy: rolling\n",
    );
    check(&text, expect![[""]]);
    let config = good(&with(MANIFESTS, CLUSTER, "")).config;
    assert_eq!(
        config.environments["production"].strategy(),
        Strategy::Basic
    );
    assert!(matches!(
        config.release.kind(),
        Ok(ReleaseKind::Manifests(_))
    ));
}

#[test]
fn keys_and_names() {
    check(
        with(
            "manifest: ./dist, imags: {}",
            "contxt: prod, namspace: shop, workloads: [deploy/api, api, deployment/api, deployment/api]",
            "",
        ),
        expect![[r#"
            error[E0102]: unknown key `manifest`
              --> belay.yaml:2:12
               |
             2 | release: { manifest: ./dist, imags: {} }
               |            ^^^^^^^^ did you mean `manifests`?

            error[E0102]: unknown key `imags`
              --> belay.yaml:2:30
               |
             2 | release: { manifest: ./dist, imags: {} }
               |                              ^^^^^ did you mean `image`?

            error[E0102]: unknown key `contxt`
              --> belay.yaml:5:29
               |
             5 |     target: { kubernetes: { contxt: prod, namspace: shop, workloads: [deploy/api, api, deployment/api, deployment/api] } }
               |                             ^^^^^^ did you mean `context`?

            error[E0102]: unknown key `namspace`
              --> belay.yaml:5:43
               |
             5 |     target: { kubernetes: { contxt: prod, namspace: shop, workloads: [deploy/api, api, deployment/api, deployment/api] } }
               |                                           ^^^^^^^^ did you mean `namespace`?

            error[E0103]: `deploy` is no workload that is rolled out; there are `deployment`, `statefulset` and `daemonset`
              --> belay.yaml:5:71
               |
             5 |     target: { kubernetes: { contxt: prod, namspace: shop, workloads: [deploy/api, api, deployment/api, deployment/api] } }
               |                                                                       ^^^^^^^^^^

            error[E0103]: a workload is written as `deployment/NAME`, `statefulset/NAME` or `daemonset/NAME`
              --> belay.yaml:5:83
               |
             5 |     target: { kubernetes: { contxt: prod, namspace: shop, workloads: [deploy/api, api, deployment/api, deployment/api] } }
               |                                                                                   ^^^
        "#]],
    );
    check(
        with(MANIFESTS, "context: prod", ""),
        expect![[r#"
        error[E0104]: missing key `namespace` in `environments.production.target.kubernetes`
          --> belay.yaml:5:15
           |
         5 |     target: { kubernetes: { context: prod } }
           |               ^^^^^^^^^^ add `namespace:`
    "#]],
    );
    check(
        with(
            MANIFESTS,
            "context: '', namespace: My Shop, workloads: [deployment/api, deployment/api]",
            "",
        ),
        expect![[r#"
            error[E0103]: a context has a name
              --> belay.yaml:5:38
               |
             5 |     target: { kubernetes: { context: '', namespace: My Shop, workloads: [deployment/api, deployment/api] } }
               |                                      ^^ `kubectl config get-contexts` names them

            error[E0103]: a namespace's name is 1 to 63 characters of a-z, 0-9 and `-`
              --> belay.yaml:5:53
               |
             5 |     target: { kubernetes: { context: '', namespace: My Shop, workloads: [deployment/api, deployment/api] } }
               |                                                     ^^^^^^^ did you mean `my-shop`?

            error[E0114]: `deployment/api` has its turn already
              --> belay.yaml:5:90
               |
             5 |     target: { kubernetes: { context: '', namespace: My Shop, workloads: [deployment/api, deployment/api] } }
               |                                                                                          ^^^^^^^^^^^^^^
        "#]],
    );
}

#[test]
fn the_release_is_what_the_target_runs() {
    check(
        with("artifact: ./dist", CLUSTER, ""),
        expect![[r#"
        error[E0114]: on Kubernetes a release is manifests, and this one is an artifact
          --> belay.yaml:5:15
           |
         5 |     target: { kubernetes: { context: prod, namespace: shop } }
           |               ^^^^^^^^^^ write `release: { manifests: ./k8s }`
    "#]],
    );
    let process = with(MANIFESTS, "", "").replace("kubernetes: {  }", "process: { run: ./server }");
    check(
        process,
        expect![[r#"
        error[E0114]: processes run an artifact, and this release is manifests
          --> belay.yaml:5:15
           |
         5 |     target: { process: { run: ./server } }
           |               ^^^^^^^ write `release: { artifact: ./dist }`

        error[E0111]: there is no program `./server`: the release is manifests
          --> belay.yaml:5:31
           |
         5 |     target: { process: { run: ./server } }
           |                               ^^^^^^^^ name a program that is on the PATH
    "#]],
    );
    check(
        with("", CLUSTER, ""),
        expect![[r#"
        error[E0104]: `release` needs exactly one of `artifact` and `manifests`
          --> belay.yaml:2:1
           |
         2 | release: {  }
           | ^^^^^^^
    "#]],
    );
    check(
        with("artifact: ./dist, manifests: ./dist", CLUSTER, ""),
        expect![[r#"
            error[E0114]: `release` needs exactly one of `artifact` and `manifests`
              --> belay.yaml:2:1
               |
             2 | release: { artifact: ./dist, manifests: ./dist }
               | ^^^^^^^
        "#]],
    );
    check(
        with("artifact: ./dist, image: a:1", CLUSTER, ""),
        expect![[r#"
            error[E0114]: an image is that of a container in `manifests`
              --> belay.yaml:2:30
               |
             2 | release: { artifact: ./dist, image: a:1 }
               |                              ^^^^^
        "#]],
    );
    check(
        with("manifests: ./dits", CLUSTER, ""),
        expect![[r#"
        error[E0111]: there is no file or directory `dits`
          --> belay.yaml:2:23
           |
         2 | release: { manifests: ./dits }
           |                       ^^^^^^ did you mean `./dist`?
    "#]],
    );
}

#[test]
fn what_a_cluster_cannot_do_yet() {
    let environment = "    strategy: blue_green\n    hotfix: { strategy: { canary: [{ to: 10%, for: 1m }] } }\n    \
                       rollback: { capacity: proportional }\n    verify: [{ http: /health }]\n";
    check(
        with(MANIFESTS, CLUSTER, environment).replace(
            "environments:\n",
            "verify: [{ command: env }]\nenvironments:\n",
        ),
        expect![[r#"
            error[E0114]: checks ask an address, and Belay knows none of what runs on Kubernetes
              --> belay.yaml:3:1
               |
             3 | verify: [{ command: env }]
               | ^^^^^^ leave them out: that the pods are ready is the evidence

            error[E0110]: blue/green keeps the release before ready for a switch of the traffic, and on Kubernetes one release takes the place of the other
              --> belay.yaml:7:15
               |
             7 |     strategy: blue_green
               |               ^^^^^^^^^^ use `basic` or `rolling`

            error[E0110]: a canary needs a share of the traffic, and on Kubernetes one release takes the place of the other
              --> belay.yaml:8:27
               |
             8 |     hotfix: { strategy: { canary: [{ to: 10%, for: 1m }] } }
               |                           ^^^^^^ use `basic` or `rolling`

            error[E0114]: capacity in proportion needs a share of the traffic to move, and on Kubernetes one release takes the place of the other
              --> belay.yaml:9:27
               |
             9 |     rollback: { capacity: proportional }
               |                           ^^^^^^^^^^^^ use `full` or `ask`

            error[E0114]: checks ask an address, and Belay knows none of what runs on Kubernetes
               --> belay.yaml:10:5
                |
             10 |     verify: [{ http: /health }]
                |     ^^^^^^ leave them out: that the pods are ready is the evidence
        "#]],
    );
    let phases = "    phases:\n      - { name: first, after: [{ verify: [{ http: / }] }] }\n      - { name: all, share: 50%, before: [{ run: ./mail }] }\n";
    check(
        with(MANIFESTS, CLUSTER, phases),
        expect![[r#"
        error[E0114]: checks ask an address, and Belay knows none of what runs on Kubernetes
          --> belay.yaml:7:34
           |
         7 |       - { name: first, after: [{ verify: [{ http: / }] }] }
           |                                  ^^^^^^ leave them out: that the pods are ready is the evidence

        error[E0116]: a phase with `share` gives a part of the traffic, and on Kubernetes one release takes the place of the other
          --> belay.yaml:8:22
           |
         8 |       - { name: all, share: 50%, before: [{ run: ./mail }] }
           |                      ^^^^^

        error[E0116]: the share must grow: an earlier phase has 100% there already
          --> belay.yaml:8:29
           |
         8 |       - { name: all, share: 50%, before: [{ run: ./mail }] }
           |                             ^^^

        error[E0116]: the last phase on the target has to go all the way, not 50%
          --> belay.yaml:8:29
           |
         8 |       - { name: all, share: 50%, before: [{ run: ./mail }] }
           |                             ^^^ leave `share` out

        error[E0111]: there is no program `./mail`: the release is manifests
          --> belay.yaml:8:50
           |
         8 |       - { name: all, share: 50%, before: [{ run: ./mail }] }
           |                                                  ^^^^^^ name a program that is on the PATH
    "#]],
    );
}
