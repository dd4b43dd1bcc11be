//! Whoever watches a release is told when it is worth a look, and asks for nothing meanwhile.

use crate::deployment::{API, api};
use crate::place::{context, place};
use belay_driver::Driver;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn whoever_watches_is_told_of_changes_of_his_own() {
    let place = place();
    let target = api(&place);
    let other = place.target(&API.replace("name: api", "name: web"));
    let listen = async |target| {
        let told = place.driver.changes(&context(), target).await;
        told.expect("the platform tells")
    };
    let (mut told, of_another) = (listen(&target).await, listen(&other).await);
    place.apply(API);
    place.settled(&target).await;
    let changed = tokio::time::timeout(PATIENCE, told.changed()).await;
    changed.expect("in time").expect("somebody tells");
    assert!(!of_another.has_changed().expect("somebody tells"));

    // One that comes later is told of what is there already, or looks itself; and of what comes.
    let mut late = listen(&target).await;
    late.mark_unchanged();
    told.mark_unchanged();
    place.kubectl(&["scale", "deployment/api", "--replicas=3"]);
    for told in [&mut told, &mut late] {
        let changed = tokio::time::timeout(PATIENCE, told.changed()).await;
        changed.expect("in time").expect("somebody tells");
    }
}

#[tokio::test]
async fn nobody_tells_where_nothing_runs() {
    let place = place();
    let target = place.target("{ apiVersion: v1, kind: ConfigMap, metadata: { name: api } }");
    assert!(place.driver.changes(&context(), &target).await.is_none());
}
