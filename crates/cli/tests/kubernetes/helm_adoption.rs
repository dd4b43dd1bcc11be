//! Taking over a Helm release, as docs/drivers/helm.md walks through it.

use crate::helm::shop;
use crate::shop::{KEY, Shop};
use belay_testbed::Helm;
use std::os::unix::fs::PermissionsExt;

impl Shop {
    fn generation(&self) -> serde_json::Value {
        self.get(&["deployment", "api"])["metadata"]["generation"].clone()
    }
}

fn at<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["-f", "adopted/belay.yaml"][..], arguments].concat()
}

#[test]
fn a_release_is_taken_over_and_no_pod_is_replaced() {
    for version in [Helm::V3, Helm::V4] {
        let shop = shop(version);
        shop.project.write("chart/files/motto.txt", "first\n");
        let crd = "{ apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: { name: mottos.example.com }, spec: { \
                   group: example.com, names: { kind: Motto, plural: mottos }, scope: Namespaced, versions: [{ name: v1, served: true, \
                   storage: true, schema: { openAPIV3Schema: { type: object } } }] } }\n";
        shop.project.write("chart/crds/motto.yaml", crd);
        assert!(shop.upgrade("1", &["--wait"]));
        let before = shop.get(&["deployment", "api"]);
        let uri = shop.release();
        let adopt = ["adopt", &uri, "--to", "adopted", "--env", "live"];
        let adopted = shop.project.json(0, &adopt);
        let notes = adopted["notes"].to_string();
        assert!(notes.contains("those of secrets among them"), "{adopted:#}");
        let path = |name: &str| shop.project.path().join("adopted").join(name);
        let read = |name: &str| std::fs::read_to_string(path(name)).expect(name);
        assert!(read("values.yaml").contains(KEY));
        let mode = std::fs::metadata(path("values.yaml")).expect("there");
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        assert_eq!(read("chart/files/motto.txt"), "first\n");
        assert_eq!(read("chart/crds/motto.yaml"), crd);
        // Something is in the way: nothing is written.
        let refused = shop.project.json(2, &adopt);
        assert_eq!(refused["error"]["code"], "E0324", "{refused:#}");

        shop.project.json(0, &at(&["check"]));
        let plan = shop.project.json(0, &at(&["plan", "-e", "live"]));
        assert_eq!(plan["plan"]["changes_nothing"], true, "{plan:#}");
        let text = read("belay.yaml") + "    keep: { bake: 0s }\n";
        shop.project.write("adopted/belay.yaml", &text);
        shop.project.json(0, &at(&["deploy", "-e", "live"]));
        assert_eq!(shop.generation(), before["metadata"]["generation"]);
        assert_eq!(shop.releases().len(), 1, "helm had nothing to do");

        // From here on it is Belay's: out, and back to what was adopted.
        let values = read("values.yaml");
        assert!(values.contains("tag: 1\n"), "{values}");
        let values = values.replace("tag: 1\n", "tag: two\n");
        shop.project.write("adopted/values.yaml", &values);
        shop.project.json(0, &at(&["deploy", "-e", "live"]));
        assert_eq!(shop.image(), "shop/api:two");
        shop.project
            .json(0, &at(&["rollback", "-e", "live", "--yes"]));
        assert_eq!(shop.image(), "shop/api:1");
    }
}

#[test]
fn the_page_is_followed_word_for_word() {
    let shop = shop(Helm::V3);
    assert!(shop.upgrade("1", &["--wait"]));
    let before = shop.generation();
    let uri = shop.release();
    let said = shop.follows(
        "drivers/helm.md",
        "## Taking over a release",
        ("helm://prod/shop/shop", &uri),
    );
    assert!(
        said.contains("nothing to do there: what runs is this release already"),
        "{said}"
    );
    assert_eq!(shop.generation(), before);
    assert_eq!(shop.releases().len(), 1);
    shop.project
        .json(0, &["--dir", "empty/.belay", "stop", "--reason", "enough"]);
}

#[test]
fn charts_within_a_chart_are_not_in_helms_record() {
    let shop = shop(Helm::V3);
    let uri = shop.release();
    let refused = |words: &str| {
        let said = shop
            .project
            .json(2, &["adopt", &uri, "--to", "adopted"])
            .to_string();
        assert!(said.contains("E0359") && said.contains(words), "{said}");
        assert!(!shop.project.path().join("adopted").exists());
    };
    let write = |file: &str, text: &str| shop.project.write(file, text);
    write(
        "chart/charts/sub/Chart.yaml",
        "{ apiVersion: v2, name: sub, version: 0.1.0 }",
    );
    write(
        "chart/charts/sub/templates/map.yaml",
        "{ apiVersion: v1, kind: ConfigMap, metadata: { name: sub } }",
    );
    assert!(shop.upgrade("1", &["--wait"]));
    refused("does not come to configmap/sub");
    write(
        "chart/Chart.yaml",
        "{ apiVersion: v2, name: shop, version: 1.2.4, dependencies: [{ name: sub, version: 0.1.0 }] }",
    );
    assert!(shop.upgrade("1", &["--wait"]));
    refused("helm keeps nothing of the charts within it: sub 0.1.0");
    assert!(!shop.upgrade("bad", &["--wait", "--timeout", "2s"]));
    refused("is failed, and not deployed");
}
