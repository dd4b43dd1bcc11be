//! Going back where that is not a matter of course.

use super::{GOOD, SERVER, configure, project, release, serves};
use crate::support::project::until;
use serde_json::Value;
use std::path::{Path, PathBuf};

#[test]
fn nothing_good_to_return_to_is_refused() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let refused = project.json(6, &["rollback", "--yes"]);
    assert_eq!(
        refused.pointer("/error/code").and_then(Value::as_str),
        Some("E0206"),
        "{refused:#}"
    );
    let next = refused.pointer("/error/next").and_then(Value::as_array);
    assert!(next.is_some_and(|next| !next.is_empty()), "{refused:#}");
    serves(&project, 1);
}

/// Nothing was there before it, so its own record says where it is taken away; while it bakes, and long after.
#[test]
fn a_first_release_is_taken_away_while_it_bakes_and_afterwards() {
    let project = project();
    for (bake, until, back) in [
        ("4m", "promoted", vec!["rollback", "--yes"]),
        ("100ms", "baked", vec!["rollback", "--yes", "--undo"]),
    ] {
        configure(
            &project,
            GOOD,
            &format!("RELEASE: 1, BAKE: {bake}"),
            "blue_green",
            bake,
        );
        let first = project.json(0, &["deploy", "--until", until]);
        let id = first.pointer("/deployment/id").and_then(Value::as_str);
        serves(&project, 1);
        let mut back = back;
        back.extend(id.filter(|_| back.len() == 3));
        let plan = [back.as_slice(), &["--plan"]].concat();
        let preview = project.json(0, &plan);
        let steps = preview.pointer("/preview/steps").and_then(Value::as_array);
        assert!(steps.is_some_and(|steps| !steps.is_empty()), "{preview:#}");
        project.json(0, &back);
        assert_eq!(project.get("/"), None, "the route is gone");
    }
}

/// The old instances are gone, so the artifact has to be used again: what is wrong with it is said by digest, and
/// nothing is changed.
#[test]
fn an_artifact_that_was_altered_or_is_gone_is_named_before_anything_changes() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    project.write("dist/server.py", &format!("{SERVER}\n# another one\n"));
    configure(&project, GOOD, "RELEASE: 2", "basic", "100ms");
    project.json(0, &["deploy"]);
    until("release 1 is gone", || {
        let status = project.json(0, &["status"]);
        let groups = status.pointer("/services/0/targets/0/groups")?.as_array()?;
        (groups.len() == 1).then_some(())
    });
    let list = project.json(0, &["release", "show", "1"]);
    let digest = list
        .pointer("/release/artifact")
        .and_then(Value::as_str)
        .expect("a digest")
        .to_owned();
    let server = find(&project.path().join(".belay/artifacts"), "server.py")
        .into_iter()
        .find(|path| std::fs::read_to_string(path).is_ok_and(|text| !text.contains("another one")))
        .expect("release 1's");
    let refused = || {
        let ready = project.json(6, &["ready"]);
        assert!(ready.to_string().contains(&digest), "{ready:#}");
        let refused = project.json(6, &["rollback", "--yes"]);
        assert_eq!(
            refused.pointer("/error/code").and_then(Value::as_str),
            Some("E0207"),
            "{refused:#}"
        );
        assert!(refused.to_string().contains(&digest), "{refused:#}");
        serves(&project, 2);
        let history = project.json(0, &["history"]);
        let count = history
            .pointer("/deployments")
            .and_then(Value::as_array)
            .map(Vec::len);
        assert_eq!(count, Some(2), "nothing was begun: {history:#}");
    };
    let whole = std::fs::read(&server).expect("read");
    overwrite(&server, &[&whole[..], b"\n# altered\n"].concat());
    refused();
    std::fs::remove_file(&server).expect("removed");
    refused();
    // It works as soon as the bits are what they were.
    overwrite(&server, &whole);
    project.json(0, &["rollback", "--yes"]);
    serves(&project, 1);
}

#[test]
fn a_rollback_does_what_the_record_says_and_mentions_the_drift() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    release(&project, 0, GOOD, "RELEASE: 2");
    configure(&project, GOOD, "RELEASE: 77", "blue_green", "1s");
    let plan = project.json(0, &["rollback", "--plan"]);
    let drift = plan.pointer("/preview/drift").map(Value::to_string);
    assert!(
        drift.as_deref().is_some_and(|drift| drift.contains("77")),
        "the drift is mentioned: {plan:#}"
    );
    let talk = project.belay(&["rollback", "--yes"]);
    let talk = String::from_utf8_lossy(&talk.stderr).into_owned();
    assert!(talk.contains("RELEASE"), "and said: {talk}");
    serves(&project, 1);
}

/// A stored file is read-only; root, or its owner after a chmod, can change it all the same.
fn overwrite(path: &Path, bytes: &[u8]) {
    let _ = std::process::Command::new("chmod")
        .args(["-R", "u+w"])
        .arg(path.parent().expect("below"))
        .status();
    std::fs::write(path, bytes).expect("written");
}

fn find(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(find(&path, name));
        } else if path.file_name().is_some_and(|own| own == name) {
            found.push(path);
        }
    }
    found
}
