//! Freezes as a user meets them: said by a person, or by Belay after three releases that went back by themselves.

use crate::misfortune::{GOOD, project, release, serves};
use crate::support::project::Project;
use serde_json::json;

/// The message of the error that the verb ends with.
fn refused(project: &Project, release_2: &str) -> String {
    let refused = release(project, 6, GOOD, release_2);
    assert_eq!(refused["error"]["code"], json!("E0221"), "{refused:#}");
    refused["error"]["message"].to_string()
}

#[test]
fn a_freeze_holds_up_releases_and_no_rollback() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    release(&project, 0, GOOD, "RELEASE: 2");
    let reason = ["--reason", "the big day"];
    let frozen = project.json(
        0,
        &["freeze", "-e", "test", "--for", "8h", reason[0], reason[1]],
    );
    assert_eq!(frozen["frozen"]["reason"], json!("the big day"));
    assert!(frozen["frozen"]["until"].is_string());

    let message = refused(&project, "RELEASE: 3");
    assert!(message.contains("the big day"), "{message}");
    let status = project.json(0, &["status"]);
    let why = status.pointer("/services/0/frozen").expect("why");
    assert!(why.to_string().contains("the big day"), "{status:#}");

    project.json(0, &["rollback", "-y"]);
    serves(&project, 1);

    project.json(0, &["freeze", "-e", "test", "--lift"]);
    project.json(6, &["freeze", "-e", "test", "--lift"]);
    release(&project, 0, GOOD, "RELEASE: 3");
    serves(&project, 3);
}

#[test]
fn an_environment_is_frozen_as_a_whole() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    project.json(
        2,
        &[
            "freeze",
            "-e",
            "prodution",
            "--all-services",
            "--reason",
            "x",
        ],
    );
    project.json(2, &["freeze", "-e", "test"]);
    project.json(
        0,
        &[
            "freeze",
            "-e",
            "test",
            "--all-services",
            "--reason",
            "moving house",
        ],
    );
    let message = refused(&project, "RELEASE: 2");
    assert!(message.contains("environment test is frozen"), "{message}");
    let next = project.json(6, &["deploy"])["error"]["next"].to_string();
    assert!(next.contains("--lift --all-services -e test"), "{next}");
    project.json(6, &["freeze", "-e", "test", "--lift"]);
    project.json(0, &["freeze", "-e", "test", "--all-services", "--lift"]);
    project.json(
        0,
        &["freeze", "--all-environments", "--reason", "no one is here"],
    );
    let message = refused(&project, "RELEASE: 2");
    assert!(message.contains("is frozen"), "{message}");
    serves(&project, 1);
}

#[test]
fn three_that_went_back_by_themselves_freeze_the_next() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    for number in 2..=4 {
        release(&project, 3, "sh -c 'exit 3'", &format!("RELEASE: {number}"));
    }
    let message = refused(&project, "RELEASE: 5");
    assert!(message.contains("3 releases went back"), "{message}");
    // A person's freeze does not stand in for it, and lifting says what all is lifted.
    let frozen = project.json(0, &["freeze", "--reason", "the weekend", "--for", "60h"]);
    let belay = frozen.pointer("/frozen/beside/reason").expect("why");
    assert!(belay.to_string().contains("3 releases"), "{frozen:#}");
    let message = refused(&project, "RELEASE: 5");
    assert!(message.contains("the weekend"), "{message}");
    let thawed = project.json(0, &["freeze", "--lift", "--reason", "it was the disk"]);
    let by = |index: usize| {
        thawed
            .pointer(&format!("/thawed/lifted/{index}/by"))
            .cloned()
    };
    assert_eq!(by(0), Some(json!(null)), "{thawed:#}");
    assert_eq!(
        thawed.pointer("/thawed/lifted/1/reason"),
        Some(&json!("the weekend"))
    );
    release(&project, 0, GOOD, "RELEASE: 5");
    serves(&project, 5);
}
