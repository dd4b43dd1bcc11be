//! Taking over what runs, as docs/drivers/kubernetes.md walks through it.

use crate::shop::Shop;
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn what_runs_is_taken_over_and_no_pod_is_replaced() {
    let shop = Shop::new();
    shop.apply();
    shop.kubectl(&[
        "set",
        "env",
        "deployment/api",
        "MODE=on",
        "OCTAL=0644",
        "EMPTY=",
    ]);
    shop.rolled_out("deployment/api");
    let before = shop.get(&["deployment", "api"]);
    let uri = shop.uri("deployment/api");
    // Something is in the way: nothing is written.
    let refused = shop.project.json(2, &["adopt", &uri]).to_string();
    assert!(refused.contains("E0324"), "{refused}");

    let path = |name: &str| shop.project.path().join(name);
    let adopted = shop
        .project
        .json(0, &["adopt", &uri, "--to", "adopted", "--env", "live"]);
    let notes = adopted["notes"].to_string();
    assert!(
        notes.contains("configmap/files stays as it is"),
        "{adopted:#}"
    );
    let files: Vec<String> = [
        "belay.yaml",
        "k8s/deployment-api.yaml",
        "k8s/service-api.yaml",
    ]
    .map(|name| format!("adopted/{name}"))
    .to_vec();
    for file in &files {
        let text = std::fs::read_to_string(path(file)).expect(file);
        for written in [
            "uid",
            "resourceVersion",
            "last-applied",
            "status",
            "clusterIP",
            "namespace: test-",
        ] {
            let is_target = file.ends_with("belay.yaml") && written.starts_with("namespace");
            assert!(
                is_target || !text.contains(written),
                "{file} has {written}:\n{text}"
            );
        }
    }
    fn at<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        [&["-f", "adopted/belay.yaml"][..], arguments].concat()
    }
    shop.project.json(0, &at(&["check"]));
    let plan = shop.project.json(0, &at(&["plan", "-e", "live"]));
    assert_eq!(plan["plan"]["changes_nothing"], true, "{plan:#}");
    let said = shop.project.belay(&at(&["plan", "-e", "live"])).stdout;
    assert!(String::from_utf8_lossy(&said).contains("nothing to do there"));
    shop.project.write(
        "adopted/belay.yaml",
        &(std::fs::read_to_string(path("adopted/belay.yaml")).expect("read")
            + "    keep: { bake: 0s }\n"),
    );
    shop.project.json(0, &at(&["deploy", "-e", "live"]));
    let after = shop.get(&["deployment", "api"]);
    assert_eq!(
        after["metadata"]["generation"],
        before["metadata"]["generation"]
    );
    assert_eq!(after["spec"], before["spec"]);

    // From here on it is Belay's: out, and back to what was adopted.
    shop.project
        .json(0, &at(&["deploy", "-e", "live", "--image", "shop/api:2"]));
    assert_eq!(shop.image(), "shop/api:2");
    shop.project
        .json(0, &at(&["rollback", "-e", "live", "--yes"]));
    assert_eq!(shop.image(), "shop/api:1");
    assert_eq!(
        shop.get(&["deployment", "api"])["spec"]["template"],
        before["spec"]["template"]
    );
    let dir = path("adopted/.belay").display().to_string();
    let refused = shop.project.json(6, &["--dir", &dir, "rollback", &uri]);
    assert_eq!(refused["error"]["code"], json!("E0322"), "{refused:#}");
}

impl Shop {
    /// Runs the commands of a chapter of a page, in an empty folder; only what it names (`named`) is ours. Answers what they say.
    pub(crate) fn follows(&self, page: &str, chapter: &str, (named, ours): (&str, &str)) -> String {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs")
            .join(page);
        let text = std::fs::read_to_string(file).expect("the page");
        let (_, rest) = text.split_once(chapter).expect("the chapter");
        let (_, rest) = rest.split_once("```sh\n").expect("commands");
        let (commands, _) = rest.split_once("```").expect("their end");
        let commands = commands.replace(named, ours);
        assert!(
            commands.contains(ours) && commands.contains("belay deploy"),
            "{commands}"
        );
        // Nobody waits ten minutes for the end of a bake here.
        let commands = commands.replace("belay deploy", "belay deploy --until promoted");
        // Whoever may grant it lets Belay do what the page is about.
        drop(self.project.command(&["adopt", ours]));
        let plan = format!("{}belay plan", self.grant("production"));
        let commands = commands.replace("belay plan", &plan);
        self.project.write("empty/commands.sh", &commands);
        let belay = Path::new(env!("CARGO_BIN_EXE_belay"));
        let folder = belay.parent().expect("a folder").display();
        let mut shell = Command::new("sh");
        shell
            .args(["-eu", "commands.sh"])
            .envs(self.project.env.iter().cloned());
        let path = self.project.env.iter().find(|(name, _)| name == "PATH");
        shell.env("PATH", format!("{folder}:{}", path.expect("a PATH").1));
        shell.current_dir(self.project.path().join("empty"));
        let done = shell.stdin(Stdio::null()).output().expect("sh");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let talk = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}\n{talk}");
        said
    }
}

/// The commands of the page; only the cluster and the namespace are others.
#[test]
fn the_page_is_followed_word_for_word() {
    let shop = Shop::new();
    shop.apply();
    let before = shop.get(&["deployment", "api"]);
    let uri = shop.uri("deployment/api");
    let said = shop.follows(
        "drivers/kubernetes.md",
        "## Taking over what runs",
        ("kubernetes://prod/shop/deployment/api", &uri),
    );
    assert!(
        said.contains("nothing to do there: what runs is this release already"),
        "{said}"
    );
    let after = shop.get(&["deployment", "api"]);
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(
        after["metadata"]["generation"],
        before["metadata"]["generation"]
    );
    // It is taken over: going back would be Belay's now, and there is nothing before it.
    shop.project
        .json(0, &["--dir", "empty/.belay", "stop", "--reason", "enough"]);
}
