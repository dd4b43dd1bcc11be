//! The way back without Belay: its script is run by a shell that has kubectl, and no more.

use crate::shop::{KEY, Shop, encoded};
use crate::support::project::until;
use serde_json::Value;
use std::process::{Command, Stdio};

impl Shop {
    /// What the plan of a command is as a script.
    pub(crate) fn script(&self, arguments: &[&str]) -> String {
        let document = self
            .project
            .json(0, &[arguments, &["--plan", "--as", "sh"]].concat());
        document["script"].as_str().expect("a script").to_owned()
    }

    /// Runs it as anybody would, with these variables.
    pub(crate) fn run(&self, script: &str, variables: &[(&str, &str)]) -> bool {
        self.project.executable("back.sh", script);
        let path = self
            .project
            .env
            .iter()
            .find(|(name, _)| name == "PATH")
            .expect("a PATH");
        let mut shell = Command::new(self.project.path().join("back.sh"));
        shell
            .env_clear()
            .env("HOME", self.project.path())
            .current_dir(self.project.path())
            .env("PATH", &path.1)
            .envs(variables.iter().copied());
        let done = shell.stdin(Stdio::null()).output().expect("started");
        let talk = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!talk.contains(KEY), "{talk}");
        if !done.status.success() {
            eprintln!("{talk}\n{script}");
        }
        done.status.success()
    }

    /// Does it while the store is gone.
    pub(crate) fn without_belay(&self, act: impl FnOnce()) {
        let (store, gone) = (
            self.project.path().join(".belay"),
            self.project.path().join("gone"),
        );
        std::fs::rename(&store, &gone).expect("moved");
        act();
        assert!(!store.exists(), "nobody makes another one");
        std::fs::rename(gone, store).expect("moved");
    }

    /// A way back finds that everything is there.
    pub(crate) fn has_nothing_to_do(&self) {
        let plan = self.project.json(0, &["rollback", "--plan"]);
        let steps = plan["preview"]["steps"].as_array().expect("steps");
        let is_look = |step: &Value| step["wave"].is_null();
        assert!(steps.iter().all(is_look), "{plan:#}");
    }

    pub(crate) fn template(&self) -> Value {
        self.get(&["deployment", "api"])["spec"]["template"].clone()
    }
}

#[test]
fn the_way_back_works_without_belay() {
    let shop = Shop::new();
    shop.project.json(0, &["deploy"]);
    let before = shop.template();
    let secret = shop.given("secret", "secretRef");
    shop.configure("warn", "");
    shop.edit("k8s/api.yaml", "motto: first", "motto: second");
    shop.project.json(0, &["deploy", "--image", "shop/api:2"]);
    shop.kubectl(&["set", "env", "deployment/api", "ADDED=by hand"]);
    shop.rolled_out("deployment/api");
    let script = shop.script(&["rollback"]);
    assert!(
        !script.contains(KEY) && !script.contains(&encoded()),
        "{script}"
    );
    shop.without_belay(|| assert!(shop.run(&script, &[])));
    assert_eq!(shop.image(), "shop/api:1");
    assert_eq!(shop.template(), before);
    assert_eq!(shop.given("secret", "secretRef"), secret);
    shop.has_nothing_to_do();
}

#[test]
fn values_of_secrets_are_asked_for() {
    let mut shop = Shop::new();
    shop.project.json(0, &["deploy"]);
    let name = |shop: &Shop| {
        let sources = shop.template()["spec"]["containers"][0]["envFrom"].clone();
        let sources = sources.as_array().expect("sources").clone();
        let name = sources
            .iter()
            .find_map(|it| it["secretRef"]["name"].as_str());
        name.expect("a secret").to_owned()
    };
    let first = name(&shop);
    shop.project.env[2].1 = "another".to_owned();
    shop.project.json(0, &["deploy", "--image", "shop/api:2"]);
    shop.kubectl(&["delete", "secret", &first]);
    let script = shop.script(&["rollback"]);
    assert!(!shop.run(&script, &[]), "without the value it does nothing");
    assert_eq!(shop.image(), "shop/api:2");
    assert!(shop.run(&script, &[("KEY", KEY)]));
    assert_eq!(shop.image(), "shop/api:1");
    assert_eq!(shop.given("secret", "secretRef")["KEY"], encoded());
}

/// Kinds that are not the server's own are patched in another way.
#[test]
fn what_was_added_to_a_route_is_taken_out() {
    let shop = Shop::new();
    shop.routes();
    shop.project.json(0, &["deploy"]);
    shop.project.json(0, &["deploy", "--image", "shop/api:2"]);
    let hosts = r#"{"spec":{"hostnames":["theirs.example"]}}"#;
    shop.kubectl(&["patch", "httproute", "api", "--type=merge", "-p", hosts]);
    let script = shop.script(&["rollback"]);
    assert!(shop.run(&script, &[]));
    assert_eq!(shop.image(), "shop/api:1");
    assert!(shop.get(&["httproute", "api"])["spec"]["hostnames"].is_null());
    shop.has_nothing_to_do();
}

#[test]
fn of_what_belay_never_deployed() {
    let shop = Shop::new();
    shop.apply();
    let before = shop.template();
    shop.kubectl(&["set", "image", "deployment/api", "api=shop/api:2"]);
    shop.kubectl(&["set", "env", "deployment/api", "ADDED=by hand"]);
    shop.rolled_out("deployment/api");
    let script = shop.script(&["rollback", &shop.uri("deployment/api"), "--to", "1"]);
    assert!(shop.run(&script, &[]));
    assert_eq!(shop.image(), "shop/api:1");
    assert_eq!(shop.template(), before);
}

#[test]
fn traffic_is_moved_back_without_belay() {
    let shop = Shop::new();
    shop.configure("info", "    strategy: blue_green\n");
    shop.project.json(0, &["deploy"]);
    let selector = || shop.get(&["service", "api"])["spec"]["selector"].clone();
    let before = selector();
    shop.project.json(0, &["deploy", "--image", "shop/api:2"]);
    assert_ne!(selector(), before);
    let script = shop.script(&["rollback"]);
    assert!(shop.run(&script, &[]));
    assert_eq!(selector(), before);
    // What stood by is what is left, and nothing is moved to pods that are not there.
    let script = script.replace("-ge ", "-ge 1");
    assert!(!shop.run(&script, &[]), "not as many are ready");
}

#[test]
fn a_share_is_taken_back_without_belay() {
    let shop = Shop::new();
    let canary = "{ canary: [{ to: 50%, for: 10m }] }";
    shop.configure("info", &format!("    strategy: {canary}\n"));
    shop.project.json(0, &["deploy"]);
    let selector = || shop.get(&["service", "api"])["spec"]["selector"].clone();
    let before = selector();
    let _deploying = shop.project.beside(&["deploy", "--image", "shop/api:2"]);
    until("half of the traffic", || {
        (shop.weight(2) == Some(500)).then_some(())
    });
    assert_ne!(selector(), before);
    let script = shop.script(&["rollback"]);
    assert!(shop.run(&script, &[]));
    assert_eq!(selector(), before);
}
