//! Helm releases as targets, and releases that are charts.

use belay_model::config::ReleaseKind;
use expect_test::expect;

use super::{check, good};

/// A configuration for a release; `dist` is a folder that is there.
fn with(release: &str, helm: &str, more: &str) -> String {
    format!(
        "service: shop\nrelease: {{ {release} }}\nenvironments:\n  production:\n    target: {{ helm: {{ {helm} }} }}\n{more}"
    )
}

const CHART: &str = "chart: ./dist";
const RELEASE: &str = "context: prod, namespace: shop";

#[test]
fn what_is_written_for_a_release() {
    let text = with(
        "chart: ./dist, values_from: { image.tag: image.tag, env: config }, image: 'shop/api:1'",
        "context: prod, namespace: shop, set: { replicas: 3, list: [a, 1] }, hook_timeout: 1m",
        "config: { LEVEL: info }\n",
    );
    let config = good(&text).config;
    assert!(matches!(config.release.kind(), Ok(ReleaseKind::Chart(_))));
    let text = with("chart: 'oci://charts/shop', version: 1.2.3", RELEASE, "");
    let config = good(&text).config;
    assert!(matches!(
        config.release.kind(),
        Ok(ReleaseKind::RemoteChart("oci://charts/shop", "1.2.3"))
    ));
}

#[test]
fn mistakes_in_a_release() {
    check(
        with(
            "chart: ./dist, values_from: { a: imag }",
            "namespace: My Shop, release: Shop, history_max: 1, hooks: 1m",
            "",
        ),
        expect![[r#"
            error[E0103]: a value comes from `image`, `image.repository`, `image.tag`, `images.NAME` (with the same endings), `config`, `config.NAME` or `secrets.NAME`
              --> belay.yaml:2:45
               |
             2 | release: { chart: ./dist, values_from: { a: imag } }
               |                                             ^^^^

            error[E0102]: unknown key `hooks`
              --> belay.yaml:5:74
               |
             5 |     target: { helm: { namespace: My Shop, release: Shop, history_max: 1, hooks: 1m } }
               |                                                                          ^^^^^
               = note: known here: `context`, `namespace`, `kubeconfig`, `release`, `values`, `set`, `history_max`, `hook_timeout`, `abandoned_after`, `gitops`
        "#]],
    );
    check(
        with(
            "chart: ./dist, image: a, images: { web: b }",
            RELEASE,
            "config: { LEVEL: info }\nsecrets: { KEY: 'env:KEY' }\n",
        ),
        expect![[r#"
            error[E0114]: nothing in `release.values_from` takes the image to the chart
              --> belay.yaml:2:27
               |
             2 | release: { chart: ./dist, image: a, images: { web: b } }
               |                           ^^^^^ write `values_from: { image.tag: image.tag }`

            error[E0114]: nothing in `release.values_from` takes this image to the chart
              --> belay.yaml:2:47
               |
             2 | release: { chart: ./dist, image: a, images: { web: b } }
               |                                               ^^^ write `values_from: { PATH: images.web }`

            error[E0114]: nothing in `release.values_from` takes this setting to the chart
              --> belay.yaml:6:11
               |
             6 | config: { LEVEL: info }
               |           ^^^^^ write `values_from: { PATH: config.LEVEL }`, or `PATH: config` for all

            error[E0114]: nothing in `release.values_from` takes this secret to the chart
              --> belay.yaml:7:12
               |
             7 | secrets: { KEY: 'env:KEY' }
               |            ^^^ write `values_from: { PATH: secrets.KEY }`
        "#]],
    );
    check(
        with(
            CHART,
            "namespace: My Shop, release: Shop, history_max: 1",
            "",
        ),
        expect![[r#"
            error[E0103]: a namespace's name is 1 to 63 characters of a-z, 0-9 and `-`
              --> belay.yaml:5:34
               |
             5 |     target: { helm: { namespace: My Shop, release: Shop, history_max: 1 } }
               |                                  ^^^^^^^ did you mean `my-shop`?

            error[E0103]: a release's name is 1 to 53 characters of a-z, 0-9 and `-`
              --> belay.yaml:5:52
               |
             5 |     target: { helm: { namespace: My Shop, release: Shop, history_max: 1 } }
               |                                                    ^^^^ did you mean `shop`?

            error[E0103]: helm has to keep the release before, so at least 2
              --> belay.yaml:5:71
               |
             5 |     target: { helm: { namespace: My Shop, release: Shop, history_max: 1 } }
               |                                                                       ^ did you mean `10`?
        "#]],
    );
    check(
        with("manifests: ./dist", RELEASE, ""),
        expect![[r#"
        error[E0114]: a Helm release is made of a chart, and this release is none
          --> belay.yaml:5:15
           |
         5 |     target: { helm: { context: prod, namespace: shop } }
           |               ^^^^ write `release: { chart: ./chart }`
    "#]],
    );
    check(
        with("artifact: ./dist, values: [a]", RELEASE, ""),
        expect![[r#"
        error[E0114]: `version`, `values` and `values_from` belong to a `chart`
          --> belay.yaml:2:30
           |
         2 | release: { artifact: ./dist, values: [a] }
           |                              ^^^^^^
    "#]],
    );
    let process = with(CHART, "", "").replace("helm: {  }", "process: { run: ./server }");
    check(
        process,
        expect![[r#"
        error[E0114]: a chart goes to a Helm release
          --> belay.yaml:5:15
           |
         5 |     target: { process: { run: ./server } }
           |               ^^^^^^^ write `target: { helm: { context: ..., namespace: ... } }`

        error[E0111]: there is no program `./server`: the release is manifests
          --> belay.yaml:5:31
           |
         5 |     target: { process: { run: ./server } }
           |                               ^^^^^^^^ name a program that is on the PATH
    "#]],
    );
    check(
        with(CHART, RELEASE, "    strategy: blue_green\n"),
        expect![[r#"
            error[E0110]: blue/green keeps the release before ready for a switch of the traffic, and helm replaces a release whole
              --> belay.yaml:6:15
               |
             6 |     strategy: blue_green
               |               ^^^^^^^^^^ use `basic` or `rolling`
        "#]],
    );
}
