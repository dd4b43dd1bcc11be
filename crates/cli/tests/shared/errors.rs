//! A store that cannot be used: what happened, in which state the world is, what to do. Never a password.

use crate::machine::{Database, release, text};
use crate::support::project::Project;
use std::path::Path;

const PASSWORD: &str = "correct-horse";

fn with_store(url: &str) -> Project {
    let mut project = Project::new();
    project.env.push(("BELAY_STORE".to_owned(), url.to_owned()));
    project
}

#[test]
fn a_store_that_cannot_be_used_is_said_to_be_and_nothing_is_made() {
    let empty = Database::new().url;
    let port = empty.split(':').nth(2).expect("a port");
    let port = port.split('/').next().expect("a port");
    let elsewhere = format!("postgres://a:{PASSWORD}@127.0.0.1:1/x");
    let cases = [
        (
            format!("mysql://a:{PASSWORD}@localhost/x"),
            2,
            "E0230",
            "not of the form",
        ),
        (
            format!("postgres://a:{PASSWORD}@localhost/x?sslmod=require"),
            2,
            "E0230",
            "not known",
        ),
        (elsewhere.clone(), 8, "E0231", "refused"),
        (
            format!("postgres://belay:{PASSWORD}@127.0.0.1:{port}/not_there"),
            8,
            "E0231",
            "no such database",
        ),
        (
            format!("postgres://nobody:{PASSWORD}@127.0.0.1:{port}/postgres"),
            8,
            "E0231",
            "nobody",
        ),
        (
            format!("postgres://belay:{PASSWORD}@127.0.0.1:{port}/postgres?sslmode=require"),
            8,
            "E0270",
            "does not offer TLS",
        ),
        (
            format!("{elsewhere}?sslmode=verify-full&sslrootcert=/not/there.pem"),
            2,
            "E0272",
            "sslrootcert /not/there.pem",
        ),
        (
            empty.replace("belay@", &format!("belay:{PASSWORD}@")),
            2,
            "E0232",
            "no store in that database",
        ),
    ];
    for (url, exit, code, why) in cases {
        let project = with_store(&url);
        let output = project.belay(&["status"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{said}");
        assert!(
            said.contains(&format!("error[{code}]")) && said.contains(why),
            "{code}: {said}"
        );
        assert!(!said.contains(PASSWORD), "{said}");
        assert!(said.contains("\n  -> "), "what next: {said}");
        assert!(
            !project.path().join(".belay").exists(),
            "{code}: it was made"
        );
        let refused = project.json(exit, &["history"]);
        assert_eq!(text(&refused, "/error/code"), code, "{refused:#}");
        assert!(!refused.to_string().contains(PASSWORD), "{refused:#}");
        let option = Project::new().belay(&["status", "--store", &url]);
        assert_eq!(option.status.code(), Some(exit), "as an option, too");
    }
}

#[test]
fn a_password_lies_nowhere() {
    let database = Database::new();
    let mut server = database.machine("server");
    let url = database
        .url
        .replace("belay@", &format!("belay:{PASSWORD}@"));
    server.env.push(("BELAY_STORE".to_owned(), url));
    server
        .env
        .push(("BELAY_LOG".to_owned(), "trace".to_owned()));
    release(&server, 0, "RELEASE: 1");
    let instance = server.find("server.py").expect("it runs");
    let given = std::fs::read(format!("/proc/{instance}/environ")).expect("readable");
    assert!(!String::from_utf8_lossy(&given).contains(PASSWORD));
    for (_, line) in server.processes() {
        assert!(!line.contains(PASSWORD), "{line}");
    }
    server.kill_everything();
    let mut files = 0;
    search(server.path(), &mut files);
    assert!(files > 20, "{files} were looked at");
    let tables = "SELECT COUNT(*) FROM (SELECT body FROM events UNION ALL SELECT body FROM environment_events
        UNION ALL SELECT body FROM releases UNION ALL SELECT line FROM progress) AS all_of_it
        WHERE body LIKE '%correct-horse%'";
    assert_eq!(database.number(tables), 0);
}

fn search(dir: &Path, files: &mut usize) {
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            search(&path, files);
        } else if let Ok(bytes) = std::fs::read(&path) {
            *files += 1;
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(PASSWORD), "{}", path.display());
        }
    }
}
