//! P1, as the kernel saw it: what a step replaces, and that the step begins, is synced before its first effect. Traced
//! are the command (the artifact) and the worker with all that it starts.
//!
//! Seen to fail with `synchronous` NORMAL instead of FULL in the store (no sync after the commit), and with the flush in
//! `Course::perform` taken out (the effect comes first).

use crate::run::{open, runtime};
use crate::scenario::{Scenario, Strategy, Way};
use crate::support::project::Project;
use belay_model::event::Event;
use belay_model::id::DeploymentId;
use belay_model::plan::{Action, Wave};
use std::process::{Command, Stdio};

const CALLS: &str =
    "trace=fsync,fdatasync,syncfs,pwrite64,write,writev,sendto,sendmsg,execve,mkdir,rename";

#[test]
fn what_is_promised_is_synced_before_the_effect() {
    if !can_trace() {
        let why = "strace is not there, or may not trace";
        assert!(std::env::var_os("CI").is_none(), "{why}: `make needs`");
        eprintln!("skipped: {why}");
        return;
    }
    let project = Project::new();
    let scenario = Scenario {
        name: "synced",
        strategy: Strategy::BlueGreen,
        way: Way::Forward,
    };
    scenario.prepare(&project);
    project.kill_worker();
    let mut worker = traced(&project, "worker.trace", &["worker", "--dir", ".belay"])
        .spawn()
        .expect("strace runs");
    crate::support::project::until("the worker is at work", || {
        project.holds("worker.lock").then_some(())
    });
    let command = traced(
        &project,
        "command.trace",
        &["deploy", "--detach", "--output", "json"],
    );
    let said = { command }
        .stdout(Stdio::piped())
        .output()
        .expect("strace runs");
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).expect("json");
    let id = said
        .pointer("/deployment/id")
        .and_then(|id| id.as_str())
        .expect("an id")
        .to_owned();
    project.json(0, &["watch", &id]);
    crate::run::only(&project, 2);
    let (starts, artifact) = promised(&project, &id);
    // Ends strace, too, which has written everything then.
    project.kill_everything();
    worker.wait().expect("our child");

    let trace = Trace::of(&project, "worker.trace");
    let begun = trace.synced("{\\\"planned\\\":");
    for (fingerprint, wave) in starts {
        let begun = begun.max(trace.synced(&fingerprint));
        let effect = trace.first(match wave {
            Wave::Grow => {
                |line: &str| line.contains("mkdir(") && line.contains("/instances/web.test.r2-")
            }
            Wave::Switch => |line: &str| line.contains("/v1/put-route"),
            Wave::Shrink => unreachable!("forward, what was kept is removed by a clean-up"),
        });
        assert!(
            begun < effect,
            "{wave:?}: synced in line {begun}, effect in line {effect}"
        );
    }
    let begun = trace.synced("{\\\"cleanup_started\\\":");
    let effect =
        trace.first(|line| line.contains("/instances/web.test.r1-") && line.contains("desired"));
    assert!(
        begun < effect,
        "clean-up: synced in line {begun}, effect in line {effect}"
    );

    let trace = Trace::of(&project, "command.trace");
    let content = trace.sync_of(0, "/files/verdict>");
    let home = trace.first(|line| {
        line.contains("rename(") && line.contains(&format!("/artifacts/{artifact}\")"))
    });
    let listed = trace.sync_of(home, "/.belay/artifacts>");
    let created = trace.first(|line| {
        line.contains("belay.db-wal>") && line.contains("{\\\"created\\\":") && line.contains(&id)
    });
    assert!(
        content < home,
        "the artifact is synced in line {content}, in place in line {home}"
    );
    assert!(
        listed < created,
        "its place is synced in line {listed}, named in line {created}"
    );
    trace.synced(&id);
}

/// Fingerprints of the effects in the journal, with what each is; and the artifact's digest.
fn promised(project: &Project, id: &str) -> (Vec<(String, Wave)>, String) {
    let id: DeploymentId = serde_json::from_value(id.into()).expect("an id");
    let journal = runtime().block_on(async {
        let belay = open(project).await;
        let journal = belay.store().events(&id, 0).await.expect("readable");
        belay.close().await;
        journal
    });
    let plan = journal.iter().find_map(|entry| match &entry.event {
        Event::Planned { plan, .. } => Some(plan),
        _ => None,
    });
    let plan = plan.expect("it was planned");
    let starts = journal.iter().filter_map(|entry| match &entry.event {
        Event::Started {
            step, fingerprint, ..
        } => match &plan.steps().nth(usize::from(step.index))?.action {
            Action::Effect(effect) => Some((fingerprint.clone(), effect.wave)),
            _ => None,
        },
        _ => None,
    });
    let starts: Vec<_> = starts.collect();
    assert_eq!(starts.len(), 2, "one group grows, one switch: {journal:#?}");
    let artifact = journal.iter().find_map(|entry| match &entry.event {
        Event::Created(inputs) => Some(inputs.record.as_ref()?.artifact.to_string()),
        _ => None,
    });
    let artifact = artifact.expect("it has one");
    let artifact = artifact.strip_prefix("sha256:").unwrap_or(&artifact);
    (starts, artifact.to_owned())
}

fn traced(project: &Project, trace: &str, arguments: &[&str]) -> Command {
    let plain = project.command(arguments);
    let mut command = Command::new("strace");
    // -s: more than a page of the database, so that every event can be seen in what is written.
    command
        .args(["-f", "-y", "-s", "5000", "-e", CALLS, "-o", trace])
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(project.path())
        .stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn can_trace() -> bool {
    let mut command = Command::new("strace");
    command
        .args(["-o", "/dev/null", "true"])
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What strace wrote, in the order in which it happened.
struct Trace(Vec<String>);

impl Trace {
    fn of(project: &Project, name: &str) -> Self {
        let text = std::fs::read(project.path().join(name)).expect("a trace");
        Self(
            String::from_utf8_lossy(&text)
                .lines()
                .map(str::to_owned)
                .collect(),
        )
    }

    /// The first line like that.
    fn first(&self, is: impl Fn(&str) -> bool) -> usize {
        let found = self.0.iter().position(|line| is(line));
        found.expect("the trace has such a line")
    }

    /// The line in which the journal was synced after it was first written with this in it.
    fn synced(&self, mark: &str) -> usize {
        let is_write = |line: &str| line.contains("belay.db-wal>") && line.contains("pwrite64(");
        let written = self.first(|line| is_write(line) && line.contains(mark));
        self.sync_of(written, "/.belay/belay.db-wal>")
    }

    /// The line in which a sync of this file was over that began after another line.
    fn sync_of(&self, after: usize, file: &str) -> usize {
        let begins = |line: &str| {
            (line.contains(" fsync(") || line.contains(" fdatasync(")) && line.contains(file)
        };
        let rest = self.0.iter().enumerate().skip(after);
        let begun = rest.clone().find(|(_, line)| begins(line));
        let (begun, line) = begun.unwrap_or_else(|| panic!("{file} is synced after line {after}"));
        if !line.contains("<unfinished") {
            assert!(line.ends_with("= 0"), "{line}");
            return begun;
        }
        let thread = line.split(' ').next().unwrap_or_default();
        let over = rest.skip(begun - after).find(|(_, line)| {
            line.starts_with(&format!("{thread} "))
                && line.contains("sync resumed>)")
                && line.ends_with("= 0")
        });
        over.expect("the sync ends").0
    }
}
