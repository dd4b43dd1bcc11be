//! Many services of one machine, each a process without traffic, with their deployments in a shared store.

use crate::report::Report;
use crate::support::project::{Project, until};
use belay_model::event::{Event, Outcome, RollbackResult};
use belay_model::id::{DeploymentId, EnvironmentName, Scope, ServiceName};
use belay_model::summary::{Phase, Summary};
use belay_runtime::{Belay, Options, PostgresOptions, Retention, Shared, Tables};
use belay_testkit::breaches;
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Runs until it is stopped, and notes its beginning. A bad release ends at once.
const SERVE: &str = r#"#!/bin/sh
[ "$MODE" = bad ] && exit 1
echo "$BELAY_INSTANCE" >> "$STARTS/$SERVICE"
while :; do sleep 600; done
"#;
/// How long leases live without a sign of life, milliseconds.
const LEASE_MS: &str = "1500";
/// One after the other has to end within this, in real time: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// What its second release is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Second {
    Good,
    /// It never gets ready.
    Bad,
    /// Good, and a person goes back from it all the same.
    Regretted,
}

/// One of them.
pub(crate) struct Service {
    pub(crate) name: String,
    environment: &'static str,
    pub(crate) second: Second,
}

/// See the module.
pub(crate) struct Crowd {
    project: Project,
    url: String,
    pub(crate) services: Vec<Service>,
    belay: OnceLock<Belay>,
    runtime: tokio::runtime::Runtime,
}

impl Crowd {
    pub(crate) fn new(url: String, count: usize) -> Self {
        let project = Project::new();
        project.executable("dist/serve", SERVE);
        project.write("starts/none", "");
        // An environment is busy with 64 deployments at once; all of these shall be in flight.
        let environments = ["red", "green", "blue", "white"];
        let service = |n: usize| Service {
            name: format!("s{n:03}"),
            environment: environments[n % environments.len()],
            second: match n % 10 {
                0..=5 => Second::Good,
                6..=7 => Second::Bad,
                _ => Second::Regretted,
            },
        };
        Self {
            project,
            url,
            services: (0..count).map(service).collect(),
            belay: OnceLock::new(),
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.command(arguments);
        command
            .env("BELAY_STORE", &self.url)
            .env("BELAY_LEASE_MS", LEASE_MS)
            .env("BELAY_DIR", self.project.path().join(".belay"));
        command
    }

    /// Says it until it was heard: the server may be away.
    fn say(&self, arguments: &[&str]) {
        until(&format!("{arguments:?}"), || {
            let said = self.command(arguments).output().expect("belay runs");
            said.status.success().then_some(())
        });
    }

    /// Asks for a release of every service, two at a time, and waits for none.
    pub(crate) fn ask_for_all(&self, release: u32) {
        for service in &self.services {
            let is_bad = release == 2 && service.second == Second::Bad;
            let (name, starts) = (&service.name, self.project.path().join("starts"));
            self.project.write(
                &format!("{name}/belay.yaml"),
                &format!(
                    "service: {name}\nrelease: {{ artifact: ../dist }}\nconfig: {{ RELEASE: \"{release}\", SERVICE: {name}, \
                     MODE: {}, STARTS: \"{}\" }}\nenvironments:\n  {}:\n    target: {{ process: {{ run: ./serve }} }}\n    \
                     keep: {{ bake: {} }}\n",
                    if is_bad { "bad" } else { "good" },
                    starts.display(),
                    service.environment,
                    // Long enough that all are in flight at once.
                    if release == 1 { "0s" } else { "20s" },
                ),
            );
        }
        self.for_each(|service| {
            let file = format!("{}/belay.yaml", service.name);
            self.say(&["--file", &file, "deploy", "--detach"]);
        });
    }

    /// Goes back from those that somebody regrets.
    pub(crate) fn go_back_from_some(&self) {
        self.for_each(|service| {
            if service.second == Second::Regretted {
                let (name, environment) = (&service.name, service.environment);
                self.say(&["rollback", name, "-e", environment, "--yes", "--detach"]);
            }
        });
    }

    fn for_each(&self, act: impl Fn(&Service) + Sync) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(service) =
                        self.services.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        act(service);
                    }
                });
            }
        });
    }

    /// Does something while commands believe that a worker is at work.
    pub(crate) fn without_workers(&self, act: impl FnOnce()) {
        use rustix::fs::{FlockOperation, flock};
        let path = self.project.path().join(".belay/worker.lock");
        let lock = std::fs::File::options().write(true).open(path);
        let lock = lock.expect("there was a worker");
        flock(&lock, FlockOperation::LockExclusive).expect("it is gone");
        act();
    }

    /// That many, which stay.
    pub(crate) fn workers(&self, count: usize) -> Workers<'_> {
        let mut workers = Workers {
            crowd: self,
            running: Vec::new(),
            next: 0,
        };
        for _ in 0..count {
            workers.start();
        }
        workers
    }

    /// Deployments that have not ended; none: the store cannot be asked now.
    pub(crate) fn open(&self) -> Option<usize> {
        let store = self.belay().store();
        let open = self.runtime.block_on(async { store.open().await });
        open.ok().map(|open| open.len())
    }

    /// Until nothing is open. How long all of it takes is the machine's; that nothing ends any more is a fault.
    pub(crate) fn wait_for_all(&self, what: &str) {
        let (mut fewest, mut end) = (usize::MAX, Instant::now() + PATIENCE);
        while self.open() != Some(0) {
            if let Some(open) = self.open().filter(|open| *open < fewest) {
                (fewest, end) = (open, Instant::now() + PATIENCE);
            }
            if Instant::now() > end {
                panic!("{what} did not end: {}", self.left_open());
            }
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    fn left_open(&self) -> String {
        let store = self.belay().store();
        let open = self.runtime.block_on(async { store.open().await });
        let tell = |summary: &Summary| {
            let said = self.command(&["history", "--events", summary.id.as_str()]);
            let said = { said }.output().expect("belay runs").stdout;
            format!("{summary:#?}\n{}", String::from_utf8_lossy(&said))
        };
        let open = open.unwrap_or_default();
        let first: Vec<String> = open.iter().take(2).map(tell).collect();
        format!("{} are open; of them\n{}", open.len(), first.join("\n"))
    }

    fn belay(&self) -> &Belay {
        self.belay.get_or_init(|| {
            let options = Options {
                lost: false,
                shared: Some(Shared {
                    postgres: PostgresOptions::new(self.url.clone()),
                    tables: Tables::Made,
                }),
                host: None,
                dir: self.project.path().join(".belay"),
                exe: env!("CARGO_BIN_EXE_belay").into(),
                key: None,
                actor: "the storm".to_owned(),
                retention: Retention::default(),
            };
            let opened = self.runtime.block_on(Belay::open(options));
            opened.expect("a store")
        })
    }

    /// Everything that has to hold when all is at rest.
    pub(crate) fn judge(&self, report: &mut Report) {
        let starts = self.starts();
        let running = self.running();
        let mut wrong = Vec::new();
        for service in &self.services {
            let (found, is_out) = self.runtime.block_on(self.judge_one(service, report));
            let of_service = |line| format!("{}: {line}", service.name);
            wrong.extend(found.into_iter().map(of_service));
            let wanted = if is_out { "2" } else { "1" };
            let processes = running.get(&service.name).cloned().unwrap_or_default();
            if processes != [wanted] {
                wrong.push(of_service(format!("{processes:?} run instead of {wanted}")));
            }
            for (instance, count) in &starts[&service.name] {
                report.instances += count;
                // What was stopped for release 2 is started again on the way back.
                let is_again = !is_out && instance.starts_with("r1-");
                if *count > if is_again { 2 } else { 1 } {
                    wrong.push(of_service(format!("{instance} was started {count} times")));
                }
            }
        }
        assert!(
            wrong.is_empty(),
            "{} breaches:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    /// What is wrong with its deployments, and whether the second release is out.
    async fn judge_one(&self, service: &Service, report: &mut Report) -> (Vec<String>, bool) {
        let belay = self.belay();
        let store = belay.store();
        let scope = Scope {
            service: ServiceName::new(&service.name),
            environment: EnvironmentName::new(service.environment),
        };
        let history = store.history(&scope, 100).await.expect("readable");
        let mut wrong = Vec::new();
        for summary in &history {
            let id: &DeploymentId = &summary.id;
            let events = store.events(id, 0).await.expect("readable");
            report.deployment(&events, summary);
            wrong.extend(breaches(&events));
            if let Some(broken) = belay.database().verify_chain(id).await.expect("readable") {
                wrong.push(format!("{id}: the chain is broken: {broken:?}"));
            }
            if events
                .iter()
                .any(|entry| matches!(entry.event, Event::Parked { .. }))
            {
                wrong.push(format!("{id} waited for a person"));
            }
            if summary.phase != Phase::Ended {
                wrong.push(format!("{id} is {:?}", summary.phase));
            }
            let is_allowed = match &summary.outcome {
                Some(Outcome::Succeeded) => true,
                Some(Outcome::Failed { rollback, residue }) => {
                    let is_back =
                        matches!(rollback, RollbackResult::Complete | RollbackResult::None);
                    // A good one, too, goes back where one step was cut off again and again.
                    report.cut_off += usize::from(service.second == Second::Good);
                    is_back && residue.is_empty()
                }
                _ => false,
            };
            if !is_allowed {
                let (outcome, why) = (&summary.outcome, &summary.cause);
                wrong.push(format!("{id} ended as {outcome:?}: {why:?}"));
            }
        }
        let newest = history.first().and_then(|summary| summary.outcome.as_ref());
        let is_out = service.second == Second::Good && newest == Some(&Outcome::Succeeded);
        (wrong, is_out)
    }

    /// The releases whose processes run, by service.
    fn running(&self) -> BTreeMap<String, Vec<String>> {
        let mut running: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (pid, line) in self.project.processes() {
            if !line.contains("./serve") {
                continue;
            }
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let text = String::from_utf8_lossy(&environment).into_owned();
            let value = |name: &str| {
                let mut pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
                pairs
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.to_owned())
            };
            if let (Some(service), Some(release)) = (value("SERVICE"), value("RELEASE")) {
                running.entry(service).or_default().push(release);
            }
        }
        running
    }

    /// How often each instance was started, by service.
    fn starts(&self) -> BTreeMap<String, BTreeMap<String, usize>> {
        let read = |service: &Service| {
            let path = self.project.path().join("starts").join(&service.name);
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let mut starts = BTreeMap::new();
            for instance in text.lines() {
                *starts.entry(instance.to_owned()).or_default() += 1;
            }
            (service.name.clone(), starts)
        };
        self.services.iter().map(read).collect()
    }
}

/// Workers, some of which are killed.
pub(crate) struct Workers<'a> {
    crowd: &'a Crowd,
    running: Vec<Child>,
    next: usize,
}

impl Workers<'_> {
    fn start(&mut self) {
        let log = self.crowd.project.path().join("workers.log");
        let log = std::fs::File::options().create(true).append(true).open(log);
        let child = self
            .crowd
            .command(&["worker", "--stay"])
            .stderr(log.expect("a log"))
            .stdout(Stdio::null())
            .spawn();
        self.running.push(child.expect("a worker"));
    }

    /// SIGKILLs one, each in its turn, and starts another.
    pub(crate) fn kill_one(&mut self) {
        let at = self.next % self.running.len();
        self.next += 1;
        let mut killed = self.running.remove(at);
        let ended = killed.try_wait();
        if !matches!(ended, Ok(None)) {
            let log = std::fs::read_to_string(self.crowd.project.path().join("workers.log"));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(40).collect();
            panic!(
                "a worker ended by itself: {ended:?}, newest first:\n{}",
                lines.join("\n")
            );
        }
        killed.kill().expect("killed");
        killed.wait().expect("gone");
        self.start();
    }
}

impl Drop for Workers<'_> {
    fn drop(&mut self) {
        for worker in &mut self.running {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}
