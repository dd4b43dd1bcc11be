//! What one machine does, the others see; each does what is on it, and nothing else.

use crate::machine::{Database, configure, outcomes, release, serves, text};
use crate::support::project::{Project, until};
use serde_json::{Value, json};
use std::process::Stdio;

#[test]
fn what_one_machine_deployed_another_sees_holds_up_and_takes_back() {
    let database = Database::new();
    let (server, laptop) = (database.machine("server"), database.machine("laptop"));
    release(&server, 0, "RELEASE: 1");
    release(&server, 0, "RELEASE: 2");
    let failed = release(&server, 3, "RELEASE: 3, SICK: 1");
    assert_eq!(failed["quarantined"], json!([3]), "{failed:#}");
    serves(&server, 2);

    // The laptop has no configuration, and sees it all the same; what only the server can see it does not make up.
    let status = laptop.json(0, &["status"]);
    assert_eq!(
        status.pointer("/services/0/serving/release"),
        Some(&json!(2)),
        "{status:#}"
    );
    let target = status.pointer("/services/0/targets/0").expect("a target");
    assert!(
        text(target, "/unobserved").contains("on server"),
        "{target:#}"
    );
    assert_eq!(outcomes(&laptop), ["failed", "succeeded", "succeeded"]);
    let ready = laptop.json(6, &["ready"]);
    assert!(ready.to_string().contains("it is on server"), "{ready:#}");
    server.json(0, &["ready"]);

    laptop.json(
        0,
        &["freeze", "web", "-e", "test", "--reason", "looking at it"],
    );
    let refused = release(&server, 6, "RELEASE: 4");
    assert_eq!(text(&refused, "/error/code"), "E0221", "{refused:#}");
    laptop.json(0, &["freeze", "web", "-e", "test", "--lift"]);

    // A worker of the server does it: one of the laptop would find nothing there.
    let stays = server
        .command(&["worker", "--stay"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut stays = stays.expect("a worker");
    let back = laptop.belay(&["rollback", "web", "-e", "test", "--yes"]);
    let talk = String::from_utf8_lossy(&back.stderr).into_owned();
    assert!(back.status.success(), "{talk}");
    assert!(talk.contains("done by a worker of server"), "{talk}");
    serves(&server, 1);
    assert!(
        !laptop.path().join(".belay/instances").exists(),
        "nothing was started here"
    );
    assert!(!laptop.path().join(".belay/belay.db").exists());
    assert!(!server.path().join(".belay/belay.db").exists());
    stays.kill().expect("killed");
    stays.wait().expect("gone");
}

#[test]
fn what_another_machine_created_waits_its_turn_and_is_done_where_it_belongs() {
    let database = Database::new();
    let server = database.machine("server");
    let mut laptop = database.machine("laptop");
    laptop.port = server.port;
    release(&server, 0, "RELEASE: 1");
    configure(&server, "RELEASE: 2", "1h");
    let first = server.json(0, &["deploy", "--until", "promoted"]);
    let first = text(&first, "/deployment/id");
    // Its files are the laptop's: the server has never seen them.
    laptop.write("dist/more.txt", "of the laptop");
    configure(&laptop, "RELEASE: 3", "300ms");
    let second = laptop.beside(&["deploy"]);
    second.until_it_says(&format!("waits for {first}"));
    server.json(0, &["advance", &first]);
    let talk = second.succeeds();
    assert!(talk.contains("done by a worker of server"), "{talk}");
    serves(&server, 3);
    let instance = server.find("server.py").expect("it runs on the server");
    let runs_in = std::fs::read_link(format!("/proc/{instance}/cwd")).expect("readable");
    assert!(runs_in.starts_with(server.path()), "{}", runs_in.display());
    assert!(laptop.find("server.py").is_none());
    assert_eq!(outcomes(&server), ["succeeded", "succeeded", "succeeded"]);

    // Its copy is gone: it comes from the shared store again.
    release(&server, 0, "RELEASE: 4");
    let remove = format!(
        "chmod -R u+w '{0}' && rm -rf '{0}'",
        server.path().join(".belay/artifacts").display()
    );
    let removed = std::process::Command::new("sh")
        .args(["-c", &remove])
        .status();
    assert!(removed.expect("sh runs").success());
    server.json(0, &["rollback", "--yes", "--to", "1"]);
    serves(&server, 1);
}

#[test]
fn a_worker_leaves_other_machines_deployments_alone_and_stays_for_its_own() {
    let database = Database::new();
    let (server, laptop) = (database.machine("server"), database.machine("laptop"));
    release(&server, 0, "RELEASE: 1");
    configure(&server, "RELEASE: 2", "30m");
    server.json(0, &["deploy", "--until", "promoted"]);
    let worker = laptop
        .command(&["worker", "--idle-ms", "100"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut worker = worker.expect("a worker");
    let left = until("the laptop's leaves", || worker.try_wait().expect("asked"));
    assert!(left.success(), "{left}");
    // Longer than a worker stays when it has nothing to do.
    until("four of its leases", || {
        (database.number("SELECT (EXTRACT(EPOCH FROM clock_timestamp() - MIN(at)) * 1000)::BIGINT FROM (SELECT to_timestamp(MIN(at_us) / 1e6) AS at FROM events) AS first") > 6_000).then_some(())
    });
    assert!(server.holds("worker.lock"));
    // Another service of the laptop's own is nothing to the server's worker.
    configure(&laptop, "RELEASE: 1", "300ms");
    let own = std::fs::read_to_string(laptop.path().join("belay.yaml")).expect("written");
    laptop.write("belay.yaml", &own.replace("service: web", "service: other"));
    laptop.json(0, &["deploy"]);
    serves(&laptop, 1);
    assert!(
        !server
            .processes()
            .iter()
            .any(|(_, line)| line.contains("other.test"))
    );
    let back = laptop.json(0, &["rollback", "web", "-e", "test", "--yes", "--detach"]);
    let id = text(&back, "/deployment/id");
    let ended = laptop.json(3, &["watch", &id]);
    assert_eq!(text(&ended, "/deployment/outcome/rollback"), "complete");
}

#[test]
fn a_killed_command_changes_nothing_and_a_killed_worker_is_replaced() {
    let database = Database::new();
    let server = database.machine("server");
    release(&server, 0, "RELEASE: 1");
    configure(&server, "RELEASE: 2", "1h");
    let mut command = server
        .command(&["deploy"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a command");
    until("it bakes", || bakes(&server));
    command.kill().expect("killed");
    command.wait().expect("gone");
    server.kill_worker();
    // The next command starts another one, that takes over when the lease is over.
    server.json(0, &["advance"]);
    until("it has succeeded", || {
        (outcomes(&server) == ["succeeded", "succeeded"]).then_some(())
    });
    serves(&server, 2);
    let claims = "SELECT COUNT(*) FROM events WHERE body LIKE '{\"claimed\"%'";
    assert_eq!(
        database.number(claims),
        3,
        "once, and once more for the second"
    );
}

fn bakes(machine: &Project) -> Option<()> {
    let status = machine.json(0, &["status"]);
    let open = status.pointer("/services/0/open/0").cloned()?;
    (open.get("phase") == Some(&Value::from("baking"))).then_some(())
}
