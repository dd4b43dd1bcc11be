//! From one environment to the next as a user meets it: what is good there may come here, and nothing else.

use crate::misfortune::{GOOD, project};
use crate::support::project::Project;
use serde_json::{Value, json};

/// A service with two environments.
struct Shop {
    project: Project,
    /// Where production listens.
    production: u16,
}

impl Shop {
    fn new() -> Self {
        let project = project();
        let production = project.another_port();
        Self {
            project,
            production,
        }
    }

    /// Writes the configuration of a release with these settings, and these lines in each environment.
    fn configure(&self, settings: &str, staging: &str, production: &str) {
        let environment = |name: &str, port: u16, more: &str| {
            let target = format!(
                "run: \"{GOOD}\", listen: \"127.0.0.1:{port}\", ready: {{ tcp: true, within: 60s }}"
            );
            format!(
                "  {name}:\n    target: {{ process: {{ {target} }} }}\n    strategy: blue_green\n    {more}\n"
            )
        };
        let text = [
            format!(
                "service: web\nrelease: {{ artifact: ./dist }}\nconfig: {{ {settings} }}\nverify:\n  - {{ http: /health }}\nenvironments:\n"
            ),
            environment("staging", self.project.port, staging),
            environment("production", self.production, production),
        ];
        self.project.write("belay.yaml", &text.concat());
    }

    fn deploy(&self, exit: i32, environment: &str) -> Value {
        self.project.json(exit, &["deploy", "-e", environment])
    }

    /// The words of a refusal with this code, what to do next among them.
    fn refused(&self, code: &str, arguments: &[&str]) -> String {
        let refused = self.project.json(6, arguments);
        assert_eq!(refused["error"]["code"], json!(code), "{refused:#}");
        format!(
            "{} {}",
            refused["error"]["message"], refused["error"]["next"]
        )
    }

    /// What production answers, if anyone does.
    fn production(&self) -> Option<String> {
        let (_, answer) = self.project.get_at(self.production, "/")?;
        Some(answer.lines().last().unwrap_or_default().to_owned())
    }
}

const SHORT: &str = "keep: { bake: 300ms, warm: 5m }";
const LONG: &str = "keep: { bake: 30m, warm: 60m }";
const FROM: &str = "from: staging\n    keep: { bake: 300ms, warm: 5m }";
const BAKED: &str = "from: staging\n    from_standing: baked\n    keep: { bake: 300ms, warm: 5m }";

#[test]
fn what_is_not_good_where_releases_come_from_is_refused() {
    let shop = Shop::new();
    let to_production = ["deploy", "-e", "production"];
    shop.configure("RELEASE: 1", SHORT, FROM);
    let said = shop.refused("E0242", &to_production);
    assert!(
        said.contains("a new release to web/production: it was never in staging"),
        "{said}"
    );
    assert!(said.contains("belay deploy web -e staging"), "{said}");
    let plan = shop.project.json(0, &["plan", "-e", "production"]);
    let remarks = plan["plan"]["remarks"].to_string();
    assert!(
        remarks.contains("would be refused") && remarks.contains("never in staging"),
        "{remarks}"
    );
    let first = shop.deploy(0, "staging");
    let release = &first["deployment"]["release"];
    assert_eq!(*release, json!(1), "it had no number yet: {first:#}");
    shop.deploy(0, "production");
    assert_eq!(shop.production().as_deref(), Some("release 1"));

    shop.configure("RELEASE: 2, SICK: 1", SHORT, FROM);
    shop.deploy(3, "staging");
    let said = shop.refused("E0242", &to_production);
    assert!(
        said.contains("release 2") && said.contains("quarantined in staging"),
        "{said}"
    );
    assert!(
        said.contains("belay release lift 2 web -e staging"),
        "{said}"
    );
    assert_eq!(shop.production().as_deref(), Some("release 1"));
    // Going back asks nobody where it comes from.
    shop.configure("RELEASE: 3", SHORT, SHORT);
    shop.deploy(0, "production");
    shop.configure("RELEASE: 3", SHORT, FROM);
    shop.project
        .json(0, &["rollback", "-e", "production", "--yes"]);
    assert_eq!(shop.production().as_deref(), Some("release 1"));
}

#[test]
fn it_may_have_to_bake_there_and_a_hotfix_need_not_have_been_there() {
    let shop = Shop::new();
    shop.configure("RELEASE: 1", LONG, BAKED);
    shop.project
        .json(0, &["deploy", "-e", "staging", "--until", "promoted"]);
    let said = shop.refused("E0242", &["deploy", "-e", "production"]);
    assert!(said.contains("it has not baked in staging yet"), "{said}");
    let hotfix = [
        "deploy",
        "-e",
        "production",
        "--hotfix",
        "--reason",
        "orders fail",
    ];
    shop.refused("E0242", &hotfix);
    shop.configure(
        "RELEASE: 1",
        LONG,
        &format!("{BAKED}\n    hotfix: {{ passes: [from] }}"),
    );
    shop.refused("E0242", &["deploy", "-e", "production"]);
    shop.project.json(0, &hotfix);
    assert_eq!(shop.production().as_deref(), Some("release 1"));
}

/// Staging has a value of its own for what differs: it is the same there.
#[test]
fn what_is_the_same_there_under_another_number_is_good_there() {
    let shop = Shop::new();
    let grey = format!("config: {{ COLOUR: grey }}\n    {SHORT}");
    shop.configure("RELEASE: 1, COLOUR: red", &grey, FROM);
    shop.deploy(0, "staging");
    shop.configure("RELEASE: 1, COLOUR: blue", &grey, FROM);
    let same = shop.deploy(0, "staging");
    assert_eq!(same["nothing_to_do"]["release"], json!(2), "{same:#}");
    let done = shop.deploy(0, "production");
    assert_eq!(done["deployment"]["release"], json!(2), "{done:#}");
    shop.configure("RELEASE: 1, COLOUR: blue, SIZE: 9", &grey, FROM);
    shop.refused("E0242", &["deploy", "-e", "production"]);
}
