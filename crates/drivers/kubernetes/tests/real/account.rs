//! Whom Belay is in a test: an account of the namespace that may do what the table of rights says, and no more. What a test prepares, and
//! what it looks at, is the administrator's.

use crate::place::{KEY, context, said};
use belay_driver_kubernetes::permissions::{Purpose, Rights, Subject, role};
use belay_driver_kubernetes::{Kubernetes, Settings};
use belay_testbed::ControlPlane;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long the API server may take to know what was granted; it takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Account {
    plane: &'static ControlPlane,
    namespace: String,
    user: String,
    granted: Mutex<Rights>,
}

impl Account {
    pub(crate) fn of(plane: &'static ControlPlane, namespace: &str) -> Self {
        Self {
            plane,
            namespace: namespace.to_owned(),
            user: format!("system:serviceaccount:{namespace}:belay"),
            granted: Mutex::default(),
        }
    }

    /// How to connect as this one.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        let kubeconfig = self.plane.kubeconfig_as(&self.user);
        kubeconfig.expect("a kubeconfig")
    }

    /// Grants it, beside what was granted before: as belay.yaml and the store together say it.
    pub(crate) fn may(&self, settings: &Settings, purpose: Purpose) {
        let own = Settings {
            kubeconfig: Some(self.kubeconfig()),
            context: Some(ControlPlane::CONTEXT.to_owned()),
            namespace: self.namespace.clone(),
            ..settings.clone()
        };
        let mut granted = self.granted.lock().expect("no panic");
        let mut all = granted.clone();
        all.add(apart(async |driver| driver.rights(&own, purpose).await));
        if all == *granted {
            return;
        }
        assert!(all.guessed.is_empty(), "{:?}", all.guessed);
        let subject = Subject::Account {
            namespace: self.namespace.clone(),
            name: "belay".to_owned(),
            made: true,
        };
        let role = role(&all, &subject, "belay", "a test");
        let mut kubectl = self.plane.kubectl();
        said(kubectl.args(["apply", "-f", "-"]), &role);
        self.note(&all);
        let deadline = Instant::now() + PATIENCE;
        apart(async |driver| {
            loop {
                let checked = driver.check(&context(), &own, &all).await.expect("asked");
                if checked.missing.is_empty() {
                    return;
                }
                assert!(Instant::now() < deadline, "{:?}", checked.missing);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        *granted = all;
    }

    /// For whoever compares it with what was used: see `tests/rights.rs`.
    fn note(&self, rights: &Rights) {
        let Some(path) = self.plane.beside_audit("granted") else {
            return;
        };
        let mut file = std::fs::OpenOptions::new();
        let file = file.create(true).append(true).open(path);
        for it in &rights.all {
            let line = json!({
                "by": std::process::id(), "user": self.user, "group": it.group, "resource": it.resource, "verbs": it.verbs, "why": it.why,
            });
            let line = format!("{line}\n");
            file.as_ref()
                .expect("a file")
                .write_all(line.as_bytes())
                .expect("written");
        }
    }
}

/// With a driver and a runtime of its own: who asks may be in one already.
fn apart<T: Send>(ask: impl AsyncFnOnce(&Kubernetes) -> T + Send) -> T {
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().expect("a runtime");
            runtime.block_on(async { ask(&Kubernetes::new(&KEY, "nobody")).await })
        });
        asked.join().expect("no panic")
    })
}
