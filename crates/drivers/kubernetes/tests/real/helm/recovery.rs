//! Clients that are killed at work, and who goes on.

use super::shop::{Shop, equipped, perform, shop};
use crate::place::context;
use crate::way::{FORWARD, in_time};
use belay_driver::{Applied, Context, Driver, Settled};
use belay_driver_kubernetes::Kubernetes;
use belay_model::error::{Class, Effect as Touched};
use belay_model::plan::Effect;
use belay_model::release::Record;
use belay_model::state::Goal;
use belay_testbed::Helm;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

fn kill(pid: u64) {
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.expect("kill").success());
}

impl Shop {
    /// A step that a hook holds up, begun: how to ask about it.
    async fn begun(&self, record: &Record) -> (Effect, Goal, Value) {
        let goal = self.goal(record);
        let effect = self.planned(&goal, FORWARD).await.remove(0);
        let seen = self.observe().await;
        let applied = self
            .driver
            .apply(&equipped(&goal), &self.target, &effect, &seen)
            .await;
        let Ok(Applied::Accepted { handle }) = applied else {
            panic!("{applied:?}");
        };
        (effect, goal, handle)
    }

    async fn is_pending(&self) {
        self.place
            .once(&self.target, |state| {
                let release = state.resources.get("release/shop");
                release.is_some_and(|it| it.spec["status"] == "pending-upgrade")
            })
            .await;
    }
}

async fn settled(driver: &Kubernetes, shop: &Shop, effect: &Effect, cx: &Context) -> Settled {
    let settled = driver.settle(cx, &shop.target, effect, None);
    in_time(settled).await.expect("settled")
}

#[tokio::test]
async fn a_release_that_somebody_left_pending_is_freed_when_nobody_holds_it() {
    for version in [Helm::V3, Helm::V4] {
        let mut shop = shop(version);
        let one = shop.record(json!({ "image": "app:1" })).await;
        let first = shop.deploy(&one).await;
        let mut theirs = shop.upgrade(&["image=app:2", "migrate=manual:1"], &[]);
        let theirs = theirs.stdout(Stdio::null()).stderr(Stdio::null());
        let mut theirs = theirs.spawn().expect("started");
        shop.is_pending().await;
        let pending = shop.observe().await;
        let told = "must release/shop\n  status: \"deployed\" -> \"pending-upgrade\"\n";
        assert_eq!(shop.place.differences(&first, &pending), told);

        // It is at work: nobody takes it from it, however old it is.
        shop.abandoned_after_ms = Some(0);
        let three = shop.record(json!({ "image": "app:3" })).await;
        let goal = shop.goal(&three);
        let effect = shop.planned(&goal, FORWARD).await.remove(0);
        assert!(
            effect
                .title
                .ends_with("; it is pending-upgrade and is freed first"),
            "{}",
            effect.title
        );
        let refused = async |target| {
            let error = perform(&shop.driver, target, &effect, &pending, &goal).await;
            let error = error.expect_err("somebody is at work");
            assert_eq!(
                (error.class, error.effect),
                (Class::Conflict, Touched::NotApplied),
                "{error:?}"
            );
            error.message
        };
        let message = refused(&three.targets[0]).await;
        assert!(
            message.contains("revision 2 is pending-upgrade since 2"),
            "{message}"
        );
        assert!(
            message.contains(&format!("process {} of this machine", theirs.id())),
            "{message}"
        );
        let settled_by = shop.another_driver();
        assert_eq!(
            settled(&settled_by, &shop, &effect, &context()).await,
            Settled::Quiet
        );
        assert!(
            theirs.try_wait().expect("asked").is_none(),
            "it is not ours to end"
        );

        theirs.kill().expect("killed");
        theirs.wait().expect("gone");
        // It may be on another machine, as long as helm may take.
        let message = refused(&shop.target).await;
        assert!(message.contains("it counts as gone"), "{message}");
        perform(&shop.driver, &three.targets[0], &effect, &pending, &goal)
            .await
            .expect("freed, and upgraded");
        assert_eq!(shop.newest().await, (3, "deployed".to_owned()));
        let history = shop.said(&["history", "shop"]);
        assert!(
            history.contains("pending-upgrade by a client that is gone; freed by belay"),
            "{history}"
        );
        shop.back(&first, &[&one]).await;
    }
}

#[tokio::test]
async fn a_helm_of_ours_that_is_killed_is_told_and_its_release_freed() {
    let shop = shop(Helm::V3);
    let one = shop.record(json!({ "image": "app:1" })).await;
    let first = shop.deploy(&one).await;
    let two = shop
        .record(json!({ "image": "app:2", "migrate": "manual:1" }))
        .await;
    let (effect, goal, handle) = shop.begun(&two).await;
    shop.is_pending().await;
    kill(handle["process"]["pid"].as_u64().expect("a process"));
    let cx = equipped(&goal);
    let error = in_time(
        shop.driver
            .settle(&cx, &shop.target, &effect, Some(&handle)),
    )
    .await;
    let error = error.expect_err("it was killed");
    assert_eq!(error.effect, Touched::MaybeApplied, "{error:?}");
    assert_eq!(shop.newest().await, (2, "failed".to_owned()));
    shop.back(&first, &[&one]).await;
}

#[tokio::test]
async fn helm_does_not_outlive_who_settles_its_step() {
    let shop = shop(Helm::V4);
    let one = shop.record(json!({ "image": "app:1" })).await;
    let first = shop.deploy(&one).await;
    let two = shop
        .record(json!({ "image": "app:2", "migrate": "manual:1" }))
        .await;
    let (effect, _, handle) = shop.begun(&two).await;
    shop.is_pending().await;
    // Another process, which knows nothing but what stands on the cluster.
    let another = shop.another_driver();
    assert_eq!(
        settled(&another, &shop, &effect, &context()).await,
        Settled::Quiet
    );
    let pid = handle["process"]["pid"].as_u64().expect("a process");
    // Its parent, which is this test, may not have asked how it ended yet.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    assert_eq!(shop.newest().await, (2, "failed".to_owned()));
    shop.back(&first, &[&one]).await;
}

#[tokio::test]
async fn who_takes_over_with_the_handle_sees_helm_to_its_end() {
    let shop = shop(Helm::V3);
    let one = shop.record(json!({ "image": "app:1" })).await;
    shop.deploy(&one).await;
    let two = shop
        .record(json!({ "image": "app:2", "migrate": "manual:1" }))
        .await;
    let (effect, goal, handle) = shop.begun(&two).await;
    shop.is_pending().await;
    let another = shop.another_driver();
    let cx = equipped(&goal);
    let followed = another.settle(&cx, &shop.target, &effect, Some(&handle));
    let end_of_hook = async {
        let pods = [
            "get",
            "pods",
            "-l",
            "job-name=migrate",
            "-o",
            "jsonpath={.items[*].metadata.name}",
        ];
        let mut pod = shop.place.kubectl(&pods);
        while pod.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            pod = shop.place.kubectl(&pods);
        }
        let ended = r#"{"status":{"phase":"Succeeded"}}"#;
        shop.place
            .kubectl(&["patch", "pod", &pod, "--subresource=status", "-p", ended]);
    };
    let (followed, ()) = tokio::join!(in_time(followed), end_of_hook);
    assert_eq!(followed.expect("done"), Settled::Done);
    assert_eq!(
        shop.place
            .differences(goal.want.of(&shop.target.name), &shop.observe().await),
        ""
    );
}

#[tokio::test]
async fn a_helm_of_a_worker_that_was_replaced_never_begins() {
    let shop = shop(Helm::V3);
    let one = shop.record(json!({ "image": "app:1" })).await;
    let goal = shop.goal(&one);
    let effect = shop.planned(&goal, FORWARD).await.remove(0);
    let newer = Context {
        epoch: 2,
        ..equipped(&goal)
    };
    assert_eq!(
        settled(&shop.another_driver(), &shop, &effect, &newer).await,
        Settled::Quiet
    );
    let error = perform(
        &shop.driver,
        &shop.target,
        &effect,
        &shop.observe().await,
        &goal,
    )
    .await;
    let error = error.expect_err("another worker has taken over");
    assert_eq!(
        (error.class, error.effect),
        (Class::Conflict, Touched::NotApplied),
        "{error:?}"
    );
    assert!(shop.observe().await.is_absent());
}
