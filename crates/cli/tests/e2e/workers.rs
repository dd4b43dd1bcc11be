//! Processes without traffic: a queue worker that notes what it does, and by which release.

use crate::misfortune::SERVER;
use crate::support::project::{Project, until};
use serde_json::{Value, json};

/// Works without a port; release 3 ends at once.
const WORKER: &str = r#"
import os, sys, time
release = os.environ["RELEASE"]
if release == "3":
    sys.exit("no queue")
while True:
    with open(os.environ["DONE"], "a") as done:
        done.write(f"{release} {os.getpid()}\n")
    time.sleep(0.02)
"#;

fn project() -> Project {
    let project = Project::new();
    project.write("dist/worker.py", WORKER);
    project.write("dist/server.py", SERVER);
    project
}

/// Writes the configuration of a release: its target, and these lines of the environment.
fn configure(project: &Project, release: u32, process: &str, environment: &str) {
    let done = project.path().join("done");
    project.write(
        "belay.yaml",
        &format!(
            "service: web\nrelease: {{ artifact: ./dist }}\nconfig: {{ RELEASE: {release}, DONE: \"{}\" }}\nenvironments:\n  \
             test:\n    target: {{ process: {{ {process} }} }}\n    keep: {{ bake: 200ms }}\n{environment}",
            done.display()
        ),
    );
}

fn deploy(project: &Project, exit: i32, release: u32) -> Value {
    configure(project, release, "run: python3 worker.py", "");
    project.json(exit, &["deploy"])
}

/// Like a worker, but with an address.
fn deploy_server(project: &Project, release: u32) {
    let process = format!(
        "run: python3 server.py, listen: \"127.0.0.1:{}\", ready: {{ http: /health, within: 60s }}",
        project.port
    );
    configure(project, release, &process, "");
    project.json(0, &["deploy"]);
}

/// Release and pid of who did the last piece of work, once something more was done.
fn works(project: &Project) -> (String, i32) {
    let file = project.path().join("done");
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();
    let before = lines().len();
    until("a piece of work", || {
        let text = lines();
        let more = text.len() > before && text.ends_with('\n');
        let (release, pid) = text.lines().last().filter(|_| more)?.split_once(' ')?;
        Some((release.to_owned(), pid.parse().ok()?))
    })
}

/// The groups that are there.
fn groups(project: &Project) -> Vec<Value> {
    let status = project.json(0, &["status"]);
    let groups = status.pointer("/services/0/targets/0/groups");
    groups.and_then(Value::as_array).expect("groups").clone()
}

/// The releases whose instances are there.
fn releases(project: &Project) -> Vec<u64> {
    let groups = groups(project);
    let releases = groups.iter().filter_map(|group| group["release"].as_u64());
    releases.collect()
}

fn titles(steps: Option<&Value>) -> Vec<String> {
    let steps = steps.and_then(Value::as_array).expect("steps");
    // Without the hash of the record: `start 1 instance of r1`.
    let short = |title: &str| title.split('-').next().unwrap_or_default().to_owned();
    let titles = steps.iter().filter_map(|step| step["title"].as_str());
    titles.map(short).collect()
}

#[test]
fn workers_are_deployed_replaced_and_brought_back() {
    let project = project();
    deploy(&project, 0, 1);
    assert_eq!(works(&project).0, "1");
    let status = project.json(0, &["status"]);
    let target = status.pointer("/services/0/targets/0").expect("a target");
    assert_eq!(target["listen"], json!(null));
    assert_eq!(target["foreign"], json!([]));
    assert_eq!(target["groups"][0]["ready"], json!(1));
    let text = project.belay(&["status"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(!text.contains("listens on"), "{text}");
    assert!(text.contains("1/1    -"), "ready, and no traffic: {text}");
    assert!(
        !project.path().join(".belay/proxy").exists(),
        "nobody needs a proxy"
    );

    configure(&project, 2, "run: python3 worker.py", "");
    let plan = project.json(0, &["plan"]);
    assert_eq!(
        titles(plan.pointer("/plan/steps")),
        ["start 1 instance of r2", "stop r1", "bake for 200ms"]
    );
    assert_eq!(
        titles(plan.pointer("/plan/back_steps")),
        [
            "start 1 instance of r1",
            "verify live (readiness only)",
            "stop r2"
        ]
    );
    let first = works(&project).1;
    deploy(&project, 0, 2);
    assert_eq!(releases(&project), [2], "nothing stands by");
    assert!(!project.processes().iter().any(|(pid, _)| *pid == first));
    let (release, second) = works(&project);
    assert_eq!(release, "2");

    let failed = deploy(&project, 3, 3);
    assert!(failed.to_string().contains("no queue"), "{failed:#}");
    assert_eq!(failed["quarantined"], json!([3]));
    assert_eq!(releases(&project), [2]);
    assert_eq!(works(&project), ("2".to_owned(), second), "never stopped");

    let ready = project.json(0, &["ready"]);
    assert_eq!(ready.pointer("/ready/release"), Some(&json!(1)));
    assert_eq!(ready.pointer("/ready/warm"), Some(&json!(false)));
    let back = project.json(0, &["rollback", "--yes"]);
    assert_eq!(works(&project).0, "1");
    assert_eq!(releases(&project), [1]);
    assert!(!project.processes().iter().any(|(pid, _)| *pid == second));
    let timeline = back.pointer("/deployment/timeline").expect("measured");
    for (time, happened) in [("t3_us", false), ("t4_us", false), ("t5_us", true)] {
        assert_eq!(timeline[time].is_number(), happened, "{time}: {back:#}");
    }
    assert!(timeline["t7_us"].is_number(), "{back:#}");
    // It was rolled back, so it is refused until someone lifts that.
    let refused = deploy(&project, 6, 2);
    assert_eq!(refused.pointer("/error/code"), Some(&json!("E0205")));
}

#[test]
fn several_workers_are_replaced_one_by_one() {
    let project = project();
    let process = "run: python3 worker.py, instances: 2";
    configure(&project, 1, process, "");
    project.json(0, &["deploy"]);
    configure(&project, 2, process, "");
    let plan = project.json(0, &["plan"]);
    let rolling = [
        "start 1 instance of r2",
        "reduce r1",
        "start 2 instances of r2",
        "stop r1",
        "bake for 200ms",
    ];
    assert_eq!(titles(plan.pointer("/plan/steps")), rolling);
    project.json(0, &["deploy"]);
    assert_eq!(releases(&project), [2]);
    assert_eq!(groups(&project)[0]["ready"], json!(2));
    project.json(0, &["rollback", "--yes"]);
    assert_eq!(releases(&project), [1]);
    assert_eq!(groups(&project)[0]["ready"], json!(2));
}

#[test]
fn a_canary_of_workers_is_refused_where_it_is_written() {
    let project = project();
    configure(
        &project,
        1,
        "run: python3 worker.py",
        "    strategy: { canary: [ { to: 10%, for: 5m } ] }\n",
    );
    let expect = r"
  error[E0110]: a canary needs a share of the traffic, and processes without `listen` get none
    --> belay.yaml:8:17
     |
   8 |     strategy: { canary: [ { to: 10%, for: 5m } ] }
     |                 ^^^^^^ add `listen: 127.0.0.1:8080` or use `basic` or `rolling`
";
    for verb in ["check", "plan", "deploy"] {
        let refused = project.belay(&[verb]);
        assert_eq!(refused.status.code(), Some(2), "{verb}");
        let own = format!("{}/", project.path().display());
        let said = String::from_utf8_lossy(&refused.stderr).replace(&own, "");
        assert!(said.contains(expect), "belay {verb} said\n{said}");
    }
}

#[test]
fn an_address_that_is_taken_away_comes_back_and_one_that_is_new_goes() {
    let project = project();
    let serves = |release: u32| {
        let (_, answer) = project.get("/").expect("someone answers");
        assert!(answer.ends_with(&format!("release {release}")), "{answer}");
    };
    deploy_server(&project, 1);
    serves(1);
    deploy(&project, 0, 2);
    assert_eq!(works(&project).0, "2");
    assert_eq!(releases(&project), [2]);
    assert_eq!(project.get("/"), None, "the route is gone");
    project.json(0, &["rollback", "--yes"]);
    serves(1);
    assert_eq!(releases(&project), [1]);

    deploy(&project, 0, 4);
    assert_eq!(works(&project).0, "4");
    deploy_server(&project, 5);
    serves(5);
    assert_eq!(releases(&project), [4], "workers never stand by");
    project.json(0, &["rollback", "--yes"]);
    assert_eq!(works(&project).0, "4");
    assert_eq!(project.get("/"), None);
    assert_eq!(releases(&project), [3]);
}

/// The checks that are asked on the way back are those of the release that failed, and it had an address.
#[test]
fn a_server_that_fails_its_live_check_gives_way_to_the_worker_before_it() {
    let project = project();
    deploy(&project, 0, 1);
    let process = format!(
        "run: python3 server.py, listen: \"127.0.0.1:{}\"",
        project.port
    );
    let verify = "    verify: [ { http: /, contains: release 7, at: live } ]\n";
    configure(&project, 2, &process, verify);
    let failed = project.json(3, &["deploy"]);
    assert_eq!(failed["quarantined"], json!([2]), "{failed:#}");
    assert_eq!(works(&project).0, "1");
    assert_eq!(releases(&project), [1]);
    assert_eq!(project.get("/"), None);
}

#[test]
fn a_worker_that_a_stranger_killed_is_back_and_said_to_be() {
    let project = project();
    deploy(&project, 0, 1);
    let (_, pid) = works(&project);
    project.kill(pid);
    until("its restart is counted", || {
        let status = project.belay(&["status"]);
        let shown = String::from_utf8_lossy(&status.stdout).into_owned();
        shown.contains("started again once").then_some(())
    });
    let (release, other) = works(&project);
    assert!(release == "1" && other != pid, "{release} {other}");
}
