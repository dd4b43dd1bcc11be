//! What is good on one machine goes on to another one, which has never seen its files.

use crate::machine::{Database, text};
use crate::support::project::Project;
use serde_json::{Value, json};

/// Writes the configuration of a release; both machines have the same but for the settings.
fn configure(machine: &Project, settings: &str, ports: (u16, u16)) {
    let environment = |name: &str, port: u16, more: &str| {
        format!(
            "  {name}:\n    target: {{ process: {{ run: python3 server.py, listen: \"127.0.0.1:{port}\", ready: {{ http: /health, within: 60s }} }} }}\n    strategy: blue_green\n    keep: {{ bake: 300ms, warm: 60m }}\n{more}"
        )
    };
    let text = [
        format!(
            "service: web\nrelease: {{ artifact: ./dist }}\nconfig: {{ {settings} }}\nverify: [{{ http: /health }}]\nenvironments:\n"
        ),
        environment("staging", ports.0, ""),
        environment("production", ports.1, "    from: staging\n"),
    ];
    machine.write("belay.yaml", &text.concat());
}

fn answers(machine: &Project, port: u16) -> Option<String> {
    let (_, answer) = machine.get_at(port, "/")?;
    Some(answer.lines().last().unwrap_or_default().to_owned())
}

#[test]
fn what_is_good_on_one_machine_goes_on_to_another() {
    let database = Database::new();
    let (laptop, server) = (database.machine("laptop"), database.machine("server"));
    let ports = (laptop.port, server.port);
    laptop.write("dist/more.txt", "of the laptop");
    configure(&laptop, "RELEASE: 1", ports);
    laptop.json(0, &["deploy", "-e", "staging"]);

    // The server's own files are another release: it never saw those of the laptop.
    configure(&server, "RELEASE: 2", ports);
    let refused = server.json(6, &["deploy", "-e", "production"]);
    assert_eq!(text(&refused, "/error/code"), "E0242", "{refused:#}");
    let done = server.json(0, &["promote", "staging", "production"]);
    assert_eq!(done["deployment"]["release"], json!(1), "{done:#}");
    assert_eq!(answers(&server, ports.1).as_deref(), Some("release 1"));
    let instance = server.find("server.py").expect("it runs on the server");
    let more = std::fs::read_to_string(format!("/proc/{instance}/cwd/more.txt"));
    assert_eq!(more.expect("the laptop's file"), "of the laptop");

    // Each sees what the other one has done, and the one goes back without the other.
    let seen = laptop.json(0, &["history", "web", "-e", "production"]);
    assert_eq!(
        text(&seen, "/deployments/0/promoted_from"),
        "staging",
        "{seen:#}"
    );
    configure(&laptop, "RELEASE: 3", ports);
    laptop.json(0, &["deploy", "-e", "staging"]);
    laptop.json(0, &["rollback", "web", "-e", "staging", "--yes"]);
    let refused = server.json(6, &["promote", "staging", "production", "--release", "2"]);
    let said: &Value = &refused["error"]["message"];
    assert!(
        said.to_string().contains("quarantined in staging"),
        "{refused:#}"
    );
    assert_eq!(answers(&server, ports.1).as_deref(), Some("release 1"));
}
