//! The doctor names what is wrong, and says of the rest that it is well.

use crate::machine::{Database, release};
use crate::support::project::{Project, until};
use belay_testbed::{Postgres, Version};
use serde_json::{Value, json};

/// Whether one of the things that were looked at is well, and what is said of it.
pub(crate) fn about(found: &Value, about: &str) -> (bool, String) {
    let found = found["doctor"].as_array().expect("a list");
    let one = found.iter().find(|one| one["about"] == json!(about));
    let one = one.expect("it was looked at");
    (one["ok"] == json!(true), one["text"].to_string())
}

/// The server acknowledges, and a replica that is promoted may not know of it.
#[test]
fn the_doctor_names_what_loses_acknowledged_events() {
    let primary = Postgres::start(Version::V15).expect("a server");
    let database = Database {
        url: primary.url(Postgres::DATABASE),
    };
    let mut server = database.machine("server");
    release(&server, 0, "RELEASE: 1");
    let well = server.json(0, &["doctor"]);
    assert_eq!(
        about(&well, "replicas"),
        (true, "\"there are none\"".to_owned())
    );
    let standby = primary.standby("spare").expect("a standby");
    until("it is connected", || {
        (database.number("SELECT COUNT(*) FROM pg_stat_replication WHERE state = 'streaming'") == 1)
            .then_some(())
    });
    let (ok, why) = about(&server.json(8, &["doctor"]), "replicas");
    assert!(!ok && why.contains("asynchronous"), "{why}");
    database.sql("ALTER SYSTEM SET synchronous_standby_names = 'spare'");
    database.sql("SELECT pg_reload_conf()");
    until("it is synchronous", || {
        (database.number("SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1)
            .then_some(())
    });
    server.json(0, &["doctor"]);
    // The replica itself takes no writes, and says so.
    let on_standby = ("BELAY_STORE".to_owned(), standby.url(Postgres::DATABASE));
    server.env.push(on_standby);
    let (ok, why) = about(&server.json(8, &["doctor"]), "server");
    assert!(!ok && why.contains("replica"), "{why}");
    server.env.pop();
    database.sql("ALTER SYSTEM SET fsync = off");
    database.sql("SELECT pg_reload_conf()");
    until("it is told", || {
        (database.number("SELECT (current_setting('fsync') = 'off')::INT::BIGINT") == 1)
            .then_some(())
    });
    let (ok, why) = about(&server.json(8, &["doctor"]), "durability");
    assert!(!ok && why.contains("fsync"), "{why}");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(server.path().join(".belay"), mode).expect("a mode");
    let (ok, why) = about(&server.json(8, &["doctor"]), "directory");
    assert!(!ok && why.contains("chmod 700"), "{why}");
}

#[test]
fn the_doctor_names_a_disk_without_room() {
    let project = Project::new();
    let disk = project.disk(".belay", "128m");
    // An empty one, by whoever opens it for that.
    project.json(0, &["store", "migrate"]);
    let look = || {
        let output = project.belay(&["doctor", "--output", "json"]);
        let found = serde_json::from_slice(&output.stdout).expect("JSON");
        about(&found, "disk")
    };
    let (ok, why) = look();
    assert!(ok && why.contains("MiB are free"), "{why}");
    let filled = disk.fill();
    let (ok, why) = look();
    assert!(!ok && why.contains("make room"), "{why}");
    filled.free();
    let (ok, why) = look();
    assert!(ok, "{why}");
}
