//! A stranger changed what Belay put there: seen, handled as I10 says, reported.

use super::{GOOD, configure, project, release, serves};
use crate::support::project::{Project, until};
use serde_json::{Value, json};
use std::io::{Read, Write};

/// Asks the proxy as any program of this user can: over its admin socket.
fn admin(project: &Project, path: &str, body: &Value) -> Value {
    let socket = project.path().join(".belay/proxy/admin.sock");
    let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("the proxy runs");
    let body = body.to_string();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Gives all traffic to the groups whose name begins like this.
fn reroute(project: &Project, group: &str) {
    let table = admin(project, "/v1/table", &json!({}));
    let mut route = table.pointer("/routes/web~1test").expect("ours").clone();
    for (name, one) in route["groups"].as_object_mut().expect("groups") {
        one["weight"] = json!(if name.starts_with(group) { 1000 } else { 0 });
    }
    let applied = admin(
        project,
        "/v1/put-route",
        &json!({ "name": "web/test", "route": route }),
    );
    assert_eq!(applied["changed"], json!(true), "{applied:#}");
}

#[test]
fn going_forward_an_edited_table_waits_for_a_person_and_going_back_overwrites_it() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    configure(
        &project,
        GOOD,
        "RELEASE: 2",
        "{ canary: [ { to: 20%, for: 2s } ] }",
        "1s",
    );
    project.json(0, &["deploy", "--detach"]);
    until("the canary has traffic", || {
        let table = admin(&project, "/v1/table", &json!({}));
        let groups = table.pointer("/routes/web~1test/groups")?.as_object()?;
        let weights = groups.values().filter(|group| group["weight"] != json!(0));
        (weights.count() == 2).then_some(())
    });
    reroute(&project, "r2");
    let waits = project.json(5, &["watch"]);
    assert!(
        waits
            .pointer("/deployment/stuck")
            .is_some_and(|stuck| stuck.to_string().contains("someone else")),
        "{waits:#}"
    );
    let back = project.json(0, &["rollback", "--yes"]);
    serves(&project, 1);
    let remarks = back.pointer("/deployment/remarks").map(Value::to_string);
    assert!(
        remarks.is_some_and(|remarks| remarks.contains("web/test") || remarks.contains("route")),
        "what was overwritten is reported: {back:#}"
    );
}

#[test]
fn a_route_that_was_removed_while_nothing_ran_is_shown_and_a_rollback_puts_it_back() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    release(&project, 0, GOOD, "RELEASE: 2");
    admin(&project, "/v1/delete-route", &json!({ "name": "web/test" }));
    let status = project.belay(&["status"]);
    let shown = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(shown.contains("changed by someone else: route"), "{shown}");
    configure(&project, GOOD, "RELEASE: 3", "blue_green", "100ms");
    let waits = project.json(5, &["deploy"]);
    assert!(
        waits
            .pointer("/deployment/stuck")
            .is_some_and(|stuck| stuck.to_string().contains("route")),
        "forward, a person decides: {waits:#}"
    );
    project.json(0, &["retry"]);
    serves(&project, 3);
    admin(&project, "/v1/delete-route", &json!({ "name": "web/test" }));
    let back = project.json(0, &["rollback", "--yes"]);
    let remarks = back.pointer("/deployment/remarks").map(Value::to_string);
    assert!(
        remarks.is_some_and(|remarks| remarks.contains("changed by someone else: route")),
        "going back, it is reported: {back:#}"
    );
    serves(&project, 2);
}

#[test]
fn an_instance_that_a_stranger_killed_is_back_and_said_to_be() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let killed = project.find("server.py").expect("it runs");
    project.kill(killed);
    until("its restart is counted", || {
        let logs = project.belay(&["status"]);
        let shown = String::from_utf8_lossy(&logs.stdout).into_owned();
        shown.contains("started again once").then_some(())
    });
}

#[test]
fn a_person_goes_on_without_what_is_stuck_or_gives_up() {
    for verb in ["skip", "abandon"] {
        let project = project();
        release(&project, 0, GOOD, "RELEASE: 1");
        admin(&project, "/v1/delete-route", &json!({ "name": "web/test" }));
        configure(&project, GOOD, "RELEASE: 2", "blue_green", "100ms");
        project.json(5, &["deploy"]);
        let said = project.json(0, &[verb, "--reason", "I know of it"]);
        let deployment = &said["deployment"];
        assert_eq!(deployment["said"][0]["ask"], verb, "{said:#}");
        assert_eq!(deployment["said"][0]["reason"], "I know of it");
        if verb == "abandon" {
            assert_eq!(deployment["outcome"]["rollback"], "incomplete", "{said:#}");
            let residue = deployment["outcome"]["residue"].to_string();
            assert!(residue.contains("given up"), "{residue}");
            // The lock is free, and what was left is not taken for a stranger's.
            project.json(0, &["deploy"]);
        }
        serves(&project, 2);
    }
}
