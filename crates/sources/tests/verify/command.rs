use crate::support::*;
use belay_engine::ports::Question;
use belay_model::config::Check;
use belay_model::verdict::Outcome::{Fail, Inconclusive, Pass};
use belay_model::verdict::Verdict;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn asking(script: &str) -> Question {
    let words = format!("sh -c '{script}'");
    let check = Check {
        name: Some("smoke".to_owned()),
        command: Some(words.parse().unwrap()),
        timeout: Some("5s".parse().unwrap()),
        ..Check::default()
    };
    staged(vec![check], &[4001])
}

fn output(verdict: &Verdict) -> &str {
    let place = &verdict.evidence["checks"][0]["seen"]["places"][0];
    place["output"].as_str().unwrap()
}

const ON: &str = "on instance i1 of release 2 (127.0.0.1:4001)";

#[tokio::test]
async fn the_exit_code_is_the_answer() {
    let world = World::new();
    let question = asking("exit 0");
    world
        .check(&question, Pass, &format!("`smoke` passed {ON}"))
        .await;
    let sentence = format!("`smoke` gave no answer {ON}: it cannot say (exit code 75)");
    world
        .check(&asking("exit 75"), Inconclusive, &sentence)
        .await;
    let sentence = format!("`smoke` failed {ON}: it ended with exit code 3");
    world.check(&asking("exit 3"), Fail, &sentence).await;
    let killed = world.verify(&asking("kill -TERM $$")).await;
    assert_eq!(killed.outcome, Fail);
    assert!(
        killed.sentence.contains("signal: 15"),
        "{}",
        killed.sentence
    );
}

#[tokio::test]
async fn it_knows_what_it_checks() {
    let directory = tempfile::tempdir().unwrap();
    let world = World {
        directory: directory.path().canonicalize().unwrap(),
        ..World::new()
    };
    let script =
        r#"echo "$BELAY_SERVICE $BELAY_ENVIRONMENT $BELAY_RELEASE $BELAY_ADDRESS"; pwd; exit 1"#;
    let verdict = world.verify(&asking(script)).await;
    let expect = format!(
        "bookstore production 2 127.0.0.1:4001\n{}",
        world.directory.display()
    );
    assert_eq!(output(&verdict), expect);
}

#[tokio::test]
async fn a_program_with_a_slash_is_looked_for_in_the_artifact() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smoke.sh");
    std::fs::write(&path, "#!/bin/sh\necho \"$1\"\nexit 75\n").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let world = World {
        directory: directory.path().to_owned(),
        ..World::new()
    };
    let mut question = asking("");
    question.checks[0].command = Some("./smoke.sh 'two words'".parse().unwrap());
    let verdict = world.verify(&question).await;
    assert_eq!(
        (verdict.outcome, output(&verdict)),
        (Inconclusive, "two words")
    );
}

#[tokio::test]
async fn the_last_lines_of_its_output_are_kept() {
    let world = World::new();
    let verdict = world
        .verify(&asking("seq 1 30; echo oops >&2; exit 1"))
        .await;
    let lines: Vec<&str> = output(&verdict).lines().collect();
    assert_eq!(lines.len(), 10);
    assert!(lines.contains(&"oops"), "{lines:?}");
    assert!(lines.contains(&"30") && !lines.contains(&"20"), "{lines:?}");
}

#[tokio::test]
async fn what_cannot_be_run_says_nothing_about_the_release() {
    let mut question = asking("");
    question.checks[0].command = Some("./no-such-program".parse().unwrap());
    let verdict = World::new().verify(&question).await;
    assert_eq!(verdict.outcome, Inconclusive);
    assert!(
        verdict.sentence.contains("it cannot be run (No such file"),
        "{}",
        verdict.sentence
    );
}

/// A program that holds a pipe open, as does its child: when the pipe ends, both are gone.
fn lingering(pipe: &Path) -> Question {
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, pipe, FileType::Fifo, mode, 0).unwrap();
    let script = format!(
        "exec 9>{}; echo up >&9; sleep 600 & sleep 600",
        pipe.display()
    );
    asking(&script)
}

async fn open(pipe: &Path) -> BufReader<File> {
    let pipe = pipe.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let mut reader = BufReader::new(File::open(pipe).unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        reader
    });
    opened.await.unwrap()
}

async fn ends(mut pipe: BufReader<File>) {
    let ended = tokio::task::spawn_blocking(move || pipe.read_to_end(&mut Vec::new()));
    let limit = std::time::Duration::from_secs(30);
    let ended = tokio::time::timeout(limit, ended).await;
    ended
        .expect("the whole process group is gone")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn what_takes_too_long_is_killed_with_its_children() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    let question = lingering(&pipe);
    let world = World::new();
    let turn_time = async {
        let pipe = open(&pipe).await;
        world.clock.advance_ms(5000);
        pipe
    };
    let sentence = format!("`smoke` failed {ON}: it did not end within 5 s");
    let (_, pipe) = tokio::join!(world.check(&question, Fail, &sentence), turn_time);
    ends(pipe).await;
}

#[tokio::test]
async fn a_verification_that_is_dropped_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    let question = lingering(&path);
    let world = World::new();
    let pipe = tokio::select! {
        verdict = world.verify(&question) => panic!("{verdict:?}"),
        pipe = open(&path) => pipe,
    };
    ends(pipe).await;
}

#[tokio::test]
async fn what_it_leaves_running_does_not_delay_the_verdict() {
    let world = World::new();
    let verdict = world.verify(&asking("sleep 600 & exit 0")).await;
    assert_eq!(verdict.outcome, Pass);
}
