//! Targets on Kubernetes, and releases that are manifests.

use belay_model::config::{ReleaseKind, Strategy, Target};
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
            error[E0114]: processes run an artifact, and this release is one for Kubernetes
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
            error[E0104]: `release` needs exactly one of `artifact`, `manifests`, `running` and `chart`
              --> belay.yaml:2:1
               |
             2 | release: {  }
               | ^^^^^^^
        "#]],
    );
    check(
        with("artifact: ./dist, manifests: ./dist", CLUSTER, ""),
        expect![[r#"
            error[E0114]: `release` needs exactly one of `artifact`, `manifests`, `running` and `chart`
              --> belay.yaml:2:1
               |
             2 | release: { artifact: ./dist, manifests: ./dist }
               | ^^^^^^^
        "#]],
    );
    check(
        with("artifact: ./dist, image: a:1", CLUSTER, ""),
        expect![[r#"
            error[E0114]: an image is that of a container in `manifests` or of what is `running`, or goes into the values of a `chart`
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
fn what_a_strategy_says_of_the_target() {
    let beside =
        "context: prod, namespace: shop, service: api, preview: api-preview, route: httproute/api";
    let canary = "    strategy: { canary: [{ to: 10%, for: 1m }] }\n    rollback: { capacity: proportional }\n    verify: [{ http: / }]\n";
    check(with(MANIFESTS, beside, canary), expect![[""]]);
    let several = "context: prod, namespace: shop, service: [api, web]";
    let config = good(&with(MANIFESTS, several, "    strategy: blue_green\n")).config;
    let Some(Target::Kubernetes(target)) = &config.environments["production"].target else {
        panic!("a cluster");
    };
    assert_eq!(target.service.0, ["api", "web"]);
    // One takes the place of the other.
    let rolling = "    strategy: rolling\n    rollback: { capacity: proportional }\n";
    check(
        with(MANIFESTS, beside, rolling),
        expect![[r#"
        error[E0114]: `preview` tells two releases apart, and with `rolling` one takes the place of the other
          --> belay.yaml:5:75
           |
         5 |     target: { kubernetes: { context: prod, namespace: shop, service: api, preview: api-preview, route: httproute/api } }
           |                                                                           ^^^^^^^ use `blue_green` or `canary`, or leave it out

        error[E0114]: `route` tells two releases apart, and with `rolling` one takes the place of the other
          --> belay.yaml:5:97
           |
         5 |     target: { kubernetes: { context: prod, namespace: shop, service: api, preview: api-preview, route: httproute/api } }
           |                                                                                                 ^^^^^ use `blue_green` or `canary`, or leave it out

        error[E0114]: capacity in proportion needs a share of the traffic to move, and with `rolling` one release takes the place of the other
          --> belay.yaml:7:27
           |
         7 |     rollback: { capacity: proportional }
           |                           ^^^^^^^^^^^^ use `full` or `ask`
    "#]],
    );
    let workloads = "context: prod, namespace: shop, workloads: [deployment/api, statefulset/db, daemonset/agent]";
    check(
        with(
            MANIFESTS,
            workloads,
            "    hotfix: { strategy: blue_green }\n",
        ),
        expect![[r#"
            error[E0110]: `statefulset/db` cannot stand beside the one before: its pods have names and volumes that there is one of each
              --> belay.yaml:5:89
               |
             5 |     target: { kubernetes: { context: prod, namespace: shop, workloads: [deployment/api, statefulset/db, daemonset/agent] } }
               |                                                                                         ^^^^^^^^^^^^^^ use `rolling`, or a target of its own

            error[E0110]: `daemonset/agent` cannot stand beside the one before: there is one pod of it on each node
              --> belay.yaml:5:105
               |
             5 |     target: { kubernetes: { context: prod, namespace: shop, workloads: [deployment/api, statefulset/db, daemonset/agent] } }
               |                                                                                                         ^^^^^^^^^^^^^^^ use `rolling`, or a target of its own
        "#]],
    );
    let names =
        "context: prod, namespace: shop, service: service/api, preview: Web, route: ingress/api";
    check(
        with(MANIFESTS, names, "    strategy: blue_green\n"),
        expect![[r#"
            error[E0103]: a Service's name is 1 to 63 characters of a-z, 0-9 and `-`
              --> belay.yaml:5:70
               |
             5 |     target: { kubernetes: { context: prod, namespace: shop, service: service/api, preview: Web, route: ingress/api } }
               |                                                                      ^^^^^^^^^^^ did you mean `api`?

            error[E0103]: a Service's name is 1 to 63 characters of a-z, 0-9 and `-`
              --> belay.yaml:5:92
               |
             5 |     target: { kubernetes: { context: prod, namespace: shop, service: service/api, preview: Web, route: ingress/api } }
               |                                                                                            ^^^ did you mean `web`?

            error[E0103]: a route is written as `httproute/NAME` or `grpcroute/NAME`
              --> belay.yaml:5:104
               |
             5 |     target: { kubernetes: { context: prod, namespace: shop, service: service/api, preview: Web, route: ingress/api } }
               |                                                                                                        ^^^^^^^^^^^
        "#]],
    );
    let same = "context: prod, namespace: shop, service: api, preview: api";
    check(
        with(MANIFESTS, same, "    strategy: blue_green\n"),
        expect![[r#"
            error[E0114]: users reach the release by `api`
              --> belay.yaml:5:84
               |
             5 |     target: { kubernetes: { context: prod, namespace: shop, service: api, preview: api } }
               |                                                                                    ^^^ name another Service
        "#]],
    );
}

#[test]
fn what_can_be_checked_there() {
    let environment = "    verify: [{ tcp: true, at: staged }, { http: /, at: live }, { traffic: { max_errors: 1% } }]\n";
    let text = with(MANIFESTS, CLUSTER, environment);
    let text = text.replace(
        "environments:\n",
        "verify: [{ command: env }]\nenvironments:\n",
    );
    check(
        &text,
        expect![[r#"
        error[E0114]: a check at `staged` asks a release that no user reaches yet, and with `basic` one takes the place of the other
          --> belay.yaml:3:10
           |
         3 | verify: [{ command: env }]
           |          ^^^^^^^^^^^^^^^^ add `at: live`, or use `strategy: blue_green`

        error[E0114]: a check at `staged` asks a release that no user reaches yet, and with `basic` one takes the place of the other
          --> belay.yaml:7:31
           |
         7 |     verify: [{ tcp: true, at: staged }, { http: /, at: live }, { traffic: { max_errors: 1% } }]
           |                               ^^^^^^ use `at: live`, or use `strategy: blue_green`

        error[E0114]: a `traffic` check reads what Belay's proxy has counted, and on Kubernetes no request comes by it
          --> belay.yaml:7:66
           |
         7 |     verify: [{ tcp: true, at: staged }, { http: /, at: live }, { traffic: { max_errors: 1% } }]
           |                                                                  ^^^^^^^ use `http` or `command` with `at: live`
    "#]],
    );
    let phases = "    phases:\n      - { name: first, share: 50%, after: [{ verify: [{ http: / }, { traffic: { max_errors: 1% } }] }] }\n      - { name: all, before: [{ run: ./mail }] }\n";
    check(
        with(MANIFESTS, CLUSTER, phases),
        expect![[r#"
        error[E0114]: a `traffic` check reads what Belay's proxy has counted, and on Kubernetes no request comes by it
          --> belay.yaml:7:70
           |
         7 |       - { name: first, share: 50%, after: [{ verify: [{ http: / }, { traffic: { max_errors: 1% } }] }] }
           |                                                                      ^^^^^^^ use `http` or `command` with `at: live`

        error[E0111]: there is no program `./mail`: the release is manifests
          --> belay.yaml:8:38
           |
         8 |       - { name: all, before: [{ run: ./mail }] }
           |                                      ^^^^^^ name a program that is on the PATH
    "#]],
    );
}

/// What is said of the way in goes together.
#[test]
fn where_users_come_in() {
    let verify = |checks: &str| {
        let lines = format!("    verify:\n{checks}");
        with(MANIFESTS, CLUSTER, &lines)
    };
    check(
        verify(
            "      - { http: /, through: ingress/api }\n      - { tcp: true, through: service/api, host: shop.example }\n",
        ),
        expect![[""]],
    );
    check(
        verify("      - { http: /, through: gateway/api }\n"),
        expect![[r#"
            error[E0103]: users come in by `ingress/NAME`, `httproute/NAME` or `service/NAME`
              --> belay.yaml:7:29
               |
             7 |       - { http: /, through: gateway/api }
               |                             ^^^^^^^^^^^
        "#]],
    );
    check(
        verify(
            "      - { command: ./x, through: ingress/api }\n      \
             - { http: /, through: ingress/api, at: staged }\n      - { http: /, host: shop.example, at: live }\n      \
             - { http: /, through: ingress/api, host: \"*.example\" }\n      - { http: /, through: ingress/api, host: 10.0.0.1 }\n",
        ),
        expect![[r#"
            error[E0111]: there is no program `./x`: the release is manifests
              --> belay.yaml:7:20
               |
             7 |       - { command: ./x, through: ingress/api }
               |                    ^^^ name a program that is on the PATH

            error[E0114]: `through` belongs to an `http` or a `tcp` check
              --> belay.yaml:7:25
               |
             7 |       - { command: ./x, through: ingress/api }
               |                         ^^^^^^^

            error[E0114]: a check at `staged` asks a release that no user reaches yet, and with `basic` one takes the place of the other
              --> belay.yaml:8:46
               |
             8 |       - { http: /, through: ingress/api, at: staged }
               |                                              ^^^^^^ use `at: live`, or use `strategy: blue_green`

            error[E0114]: users come in to what is live: a check with `through` cannot be at `staged`
              --> belay.yaml:8:46
               |
             8 |       - { http: /, through: ingress/api, at: staged }
               |                                              ^^^^^^ leave `at` out

            error[E0114]: `host` belongs to `through`: pods are asked by their addresses
              --> belay.yaml:9:20
               |
             9 |       - { http: /, host: shop.example, at: live }
               |                    ^^^^

            error[E0103]: `host` is the name of a host, without a scheme, a port and wildcards
               --> belay.yaml:10:48
                |
             10 |       - { http: /, through: ingress/api, host: "*.example" }
                |                                                ^^^^^^^^^^^

            error[E0103]: `host` is the name of a host, without a scheme, a port and wildcards
               --> belay.yaml:11:48
                |
             11 |       - { http: /, through: ingress/api, host: 10.0.0.1 }
                |                                                ^^^^^^^^
        "#]],
    );
}
