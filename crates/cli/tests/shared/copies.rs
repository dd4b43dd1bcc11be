//! The store as a whole: checked, backed up while it is used, restored, moved.

use crate::machine::{Database, SERVER, configure, outcomes, release, serves, text};
use crate::support::project::Project;
use serde_json::{Value, json};

/// A machine with a store of its own.
fn alone() -> Project {
    let mut project = Project::new();
    project.write("dist/server.py", SERVER);
    project
        .env
        .push(("BELAY_HOST".to_owned(), "server".to_owned()));
    project
}

fn shares(machine: &mut Project, database: &Database) {
    let store = ("BELAY_STORE".to_owned(), database.url.clone());
    machine.env.push(store);
}

/// The lines of an export that are about journals and streams, with their hashes.
fn chains(machine: &Project) -> Vec<Value> {
    let exported = machine.belay(&["store", "export"]);
    assert!(exported.status.success(), "{exported:?}");
    let lines = String::from_utf8(exported.stdout).expect("text");
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let chained = |line: &Value| line.get("hash").is_some();
    lines.filter(chained).collect()
}

#[test]
fn a_backup_of_a_store_in_use_is_whole_and_comes_back_on_either_database() {
    let database = Database::new();
    let server = database.machine("server");
    release(&server, 0, "RELEASE: 1");
    configure(&server, "RELEASE: 2", "30m");
    server.json(0, &["deploy", "--until", "promoted"]);
    let made = server.json(0, &["store", "backup", "now.backup"]);
    assert_eq!(
        made.pointer("/backup/deployments"),
        Some(&json!(2)),
        "{made:#}"
    );
    let refused = server.json(8, &["store", "backup", "now.backup"]);
    assert_eq!(text(&refused, "/error/code"), "E0235", "{refused:#}");
    let file = server.path().join("now.backup");
    let file = file.to_str().expect("text");
    let before = chains(&server);
    assert!(before.len() > 10, "{}", before.len());

    let local = alone();
    let other = Database::new().machine("other");
    for machine in [&local, &other] {
        machine.json(0, &["store", "restore", file]);
        let checked = machine.json(0, &["store", "check"]);
        assert_eq!(checked.pointer("/check/found"), Some(&json!([])));
        let restored = chains(machine);
        assert!(before.starts_with(&restored) || restored.starts_with(&before));
        assert!(restored.len() > 10);
        let history = machine.json(0, &["history", "web", "-e", "test"]);
        let deployments = history["deployments"].as_array().expect("a list");
        assert_eq!(deployments.len(), 2, "{history:#}");
        let again = machine.json(6, &["store", "restore", file]);
        assert_eq!(text(&again, "/error/code"), "E0236", "{again:#}");
    }

    // Neither half of it nor an altered one is taken.
    let whole = std::fs::read(file).expect("readable");
    let altered = String::from_utf8(whole.clone()).expect("text");
    let altered = altered
        .replacen("\\\"basic\\\"", "\\\"basid\\\"", 1)
        .replacen("blue_green", "blue_grown", 1);
    let empty = Database::new().machine("empty");
    for (name, content) in [
        ("half", whole[..whole.len() / 2].to_vec()),
        ("altered", altered.into_bytes()),
        ("other", b"{\"something\":1}\n".to_vec()),
    ] {
        assert_ne!(content, whole, "{name}");
        std::fs::write(empty.path().join(name), content).expect("written");
        let refused = empty.json(8, &["store", "restore", name]);
        assert_eq!(
            text(&refused, "/error/code"),
            "E0235",
            "{name}: {refused:#}"
        );
    }
    assert_eq!(empty.json(0, &["status"])["services"], json!([]));
}

#[test]
fn tampering_is_named() {
    let database = Database::new();
    let server = database.machine("server");
    release(&server, 0, "RELEASE: 1");
    server.json(0, &["store", "check"]);
    database.sql(
        "ALTER TABLE events DISABLE TRIGGER USER;
         UPDATE events SET body = replace(body, 'web', 'wbe') WHERE seq IN (3, 5);
         ALTER TABLE events ENABLE TRIGGER USER",
    );
    let found = server.json(8, &["store", "check"]);
    assert_eq!(text(&found, "/error/code"), "E0315", "{found:#}");
    let line = text(&found, "/check/found/0");
    let first = database.number("SELECT MIN(seq) FROM events WHERE body LIKE '%wbe%'");
    assert!(
        line.starts_with(&format!("event {first} of dep_")),
        "{line}"
    );
    assert_eq!(
        found["check"]["found"].as_array().map(Vec::len),
        Some(1),
        "the first of each chain"
    );
}

#[test]
fn a_store_is_moved_in_one_command_and_goes_back_there() {
    let database = Database::new();
    let mut server = alone();
    release(&server, 0, "RELEASE: 1");
    configure(&server, "RELEASE: 2", "30m");
    server.json(0, &["deploy", "--until", "promoted"]);
    let to = ["store", "migrate", "--to", &database.url];
    let refused = server.json(6, &to);
    assert_eq!(text(&refused, "/error/code"), "E0237", "{refused:#}");
    server.json(0, &["rollback", "--yes"]);
    release(&server, 0, "RELEASE: 3");
    let before = chains(&server);

    let full = Database::new();
    let other = full.machine("other");
    release(&other, 0, "RELEASE: 1");
    let refused = server.json(6, &["store", "migrate", "--to", &full.url]);
    assert_eq!(text(&refused, "/error/code"), "E0236", "{refused:#}");

    server.json(0, &to);
    let closed = server.json(8, &["status"]);
    assert!(closed.to_string().contains("it was moved"), "{closed:#}");
    // As if it had been killed after the new one was written: run again, it goes on.
    let old = |name: &str| server.path().join(".belay").join(name);
    std::fs::rename(old("belay.db.moved"), old("belay.db")).expect("renamed");
    server.json(0, &to);
    assert!(!old("belay.db").exists());
    shares(&mut server, &database);
    assert_eq!(chains(&server), before, "to the last bit");
    server.json(0, &["store", "check"]);
    serves(&server, 3);
    server.json(0, &["rollback", "--yes"]);
    serves(&server, 1);
    release(&server, 0, "RELEASE: 5");
    assert_eq!(outcomes(&server).len(), 5);
}

/// Tables are changed when someone says so, and by nobody else.
#[test]
fn old_tables_are_brought_up_to_date_when_it_is_asked_for() {
    let database = Database::new();
    let server = database.machine("server");
    release(&server, 0, "RELEASE: 1");
    let journals = || {
        let mut lines = chains(&server);
        lines.retain(|line| line["table"] == "events");
        lines
    };
    let before = journals();
    // As the version before had them.
    database.sql(
        "DROP TABLE archived_events; DROP INDEX events_begun; DROP TRIGGER events_no_change ON events;
         DROP FUNCTION journal_only_moves_to_the_archive;
         CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE ON events
           FOR EACH ROW EXECUTE FUNCTION journal_is_never_rewritten();
         DELETE FROM _sqlx_migrations WHERE version = 3",
    );
    for verb in [&["status"][..], &["deploy"]] {
        let refused = server.json(8, verb);
        assert_eq!(text(&refused, "/error/code"), "E0232", "{refused:#}");
        assert!(
            refused.to_string().contains("belay store migrate"),
            "{refused:#}"
        );
    }
    // Of those that are up to date nothing is changed.
    for _ in 0..2 {
        let migrated = server.json(0, &["store", "migrate"]);
        assert_eq!(migrated["migrated"], json!(true));
        let newest = database.number("SELECT MAX(version) FROM _sqlx_migrations");
        assert_eq!(newest, 3);
    }
    assert_eq!(journals(), before);
    server.json(0, &["store", "check"]);
    release(&server, 0, "RELEASE: 2");
    // An own store is brought up to date by whoever opens it.
    let local = alone();
    let migrated = local.json(0, &["store", "migrate"]);
    assert_eq!(migrated["migrated"], json!(true));
}
