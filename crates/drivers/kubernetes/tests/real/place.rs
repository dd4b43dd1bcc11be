//! Where a test works: a namespace of the shared control plane.

use crate::account::Account;
use belay_driver::{Context, Driver, Progress};
use belay_driver_kubernetes::permissions::{Asked, Purpose};
use belay_driver_kubernetes::{Kubernetes, Settings, parse_manifest};
use belay_model::id::{
    ArtifactDigest, DeploymentId, EnvironmentName, ReleaseNumber, Scope, ServiceName,
};
use belay_model::release::{Record, Target};
use belay_model::state::{Health, State, Weight};
use belay_testbed::ControlPlane;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Of the digests that stand for secret values.
pub(crate) const KEY: [u8; 32] = [7; 32];
/// For which store.
const STORE: &str = "store-of-tests";
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Place {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) namespace: String,
    pub(crate) driver: Kubernetes,
    /// Whom Belay is there, and what that one may do.
    pub(crate) account: Account,
}

pub(crate) fn place() -> Place {
    // Dropped by nobody: it goes with this process.
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    on(PLANE.get_or_init(|| ControlPlane::start().expect("a control plane")))
}

/// A place of a control plane that nobody else has: its servers may be killed.
pub(crate) fn alone() -> Place {
    // Dropped by nobody, too.
    on(Box::leak(Box::new(
        ControlPlane::start().expect("a control plane"),
    )))
}

fn on(plane: &'static ControlPlane) -> Place {
    let namespace = plane.namespace().expect("a namespace");
    Place {
        plane,
        account: Account::of(plane, &namespace),
        namespace,
        driver: Kubernetes::new(&KEY, STORE),
    }
}

/// A place that knows the routes of the Gateway API.
pub(crate) fn place_with_routes() -> Place {
    static KNOWN: OnceLock<()> = OnceLock::new();
    let place = place();
    KNOWN.get_or_init(|| place.plane.know_routes().expect("routes"));
    place
}

impl Place {
    /// One that knows nothing of what the other does.
    pub(crate) fn another_driver(&self) -> Kubernetes {
        Kubernetes::new(&KEY, STORE)
    }

    /// The real client in this namespace; answers what it said.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let mut kubectl = self.plane.kubectl();
        said(kubectl.args(["-n", &self.namespace]).args(arguments), "")
    }

    /// The same with something to read.
    pub(crate) fn kubectl_with(&self, arguments: &[&str], input: &str) -> String {
        let mut kubectl = self.plane.kubectl();
        said(kubectl.args(["-n", &self.namespace]).args(arguments), input)
    }

    /// As Belay will: server-side, under its name.
    pub(crate) fn apply(&self, manifest: &str) {
        let ours = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager",
            "belay",
            "-f",
            "-",
        ];
        self.kubectl_with(&ours, manifest);
    }

    /// What runs of a manifest, and all that belongs to it.
    pub(crate) fn target(&self, manifest: &str) -> Target {
        let objects = parse_manifest(manifest).expect("a manifest");
        self.target_with(Settings {
            objects,
            ..Settings::default()
        })
    }

    /// A Helm release.
    pub(crate) fn release(&self, name: &str) -> Target {
        self.target_with(Settings {
            helm: Some(name.to_owned()),
            ..Settings::default()
        })
    }

    /// The rest of the settings as they are. Belay may do there what it takes to deploy to it, and no more.
    pub(crate) fn target_with(&self, settings: Settings) -> Target {
        let kubeconfig = settings.kubeconfig.clone();
        let settings = Settings {
            kubeconfig: kubeconfig.or_else(|| Some(self.account.kubeconfig())),
            context: Some(ControlPlane::CONTEXT.to_owned()),
            namespace: self.namespace.clone(),
            ..settings
        };
        self.account
            .may(&settings, Purpose::Deploy(Asked::default()));
        Target {
            driver: "kubernetes".to_owned(),
            name: "api/test".to_owned(),
            host: None,
            settings: json!(settings),
        }
    }

    pub(crate) fn desired(&self, target: &Target) -> State {
        self.driver.desired(&record(target), target)
    }

    pub(crate) async fn observe(&self, target: &Target) -> State {
        let observed = self.driver.observe(&context(), target).await;
        observed.expect("observed")
    }

    /// What is there once it is as expected.
    pub(crate) async fn once(&self, target: &Target, expected: impl Fn(&State) -> bool) -> State {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = self.observe(target).await;
            if expected(&state) {
                return state;
            }
            assert!(Instant::now() < deadline, "it stays {state:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What is there once every Deployment is rolled out and serves.
    pub(crate) async fn settled(&self, target: &Target) -> State {
        let is_settled = |state: &State| {
            let mut resources = state.resources.values();
            resources.all(|it| {
                let rollout = &it.spec["rollout"];
                rollout.is_null() || (rollout == "complete" && it.health == Health::Healthy)
            })
        };
        self.once(target, is_settled).await
    }

    /// The differences as text, a line for each field.
    pub(crate) fn differences(&self, want: &State, have: &State) -> String {
        let mut text = String::new();
        for entry in self.driver.diff(want, have).0 {
            let weight = match entry.weight {
                Weight::Must => "must",
                Weight::Informational => "informational",
            };
            text += &format!("{weight} {}\n", entry.key);
            let (want, have) = (entry.want.as_object(), entry.have.as_object());
            let Some((want, have)) = want.zip(have) else {
                let there = |it: &serde_json::Value| if it.is_null() { "absent" } else { "there" };
                text += &format!("  {} -> {}\n", there(&entry.want), there(&entry.have));
                continue;
            };
            for (path, value) in want {
                // What is a digest is so on one side at least.
                let shown = |it: &serde_json::Value| match it.as_str() {
                    Some(digest) if digest.starts_with("hmac:") => "hmac".to_owned(),
                    _ => it.to_string(),
                };
                text += &format!("  {path}: {} -> {}\n", shown(value), shown(&have[path]));
            }
        }
        text
    }
}

pub(crate) fn context() -> Context {
    Context {
        deployment: DeploymentId::new("dep_look"),
        step: None,
        attempt: 1,
        epoch: 1,
        deadline_ms: 30_000,
        material: Arc::default(),
        progress: Arc::new(Silent),
    }
}

/// A record of that target.
pub(crate) fn record(target: &Target) -> Record {
    Record {
        format: 1,
        scope: Scope {
            service: ServiceName::new("api"),
            environment: EnvironmentName::new("test"),
        },
        release: ReleaseNumber(1),
        artifact: ArtifactDigest::new(format!("sha256:{:064}", 1)),
        config: BTreeMap::new(),
        secrets: BTreeMap::new(),
        sealed: None,
        targets: vec![target.clone()],
    }
}

/// What is told while a driver works.
#[derive(Default)]
pub(crate) struct Told(Mutex<Vec<String>>);

impl Told {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }

    /// Whether a line has these words.
    pub(crate) fn has(&self, words: &str) -> bool {
        self.lines().iter().any(|line| line.contains(words))
    }
}

impl Progress for Told {
    fn line(&self, text: &str) {
        self.0.lock().expect("no panic").push(text.to_owned());
    }
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

struct Silent;

impl Progress for Silent {
    fn line(&self, _: &str) {}
}

/// Runs a command that succeeds.
pub(crate) fn said(command: &mut Command, input: &str) -> String {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut pipe = child.stdin.take().expect("piped");
    pipe.write_all(input.as_bytes()).expect("read");
    drop(pipe);
    let done = child.wait_with_output().expect("ended");
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}
