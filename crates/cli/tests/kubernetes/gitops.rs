//! Others that apply the same objects: refused, held, and let go.

use crate::shop::Shop;
use serde_json::{Value, json};

impl Shop {
    fn is_suspended(&self) -> Value {
        self.get(&["kustomization.kustomize.toolkit.fluxcd.io", "apps"])["spec"]["suspend"].clone()
    }
}

#[test]
fn a_release_that_somebody_would_undo_is_refused_or_holds_them() {
    let shop = Shop::with_deliverers();
    shop.apply();
    shop.flux();
    // One for the namespace, and one for each right in the whole cluster.
    let well = shop.project.json(0, &["doctor", "kubernetes"]);
    assert_eq!(well["kubernetes"][0]["requests"], 1 + 4, "{well:#}");
    let plan = shop.project.json(0, &["plan"])["plan"].clone();
    let remarks = plan["remarks"].to_string();
    let who = format!(
        "the Flux kustomization {}/apps applies deployment.apps/api",
        shop.namespace
    );
    assert!(
        remarks.contains(&format!("this would be refused: {who}")) && remarks.contains("(E0326)"),
        "{plan:#}"
    );
    // Nothing is changed.
    let refused = shop.project.json(3, &["deploy"]).to_string();
    assert!(
        refused.contains("E0326") && refused.contains("gitops: hold"),
        "{refused}"
    );
    assert_eq!(
        (shop.image().as_str(), shop.is_suspended()),
        ("shop/api:1", Value::Null)
    );

    shop.edit(
        "belay.yaml",
        "kubernetes: { ",
        "kubernetes: { gitops: hold, ",
    );
    shop.project.json(0, &["deploy", "--image", "shop/api:2"]);
    assert_eq!(shop.is_suspended(), json!(true));
    shop.project.json(0, &["deploy", "--image", "shop/api:3"]);
    let plan = shop
        .project
        .json(0, &["plan", "--image", "shop/api:4"])
        .to_string();
    assert!(plan.contains("it is held by Belay since dep_"), "{plan}");
    // Back it stays held: what its source says is not known to be what is there then.
    shop.project.json(0, &["rollback", "--yes"]);
    assert_eq!(
        (shop.image().as_str(), shop.is_suspended()),
        ("shop/api:2", json!(true))
    );
}

#[test]
fn a_way_back_of_what_belay_never_deployed_says_what_is_done_about_them() {
    let shop = Shop::with_deliverers();
    shop.apply();
    shop.flux();
    shop.kubectl(&["set", "image", "deployment/api", "api=shop/api:2"]);
    shop.rolled_out("deployment/api");
    let uri = shop.uri("deployment/api");
    let named = ["rollback", &uri, "--to", "1", "--yes"];
    let plan = shop
        .project
        .json(0, &[&named[..], &["--plan"]].concat())
        .to_string();
    assert!(plan.contains("would undo this at once"), "{plan}");
    let refused = shop.project.json(6, &named).to_string();
    assert!(
        refused.contains("E0326") && refused.contains("--gitops hold"),
        "{refused}"
    );
    assert_eq!(shop.image(), "shop/api:2");
    shop.project
        .json(0, &[&named[..], &["--gitops", "hold"]].concat());
    assert_eq!(
        (shop.image().as_str(), shop.is_suspended()),
        ("shop/api:1", json!(true))
    );
    // It is for nothing else.
    let misused = shop
        .project
        .json(2, &["rollback", "--gitops", "hold"])
        .to_string();
    assert!(misused.contains("belay.yaml"), "{misused}");
}
