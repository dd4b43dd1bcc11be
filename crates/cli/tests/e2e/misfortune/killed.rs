//! SIGKILL of each process of Belay, of the service, and of all at once.

use super::{GOOD, configure, project, release, serves};
use crate::support::project::{Project, until};
use serde_json::Value;

#[test]
fn all_of_belay_killed_and_the_next_command_brings_it_back() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let killed = project.kill_belay();
    assert!(
        killed >= 3,
        "the worker, a supervisor, the proxy and its supervisor: only {killed} were there"
    );
    until("the proxy comes back with its table", || {
        project.belay(&["status"]);
        project.get("/").filter(|(status, _)| *status == 200)
    });
    serves(&project, 1);
    until("the instance has a supervisor again", || {
        project.find("instances/web.test.r1")
    });
    // And it still works.
    release(&project, 0, GOOD, "RELEASE: 2");
    serves(&project, 2);
    project.json(0, &["rollback", "--yes"]);
    serves(&project, 1);
}

/// Without any command: its supervisor does it.
#[test]
fn a_killed_proxy_returns_by_itself_with_its_table() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    assert_eq!(project.kill_one(" proxy run "), 1);
    until("the proxy is back", || {
        project.get("/").filter(|(status, _)| *status == 200)
    });
    serves(&project, 1);
}

/// The instance goes on without it; the next command puts a supervisor beside the same process.
#[test]
fn a_killed_supervisor_is_replaced_and_its_instance_never_stops() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let load = project.load("/");
    let instance = project.find("server.py").expect("it runs");
    assert_eq!(project.kill_one("instances/web.test.r1"), 1);
    until("a supervisor is there again", || {
        project.belay(&["status"]);
        project.find("instances/web.test.r1")
    });
    assert_eq!(
        project.find("server.py"),
        Some(instance),
        "the same process"
    );
    // The new supervisor does its work: it restarts the instance.
    load.stop().all_good();
    project.kill(instance);
    until("another one runs", || {
        project.find("server.py").filter(|pid| *pid != instance)
    });
}

#[test]
fn a_killed_service_is_restarted_and_counted() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let killed = project.find("server.py").expect("it runs");
    project.kill(killed);
    until("another one serves", || {
        project
            .find("server.py")
            .filter(|pid| *pid != killed)
            .and_then(|_| project.get("/"))
            .filter(|(status, _)| *status == 200)
    });
    serves(&project, 1);
}

/// In the middle of a canary: the command that was watching is dead, the next one goes on with the same deployment.
#[test]
fn a_killed_command_and_worker_lose_nothing() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let load = project.load("/");
    for one in [" deploy", " worker "] {
        let number = if one == " deploy" { 2 } else { 3 };
        configure(
            &project,
            GOOD,
            &format!("RELEASE: {number}"),
            "{ canary: [ { to: 50%, for: 2s } ] }",
            "100ms",
        );
        let mut command = project.command(&["deploy"]).spawn().expect("it runs");
        until("the canary has traffic", || shares(&project));
        assert_eq!(project.kill_one(one), 1, "{one}");
        if one == " worker " {
            // A command that watches starts another worker, and goes on.
            assert!(command.wait().expect("ended").success());
        } else {
            let _ = command.wait();
            project.belay(&["watch"]);
        }
        until("it has ended", || {
            let status = project.json(0, &["status"]);
            let last = status.pointer("/services/0/last/outcome/result").cloned();
            let open = status.pointer("/services/0/open")?.as_array()?.len();
            (open == 0 && last == Some(Value::from("succeeded"))).then_some(())
        });
        serves(&project, number);
    }
    load.stop().all_good();
}

fn shares(project: &Project) -> Option<()> {
    let status = project.json(0, &["status"]);
    let groups = status.pointer("/services/0/targets/0/groups")?.as_array()?;
    let weighted = groups
        .iter()
        .filter(|group| group.get("weight_per_mille").and_then(Value::as_u64) > Some(0));
    (weighted.count() == 2).then_some(())
}
