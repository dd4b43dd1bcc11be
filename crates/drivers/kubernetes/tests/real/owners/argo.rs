//! Argo CD: its applications, and what its controller does.

use super::{Place, api, place_with_deliverers, says};
use crate::place::until;
use crate::way::{FORWARD, perform};
use belay_driver::{Driver, Stage};
use belay_driver_kubernetes::Gitops;
use belay_model::release::Target;
use belay_model::state::State;
use serde_json::{Value, json};

/// An application in the test's own namespace that applies `api`.
pub(super) struct Application<'a> {
    pub(super) place: &'a Place,
    pub(super) name: &'a str,
    /// What its source says, by its image.
    pub(super) source: std::cell::RefCell<String>,
}

const SELF_HEAL: &str = "{automated: {prune: true, selfHeal: true}}";

impl<'a> Application<'a> {
    /// It is there, and has applied `app:1`. `policy`: its `syncPolicy`.
    pub(super) fn new(place: &'a Place, policy: &str) -> Self {
        let it = Self {
            place,
            name: "shop",
            source: std::cell::RefCell::new("app:1".to_owned()),
        };
        it.make(policy);
        it.place
            .applied_by("argocd-controller", &api("app:1", &it.marks()));
        it.compare();
        it
    }

    fn make(&self, policy: &str) {
        let (name, namespace) = (self.name, &self.place.namespace);
        let manifest = format!(
            "
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: {name}}}
spec:
  project: default
  destination: {{server: https://kubernetes.default.svc, namespace: {namespace}}}
  source: {{repoURL: https://example.com/shop.git, path: .}}
  syncPolicy: {policy}
"
        );
        self.place.kubectl_with(&["apply", "-f", "-"], &manifest);
    }

    /// What Argo CD writes on what is its.
    fn marks(&self) -> String {
        let (name, namespace) = (self.name, &self.place.namespace);
        format!(
            ", annotations: {{argocd.argoproj.io/tracking-id: '{namespace}_{name}:apps/Deployment:{namespace}/api'}}"
        )
    }

    pub(super) fn get(&self) -> Value {
        self.place
            .json(&["get", "application.argoproj.io", self.name])
    }

    pub(super) fn patch(&self, fields: &Value) {
        let fields = fields.to_string();
        self.place.kubectl(&[
            "patch",
            "application.argoproj.io",
            self.name,
            "--type=merge",
            "-p",
            &fields,
        ]);
    }

    /// Its controller's turn: it sets back what differs where it heals, and says what it has found.
    pub(super) fn reconcile(&self) {
        let automated = self.get()["spec"]["syncPolicy"]["automated"].clone();
        let source = self.source.borrow().clone();
        if automated["selfHeal"] == true && self.place.image() != source {
            self.place
                .applied_by("argocd-controller", &api(&source, &self.marks()));
        }
        self.compare();
    }

    fn compare(&self) {
        let is_same = self.place.image() == *self.source.borrow();
        let status = if is_same { "Synced" } else { "OutOfSync" };
        let namespace = &self.place.namespace;
        let listed = json!({ "group": "apps", "version": "v1", "kind": "Deployment", "namespace": namespace, "name": "api", "status": status });
        self.patch(&json!({
            "metadata": { "annotations": { "argocd.argoproj.io/refresh": null } },
            "status": { "resources": [listed] },
        }));
    }

    /// Its controller until it was asked to compare, and has.
    pub(super) async fn asked(&self) {
        until("it is asked to compare", async || {
            !self.get()["metadata"]["annotations"]["argocd.argoproj.io/refresh"].is_null()
        })
        .await;
        self.reconcile();
    }

    /// All steps, with the controller at work when a hold may be lifted; their titles.
    pub(super) async fn go(
        &self,
        target: &Target,
        want: Option<State>,
        stage: Stage,
    ) -> Vec<String> {
        let place = self.place;
        let goal = match want {
            Some(want) => place.as_before(target, want, target),
            None => place.goal(target),
        };
        let mut titles = Vec::new();
        for effect in place.planned(target, &goal, stage).await {
            let seen = place.observe(target).await;
            let step = perform(&place.driver, target, &effect, &seen, &goal);
            if effect.title.starts_with("let go") {
                let (done, ()) = tokio::join!(step, self.asked());
                done.expect("done");
            } else {
                step.await.expect("done");
                self.reconcile();
            }
            titles.push(effect.title);
        }
        titles
    }
}

fn automated(application: &Application<'_>) -> Value {
    application.get()["spec"]["syncPolicy"]["automated"].clone()
}

/// One line is said of releasing this image so, and it has these words.
async fn said_of(place: &Place, image: &str, gitops: Option<Gitops>, words: &str) {
    says(
        &place.lines(&place.release_of(image, gitops)).await,
        &[words],
    );
}

#[tokio::test]
async fn a_release_that_argo_cd_would_undo_is_refused() {
    let place = place_with_deliverers();
    let application = Application::new(&place, SELF_HEAL);
    let namespace = &place.namespace;
    let who = format!("the Argo CD application {namespace}/shop applies deployment.apps/api");
    let said = [
        (
            None,
            "E0326",
            "would undo this at once; to go on, write `gitops: hold`",
        ),
        (Some(Gitops::Ignore), "WARNING:", "will undo this at once"),
        (
            Some(Gitops::Hold),
            "",
            "would undo this at once: it is held first",
        ),
    ];
    for (gitops, level, what) in said {
        let words = format!("{level} {who}, and {what}");
        said_of(&place, "app:2", gitops, words.trim_start()).await;
    }
    // It is undone, as was said.
    let target = place.release_of("app:2", Some(Gitops::Ignore));
    assert_eq!(
        place
            .go(&target, &place.goal(&target), FORWARD)
            .await
            .expect("done")
            .len(),
        1
    );
    application.reconcile();
    assert_eq!(place.image(), "app:1");
}

#[tokio::test]
async fn who_does_not_heal_is_said_and_not_refused() {
    let place = place_with_deliverers();
    let application = Application::new(&place, "{automated: {}}");
    let target = place.release_of("app:2", None);
    says(
        &place.lines(&target).await,
        &["and may undo this: with selfHeal off, it does so at the next commit"],
    );
    application.patch(&json!({ "spec": { "syncPolicy": { "automated": { "enabled": false } } } }));
    says(
        &place.lines(&target).await,
        &["and will not undo this: it does not sync by itself"],
    );
    application.patch(&json!({ "spec": { "syncPolicy": null } }));
    says(
        &place.lines(&target).await,
        &["and will not undo this: it does not sync by itself"],
    );
    // One that does not list it has nothing to do with it, whatever is written there.
    application.patch(&json!({ "spec": { "syncPolicy": { "automated": { "selfHeal": true } } }, "status": { "resources": [] } }));
    says(&place.lines(&target).await, &[]);
    place.kubectl(&["delete", "application.argoproj.io", "shop"]);
    says(&place.lines(&target).await, &[]);
}

#[tokio::test]
async fn the_label_that_charts_write_too_is_believed_of_an_application_that_is_there() {
    let place = place_with_deliverers();
    let application = Application::new(&place, SELF_HEAL);
    place.kubectl(&[
        "annotate",
        "deployment/api",
        "argocd.argoproj.io/tracking-id-",
    ]);
    place.kubectl(&[
        "label",
        "deployment/api",
        "app.kubernetes.io/instance=other",
    ]);
    let target = place.release_of("app:2", None);
    says(&place.lines(&target).await, &[]);
    place.kubectl(&[
        "label",
        "--overwrite",
        "deployment/api",
        "app.kubernetes.io/instance=shop",
    ]);
    says(
        &place.lines(&target).await,
        &["E0326 the Argo CD application"],
    );
    application.patch(&json!({ "status": null }));
    says(&place.lines(&target).await, &[]);
}

#[tokio::test]
async fn a_hold_comes_first_and_goes_when_the_source_says_what_runs() {
    let place = place_with_deliverers();
    let application = Application::new(&place, SELF_HEAL);
    let was = automated(&application);
    let target = place.release_of("app:2", Some(Gitops::Hold));
    let before = place.observe(&target).await;
    // The source says the old one still: let go, it would be back.
    let titles = application.go(&target, None, FORWARD).await;
    let [hold, _, let_go] = titles.as_slice() else {
        panic!("{titles:?}");
    };
    let name = format!("the Argo CD application {}/shop", place.namespace);
    assert_eq!(*hold, format!("hold {name}"));
    assert!(
        let_go.starts_with(&format!("let go {name}, if its source says")),
        "{let_go}"
    );
    application.reconcile();
    assert_eq!(
        (place.image().as_str(), automated(&application)),
        ("app:2", Value::Null)
    );
    said_of(
        &place,
        "app:3",
        Some(Gitops::Hold),
        &format!("{name} applies deployment.apps/api: it is held by Belay since dep_way"),
    )
    .await;

    // Going back it stays where it is, as the source says something else by then (the bad one).
    *application.source.borrow_mut() = "app:2".to_owned();
    let titles = application
        .go(&target, Some(before.clone()), Stage::BACK)
        .await;
    assert_eq!(titles.len(), 2, "{titles:?}");
    application.reconcile();
    assert_eq!(
        (place.image().as_str(), automated(&application)),
        ("app:1", Value::Null)
    );

    // A newer release, which the source has come to say: it is let go, as it was.
    *application.source.borrow_mut() = "app:3".to_owned();
    let newer = place.release_of("app:3", Some(Gitops::Hold));
    let titles = application.go(&newer, None, FORWARD).await;
    assert_eq!(titles.len(), 2, "{titles:?}");
    application.reconcile();
    assert_eq!(
        (place.image().as_str(), automated(&application)),
        ("app:3", was)
    );
    let left = application.get()["metadata"]["annotations"]["belay.dev/held"].clone();
    assert_eq!(left, Value::Null);
}

#[tokio::test]
async fn what_was_free_before_is_free_again_when_all_is_put_back() {
    let place = place_with_deliverers();
    let application = Application::new(&place, SELF_HEAL);
    let was = automated(&application);
    let target = place.release_of("app:2", Some(Gitops::Hold));
    let before = place.observe(&target).await;
    application.go(&target, None, FORWARD).await;
    assert_eq!(automated(&application), Value::Null);
    let titles = application
        .go(&target, Some(before.clone()), Stage::BACK)
        .await;
    assert_eq!(titles.len(), 2, "{titles:?}");
    application.reconcile();
    assert_eq!(
        (place.image().as_str(), automated(&application)),
        ("app:1", was.clone())
    );

    // Also where nothing but the hold was done.
    let goal = place.goal(&target);
    let hold = place.planned(&target, &goal, FORWARD).await.remove(0);
    perform(&place.driver, &target, &hold, &before, &goal)
        .await
        .expect("held");
    assert_eq!(automated(&application), Value::Null);
    let titles = application.go(&target, Some(before), Stage::BACK).await;
    assert_eq!(titles.len(), 1, "{titles:?}");
    assert_eq!(automated(&application), was);
}

#[tokio::test]
async fn a_hold_is_done_once_and_not_by_a_worker_that_was_replaced() {
    let place = place_with_deliverers();
    let application = Application::new(&place, SELF_HEAL);
    let target = place.release_of("app:2", Some(Gitops::Hold));
    let (goal, seen) = (place.goal(&target), place.observe(&target).await);
    let hold = place.planned(&target, &goal, FORWARD).await.remove(0);
    for _ in 0..2 {
        perform(&place.driver, &target, &hold, &seen, &goal)
            .await
            .expect("held");
    }
    let note = || application.get()["metadata"]["annotations"]["belay.dev/held"].clone();
    let note: Value = serde_json::from_str(note().as_str().expect("noted")).expect("JSON");
    assert_eq!(note["was"], json!({ "prune": true, "selfHeal": true }));
    // Another target needs it, too: who lets it go first does not take it from the other.
    let mut other = target.clone();
    other.name = "web/test".to_owned();
    perform(&place.driver, &other, &hold, &seen, &goal)
        .await
        .expect("held");
    *application.source.borrow_mut() = "app:1".to_owned();
    let let_go = place
        .planned(
            &target,
            &place.as_before(&target, seen.clone(), &target),
            Stage::BACK,
        )
        .await
        .remove(0);
    for (target, expect) in [(&target, Value::Null), (&other, note["was"].clone())] {
        let step = perform(&place.driver, target, &let_go, &seen, &goal);
        let (done, ()) = tokio::join!(step, application.asked());
        done.expect("done");
        assert_eq!(automated(&application), expect);
    }
    // A newer worker has been here.
    let newer = belay_driver::Context {
        epoch: 9,
        deployment: belay_model::id::DeploymentId::new("dep_way"),
        ..crate::place::context()
    };
    place
        .driver
        .settle(&newer, &target, &hold, None)
        .await
        .expect("settled");
    let refused = perform(&place.driver, &target, &hold, &seen, &goal)
        .await
        .expect_err("it was replaced");
    assert!(
        refused.message.contains("another worker has taken over"),
        "{refused}"
    );
    assert_eq!(automated(&application), note["was"]);
}
