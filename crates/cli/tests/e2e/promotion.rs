//! From one environment to the next as a user meets it: what is good there may come here, and nothing else.

use crate::misfortune::{GOOD, project};
use crate::support::project::{Project, until};
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
            format!("  {name}:\n    target: {{ process: {{ {target} }} }}\n    {more}\n")
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

const SHORT: &str = "strategy: blue_green\n    keep: { bake: 300ms, warm: 5m }";
const LONG: &str = "strategy: blue_green\n    keep: { bake: 30m, warm: 60m }";
const FROM: &str = "from: staging\n    strategy: blue_green\n    keep: { bake: 300ms, warm: 5m }";
const BAKED: &str = "from: staging\n    from_standing: baked\n    strategy: blue_green\n    keep: { bake: 300ms, warm: 5m }";

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

/// The code that an instance of an environment runs, and its variables.
fn instance(shop: &Shop, environment: &str) -> (String, String) {
    let mark = format!("BELAY_ENVIRONMENT={environment}\0");
    let variables = |pid: i32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        (pid, String::from_utf8_lossy(&environ).into_owned())
    };
    let processes = shop.project.processes().into_iter();
    let servers = processes.filter(|(_, line)| line.contains("server.py"));
    let mut servers = servers.map(|(pid, _)| variables(pid));
    let (pid, variables) = servers
        .find(|(_, variables)| variables.contains(&mark))
        .expect("an instance");
    let code = std::fs::read_to_string(format!("/proc/{pid}/cwd/server.py"));
    (code.expect("its code"), variables)
}

fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}

const PROMOTE: [&str; 3] = ["promote", "staging", "production"];

#[test]
fn the_same_release_goes_on_whatever_the_working_directory_has_become() {
    let shop = Shop::new();
    let overlay = "config: { RELEASE: 1 of production }\n    approve: {}";
    let production = format!("{FROM}\n    {overlay}");
    shop.configure("RELEASE: 1, COLOUR: red", SHORT, &production);
    shop.deploy(0, "staging");
    let (staging, _) = instance(&shop, "staging");

    // Another release by now, and one that could not even start.
    shop.project.write("dist/server.py", "import nothing");
    shop.configure("RELEASE: 2, COLOUR: blue", SHORT, &production);
    let plan = shop.project.json(0, &[&PROMOTE[..], &["--plan"]].concat());
    let plan = &plan["plan"];
    assert_eq!(
        (&plan["release"], &plan["promoted_from"]),
        (&json!(1), &json!("staging")),
        "{plan:#}"
    );
    let shown = shop.project.belay(&[&PROMOTE[..], &["--plan"]].concat());
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.starts_with("web/production: release 1 (sha256:"),
        "{shown}"
    );
    assert!(
        shown
            .lines()
            .next()
            .is_some_and(|line| line.ends_with(", promoted from staging")),
        "{shown}"
    );
    assert_eq!(shop.production(), None, "nothing was done");

    let asked = shop.project.json(
        0,
        &[&PROMOTE[..], &["--detach", "--reason", "tried for a week"]].concat(),
    );
    let id = text(&asked, "/deployment/id");
    until("it waits for a yes", || {
        let said = shop.project.belay(&["approve", &id]);
        said.status.success().then_some(())
    });
    let done = shop.project.json(0, &["watch", &id, "--until", "promoted"]);
    assert_eq!(done["deployment"]["release"], json!(1), "{done:#}");
    assert_eq!(text(&done, "/deployment/promoted_from"), "staging");
    assert_eq!(text(&done, "/deployment/reason"), "tried for a week");
    shop.project.json(0, &["watch", &id]);
    assert_eq!(
        shop.production().as_deref(),
        Some("release 1 of production")
    );
    let (code, variables) = instance(&shop, "production");
    assert_eq!(code, staging, "the same bits");
    let is_red = variables.contains("\0COLOUR=red\0");
    assert!(is_red, "and settings: {variables}");

    let release = shop.project.json(0, &["release", "show", "1"]);
    assert_eq!(
        release["release"]["serves"],
        json!(["production", "staging"]),
        "{release:#}"
    );
    assert_eq!(release["release"]["artifact"], plan["artifact"]);
    let list = shop.project.json(0, &["release", "list"]);
    assert_eq!(
        list["releases"].as_array().map(Vec::len),
        Some(1),
        "none was made: {list:#}"
    );
    let history = shop.project.belay(&["history", "-e", "production"]);
    let history = String::from_utf8_lossy(&history.stdout).into_owned();
    assert!(history.contains("promotion from staging"), "{history}");
    let events = shop.project.belay(&["history", "--events", &id]);
    let events = String::from_utf8_lossy(&events.stdout).into_owned();
    assert!(
        events.contains("release 1 to web/production, promoted from staging, asked for by"),
        "{events}"
    );
    let again = shop.project.json(0, &PROMOTE);
    assert_eq!(again["nothing_to_do"]["release"], json!(1), "{again:#}");
}

#[test]
fn what_is_no_promotion_is_refused_with_the_reason() {
    let shop = Shop::new();
    let json =
        |exit, arguments: &[&str]| shop.project.json(exit, &[&["promote"], arguments].concat());
    let code = |document: Value| text(&document, "/error/code");
    shop.configure("RELEASE: 1", SHORT, SHORT);
    // A store has to be there; then something that serves.
    assert_eq!(code(json(2, &["staging", "production"])), "E0302");
    shop.deploy(0, "production");
    let said = shop.refused("E0243", &PROMOTE);
    assert!(
        said.contains("nothing does") && said.contains("belay deploy web -e staging"),
        "{said}"
    );
    shop.deploy(0, "staging");

    assert_eq!(code(json(2, &["staging", "staging"])), "E0301");
    assert_eq!(code(json(2, &["staging", "production", "shop"])), "E0301");
    assert_eq!(code(json(2, &["staging", "prodution"])), "E0202");
    let unknown = json(2, &["stagin", "production"]);
    assert!(
        unknown["error"]["next"].to_string().contains("`staging`"),
        "{unknown:#}"
    );
    assert_eq!(
        code(json(2, &["staging", "production", "--release", "7"])),
        "E0209"
    );

    // A candidate: half-way in staging.
    let canary = SHORT.replace("blue_green", "{ canary: [ { to: 20%, for: 30m } ] }");
    shop.configure("RELEASE: 2", &canary, SHORT);
    shop.project
        .json(0, &["deploy", "-e", "staging", "--detach"]);
    let second = [&PROMOTE[..], &["--release", "2"]].concat();
    let said = shop.refused("E0242", &second);
    assert!(said.contains("it is not verified in staging"), "{said}");
    // What serves there is release 1 still, and that is in production.
    let same = shop.project.json(0, &PROMOTE);
    assert_eq!(same["nothing_to_do"]["release"], json!(1), "{same:#}");
    shop.project
        .json(0, &["rollback", "-e", "staging", "--yes"]);
    let said = shop.refused("E0242", &second);
    assert!(said.contains("it is quarantined in staging"), "{said}");

    // Releases of production come from elsewhere.
    shop.configure("RELEASE: 1", SHORT, FROM);
    let text = std::fs::read_to_string(shop.project.path().join("belay.yaml")).expect("written");
    shop.project.write(
        "belay.yaml",
        &text.replace("from: staging", "from: dev").replace(
            "environments:\n",
            "environments:\n  dev: { target: { process: { run: python3 server.py } } }\n",
        ),
    );
    let said = shop.refused("E0245", &PROMOTE);
    assert!(said.contains("belay promote dev production"), "{said}");
    assert_eq!(shop.production().as_deref(), Some("release 1"));
}

#[test]
fn a_freeze_of_where_it_goes_holds_it_up_and_one_of_where_it_is_does_not() {
    let shop = Shop::new();
    shop.configure("RELEASE: 1", SHORT, FROM);
    shop.deploy(0, "staging");
    let freeze = |environment| {
        let freeze = [
            "freeze",
            "-e",
            environment,
            "--all-services",
            "--reason",
            "the big day",
        ];
        shop.project.json(0, &freeze);
    };
    freeze("staging");
    shop.project.json(0, &PROMOTE);
    assert_eq!(shop.production().as_deref(), Some("release 1"));
    shop.project
        .json(0, &["freeze", "-e", "staging", "--all-services", "--lift"]);
    shop.configure("RELEASE: 2", SHORT, FROM);
    shop.deploy(0, "staging");
    freeze("production");
    let said = shop.refused("E0221", &PROMOTE);
    assert!(said.contains("the big day"), "{said}");
    let plan = shop.project.json(0, &[&PROMOTE[..], &["--plan"]].concat());
    assert!(
        plan["plan"]["remarks"].to_string().contains("the big day"),
        "{plan:#}"
    );
    assert_eq!(shop.production().as_deref(), Some("release 1"));
}

#[test]
fn going_back_where_it_went_leaves_where_it_came_from_alone() {
    let shop = Shop::new();
    for number in 1..=2 {
        shop.configure(&format!("RELEASE: {number}"), SHORT, FROM);
        shop.deploy(0, "staging");
        shop.project.json(0, &PROMOTE);
    }
    shop.project.json(
        0,
        &[
            "rollback",
            "-e",
            "production",
            "--yes",
            "--reason",
            "the basket is empty",
        ],
    );
    assert_eq!(shop.production().as_deref(), Some("release 1"));
    crate::misfortune::serves(&shop.project, 2);
    let release = shop.project.json(0, &["release", "show", "2"]);
    let standings = release["release"]["standings"].as_array().expect("a list");
    let standing = |environment: &str| {
        let mut there = standings
            .iter()
            .filter(|one| one["environment"] == environment);
        there.next().map(|one| text(one, "/standing"))
    };
    assert_eq!(standing("staging").as_deref(), Some("baked"), "{release:#}");
    assert_eq!(standing("production").as_deref(), Some("quarantined"));
    let said = shop.refused("E0205", &PROMOTE);
    assert!(said.contains("the basket is empty"), "{said}");
    // Lifted, the same release goes there again.
    shop.project.json(
        0,
        &[
            "release",
            "lift",
            "2",
            "-e",
            "production",
            "--reason",
            "it was the payment service",
        ],
    );
    shop.project.json(0, &PROMOTE);
    assert_eq!(shop.production().as_deref(), Some("release 2"));
}

#[test]
fn an_older_release_goes_while_its_artifact_is_there() {
    let shop = Shop::new();
    for number in 1..=2 {
        shop.configure(&format!("RELEASE: {number}"), SHORT, FROM);
        shop.project.write("dist/number", &number.to_string());
        shop.deploy(0, "staging");
    }
    let first = [&PROMOTE[..], &["--release", "1"]].concat();
    shop.project.json(0, &first);
    assert_eq!(shop.production().as_deref(), Some("release 1"));
    shop.project.json(0, &PROMOTE);
    assert_eq!(shop.production().as_deref(), Some("release 2"));
    shop.project
        .json(0, &["rollback", "-e", "production", "--yes"]);
    let remove = format!(
        "chmod -R u+w '{0}' && rm -rf '{0}'/*",
        shop.project.path().join(".belay/artifacts").display()
    );
    let removed = std::process::Command::new("sh")
        .args(["-c", &remove])
        .status();
    assert!(removed.expect("sh runs").success());
    let said = shop.refused("E0244", &first);
    assert!(said.contains("promote release 1"), "{said}");
}
