//! Command lines that are wrong: what a user sees, and the exit code. No store is made by any of them.

use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const CONFIG: &str = "\
service: bookstore
release:
  artifact: app
environments:
  staging:
    target:
      process:
        run: ./app
        listen: 127.0.0.1:18080
  production:
    target:
      process:
        run: ./app
        listen: 127.0.0.1:18081
";

fn belay(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_belay"));
    command.args(args).current_dir(dir).env_clear();
    command.output().expect("belay runs")
}

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn checkout() -> tempfile::TempDir {
    let dir = empty();
    std::fs::write(dir.path().join("belay.yaml"), CONFIG).expect("written");
    std::fs::create_dir(dir.path().join("app")).expect("made");
    let program = dir.path().join("app/app");
    std::fs::write(&program, "#!/bin/sh\n").expect("written");
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("set");
    dir
}

/// Exit code 2, everything in `expect` on stderr, nothing on stdout, no store.
fn refused(dir: &Path, args: &[&str], expect: &[&str]) {
    exits(dir, args, 2, expect);
}

fn exits(dir: &Path, args: &[&str], code: i32, expect: &[&str]) {
    let output = belay(dir, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    for text in expect {
        assert!(stderr.contains(text), "{args:?}: no `{text}` in\n{stderr}");
    }
    assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
    assert!(!dir.join(".belay").exists(), "{args:?} made a store");
}

#[test]
fn a_misspelt_verb_is_answered_with_the_right_one() {
    let dir = empty();
    refused(dir.path(), &["rolback"], &["rolback", "rollback"]);
    refused(dir.path(), &["statsu"], &["'status'"]);
}

#[test]
fn a_wrong_flag_is_answered_with_the_right_one() {
    let dir = empty();
    refused(
        dir.path(),
        &["deploy", "--untl", "baked"],
        &["--untl", "--until"],
    );
    refused(
        dir.path(),
        &["deploy", "--until", "done"],
        &["promoted", "baked"],
    );
    refused(dir.path(), &["rollback", "--to", "one"], &["--to"]);
    refused(
        dir.path(),
        &["rollback", "--to", "1", "--undo"],
        &["cannot be used with"],
    );
}

#[test]
fn a_reason_is_asked_for_where_something_is_given_up() {
    let dir = empty();
    refused(dir.path(), &["skip"], &["--reason"]);
    refused(dir.path(), &["abandon", "dep_1"], &["--reason"]);
    refused(dir.path(), &["release", "lift", "2"], &["--reason"]);
}

#[test]
fn without_a_configuration_deploy_says_where_it_looked() {
    let dir = empty();
    refused(
        dir.path(),
        &["deploy", "-e", "staging"],
        &["E0303", "belay.yaml", "-f FILE"],
    );
    refused(
        dir.path(),
        &["check", "-f", "none.yaml"],
        &["E0101", "none.yaml"],
    );
}

#[test]
fn looking_does_not_make_a_store() {
    let dir = empty();
    for verb in [
        "status", "history", "ready", "logs", "watch", "rollback", "retry",
    ] {
        refused(
            dir.path(),
            &[verb],
            &["E0302", "there is no store at", "--dir"],
        );
    }
    refused(dir.path(), &["release", "list"], &["E0302"]);
}

#[test]
fn the_environment_is_never_guessed() {
    let dir = checkout();
    refused(
        dir.path(),
        &["deploy"],
        &["several environments", "production, staging"],
    );
    refused(dir.path(), &["plan"], &["several environments"]);
}

#[test]
fn another_service_than_that_of_the_file_is_refused() {
    let dir = checkout();
    let expect = [
        "is about `bookstore`, not `bokstore`",
        "belay deploy bookstore",
    ];
    refused(
        dir.path(),
        &["deploy", "bokstore", "-e", "staging"],
        &expect,
    );
}

#[test]
fn check_finds_a_misspelt_environment() {
    let dir = checkout();
    refused(dir.path(), &["check", "-e", "prodction"], &["production"]);
}

#[test]
fn check_underlines_and_exits_2() {
    let dir = checkout();
    let file = dir.path().join("belay.yaml");
    std::fs::write(&file, CONFIG.replace("environments", "enviroments")).expect("written");
    refused(
        dir.path(),
        &["check"],
        &["E0102", "did you mean `environments`?", "^^^^"],
    );
}

#[test]
fn check_finds_the_file_upwards_and_is_content() {
    let dir = checkout();
    let output = belay(&dir.path().join("app"), &["check"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        stdout.contains("no problems; service bookstore"),
        "{stdout}"
    );
}

fn json(dir: &Path, args: &[&str], code: i32) -> Value {
    let output = belay(dir, args);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let json: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(json["exit"], code);
    json
}

#[test]
fn errors_are_json_where_json_is_asked_for() {
    let dir = empty();
    let error = &json(dir.path(), &["status", "-o", "json"], 2)["error"];
    assert_eq!(error["code"], "E0302");
    assert!(
        error["next"]
            .as_array()
            .is_some_and(|next| !next.is_empty())
    );
    let error = &json(dir.path(), &["rolback", "--output=json"], 2)["error"];
    assert_eq!(error["code"], "E0301");
    let dir = checkout();
    assert_eq!(
        json(dir.path(), &["check", "-ojson"], 0)["service"],
        "bookstore"
    );
}

#[test]
fn logs_follows_with_f_and_still_knows_the_file() {
    let dir = checkout();
    let file = dir.path().join("belay.yaml");
    let file = file.to_str().expect("a name");
    let elsewhere = empty();
    // The store is beside the file: it is that one which is missing.
    let place = dir.path().join(".belay");
    let place = place.to_str().expect("a name");
    refused(elsewhere.path(), &["logs", "-f", "--file", file], &[place]);
    refused(elsewhere.path(), &["--file", file, "logs", "-f"], &[place]);
}

#[test]
fn a_proxy_that_is_not_there_is_said_to_be_so() {
    let dir = empty();
    exits(
        dir.path(),
        &["proxy", "status"],
        8,
        &["E0305", "connect to the proxy"],
    );
}

#[test]
fn a_closed_stdout_is_no_error() {
    let dir = checkout();
    let mut command = Command::new(env!("CARGO_BIN_EXE_belay"));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = command
        .arg("check")
        .current_dir(dir.path())
        .env_clear()
        .stdout(writer)
        .status()
        .expect("belay runs");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_uri_that_names_nothing() {
    for (uri, words) in [
        ("kubernetes://prod/shop/api", "a part is missing"),
        ("kubernetes://prod/shop/pod/api", "`pod` is no workload"),
        ("ssh://host", "there is no `ssh://`"),
        (
            "kubernetes:///shop/deployment/api",
            "Belay runs in no cluster",
        ),
    ] {
        let dir = empty();
        let output = belay(dir.path(), &["history", uri]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("error[E0320]") && said.contains(words),
            "{uri}: {said}"
        );
    }
    let dir = empty();
    let both = [
        "history",
        "kubernetes://prod/shop/deployment/api",
        "-e",
        "prod",
    ];
    assert_eq!(
        belay(dir.path(), &both).status.code(),
        Some(2),
        "the URI says where"
    );
    assert!(!dir.path().join(".belay").exists());
}
