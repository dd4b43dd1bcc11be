//! Servers start, survive their own crash, and leave nothing behind, however the process that started them ends.

use belay_testbed::{Postgres, Version};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Tells a process that plays the child in a test.
const CHILD: &str = "BELAY_TESTBED_CHILD";

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Data directories that are there, of this server or another.
fn directories() -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(std::env::temp_dir()).expect("readable");
    let paths = entries.flatten().map(|entry| entry.path());
    let ours = |path: &std::path::PathBuf| path.to_string_lossy().contains("belay-postgres-");
    paths.filter(ours).collect()
}

#[test]
fn a_server_starts_crashes_and_is_gone() {
    for version in [Version::V15, Version::V18] {
        let mut server = Postgres::start(version).expect("a server");
        assert!(answers(server.port()));
        server.crash_and_restart().expect("it recovers");
        assert!(answers(server.port()));
        let port = server.port();
        let text = format!("{server:?}");
        drop(server);
        assert!(!answers(port));
        let left = directories();
        let left = left
            .iter()
            .find(|path| text.contains(&*path.to_string_lossy()));
        assert_eq!(left, None);
    }
}

#[test]
fn a_server_goes_with_its_process() {
    if std::env::var_os(CHILD).is_some() {
        let server = Postgres::start(Version::V15).expect("a server");
        println!("\nserver {server:?}\nport {}", server.port());
        loop {
            std::thread::park();
        }
    }
    let mut child = Command::new(std::env::current_exe().expect("this file"))
        .args(["--exact", "a_server_goes_with_its_process", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child");
    let lines =
        std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("piped")));
    let mut text = String::new();
    let mut port = 0;
    for line in lines.map_while(Result::ok) {
        if line.starts_with("server ") {
            text = line;
        } else if let Some(number) = line.strip_prefix("port ") {
            port = number.parse().expect("a port");
            break;
        }
    }
    assert!(answers(port));
    child.kill().expect("killed");
    child.wait().expect("gone");
    let deadline = Instant::now() + Duration::from_secs(20);
    let is_left = || {
        let named = |path: &std::path::PathBuf| text.contains(&*path.to_string_lossy());
        answers(port) || directories().iter().any(named)
    };
    while is_left() {
        assert!(Instant::now() < deadline, "something is left of {text}");
        std::thread::yield_now();
    }
}
