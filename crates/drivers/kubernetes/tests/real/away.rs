//! A control plane that is away for a moment: it is waited for, and the release goes on.

use crate::place::{alone, until};
use crate::way::shop;
use std::time::Duration;

/// Long enough for a server to come back.
const LONG: Duration = Duration::from_secs(1200);

/// Pods that take so long that there is a middle.
fn slow(image: &str) -> String {
    shop(image, 1).replace(
        "metadata: {labels: {app: api}}",
        "metadata: {labels: {app: api}, annotations: {kwok/ready-delay: 3s}}",
    )
}

#[tokio::test]
async fn an_api_server_that_is_killed_is_waited_for() {
    let place = alone();
    place.deploy(&shop("app:1", 1)).await;
    // Before anything is sent, and while it is followed.
    place.plane.kill_api_server().expect("killed");
    place.plane.start_api_server().expect("started");
    place.plane.answers().expect("it is there");
    let (told, rolls) = place.rolls(&slow("app:2"), LONG).await;
    until("it is on its way", async || told.has("updated")).await;
    place.plane.kill_api_server().expect("killed");
    until("that is told", async || told.has("the API server is away")).await;
    place.plane.start_api_server().expect("started");
    rolls.await.expect("no panic").expect("rolled out");
    assert!(
        told.has("the API server answers again"),
        "{:#?}",
        told.lines()
    );
    let image = [
        "get",
        "deployment/api",
        "-o",
        "jsonpath={.spec.template.spec.containers[0].image} {.status.availableReplicas}",
    ];
    assert_eq!(place.kubectl(&image), "app:2 2");
}

#[tokio::test]
async fn what_nobody_took_is_sent_again() {
    let place = alone();
    place.deploy(&shop("app:1", 1)).await;
    let target = place.target(&shop("app:2", 1));
    let goal = place.goal(&target);
    // Known connections and kinds, then nobody there.
    let (effect, seen) = place.up_to_the_roll(&target, &goal).await;
    place.plane.kill_api_server().expect("killed");
    let told = std::sync::Arc::new(crate::place::Told::default());
    let cx = belay_driver::Context {
        progress: told.clone(),
        deadline_ms: 1_200_000,
        ..crate::way::equipped(&goal)
    };
    let driver = &place.driver;
    let performed = crate::way::perform_as(&cx, driver, &target, &effect, &seen);
    let again = async {
        until("that is told", async || told.has("the API server is away")).await;
        place.plane.start_api_server().expect("started");
    };
    let (done, ()) = tokio::join!(performed, again);
    done.expect("rolled out");
}
