//! A service of its own in a namespace of its own.

use crate::account::Account;
use crate::support::project::{self, Project};
use belay_testbed::ControlPlane;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// What nobody may find in clear.
pub(crate) const KEY: &str = "correct-horse-battery";

pub(crate) struct Shop {
    pub(crate) project: Project,
    pub(crate) plane: &'static ControlPlane,
    pub(crate) namespace: String,
}

impl Shop {
    /// Its configuration and manifests are there; nothing is deployed.
    pub(crate) fn new() -> Self {
        // Dropped by nobody: it goes with this process.
        static PLANE: OnceLock<ControlPlane> = OnceLock::new();
        Self::on(PLANE.get_or_init(|| ControlPlane::serving().expect("a control plane")))
    }

    /// The same on another control plane.
    pub(crate) fn on(plane: &'static ControlPlane) -> Self {
        let mut project = Project::new();
        let namespace = plane.namespace().expect("a namespace");
        let account = Account::of(plane, &namespace);
        let set = |name: &str, value: String| (name.to_owned(), value);
        let kubectl = plane.kubectl();
        let programs = Path::new(kubectl.get_program()).parent().expect("a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        project.env.extend([
            set("KUBECONFIG", account.kubeconfig().display().to_string()),
            set("PATH", format!("{}:{path}", programs.display())),
            set("KEY", KEY.to_owned()),
        ]);
        project.before = Some(Box::new(move |project, arguments| {
            account.may(project, arguments);
        }));
        let shop = Self {
            project,
            plane,
            namespace,
        };
        shop.configure("info", "");
        shop.project.write(
            "k8s/api.yaml",
            r"apiVersion: apps/v1
kind: Deployment
metadata: { name: api }
spec:
  replicas: 2
  selector: { matchLabels: { app: api } }
  template:
    metadata: { labels: { app: api } }
    spec:
      containers: [{ name: api, image: shop/api:1, ports: [{ containerPort: 8080 }], volumeMounts: [{ name: files, mountPath: /files }] }]
      volumes: [{ name: files, configMap: { name: files } }]
---
{ apiVersion: v1, kind: ConfigMap, metadata: { name: files }, data: { motto: first } }
---
{ apiVersion: v1, kind: Service, metadata: { name: api }, spec: { selector: { app: api }, ports: [{ port: 8080 }] } }
",
        );
        shop
    }

    /// Writes `belay.yaml`, with these lines below the environment.
    pub(crate) fn configure(&self, level: &str, environment: &str) {
        let (namespace, context) = (&self.namespace, ControlPlane::CONTEXT);
        self.project.write(
            "belay.yaml",
            &format!(
                "service: shop\nrelease: {{ manifests: ./k8s }}\nconfig: {{ LEVEL: {level} }}\nsecrets: {{ KEY: \"env:KEY\" }}\n\
                 environments:\n  test:\n    target: {{ kubernetes: {{ context: {context}, namespace: {namespace} }} }}\n    \
                 keep: {{ bake: 0s }}\n{environment}"
            ),
        );
    }

    /// The cluster knows the routes of the Gateway API, and the manifests have one; nobody serves it.
    pub(crate) fn routes(&self) {
        self.plane.know_routes().expect("routes");
        let route = "{ apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: { name: api }, spec: { parentRefs: [{ name: web }], \
                     rules: [{ backendRefs: [{ name: api, port: 8080 }] }] } }";
        self.project.write("k8s/route.yaml", route);
    }

    /// On a cluster that knows what Argo CD and Flux apply with; nobody acts for them.
    pub(crate) fn with_deliverers() -> Self {
        // One of its own: what others look at, and may, would change under their hands.
        static PLANE: OnceLock<ControlPlane> = OnceLock::new();
        Self::on(PLANE.get_or_init(|| {
            let plane = ControlPlane::serving().expect("a control plane");
            plane.know_deliverers().expect("their kinds");
            plane
        }))
    }

    /// The API of the shop is one of the objects of a kustomization.
    pub(crate) fn flux(&self) {
        let apps = "{ apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: { name: apps }, \
                    spec: { interval: 10m, prune: true, sourceRef: { kind: GitRepository, name: shop } } }";
        self.project.write("flux.yaml", apps);
        let file = self.project.path().join("flux.yaml");
        self.kubectl(&["apply", "-f", &file.display().to_string()]);
        let (name, namespace) = (
            "kustomize.toolkit.fluxcd.io/name=apps",
            format!("kustomize.toolkit.fluxcd.io/namespace={}", self.namespace),
        );
        self.kubectl(&["label", "deployment/api", name, &namespace]);
    }

    /// Changes a file of the project.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.project.path().join(file)).expect("read");
        assert!(text.contains(from), "{file} has no {from}");
        self.project.write(file, &text.replace(from, to));
    }

    /// How the administrator connects, and anybody who is not Belay.
    pub(crate) fn admin(&self) -> std::path::PathBuf {
        self.plane.kubeconfig()
    }

    /// Lines of a shell that grant what an environment takes, as the administrator, and wait until it is so.
    pub(crate) fn grant(&self, environment: &str) -> String {
        let admin = self.admin().display().to_string();
        let (doctor, account) = (
            "belay doctor kubernetes",
            format!("{}:belay", self.namespace),
        );
        format!(
            "{doctor} -e {environment} --print-rbac --service-account {account} | kubectl --kubeconfig {admin} apply -f - >/dev/null\n\
             until {doctor} -e {environment} >/dev/null 2>&1; do :; done\n"
        )
    }

    /// The same service in another namespace of its own.
    pub(crate) fn another_namespace(&mut self) -> String {
        let another = self.plane.namespace().expect("a namespace");
        std::mem::replace(&mut self.namespace, another)
    }

    /// Has pods take a while until they are ready, so that there is a middle.
    pub(crate) fn slow(&self, delay: &str) {
        self.edit(
            "k8s/api.yaml",
            "metadata: { labels: { app: api } }",
            &format!("metadata: {{ labels: {{ app: api }}, annotations: {{ kwok/ready-delay: {delay} }} }}"),
        );
    }

    /// Something for the real client to read.
    pub(crate) fn make(&self, object: &Value) {
        self.project.write("made.json", &object.to_string());
        let file = self.project.path().join("made.json");
        self.kubectl(&["create", "-f", &file.display().to_string()]);
    }

    /// What the real client says of something in the namespace.
    pub(crate) fn get(&self, what: &[&str]) -> Value {
        let mut kubectl = self.plane.kubectl();
        let kubectl = kubectl.args(["-n", &self.namespace, "get", "-o", "json"]);
        serde_json::from_str(&said(kubectl.args(what))).expect("JSON")
    }

    /// Has the real client do something; answers what it says.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let mut kubectl = self.plane.kubectl();
        said(kubectl.args(["-n", &self.namespace]).args(arguments))
    }

    /// Whether the real client says yes.
    pub(crate) fn may(&self, arguments: &[&str]) -> bool {
        let mut kubectl = self.plane.kubectl();
        let kubectl = kubectl.args(["-n", &self.namespace]).args(arguments);
        kubectl.output().expect("started").status.success()
    }

    /// The manifests of the folder, as somebody without Belay puts them there.
    pub(crate) fn apply(&self) {
        let folder = self.project.path().join("k8s");
        self.kubectl(&["apply", "-f", &folder.display().to_string()]);
        self.rolled_out("deployment/api");
    }

    /// Waits until it is.
    pub(crate) fn rolled_out(&self, workload: &str) {
        self.kubectl(&["rollout", "status", workload, "--timeout=60s"]);
    }

    /// What names a workload of the namespace for Belay.
    pub(crate) fn uri(&self, workload: &str) -> String {
        format!(
            "kubernetes://{}/{}/{workload}",
            ControlPlane::CONTEXT,
            self.namespace
        )
    }

    /// Those of an image that serve now go on, and do not any more.
    pub(crate) fn makes_pods_unready(&self, image: &str) {
        let pods = self.get(&["pods"]);
        let patch = r#"{"status":{"conditions":[{"type":"Ready","status":"False"}]}}"#;
        let pods = pods["items"].as_array().expect("a list").iter();
        for pod in pods.filter(|pod| pod["spec"]["containers"][0]["image"] == image) {
            let name = pod["metadata"]["name"].as_str().expect("a name");
            let mut kubectl = self.plane.kubectl();
            let kubectl = kubectl.args(["-n", &self.namespace, "patch", "pod", name]);
            said(kubectl.args(["--subresource=status", "-p", patch]));
        }
    }

    /// Image of the pods that serve, which are as many as are wanted.
    pub(crate) fn image(&self) -> String {
        let api = self.get(&["deployment", "api"]);
        let (status, spec) = (&api["status"], &api["spec"]);
        for count in ["updatedReplicas", "readyReplicas", "replicas"] {
            assert_eq!(status[count], spec["replicas"], "{count} of {api:#}");
        }
        let image = &spec["template"]["spec"]["containers"][0]["image"];
        image.as_str().expect("an image").to_owned()
    }

    /// What the pods are given by the objects that they refer to, of a kind (`configmap`, `secret`).
    pub(crate) fn given(&self, kind: &str, reference: &str) -> Value {
        let api = self.get(&["deployment", "api"]);
        let container = &api["spec"]["template"]["spec"]["containers"][0];
        let sources = container["envFrom"].as_array().expect("sources");
        let name = sources.iter().find_map(|it| it[reference]["name"].as_str());
        self.get(&[kind, name.expect("a name")])["data"].clone()
    }

    /// Every file of the store, so that nothing in clear is overlooked.
    pub(crate) fn keeps_no_secret(&self) {
        let mut waiting = vec![self.project.path().join(".belay")];
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                let entries = std::fs::read_dir(&path).expect("a folder");
                waiting.extend(entries.flatten().map(|entry| entry.path()));
            } else if let Ok(bytes) = std::fs::read(&path) {
                let is_there = |text: &[u8]| bytes.windows(text.len()).any(|it| it == text);
                assert!(!is_there(KEY.as_bytes()), "{}", path.display());
                assert!(!is_there(encoded().as_bytes()), "{}", path.display());
            }
        }
    }
}

/// The key as a Secret has it.
pub(crate) fn encoded() -> String {
    let mut base64 = Command::new("base64");
    let mut child = base64
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("base64");
    let mut pipe = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut pipe, KEY.as_bytes()).expect("read");
    drop(pipe);
    let done = child.wait_with_output().expect("ended");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// Waits until it is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    project::until(what, || is_so().then_some(()));
}

fn said(command: &mut Command) -> String {
    let done = command.output().expect("started");
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}
