//! One deployment under load, killed at one point, and what came of it.

use crate::scenario::{INSTANCES, Killed, Scenario, Strategy, Way};
use crate::support::project::{PATIENCE, Project, Role, until};
use belay_load::{Came, Keep, Load, Seen, Shape, now_us};
use belay_model::event::{Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::summary::{Phase, Summary};
use belay_runtime::{Belay, Options};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// 75 requests a second: steady, and little enough to leave the machine to what is tested.
const LOAD: Shape = Shape {
    clients: 3,
    pace: Some(Duration::from_millis(40)),
    patience: PATIENCE,
    reuse: 10,
    paths: &["/api/books", "/api/authors"],
    keep: Keep::All,
};
/// Requests before and after.
const STRETCH: usize = 15;

/// The tests' own: for the load, and to read stores.
pub(crate) fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let builder = builder.worker_threads(2).enable_all();
        builder.build().expect("a runtime")
    });
    &RUNTIME
}

/// The project's store, to read what commands do not tell.
pub(crate) async fn open(project: &Project) -> Belay {
    let options = Options {
        shared: None,
        lost: false,
        host: None,
        dir: project.path().join(".belay"),
        exe: env!("CARGO_BIN_EXE_belay").into(),
        key: None,
        actor: "a test".to_owned(),
        retention: belay_runtime::Retention::default(),
    };
    Belay::open(options).await.expect("the store opens")
}

/// A point where Belay is killed: `append.after:3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) about: String,
}

/// What a run showed.
pub(crate) struct Ran {
    /// Points passed, in order.
    pub(crate) points: Vec<Point>,
    /// Whether it was killed where it should be.
    pub(crate) was_killed: bool,
    pub(crate) requests: usize,
    /// In flight when the proxy was killed, or refused until it listened again.
    pub(crate) failed_while_proxy_down: usize,
}

/// Runs a scenario, killed at a point or not at all. Panics where something is not as promised.
pub(crate) fn run(scenario: &Scenario, kill: Option<(&str, Killed)>) -> Ran {
    let project = Project::new();
    scenario.prepare(&project);
    let before = newest(&project);
    let old = match scenario.way {
        Way::Forward | Way::Back => only(&project, 1),
        // What was kept of a canary is gone before someone goes back; blue and green both stand.
        Way::Return if scenario.strategy == Strategy::Canary => only(&project, 2),
        Way::Return => Vec::new(),
    };
    project.kill_worker();
    let _runtime = runtime().enter();
    let load = Load::start(SocketAddr::from((Ipv4Addr::LOCALHOST, project.port)), &LOAD);
    more(&load);

    let points = project.path().join("points");
    let at = kill.map(|(point, _)| point);
    let was_killed = perform(&project, scenario, at, || {
        std::fs::read_to_string(&points).is_ok_and(|text| text.ends_with("stopped\n"))
    });
    let mut window = None;
    if let (true, Some((_, killed))) = (was_killed, kill) {
        let from_us = now_us();
        let roles: &[Role] = match killed {
            Killed::AllButProxy => &[Role::Control],
            Killed::All => &[Role::Control, Role::Proxy],
        };
        assert!(project.kill_all(roles) > 0, "somebody was there to kill");
        if killed == Killed::All {
            window = Some((from_us, now_us()));
        }
        recover(&project, scenario, before.as_deref());
    }
    let id = newest(&project).expect("a deployment");
    assert_ne!(Some(&id), before.as_ref(), "there is a new deployment");
    judge(&project, scenario, &id);
    let now = only(&project, scenario.serves());
    if scenario.way == Way::Back {
        assert_eq!(now, old, "the same processes serve as before");
    }
    let from_us = now_us();
    more(&load);
    let seen = load.seen();
    answered_by(&seen, from_us, scenario.serves());
    let text = std::fs::read_to_string(&points).unwrap_or_default();
    Ran {
        points: text.lines().filter_map(point).collect(),
        was_killed,
        requests: seen.len(),
        failed_while_proxy_down: blamed(&seen, window),
    }
}

fn point(line: &str) -> Option<Point> {
    let mut words = line.splitn(3, ' ');
    let (name, number) = (words.next()?, words.next()?);
    Some(Point {
        name: format!("{name}:{number}"),
        about: words.next().unwrap_or_default().to_owned(),
    })
}

fn more(load: &Load) {
    runtime().block_on(load.more(STRETCH)).expect("load");
}

/// Runs the command until it ends, or until Belay stands still at a point; answers whether it does.
fn perform(
    project: &Project,
    scenario: &Scenario,
    at: Option<&str>,
    stands_still: impl Fn() -> bool,
) -> bool {
    let log = std::fs::File::create(project.path().join("command.log")).expect("a log");
    let mut command: Command = project.command(scenario.command());
    command.env("BELAY_CRASH_POINTS", project.path().join("points"));
    if let Some(at) = at {
        command.env("BELAY_CRASH_AT", at);
    }
    command.stdout(log.try_clone().expect("a log")).stderr(log);
    let mut child = command.spawn().expect("belay runs");
    let stands = until("the command ends or stands still", || {
        if stands_still() {
            return Some(true);
        }
        let ended = child.try_wait().expect("our child").is_some();
        // The worker may stand still after the command has ended: while it cleans up.
        (ended && is_quiet(project)).then(&stands_still)
    });
    if stands {
        // First, so that it does not start a worker that takes over.
        let _ = child.kill();
        let _ = child.wait();
    }
    stands
}

/// Whether nothing is left to do: no worker stays for long then.
fn is_quiet(project: &Project) -> bool {
    let working = |line: &str| line.contains(" worker --detached ");
    !project.processes().iter().any(|(_, line)| working(line))
}

/// As a person would: looks how things stand, watches what is open, and repeats what was not taken down.
fn recover(project: &Project, scenario: &Scenario, before: Option<&str>) {
    let status = project.json(0, &["status"]);
    let open = status
        .pointer("/services/0/open/0/id")
        .and_then(Value::as_str);
    if let Some(id) = open {
        project.belay(&["watch", id]);
    } else if newest(project).as_deref() == before {
        project.belay(scenario.command());
    }
}

/// The newest deployment.
fn newest(project: &Project) -> Option<String> {
    runtime().block_on(async {
        let belay = open(project).await;
        let scopes = belay.store().scopes().await.expect("readable");
        let history = belay
            .store()
            .history(&scopes[0], 1)
            .await
            .expect("readable");
        belay.close().await;
        Some(history.first()?.id.as_str().to_owned())
    })
}

/// Pids of instances by release, sorted.
fn instances(processes: &[(i32, String)]) -> BTreeMap<u32, Vec<i32>> {
    let mut found = BTreeMap::<u32, Vec<i32>>::new();
    for (pid, _) in processes
        .iter()
        .filter(|(_, line)| line.contains("/bookstore"))
    {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let release = environ
            .split(|byte| *byte == 0)
            .find_map(|entry| entry.strip_prefix(b"RELEASE="))
            .and_then(|release| std::str::from_utf8(release).ok()?.parse().ok());
        if let Some(release) = release {
            found.entry(release).or_default().push(*pid);
        }
    }
    for pids in found.values_mut() {
        pids.sort_unstable();
    }
    found
}

/// Waits until the instances of this release run and no other, each with its supervisor; answers them.
pub(crate) fn only(project: &Project, release: u32) -> Vec<i32> {
    let end = Instant::now() + PATIENCE;
    loop {
        let processes = project.processes();
        let found = instances(&processes);
        let supervisors = processes
            .iter()
            .filter(|(_, line)| line.contains(" supervise ") && line.contains("/instances/"))
            .count();
        if let Some(pids) = found.get(&release)
            && (found.len(), pids.len(), supervisors) == (1, INSTANCES, INSTANCES)
        {
            return pids.clone();
        }
        assert!(
            Instant::now() < end,
            "{INSTANCES} instances of release {release} with a supervisor each and nothing else; \
             found {found:?} and {supervisors} supervisors"
        );
        std::thread::park_timeout(Duration::from_millis(30));
    }
}

/// How it ended, and that the journal can be believed.
fn judge(project: &Project, scenario: &Scenario, id: &str) {
    let id: DeploymentId = serde_json::from_value(id.into()).expect("an id");
    let expected = match scenario.way {
        Way::Forward | Way::Return => Outcome::Succeeded,
        Way::Back => Outcome::Failed {
            rollback: RollbackResult::Complete,
            residue: Vec::new(),
        },
    };
    runtime().block_on(async {
        let belay = open(project).await;
        let summary: Summary = belay
            .store()
            .summary(&id)
            .await
            .expect("readable")
            .expect("there");
        let journal = belay.store().events(&id, 0).await.expect("readable");
        belay_testkit::check_journal(&journal);
        let story = story(project, id.as_str());
        assert_eq!(summary.phase, Phase::Ended, "{story}");
        assert_eq!(summary.outcome, Some(expected), "{story}");
        let broken = belay.database().verify_chain(&id).await.expect("readable");
        assert!(broken.is_none(), "{broken:?}");
        let broken = belay.database().verify_environment(&summary.scope).await;
        assert!(broken.expect("readable").is_none(), "{summary:#?}");
        let damage = belay.database().check().await.expect("readable");
        assert!(damage.is_empty(), "{damage:?}");
        belay.close().await;
    });
}

/// What happened, for whoever has to find out why.
fn story(project: &Project, id: &str) -> String {
    let said = project.belay(&["history", "--events", id]).stdout;
    let read = |name: &str| {
        let text = std::fs::read_to_string(project.path().join(name)).unwrap_or_default();
        format!("\n{name}:\n{text}")
    };
    let files = ["points", "command.log", ".belay/worker.log"].map(read);
    format!("{}{}", String::from_utf8_lossy(&said), files.concat())
}

fn answered_by(seen: &[Seen], from_us: i64, release: u32) {
    let release = release.to_string();
    let wrong = seen
        .iter()
        .filter(|seen| seen.from_us >= from_us && seen.is_good())
        .find(|seen| seen.release.as_deref() != Some(release.as_str()));
    assert!(wrong.is_none(), "release {release} answers, not {wrong:?}");
}

/// Counts the requests that failed because the proxy was killed, between these two times; any other that failed is one
/// too many.
fn blamed(seen: &[Seen], killed_us: Option<(i64, i64)>) -> usize {
    let window = killed_us.and_then(|(from_us, dead_us)| {
        // It listens again at the latest when it has answered a request that began after its death.
        let good = seen.iter().filter(|seen| seen.is_good());
        let after = good.filter(|seen| seen.from_us >= dead_us);
        Some((from_us, after.map(|seen| seen.to_us).min()?))
    });
    let is_excused = |seen: &Seen| {
        let (Came::Nothing(_), Some((from_us, to_us))) = (&seen.came, window) else {
            return false;
        };
        seen.to_us >= from_us && seen.from_us <= to_us
    };
    let failed = seen.iter().filter(|seen| !seen.is_good());
    let (excused, other): (Vec<_>, Vec<_>) = failed.partition(|seen| is_excused(seen));
    assert!(
        other.is_empty(),
        "{} requests failed though the proxy lived (it was away: {window:?}): {:#?}",
        other.len(),
        &other[..other.len().min(3)]
    );
    excused.len()
}
