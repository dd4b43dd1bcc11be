//! Secrets are sealed with one key that all machines have and the database has not.

use crate::doctor::about;
use crate::machine::{Database, configure, release, serves, text};
use crate::support::project::Project;

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Deploys with a secret.
fn deploy(machine: &Project, exit: i32, release: u32) -> serde_json::Value {
    configure(machine, &format!("RELEASE: {release}"), "300ms");
    let plain = std::fs::read_to_string(machine.path().join("belay.yaml")).expect("written");
    let with = plain.replace(
        "\nverify:",
        "\nsecrets: { TOKEN: \"env:SHOP_TOKEN\" }\nverify:",
    );
    machine.write("belay.yaml", &with);
    machine.json(exit, &["deploy"])
}

fn with(mut machine: Project, key: &str) -> Project {
    machine.env.push(("BELAY_KEY".to_owned(), key.to_owned()));
    machine
}

#[test]
fn another_key_or_none_is_refused_before_anything_changes() {
    let database = Database::new();
    let mut server = with(database.machine("server"), KEY);
    server
        .env
        .push(("SHOP_TOKEN".to_owned(), " opens".to_owned()));
    deploy(&server, 0, 1);
    deploy(&server, 0, 2);
    let (_, answer) = server.get("/").expect("someone answers");
    assert!(answer.ends_with("release 2 opens"), "{answer}");
    let writes = "SELECT (SELECT COUNT(*) FROM events) + (SELECT COUNT(*) FROM environment_events)
        + (SELECT COUNT(*) FROM releases) + (SELECT COUNT(*) FROM blobs)";
    let before = database.number(writes);

    let mut other = with(database.machine("other"), &KEY.replace('0', "f"));
    other.env.push(("SHOP_TOKEN".to_owned(), "x".to_owned()));
    let mut none = database.machine("none");
    none.env.push(("SHOP_TOKEN".to_owned(), "x".to_owned()));
    for (machine, why) in [(&other, "not the key"), (&none, "is not here")] {
        let refused = deploy(machine, 8, 3);
        assert_eq!(text(&refused, "/error/code"), "E0219", "{refused:#}");
        assert!(refused.to_string().contains(why), "{refused:#}");
        assert!(!machine.path().join(".belay/key").exists(), "none was made");
    }
    // Whoever has another key could not even start what it rolls back to.
    let refused = other.json(8, &["rollback", "web", "-e", "test", "--yes"]);
    assert_eq!(text(&refused, "/error/code"), "E0219", "{refused:#}");
    let refused = other.json(8, &["worker", "--idle-ms", "1"]);
    assert_eq!(text(&refused, "/error/code"), "E0219", "{refused:#}");
    assert_eq!(database.number(writes), before);
    // The doctor names another key, and has nothing to say where it is the right one, or where there is none.
    for (machine, exit, says) in [
        (&server, 0, "no other key"),
        (&other, 8, "not the key"),
        (&none, 0, "no other key"),
    ] {
        let (ok, why) = about(&machine.json(exit, &["doctor"]), "key");
        assert_eq!(ok, exit == 0, "{why}");
        assert!(why.contains(says), "{why}");
    }
    // Looking needs none.
    other.json(0, &["status"]);
}

#[test]
fn who_has_no_secrets_needs_no_key() {
    let database = Database::new();
    let server = database.machine("server");
    release(&server, 0, "RELEASE: 1");
    serves(&server, 1);
    assert!(!server.path().join(".belay/key").exists());
}
