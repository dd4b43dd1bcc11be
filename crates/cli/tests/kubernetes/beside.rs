//! Releases side by side, under the eyes of users: who is served by what, and that nobody is left without an answer.

use crate::shop::Shop;
use crate::support::project::until;
use crate::users::Users;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ONE: &str = "shop/api:1";
const TWO: &str = "shop/api:2";

impl Shop {
    /// With a strategy, more lines below the environment, and release 1 there: four pods.
    fn beside(strategy: &str, more: &str) -> Self {
        let shop = Self::new();
        shop.edit("k8s/api.yaml", "replicas: 2", "replicas: 4");
        shop.configure("info", &format!("    strategy: {strategy}\n{more}"));
        shop.project.json(0, &["deploy"]);
        shop
    }

    /// A group as `belay status` shows it.
    fn group(&self, release: u32) -> Option<Value> {
        let status = self.project.json(0, &["status"]);
        let groups = status["services"][0]["targets"][0]["groups"].as_array();
        let groups = groups.unwrap_or_else(|| panic!("nobody looked: {status:#}"));
        let mut groups = groups.iter();
        groups.find(|group| group["release"] == release).cloned()
    }

    pub(crate) fn weight(&self, release: u32) -> Option<u64> {
        self.group(release)?["weight_per_mille"].as_u64()
    }

    /// The pods of an image.
    fn pods(&self, image: &str) -> BTreeSet<String> {
        let pods = self.get(&["pods"]);
        let pods = pods["items"].as_array().expect("a list").iter();
        let own = pods.filter(|pod| pod["spec"]["containers"][0]["image"] == image);
        own.map(|pod| pod["metadata"]["uid"].as_str().expect("a uid").to_owned())
            .collect()
    }
}

#[test]
fn blue_green_out_and_back_loses_nothing() {
    let shop = Shop::beside("blue_green", "    verify: [{ http: /health }]\n");
    let users = Users::of(&shop);
    let before = shop.pods(ONE);
    assert_eq!(before.len(), 4);
    let plan = shop.project.json(0, &["plan", "--image", TWO]).to_string();
    assert!(plan.contains("service/api"), "{plan}");
    let out = shop
        .project
        .json(0, &["deploy", "--image", TWO])
        .to_string();
    assert!(out.contains("passed on all 4 instances"), "{out}");
    users.are_served_by(TWO);
    assert_eq!((shop.weight(1), shop.weight(2)), (Some(0), Some(1000)));
    let warm = shop.group(1).expect("it stands by");
    assert_eq!((&warm["ready"], &warm["instances"]), (&json!(4), &json!(4)));
    assert!(warm["removed_at"].is_string(), "{warm:#}");

    shop.project.json(0, &["rollback", "--yes"]);
    users.are_served_by(ONE);
    assert_eq!(shop.pods(ONE), before, "they stood ready all the time");
    assert_eq!(users.lost(), []);
}

#[test]
fn a_release_that_answers_badly_is_never_reached_by_users() {
    let shop = Shop::beside("blue_green", "    verify: [{ http: /health }]\n");
    let users = Users::of(&shop);
    let bad = shop
        .project
        .json(3, &["deploy", "--image", "shop/api:2-sick"]);
    let said = bad.to_string();
    assert!(
        said.contains("it answered with status 503 instead of 200"),
        "{bad:#}"
    );
    assert!(said.contains("forwarded"), "{bad:#}");
    users.are_served_by(ONE);
    assert!(!users.saw("shop/api:2-sick"));
    assert_eq!(users.lost(), []);
    assert_eq!(shop.pods("shop/api:2-sick").len(), 0);
}

#[test]
fn a_canary_by_pods_has_its_share_and_is_taken_back() {
    let canary = "{ canary: [{ to: 25%, for: 10m }] }";
    let shop = Shop::beside(canary, "    verify: [{ http: /health, at: live }]\n");
    let users = Users::of(&shop);
    shop.edit("k8s/api.yaml", ONE, TWO);
    let deploying = shop.project.beside(&["deploy"]);
    until("a quarter of the traffic", || {
        (shop.weight(2) == Some(250)).then_some(())
    });
    users.until("some are served by it", |seen| {
        seen.iter().any(|one| one.release.as_deref() == Some(TWO))
    });
    // Each pod has its turn.
    let share = users.from(TWO, 80);
    assert!((15..=25).contains(&share), "{share} of 80");
    shop.project.json(0, &["rollback", "--yes"]);
    users.are_served_by(ONE);
    drop(deploying);
    assert_eq!(shop.weight(1), Some(1000));
    assert_eq!(users.lost(), []);
}

#[test]
fn a_canary_goes_all_the_way_and_back_at_once() {
    let canary = "{ canary: [{ to: 25%, for: 1s }, { to: 50%, for: 1s }] }";
    let shop = Shop::beside(canary, "");
    let users = Users::of(&shop);
    shop.project.json(0, &["deploy", "--image", TWO]);
    users.are_served_by(TWO);
    shop.project.json(0, &["rollback", "--yes"]);
    users.are_served_by(ONE);
    assert_eq!(users.lost(), []);
}

#[test]
fn what_is_bad_only_under_traffic_goes_back_by_itself() {
    let canary = "{ canary: [{ to: 25%, for: 10m }] }";
    let checks = "    verify: [{ http: /health }, { http: /health, at: live, name: health }]\n";
    let shop = Shop::beside(canary, checks);
    let users = Users::of(&shop);
    let tired = "shop/api:2-tired";
    let bad = shop
        .project
        .json(3, &["deploy", "--image", tired])
        .to_string();
    assert!(
        bad.contains("it answered with status 500 instead of 200"),
        "{bad}"
    );
    assert!(users.saw(tired));
    users.are_served_by(ONE);
    assert_eq!(shop.weight(1), Some(1000));
}

#[test]
fn the_strategy_may_change_between_releases() {
    let shop = Shop::beside("rolling", "");
    let users = Users::of(&shop);
    shop.project.json(0, &["deploy", "--image", TWO]);
    shop.edit("belay.yaml", "strategy: rolling", "strategy: blue_green");
    shop.project.json(0, &["deploy", "--image", "shop/api:3"]);
    users.are_served_by("shop/api:3");
    assert_eq!(shop.weight(3), Some(1000));
    // The release before lies in place; the one that is gone back to does, too.
    shop.project.json(0, &["rollback", "--yes", "--to", "1"]);
    users.are_served_by(ONE);
    assert_eq!(shop.image(), ONE);
    assert_eq!(users.lost(), []);
}

#[test]
fn what_gets_sick_beside_the_old_one_goes_back_to_it() {
    let shop = Shop::beside("blue_green", "");
    let users = Users::of(&shop);
    shop.edit("belay.yaml", "bake: 0s", "bake: 10m");
    let until_promoted = ["deploy", "--image", TWO, "--until", "promoted"];
    shop.project.json(0, &until_promoted);
    shop.makes_pods_unready(TWO);
    let bad = shop.project.json(3, &["watch"]).to_string();
    assert!(bad.contains("is not ready any more"), "{bad}");
    users.are_served_by(ONE);
}

#[test]
fn a_route_has_the_weights_of_a_canary() {
    let shop = Shop::new();
    shop.routes();
    shop.configure(
        "info",
        "    strategy: { canary: [{ to: 12.5%, for: 10m }] }\n",
    );
    let target = format!("namespace: {}", shop.namespace);
    shop.edit(
        "belay.yaml",
        &target,
        &format!("{target}, route: httproute/api"),
    );
    shop.project.json(0, &["deploy"]);
    // By the release of the Service that each backend is.
    let weights = || {
        let route = shop.get(&["httproute", "api"]);
        let backends = route["spec"]["rules"][0]["backendRefs"]
            .as_array()
            .expect("a list")
            .clone();
        let weight = |release: &str| {
            let name = format!("api-{release}-");
            let mut own = backends
                .iter()
                .filter(|it| it["name"].as_str().is_some_and(|it| it.starts_with(&name)));
            own.next()
                .map_or(0, |it| it["weight"].as_u64().unwrap_or(1))
        };
        (weight("r1"), weight("r2"))
    };
    assert!(matches!(weights(), (1.., 0)), "{:?}", weights());
    shop.edit("k8s/api.yaml", ONE, TWO);
    let deploying = shop.project.beside(&["deploy"]);
    until("an eighth of the weight", || {
        (shop.weight(2) == Some(125)).then_some(())
    });
    assert_eq!(weights(), (875, 125));
    shop.project.json(0, &["rollback", "--yes"]);
    assert!(matches!(weights(), (1.., 0)), "{:?}", weights());
    assert!(deploying.said().contains("12.5 %"), "{}", deploying.said());
}

#[test]
fn what_kubectl_made_stands_by_until_somebody_removes_it() {
    let shop = Shop::new();
    shop.apply();
    shop.configure("info", "    strategy: blue_green\n");
    let deployed = shop.project.json(0, &["deploy", "--image", TWO]);
    let by = |name: &str| {
        let status = shop.project.json(0, &["status"]);
        let groups = status["services"][0]["targets"][0]["groups"].clone();
        let groups = groups.as_array().expect("groups").clone();
        groups.into_iter().find(|it| it["group"] == name)
    };
    let left = by("deployment/api").expect("it stands by");
    let context = belay_testbed::ControlPlane::CONTEXT;
    let namespace = &shop.namespace;
    let command = format!("kubectl --context {context} -n {namespace} delete deployment/api");
    assert_eq!(left["removed_by"], command, "{left:#}");
    let new = shop.group(1).expect("it serves");
    assert_eq!(new["removed_by"], Value::Null);
    let said = shop.project.belay(&["status", "shop", "-e", "test"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains(&command), "{said}");

    let words: Vec<&str> = command.split(' ').skip(5).collect();
    shop.kubectl(&words);
    until("it is gone", || {
        by("deployment/api").is_none().then_some(())
    });
    // It is made again of what was captured.
    let id = deployed["deployment"]["id"].as_str().expect("an id");
    let undo = ["rollback", "--undo", id, "--yes", "--reason", "no"];
    shop.project.json(0, &undo);
    assert_eq!(shop.image(), ONE);
}
