//! Servers start, survive their own crash, and leave nothing behind, however the process that started them ends.

use belay_testbed::{Address, Postgres, Version};
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
fn a_standby_has_what_was_acknowledged_and_takes_over() {
    let mut primary = Postgres::start(Version::V15).expect("a server");
    let address = Address::of(primary.port()).expect("an address");
    let standby = primary.standby("second").expect("a standby");
    primary
        .set("synchronous_standby_names = 'second'")
        .expect("it runs");
    let say = |statement: &str| {
        let said = Command::new("psql")
            .args(["-qAtX", "-h", "127.0.0.1", "-U", "belay", "-d", "postgres"])
            .args(["-p", &address.port().to_string(), "-c", statement])
            .output()
            .expect("psql is installed: `make needs`");
        let error = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{statement}: {error}");
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    };
    let followers = "select application_name || ' ' || sync_state from pg_stat_replication";
    while say(followers) != "second sync" {
        std::thread::yield_now();
    }
    say("create table seen as select 7 as n");
    primary.crash();
    standby.promote().expect("it takes over");
    address.point(Some(standby.port()));
    assert_eq!(say("select n from seen"), "7");
    say("insert into seen values (8)");
    address.point(None);
    let cut = TcpStream::connect(("127.0.0.1", address.port()))
        .and_then(|mut stream| std::io::Read::read(&mut stream, &mut [0]));
    assert_eq!(cut.unwrap_or(0), 0, "nobody answers");
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
