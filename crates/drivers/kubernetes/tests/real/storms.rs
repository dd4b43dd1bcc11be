//! Others who write what Belay writes, all the time: nothing of theirs or ours is lost, and there is an end to it.

use crate::place::{Place, place};
use crate::way::{FORWARD, equipped, in_time, shop};
use belay_driver::{Driver, Stage};
use belay_model::error::{Class, Effect};
use belay_model::state::State;
use belay_testbed::ControlPlane;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Writes into the Deployment for as long as nobody ends it.
async fn somebody_writes(place: &Place, pause: Duration) -> (Arc<AtomicU64>, JoinHandle<()>) {
    let kubeconfig = Kubeconfig::read_from(place.plane.kubeconfig()).expect("a kubeconfig");
    let options = KubeConfigOptions {
        context: Some(ControlPlane::CONTEXT.to_owned()),
        ..KubeConfigOptions::default()
    };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options);
    let client = kube::Client::try_from(config.await.expect("a configuration"));
    let api: Api<Deployment> = Api::namespaced(client.expect("a client"), &place.namespace);
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let writes = tokio::spawn(async move {
        loop {
            let number = counted.fetch_add(1, Ordering::SeqCst).to_string();
            let note = serde_json::json!({ "metadata": { "annotations": { "example.com/seen": number } } });
            let _ = api
                .patch("api", &PatchParams::default(), &Patch::Merge(note))
                .await;
            tokio::time::sleep(pause).await;
        }
    });
    (count, writes)
}

#[tokio::test]
async fn who_writes_it_all_the_time_keeps_nobody_from_it() {
    let place = place();
    let (target, before) = place.deploy(&shop("app:1", 1)).await;
    let (count, writes) = somebody_writes(&place, Duration::from_millis(15)).await;
    let next = place.target(&shop("app:2", 2));
    let done = place.go(&next, &place.goal(&next), FORWARD).await;
    done.expect("rolled out");
    let goal = place.as_before(&target, before.clone(), &target);
    place
        .go(&target, &goal, Stage::BACK)
        .await
        .expect("gone back");
    assert!(count.load(Ordering::SeqCst) > 20, "there was no storm");
    writes.abort();
    // The platform's own controllers may have been a step behind all the while.
    let is_there = |state: &State| place.driver.diff(&before, state).lines().is_empty();
    place.once(&target, is_there).await;
    let seen = [
        "get",
        "deployment/api",
        "-o",
        "jsonpath={.metadata.annotations.example\\.com/seen}",
    ];
    assert_ne!(place.kubectl(&seen), "", "theirs is lost");
}

#[tokio::test]
async fn there_is_an_end_to_trying() {
    let place = place();
    place.deploy(&shop("app:1", 1)).await;
    let mut all = Vec::new();
    for _ in 0..6 {
        all.push(somebody_writes(&place, Duration::ZERO).await.1);
    }
    let next = place.target(&shop("app:2", 1));
    let goal = place.goal(&next);
    let (effect, seen) = place.up_to_the_roll(&next, &goal).await;
    let cx = equipped(&goal);
    let image = [
        "get",
        "deployment/api",
        "-o",
        "jsonpath={.spec.template.spec.containers[0].image}",
    ];
    // It may get through; where it does not that is said, and that nothing was changed. The platform's own controllers do not
    // get through either, so that nobody waits for pods.
    match in_time(place.driver.apply(&cx, &next, &effect, &seen)).await {
        Ok(_) => assert_eq!(place.kubectl(&image), "app:2"),
        Err(error) => {
            assert_eq!(
                (error.class, error.effect),
                (Class::Connectivity, Effect::NotApplied),
                "{error:?}"
            );
            assert!(
                error.message.contains("others change it all the time"),
                "{error:?}"
            );
            assert_eq!(place.kubectl(&image), "app:1");
        }
    }
    all.into_iter().for_each(|it| it.abort());
    let seen = place.observe(&next).await;
    in_time(place.driver.apply(&cx, &next, &effect, &seen))
        .await
        .expect("it goes on");
    assert_eq!(place.kubectl(&image), "app:2");
}
