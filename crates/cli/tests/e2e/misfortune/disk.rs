//! A store that cannot be written or read: refused before anything changes, or stopped where it is.

use super::{GOOD, configure, project, release, serves};
use crate::support::project::{Project, until};
use serde_json::Value;

fn code(answer: &Value) -> &str {
    let code = answer.pointer("/error/code").and_then(Value::as_str);
    code.unwrap_or_default()
}

#[test]
fn a_store_on_a_read_only_disk_is_refused_and_looking_still_works() {
    let project = project();
    let disk = project.disk(".belay", "64m");
    release(&project, 0, GOOD, "RELEASE: 1");
    without_worker(&project);
    let read_only = disk.read_only();
    configure(&project, GOOD, "RELEASE: 2", "blue_green", "100ms");
    let refused = project.json(8, &["deploy"]);
    let text = refused.to_string().to_lowercase();
    assert!(text.contains("read-only"), "{refused:#}");
    serves(&project, 1);
    let status = project.json(0, &["status"]);
    assert_eq!(
        status.pointer("/services/0/serving/release"),
        Some(&Value::from(1)),
        "{status:#}"
    );
    drop(read_only);
    project.json(0, &["deploy"]);
    serves(&project, 2);
}

#[test]
fn a_full_disk_is_refused_before_anything_changes() {
    let project = project();
    let disk = project.disk(".belay", "24m");
    release(&project, 0, GOOD, "RELEASE: 1");
    let filled = disk.fill();
    configure(&project, GOOD, "RELEASE: 2", "blue_green", "100ms");
    let refused = project.json(8, &["deploy"]);
    assert!(refused.to_string().contains("0 bytes free"), "{refused:#}");
    serves(&project, 1);
    let status = project.json(0, &["status"]);
    assert!(status.to_string().contains("\"release\":1"), "{status:#}");
    filled.free();
    project.json(0, &["deploy"]);
    serves(&project, 2);
    let chain = project.json(0, &["history"]);
    assert!(chain.to_string().contains("succeeded"), "{chain:#}");
}

/// Full while a canary has its share: what is applied stays applied, and it goes on when there is room.
#[test]
fn a_disk_that_fills_up_in_the_middle_stops_it_where_it_is() {
    let project = project();
    let disk = project.disk(".belay", "24m");
    release(&project, 0, GOOD, "RELEASE: 1");
    let load = project.load("/");
    configure(
        &project,
        GOOD,
        "RELEASE: 2",
        "{ canary: [ { to: 50%, for: 2s } ] }",
        "100ms",
    );
    let command = project
        .command(&["deploy", "--output", "json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    until("the canary has traffic", || {
        let (_, answer) = project.get("/")?;
        answer.ends_with("release 2").then_some(())
    });
    let filled = disk.fill();
    let output = command.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(8), "{text}\n{talk}");
    assert!(
        text.contains("is full") && text.contains("at step 4 of 6"),
        "{text}\n{talk}"
    );
    filled.free();
    // By its id: it may have ended before anybody watches.
    let last = project.json(0, &["history", "-n", "1"]);
    let id = last["deployments"][0]["id"].as_str().expect("an id");
    let ended = project.json(0, &["watch", id]);
    assert_eq!(
        ended.pointer("/deployment/outcome/result"),
        Some(&Value::from("succeeded")),
        "{ended:#}"
    );
    serves(&project, 2);
    load.stop().all_good();
}

/// Whatever is broken, it is said, and nothing that serves is touched.
#[test]
fn a_damaged_store_is_refused_and_what_serves_goes_on() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    without_worker(&project);
    let db = project.path().join(".belay/belay.db");
    // What is in the write-ahead log is moved to the file, so that the file is all there is.
    python(
        "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('pragma wal_checkpoint(truncate)')",
        &db,
    );
    let whole = std::fs::read(&db).expect("read");
    let mut damaged = whole.clone();
    for byte in damaged.iter_mut().skip(4096).step_by(7) {
        *byte ^= 0x5a;
    }
    std::fs::write(&db, &damaged).expect("damaged");
    configure(&project, GOOD, "RELEASE: 2", "blue_green", "100ms");
    let refused = project.json(8, &["deploy"]);
    assert!(!code(&refused).is_empty(), "{refused:#}");
    serves(&project, 1);
    assert_eq!(
        std::fs::read(&db).expect("read"),
        damaged,
        "it is not rewritten"
    );
    std::fs::write(&db, &whole).expect("restored from a backup");
    project.json(0, &["deploy"]);
    serves(&project, 2);
}

/// A new store in its place would know nothing of what runs.
#[test]
fn a_database_that_is_gone_is_missed() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    without_worker(&project);
    let store = project.path().join(".belay");
    let lost = project.path().join("lost");
    std::fs::create_dir(&lost).expect("a directory");
    let files: Vec<_> = std::fs::read_dir(&store)
        .expect("listed")
        .flatten()
        .filter(|file| file.file_name().to_string_lossy().starts_with("belay.db"))
        .collect();
    for file in &files {
        std::fs::rename(file.path(), lost.join(file.file_name())).expect("moved");
    }
    configure(&project, GOOD, "RELEASE: 2", "blue_green", "100ms");
    let refused = project.json(8, &["deploy"]);
    assert_eq!(code(&refused), "E0215", "{refused:#}");
    project.json(2, &["status"]);
    serves(&project, 1);
    for file in &files {
        std::fs::rename(lost.join(file.file_name()), file.path()).expect("moved");
    }
    project.json(0, &["deploy"]);
    serves(&project, 2);
}

/// An event that someone rewrote breaks the chain of its deployment.
#[test]
fn a_journal_that_was_rewritten_is_found() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    release(&project, 0, GOOD, "RELEASE: 2");
    rewrite(&project);
    let refused = project.json(8, &["rollback", "--yes"]);
    assert!(
        refused.to_string().contains("chain") || refused.to_string().contains("altered"),
        "{refused:#}"
    );
    serves(&project, 2);
}

fn rewrite(project: &Project) {
    let script = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1])\n\
        for (name,) in db.execute(\"select name from sqlite_master where type = 'trigger'\").fetchall():\n\
        \x20   db.execute(f'drop trigger {name}')\n\
        rows = db.execute(\"update events set body = replace(body, 'blue_green', 'basic')\").rowcount\n\
        assert rows > 0\n\
        db.commit()\n";
    python(script, &project.path().join(".belay/belay.db"));
}

fn python(script: &str, argument: &std::path::Path) {
    let done = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(argument)
        .status()
        .expect("python3 runs");
    assert!(done.success());
}

/// It leaves when there is nothing to do.
fn without_worker(project: &Project) {
    until("the worker has left", || {
        project.find(" worker ").is_none().then_some(())
    });
}
