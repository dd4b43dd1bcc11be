//! The way back of a Helm release without Belay: its script is run by a shell that has helm and kubectl, and no more.

use crate::helm::shop;
use crate::shop::{KEY, encoded, until};
use belay_testbed::Helm;
use serde_json::json;
use std::process::Stdio;

#[test]
fn a_release_goes_back_without_belay() {
    for version in [Helm::V3, Helm::V4] {
        let shop = shop(version);
        shop.project.json(0, &["deploy"]);
        let (before, first) = (shop.template(), shop.both());
        shop.edit("belay.yaml", "LEVEL: info", "LEVEL: warn");
        shop.project.json(0, &["deploy", "--image", "shop/api:2"]);
        shop.kubectl(&["set", "env", "deployment/api", "ADDED=by hand"]);
        shop.kubectl(&["scale", "deployment/api", "--replicas=4"]);
        shop.rolled_out("deployment/api");
        let script = shop.script(&["rollback"]);
        assert!(
            !script.contains(KEY) && !script.contains(&encoded()),
            "{script}"
        );
        shop.without_belay(|| assert!(shop.run(&script, &[]), "{version:?}"));
        assert_eq!(shop.image(), "shop/api:1");
        assert_eq!(shop.both(), first);
        assert_eq!(shop.template(), before, "what a hand added is gone");
        let api = shop.get(&["deployment", "api"]);
        assert_eq!(api["spec"]["replicas"], 4, "whoever scales is left alone");
        shop.has_nothing_to_do();

        // Helm says that all is well, and its objects are not.
        shop.kubectl(&["delete", "configmap", "api"]);
        shop.kubectl(&[
            "patch",
            "secret",
            "api",
            "-p",
            r#"{"data":{"KEY":"b3RoZXI="}}"#,
        ]);
        let script = shop.script(&["rollback"]);
        shop.without_belay(|| assert!(shop.run(&script, &[]), "{version:?}"));
        assert_eq!(shop.both(), first);
        shop.has_nothing_to_do();
    }
}

/// The chart and its values are in the script; those of secrets are asked for.
#[test]
fn a_release_is_built_again_without_belay() {
    for version in [Helm::V3, Helm::V4] {
        let shop = shop(version);
        shop.project.write("chart/files/odd.bin", "no end of line");
        shop.project.json(0, &["deploy"]);
        let (before, first) = (shop.template(), shop.both());
        shop.edit("belay.yaml", "LEVEL: info", "LEVEL: warn");
        shop.project.json(0, &["deploy", "--image", "shop/api:2"]);
        // Helm has forgotten it, and somebody's client was killed.
        shop.kubectl(&["delete", "secret", "sh.helm.release.v1.shop.v1"]);
        let arguments = ["upgrade", "shop", "chart", "--reuse-values", "--wait"];
        let mut stuck = shop.helm(&arguments);
        let stuck = stuck.args(["--set", "image.tag=bad"]).stdout(Stdio::null());
        let mut stuck = stuck.stderr(Stdio::null()).spawn().expect("helm");
        let newest = || shop.releases().pop().expect("a revision");
        until("it is under way", || {
            newest()["status"] == "pending-upgrade"
        });
        stuck.kill().expect("killed");
        stuck.wait().expect("gone");

        let script = shop.script(&["rollback"]);
        assert!(
            !script.contains(KEY) && !script.contains(&encoded()),
            "{script}"
        );
        shop.without_belay(|| {
            assert!(!shop.run(&script, &[]), "without the value it does nothing");
            assert_eq!(newest()["status"], "pending-upgrade");
            assert!(shop.run(&script, &[("KEY", KEY)]), "{version:?}");
        });
        assert_eq!(shop.image(), "shop/api:1");
        assert_eq!(shop.both(), first);
        assert_eq!(shop.template(), before);
        assert_eq!(newest()["status"], "deployed");
        shop.has_nothing_to_do();
    }
}

/// A plan forward has the chart, too.
#[test]
fn a_first_release_comes_without_belay() {
    let shop = shop(Helm::V4);
    let plan = shop.project.json(0, &["plan", "--as", "sh"]);
    let script = plan["script"].as_str().expect("a script");
    shop.without_belay(|| assert!(shop.run(script, &[("KEY", KEY)])));
    assert_eq!(shop.image(), "shop/api:1");
    assert_eq!(shop.both().1, json!({ "KEY": encoded() }));
}
