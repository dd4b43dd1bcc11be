//! A Helm release that Belay never deployed, and the way back of it.

use crate::helm::shop;
use crate::shop::{KEY, Shop, until};
use belay_testbed::{ControlPlane, Helm};
use serde_json::Value;

impl Shop {
    /// What names the release for Belay.
    pub(crate) fn release(&self) -> String {
        format!("helm://{}/{}/shop", ControlPlane::CONTEXT, self.namespace)
    }

    /// Somebody's own helm puts an image there, and all that the chart needs.
    pub(crate) fn upgrade(&self, tag: &str, more: &[&str]) -> bool {
        let values = [
            "image.repository=shop/api".to_owned(),
            format!("image.tag={tag}"),
            "log.level=info".to_owned(),
            format!("key={KEY}"),
        ];
        let values = values.join(",");
        let arguments = ["upgrade", "shop", "chart", "--install", "--set", &values];
        let done = self.helm(&[&arguments[..], more].concat()).output();
        done.expect("helm").status.success()
    }

    fn statuses(&self) -> Vec<Value> {
        let all = self.releases();
        all.iter().map(|it| it["status"].clone()).collect()
    }
}

/// Without its configuration: only a URI names it.
fn bare(version: Helm) -> Shop {
    let shop = shop(version);
    std::fs::remove_file(shop.project.path().join("belay.yaml")).expect("removed");
    shop
}

#[test]
fn to_the_newest_revision_that_was_deployed_and_says_something_else() {
    for version in [Helm::V3, Helm::V4] {
        let shop = bare(version);
        assert!(shop.upgrade("1", &["--wait"]));
        assert!(shop.upgrade("2", &["--wait"]));
        // Helm says deployed of what it has only sent.
        assert!(shop.upgrade("bad", &[]));
        let uri = shop.release();
        let plan = shop.project.json(0, &["rollback", &uri, "--plan"]);
        let preview = &plan["preview"];
        assert_eq!(preview["goal"], "revision 2 (shop/api:2)", "{plan:#}");
        assert_eq!(preview["leaves_there"], "revision 3 (shop/api:bad)");
        assert!(
            preview
                .to_string()
                .contains("helm rollback shop to revision 2"),
            "{plan:#}"
        );
        let why = ["--yes", "--reason", "no orders"];
        shop.project
            .json(0, &[&["rollback", &uri][..], &why].concat());
        assert_eq!(shop.image(), "shop/api:2");
        assert_eq!(
            shop.statuses(),
            ["superseded", "superseded", "superseded", "deployed"],
            "{version:?}"
        );
        shop.keeps_no_secret();
        let status = shop.project.json(0, &["status", &uri]);
        assert_eq!(status["services"][0]["service"], "helm/shop", "{status:#}");

        // What was gone back from is passed over, and so is what says the same as what runs.
        let plan = shop.project.json(0, &["rollback", &uri, "--plan"]);
        let preview = &plan["preview"];
        assert_eq!(preview["goal"], "revision 1 (shop/api:1)", "{plan:#}");
        let passed_over = preview["passed_over"].to_string();
        assert!(
            passed_over.contains("revision 3 (shop/api:bad): Belay went back from it (")
                && passed_over.contains("no orders")
                && passed_over.contains("revision 2 (shop/api:2): it is what runs"),
            "{passed_over}"
        );
        let refused = shop.project.json(6, &["rollback", &uri, "--to", "3"]);
        assert_eq!(refused["error"]["code"], "E0323", "{refused:#}");
    }
}

#[test]
fn one_that_failed_is_left_and_one_is_named() {
    let shop = bare(Helm::V4);
    assert!(shop.upgrade("1", &["--wait"]));
    assert!(shop.upgrade("2", &["--wait"]));
    assert!(!shop.upgrade("bad", &["--wait", "--timeout", "2s"]));
    let uri = shop.release();
    shop.project.json(0, &["rollback", &uri, "--yes"]);
    assert_eq!(shop.image(), "shop/api:2");
    let to_one = ["rollback", &uri, "--to", "1", "--yes", "--reason", "older"];
    shop.project.json(0, &to_one);
    assert_eq!(shop.image(), "shop/api:1");
    let undo = ["rollback", &uri, "--undo", "--yes", "--reason", "no"];
    shop.project.json(0, &undo);
    assert_eq!(shop.image(), "shop/api:2");
    let expect = [
        "superseded",
        "superseded",
        "failed",
        "superseded",
        "superseded",
        "deployed",
    ];
    assert_eq!(shop.statuses(), expect, "helm only counts up");
    let none = uri.replace("/shop", "/nothing");
    let refused = shop.project.json(2, &["rollback", &none]);
    assert_eq!(refused["error"]["code"], "E0321", "{refused:#}");
    assert!(refused.to_string().contains("helm list"), "{refused:#}");
}

#[test]
fn its_script_works_without_belay() {
    let shop = bare(Helm::V3);
    assert!(shop.upgrade("1", &["--wait"]));
    assert!(shop.upgrade("2", &["--wait"]));
    let script = shop.script(&["rollback", &shop.release()]);
    assert!(!script.contains(KEY), "{script}");
    shop.without_belay(|| assert!(shop.run(&script, &[])));
    assert_eq!(shop.image(), "shop/api:1");
}

#[test]
fn what_helm_forgets_on_the_way_is_not_built_again() {
    let shop = bare(Helm::V3);
    assert!(shop.upgrade("1", &["--wait"]));
    assert!(shop.upgrade("2", &["--wait"]));
    let uri = shop.release();
    shop.project.json(0, &["rollback", &uri, "--yes"]);
    assert_eq!(shop.image(), "shop/api:1");
    // Its values are nowhere else.
    shop.kubectl(&["delete", "secret", "sh.helm.release.v1.shop.v2"]);
    let undo = ["rollback", &uri, "--undo", "--yes", "--reason", "no"];
    let refused = shop.project.belay(&undo);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("helm has forgotten that revision"), "{said}");
    assert_eq!(shop.image(), "shop/api:1");
}

#[test]
fn what_belay_deploys_goes_back_by_its_service() {
    let shop = shop(Helm::V3);
    shop.project.json(0, &["deploy"]);
    shop.project.json(0, &["deploy", "--image", "shop/api:2"]);
    let uri = shop.release();
    for arguments in [
        &["rollback", &uri, "--to", "1"][..],
        &["--dir", "another/.belay", "rollback", &uri],
        &["adopt", &uri, "--to", "adopted"],
    ] {
        let refused = shop.project.json(6, arguments);
        assert_eq!(refused["error"]["code"], "E0322", "{refused:#}");
    }
    until("it serves still", || shop.image() == "shop/api:2");
}
