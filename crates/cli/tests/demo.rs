//! The demonstration with real processes and real traffic: what it claims, that two of them do not meet, and that nothing is
//! left of it, also when it is interrupted.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::bookstore::bookstore;

const PATIENCE: Duration = Duration::from_secs(60);

fn demo(temporary: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_belay"))
        .args(["demo", "--output", "json", "--bookstore"])
        .arg(bookstore())
        .env("TMPDIR", temporary)
        .env("BELAY_DIR", "/nowhere")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("belay runs")
}

/// Processes that mention this directory, by command line or executable.
fn processes(dir: &Path) -> Vec<String> {
    let dir = dir.to_string_lossy().into_owned();
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let found = entries.filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let exe = fs::read_link(entry.path().join("exe")).unwrap_or_default();
        let is_here = line.contains(&dir) || exe.to_string_lossy().contains(&dir);
        is_here.then_some(line)
    });
    found.collect()
}

fn assert_clean(temporary: &Path, output: &Output) {
    let left: Vec<_> = fs::read_dir(temporary)
        .expect("readable")
        .flatten()
        .collect();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(left.is_empty(), "{left:?} is left\n{said}");
    let running = processes(temporary);
    assert!(running.is_empty(), "{running:#?} still run\n{said}");
}

fn number(json: &Value, name: &str) -> u64 {
    let number = json[name].as_u64();
    number.unwrap_or_else(|| panic!("{name} in {json:#}"))
}

/// Two at once: each has a port, a directory and processes of its own.
#[test]
fn the_demo_holds_twice_at_the_same_time() {
    let places = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let demos = places.each_ref().map(|place| demo(place.path()));
    for (child, place) in demos.into_iter().zip(&places) {
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let json: Value = serde_json::from_slice(&output.stdout).expect("one document");
        holds(&json);
        assert_clean(place.path(), &output);
    }
}

fn holds(json: &Value) {
    assert!(number(json, "requests") > 1000, "{json:#}");
    let down = number(json, "failed_while_proxy_down");
    let bad = number(json, "failed_by_bad_release");
    assert!(bad > 0, "{json:#}");
    assert_eq!(number(json, "failed"), bad + down, "{json:#}");
    assert_eq!(number(json, "failed_after_verdict"), 0, "{json:#}");
    assert_eq!(json["resumed_after_kill"], true, "{json:#}");
    assert_eq!(json["quarantined"], serde_json::json!([2]), "{json:#}");
    let rollbacks = json["rollbacks"].as_array().expect("rollbacks");
    let ways: Vec<_> = rollbacks
        .iter()
        .map(|back| (number(back, "from"), number(back, "to")))
        .collect();
    assert_eq!(ways, [(2, 1), (3, 1)], "{json:#}");
    for back in rollbacks {
        let times = ["t1", "t2", "t4", "t5", "t6"].map(|name| number(back, name));
        assert!(times.is_sorted(), "{back:#}");
        assert!(number(back, "t7") >= number(back, "t5"), "{back:#}");
    }
    assert!(rollbacks[0]["t0"].is_u64(), "{json:#}");
    let cause = rollbacks[0]["cause"].as_str().expect("a cause");
    assert!(cause.starts_with("release 2 answers "), "{cause}");
}

#[test]
fn interrupting_it_leaves_nothing() {
    let place = tempfile::tempdir().expect("a directory");
    let child = demo(place.path());
    // Until an instance runs: in the middle of the first deployment.
    let start = Instant::now();
    let is_instance =
        |line: &String| line.starts_with("./bookstore") || line.contains("/bookstore ");
    while !processes(place.path()).iter().any(is_instance) {
        assert!(start.elapsed() < PATIENCE, "no instance was started");
        std::thread::yield_now();
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::INT).expect("signalled");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert_clean(place.path(), &output);
}

#[test]
fn without_its_service_it_says_what_to_do() {
    let output = Command::new(env!("CARGO_BIN_EXE_belay"))
        .args(["demo", "--bookstore", "/nowhere/bookstore"])
        .output()
        .expect("belay runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("-> make demo"), "{said}");
}

#[test]
fn it_removes_only_what_it_made() {
    let place = tempfile::tempdir().expect("a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_belay"))
        .args(["demo", "--stop"])
        .arg(place.path())
        .output()
        .expect("belay runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(place.path().exists());
}
