//! Whom Belay is in a test: an account that may do what `belay doctor kubernetes --print-rbac` says, and no more. The Role is printed and
//! applied anew before a command wherever what it is made of has changed. What a test prepares, and what it looks at, is the
//! administrator's.

use crate::support::project::Project;
use belay_testbed::ControlPlane;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long the API server may take to know what was granted; it takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Account {
    plane: &'static ControlPlane,
    namespace: String,
    /// What was granted, by what was asked for, and of which files it was made.
    granted: Mutex<BTreeMap<Vec<String>, Vec<u8>>>,
}

impl Account {
    pub(crate) fn of(plane: &'static ControlPlane, namespace: &str) -> Self {
        Self {
            plane,
            namespace: namespace.to_owned(),
            granted: Mutex::default(),
        }
    }

    /// As the doctor is told.
    fn name(&self) -> String {
        format!("{}:belay", self.namespace)
    }

    /// As the cluster knows it.
    fn user(&self) -> String {
        format!("system:serviceaccount:{}:belay", self.namespace)
    }

    /// How to connect as this one.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        let kubeconfig = self.plane.kubeconfig_as(&self.user());
        kubeconfig.expect("a kubeconfig")
    }

    /// Grants what a command takes.
    pub(crate) fn may(&self, project: &Project, arguments: &[&str]) {
        for asked in asked(arguments) {
            let made_of = files(project.path());
            let mut granted = self.granted.lock().expect("no panic");
            if granted.get(&asked) == Some(&made_of) {
                continue;
            }
            // What cannot be deployed has no Role.
            if let Some(document) = self.print(project, &asked) {
                let yaml = document["yaml"].as_str().expect("YAML");
                self.apply(yaml);
                self.wait(project, &asked);
                self.note(&document["rights"]);
            }
            granted.insert(asked, made_of);
        }
    }

    fn doctor(
        &self,
        project: &Project,
        asked: &[String],
        more: &[&str],
        kubeconfig: &Path,
    ) -> Command {
        let mut words = vec!["doctor", "kubernetes", "-o", "json"];
        words.extend(asked.iter().map(String::as_str));
        words.extend(more);
        let mut doctor = project.bare(&words);
        doctor.env("KUBECONFIG", kubeconfig);
        doctor
    }

    fn print(&self, project: &Project, asked: &[String]) -> Option<Value> {
        let account = self.name();
        let more = ["--print-rbac", "--service-account", &account];
        let done = self
            .doctor(project, asked, &more, &self.plane.kubeconfig())
            .output();
        let done = done.expect("belay runs");
        let document = serde_json::from_slice(&done.stdout).expect("JSON");
        done.status.success().then_some(document)
    }

    fn apply(&self, yaml: &str) {
        let mut kubectl = self.plane.kubectl();
        kubectl
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = kubectl.spawn().expect("kubectl");
        let mut pipe = child.stdin.take().expect("piped");
        pipe.write_all(yaml.as_bytes()).expect("read");
        drop(pipe);
        assert!(child.wait().expect("ended").success(), "{yaml}");
    }

    /// Until the doctor finds nothing missing.
    fn wait(&self, project: &Project, asked: &[String]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let done = self
                .doctor(project, asked, &[], &self.kubeconfig())
                .output();
            let done = done.expect("belay runs");
            if done.status.success() {
                return;
            }
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            // Whether it can be asked is what some tests are about.
            if said.contains("E0338") {
                return;
            }
            assert!(Instant::now() < deadline, "{said}");
        }
    }

    /// For whoever compares it with what was used.
    fn note(&self, rights: &Value) {
        let Some(path) = self.plane.beside_audit("granted") else {
            return;
        };
        let mut file = std::fs::OpenOptions::new();
        let mut file = file.create(true).append(true).open(path).expect("a file");
        for right in rights.as_array().expect("a list") {
            let mut line = right.clone();
            line["user"] = self.user().into();
            line["by"] = std::process::id().into();
            file.write_all(format!("{line}\n").as_bytes())
                .expect("written");
        }
    }
}

/// What the doctor is told for a command: the URI that it names, or its environments, and where they are written.
fn asked(arguments: &[&str]) -> Vec<Vec<String>> {
    let mut at = Vec::new();
    let mut rest = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "--dir" | "-f" | "--file" => {
                at.extend([Some(word), words.next()].into_iter().flatten())
            }
            _ => rest.push(*word),
        }
    }
    let with = |more: &[&str]| {
        let all = at.iter().copied().chain(more);
        all.map(|it| (*it).to_owned()).collect()
    };
    let verb = rest.first().copied().unwrap_or_default();
    let gitops = rest.iter().position(|it| *it == "--gitops");
    let gitops = gitops.map_or(&[][..], |at| &rest[at..at + 2]);
    if let Some(uri) = rest.iter().find(|it| it.contains("://")) {
        return match verb {
            "history" | "adopt" | "logs" => vec![with(&[uri, "--read-only"])],
            _ => vec![with(&[&[*uri], gitops].concat())],
        };
    }
    let named = rest.iter().position(|it| *it == "-e");
    let named = named.and_then(|at| rest.get(at + 1));
    match (verb, named) {
        ("promote", _) => rest[1..3].iter().map(|it| with(&["-e", it])).collect(),
        (_, Some(environment)) => vec![with(&["-e", environment])],
        _ => vec![with(&[])],
    }
}

/// All that a Role is made of: the configuration, and what lies beside it.
fn files(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut waiting = BTreeSet::from([folder.to_owned()]);
    while let Some(path) = waiting.pop_first() {
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != ".belay" {
            let entries = std::fs::read_dir(&path).expect("a folder");
            waiting.extend(entries.flatten().map(|it| it.path()));
        } else if path.extension().is_some_and(|it| it == "yaml") {
            bytes.extend(std::fs::read(&path).unwrap_or_default());
        }
    }
    bytes
}
