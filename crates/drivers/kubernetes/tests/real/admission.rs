//! Somebody who is asked by the API server says no, or nothing: said at once and by name, and nothing is changed.

use crate::place::{Place, place, until};
use crate::way::{FORWARD, shop};
use belay_driver::Error;
use belay_model::error::{Class, Effect};
use belay_testbed::{Answer, Webhook};

const NAME: &str = "images.rules.example";

/// Has the API server ask it about these from now on, in this namespace.
async fn ask(place: &Place, webhook: &Webhook, of: (&str, &str)) {
    let object = webhook.configuration(NAME, &place.namespace, of);
    let mut object = object;
    object["metadata"]["name"] = place.namespace.clone().into();
    place.kubectl_with(&["create", "-f", "-"], &object.to_string());
    // It is heard of a moment later.
    let probe = match of.1 {
        "pods" => &["run", "probe", "--image=app", "--dry-run=server"][..],
        _ => &[
            "create",
            "deployment",
            "probe",
            "--image=app",
            "--dry-run=server",
        ],
    };
    until("it is asked", async || {
        let mut kubectl = place.plane.kubectl();
        let kubectl = kubectl.args(["-n", &place.namespace]).args(probe);
        let done = kubectl.output().expect("kubectl");
        String::from_utf8_lossy(&done.stderr).contains(NAME)
    })
    .await;
}

/// From a release that works to one that is not let in; and back, with the webhook as it is.
async fn is_told(answer: Answer, of: (&str, &str)) -> Error {
    let webhook = Webhook::start(answer).expect("a webhook");
    let place = place();
    let (target, before) = place.deploy(&shop("app:1", 1)).await;
    ask(&place, &webhook, of).await;
    let next = place.target(&shop("app:2", 1));
    let gone = place.go(&next, &place.goal(&next), FORWARD).await;
    let (title, error) = gone.expect_err("it is not let in");
    assert_eq!(title, "roll deployment.apps/api to app:2");
    assert!(error.message.contains(NAME), "{error:?}");
    if of.1 == "deployments" {
        assert_eq!(error.effect, Effect::NotApplied, "{error:?}");
        assert_eq!(
            place.differences(&before, &place.observe(&target).await),
            ""
        );
    }
    place.back(&target, &before).await;
    error
}

const DEPLOYMENTS: (&str, &str) = ("apps", "deployments");

#[tokio::test]
async fn a_webhook_that_refuses_is_named() {
    let why = "no image without a digest";
    let error = is_told(Answer::Denied(why.to_owned()), DEPLOYMENTS).await;
    assert_eq!(error.class, Class::Application, "{error:?}");
    assert!(error.message.contains(why), "{error:?}");
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_is_named() {
    let error = is_told(Answer::None, DEPLOYMENTS).await;
    assert_eq!(error.class, Class::Connectivity, "{error:?}");
}

#[tokio::test]
async fn a_webhook_that_refuses_pods_is_named() {
    let why = "no more pods on Fridays";
    let error = is_told(Answer::Denied(why.to_owned()), ("", "pods")).await;
    assert_eq!(error.class, Class::Application, "{error:?}");
    assert!(
        error.message.contains("its pods are refused") && error.message.contains(why),
        "{error:?}"
    );
}
