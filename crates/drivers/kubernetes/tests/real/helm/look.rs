//! Helm releases, made by the real helm: what its records say, and what became of their objects since.

use super::shop::shop;
use crate::place::said;
use belay_model::state::{Health, State};
use belay_testbed::Helm;
use std::process::Stdio;

#[tokio::test]
async fn a_release_is_what_its_record_says() {
    // Versions differ in how they send objects, and not in what becomes of them.
    for version in [Helm::V3, Helm::V4] {
        let shop = shop(version);
        assert!(shop.place.observe(&shop.target).await.is_absent());
        said(&mut shop.upgrade(&["image=app:1"], &[]), "");
        let first = shop.place.settled(&shop.target).await;
        assert_eq!(shop.differences(1, &first).await, "", "{version:?}");
        let release = &first.resources["release/shop"];
        assert_eq!(release.health, Health::Healthy);
        assert_eq!(release.facts["revision"], 1);
        assert_eq!(release.spec["chart"], "shop-1.2.3");
        let text = serde_json::to_string(&first).expect("JSON");
        for secret in ["s3cret-token", "czNjcmV0LXRva2Vu"] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }

        said(&mut shop.upgrade(&["image=app:2"], &[]), "");
        let second = shop.place.settled(&shop.target).await;
        assert_eq!(shop.differences(2, &second).await, "", "{version:?}");
        let told = "\
must deployment.apps/shop
  spec.template.spec.containers[app].image: \"app:1\" -> \"app:2\"
must release/shop
  values.image: hmac -> hmac
";
        assert_eq!(shop.differences(1, &second).await, told, "{version:?}");

        // A hand at its objects: helm knows nothing of it.
        let bye = r#"{"data":{"GREETING":"bye"}}"#;
        shop.place.kubectl(&["patch", "configmap/shop", "-p", bye]);
        shop.place.kubectl(&["delete", "secret/shop"]);
        let drifted = shop.place.settled(&shop.target).await;
        let told = "\
must configmap/shop
  data.GREETING: \"hello\" -> \"bye\"
must secret/shop
  there -> absent
";
        assert_eq!(shop.differences(2, &drifted).await, told, "{version:?}");

        // Helm 4 applies on the server and does not go back over what a hand did, unless it is told to.
        let mut back = shop.helm(&["rollback", "shop", "1"]);
        if version == Helm::V4 {
            let refused = back.output().expect("run");
            let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(
                refused.contains("conflict with \"kubectl-patch\""),
                "{refused}"
            );
            let failed = shop.place.observe(&shop.target).await;
            assert_eq!(failed.resources["release/shop"].facts["revision"], 3);
            assert!(trouble(&failed).starts_with("failed: "), "{failed:?}");
            back.arg("--force-conflicts");
        }
        said(&mut back, "");
        // Going back is a revision of its own, with the content of the first.
        let back = shop.place.settled(&shop.target).await;
        let revision = if version == Helm::V4 { 4 } else { 3 };
        assert_eq!(back.resources["release/shop"].facts["revision"], revision);
        assert_eq!(shop.differences(1, &back).await, "", "{version:?}");

        said(&mut shop.helm(&["uninstall", "shop", "--keep-history"]), "");
        assert!(shop.place.observe(&shop.target).await.is_absent());
    }
}

fn trouble(state: &State) -> String {
    match &state.resources["release/shop"].health {
        Health::Unhealthy(why) => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_upgrade_that_failed_and_one_that_was_killed_are_seen() {
    for version in [Helm::V3, Helm::V4] {
        let shop = shop(version);
        said(&mut shop.upgrade(&["image=app:1"], &[]), "");
        shop.place.settled(&shop.target).await;
        let mut failing = shop.upgrade(&["image=bad:1"], &["--wait", "--timeout", "2s"]);
        assert!(!failing.output().expect("run").status.success());
        let failed = shop.place.observe(&shop.target).await;
        let told = "\
must deployment.apps/shop
  rollout: \"complete\" -> \"under way\"
  spec.template.spec.containers[app].image: \"app:1\" -> \"bad:1\"
must release/shop
  status: \"deployed\" -> \"failed\"
";
        assert_eq!(shop.differences(1, &failed).await, told, "{version:?}");
        assert!(trouble(&failed).starts_with("failed: "), "{failed:?}");

        let mut stuck = shop.upgrade(&["image=bad:2"], &["--wait", "--timeout", "5m"]);
        let stuck = stuck.stdout(Stdio::null()).stderr(Stdio::null());
        let mut stuck = stuck.spawn().expect("started");
        let has_begun =
            |state: &State| state.resources["release/shop"].spec["status"] == "pending-upgrade";
        shop.place.once(&shop.target, has_begun).await;
        stuck.kill().expect("killed");
        stuck.wait().expect("gone");
        let why = trouble(&shop.place.observe(&shop.target).await);
        assert!(why.starts_with("pending-upgrade since 2"), "{why}");
        assert!(why.ends_with("on revision 3, or was killed there"), "{why}");
        // Helm itself does not go on from there.
        let refused = shop.upgrade(&["image=app:1"], &[]).output().expect("run");
        assert!(!refused.status.success());
        let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.contains("another operation"), "{refused}");
    }
}
