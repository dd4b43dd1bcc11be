//! Others that apply the same objects, by their real definitions. Their controllers are not there: where one has to act, a test acts for
//! it, as its documentation says that it does.

mod argo;
mod flux;
mod others;
mod parents;
mod surroundings;

use crate::place::{Place, context, place};
use belay_driver::{Driver, Remark};
use belay_driver_kubernetes::{Gitops, Settings, parse_manifest};
use belay_model::release::Target;
use std::sync::OnceLock;

/// A place where all of them are known.
fn place_with_deliverers() -> Place {
    static KNOWN: OnceLock<()> = OnceLock::new();
    let place = place();
    KNOWN.get_or_init(|| place.plane.know_deliverers().expect("their kinds"));
    place
}

/// A Deployment with two pods. `marks`: labels and annotations, as metadata has them.
fn api(image: &str, marks: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: api{marks}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: api}}}}
  template:
    metadata: {{labels: {{app: api}}}}
    spec: {{containers: [{{name: app, image: '{image}'}}]}}
"
    )
}

impl Place {
    /// As whoever owns it applies it: under a name of its own, and all of it.
    fn applied_by(&self, manager: &str, manifest: &str) {
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager",
            manager,
            "-f",
            "-",
        ];
        self.kubectl_with(&apply, manifest);
    }

    /// A release of it, where that is said about others.
    fn release_of(&self, image: &str, gitops: Option<Gitops>) -> Target {
        self.target_with(Settings {
            objects: parse_manifest(&api(image, "")).expect("a manifest"),
            gitops,
            ..Settings::default()
        })
    }

    /// What is said of a release before anything changes.
    async fn told(&self, target: &Target) -> Vec<Remark> {
        let from = self.observe(target).await;
        let goal = self.goal(target);
        let effects = self
            .driver
            .plan(target, &from, &goal, crate::way::FORWARD)
            .expect("planned");
        let told = self
            .driver
            .remarks(&context(), target, &from, &effects)
            .await;
        told.expect("looked")
    }

    /// The same as lines: `E0326 ...` where it is refused.
    async fn lines(&self, target: &Target) -> Vec<String> {
        let told = self.told(target).await;
        told.iter().map(line).collect()
    }

    fn image(&self) -> String {
        let deployment = self.json(&["get", "deployment/api"]);
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        image.as_str().expect("an image").to_owned()
    }
}

fn line(remark: &Remark) -> String {
    match remark.refusal() {
        Some(refusal) => format!("{} {}; {}", refusal.code, refusal.what, refusal.next),
        None => remark.line(),
    }
}

/// Whether just these things are said, in order.
fn says(lines: &[String], words: &[&str]) {
    let is_so = lines.len() == words.len()
        && lines
            .iter()
            .zip(words)
            .all(|(line, words)| line.contains(words));
    assert!(is_so, "{lines:#?} is not {words:#?}");
}
