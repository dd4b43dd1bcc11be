//! What the documentation says is true: its commands work and print what it shows, its links lead somewhere, and the
//! reference names every key there is.

mod guide;
mod links;
mod output;
mod schema;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the repository")
}

#[test]
fn the_readme_works() {
    guide::check("README.md");
}

#[test]
fn first_service_works() {
    guide::check("docs/first-service.md");
}

#[test]
fn first_service_on_kubernetes_works() {
    use belay_testbed::{ControlPlane, Helm};
    let plane = ControlPlane::start().expect("a control plane");
    let namespace = plane.namespace().expect("a namespace");
    let folder = |program: &Path| program.parent().expect("a folder").display().to_string();
    let kubectl = folder(Path::new(plane.kubectl().get_program()));
    let helm = folder(&Helm::V4.program().expect("helm"));
    let path = std::env::var("PATH").unwrap_or_default();
    guide::check_with(
        "docs/first-service-on-kubernetes.md",
        &[
            ("prod-cluster", ControlPlane::CONTEXT),
            ("shop-demo", &namespace),
        ],
        &[
            ("KUBECONFIG", plane.kubeconfig().display().to_string()),
            ("PATH", format!("{kubectl}:{helm}:{path}")),
        ],
    );
}

#[test]
fn canary_works() {
    guide::check("docs/canary.md");
}

#[test]
fn going_back_works() {
    guide::check("docs/going-back.md");
}

#[test]
fn phases_works() {
    guide::check("docs/phases.md");
}

#[test]
fn promotion_works() {
    guide::check("docs/promotion.md");
}

#[test]
fn workers_works() {
    guide::check("docs/workers.md");
}

#[test]
fn shared_store_works() {
    use belay_testbed::{Postgres, Version};
    let server = Postgres::start(Version::V15).expect("a server");
    let url = server.url(Postgres::DATABASE);
    guide::check_with(
        "docs/shared-store.md",
        &[("postgres://belay@db.example.com/belay", &url)],
        &[],
    );
}

#[test]
fn when_belay_is_down_works() {
    guide::check("docs/when-belay-is-down.md");
}
