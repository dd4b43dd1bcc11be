//! A Kubernetes control plane on loopback: etcd, API server, controller manager and scheduler as they are, and kwok in
//! the place of nodes. Pods are said to run, and nothing runs; `kubernetes/stages.yaml` says how they behave.

mod audit;
mod certificates;
mod edge;
mod traffic;
mod trouble;
mod webhook;

pub use edge::Edge;
pub use webhook::{Answer, Webhook};

use crate::go;
use crate::keeper::Keeper;
use crate::postgres::{free_port, pause};
use crate::release::run;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long it may take until pods can be made; four seconds on a quiet machine.
const START: Duration = Duration::from_secs(120);

/// Addresses of pods: nothing listens there, and addresses of loopback are refused for them.
const PODS: &str = "10.244.0.0/16";

/// What nodes have that kwok plays.
const PLAYED: &str = "kwok.x-k8s.io/node=fake";

/// What every container has written, as container runtimes keep it.
const WRITTEN: &str = "2026-01-01T00:00:00.000000000Z stdout F starting\n2026-01-01T00:00:01.000000000Z stderr F cannot reach the database\n";

/// A version of Helm's client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helm {
    /// The one that most have.
    V3,
    /// The newest.
    V4,
}

impl Helm {
    /// The program.
    ///
    /// # Errors
    /// Why it is not to be had, for people.
    pub fn program(self) -> Result<PathBuf, String> {
        let package = match self {
            Helm::V3 => "helm.sh/helm/v3/cmd/helm@v3.22.0",
            Helm::V4 => "helm.sh/helm/v4/cmd/helm@v4.3.1",
        };
        Ok(go::helm(package)?.join("helm"))
    }
}

/// See the module.
#[derive(Debug)]
pub struct ControlPlane {
    // Stopped before anything else of it is gone.
    keeper: Mutex<Keeper>,
    dir: PathBuf,
    programs: PathBuf,
    namespaces: AtomicU32,
    services: Range,
    is_serving: bool,
    /// Where it writes down what it is asked, if it does.
    audit: Option<PathBuf>,
    /// Where etcd's clients ask it, and where the API server is asked.
    ports: (u16, u16),
}

/// The addresses of Services of one control plane: a part of loopback, so that something can listen there.
#[derive(Debug)]
struct Range {
    octet: u8,
    /// Keeps it from others on this machine.
    _claim: TcpListener,
}

impl Range {
    /// One that nobody else has.
    fn claim() -> Result<Self, String> {
        let claim = |octet: u8| {
            let claim =
                TcpListener::bind(SocketAddr::from(([127, octet, 255, 254], 10_255))).ok()?;
            let _claim = claim;
            Some(Self { octet, _claim })
        };
        let free = (64..=254).find_map(claim);
        free.ok_or_else(|| "all addresses for services are in use".to_owned())
    }

    fn text(&self) -> String {
        format!("127.{}.0.0/16", self.octet)
    }
}

impl ControlPlane {
    /// Starts one as [`ControlPlane::start`] does, whose pods answer requests: what a Service's own address or a port-forward
    /// is asked reaches a real server. See the README in `kubernetes/`.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn serving() -> Result<Self, String> {
        Self::in_three_attempts(true, audit::folder())
    }

    /// Starts one with two nodes, and waits until it takes pods. The programs are built when nobody has built them.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn start() -> Result<Self, String> {
        Self::in_three_attempts(false, audit::folder())
    }

    /// Starts one as [`ControlPlane::start`] does, which writes down what it is asked, in files `*.audit` of a folder: an event of
    /// Kubernetes' audit log in each line.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn audited(folder: &Path) -> Result<Self, String> {
        Self::in_three_attempts(false, Some(folder.to_owned()))
    }

    fn in_three_attempts(is_serving: bool, audit: Option<PathBuf>) -> Result<Self, String> {
        let programs = go::kubernetes()?;
        // A free port may be taken by someone else before a server has it.
        let mut last = String::new();
        for _ in 0..3 {
            match Self::attempt(&programs, is_serving, audit.clone()) {
                Ok(plane) => return Ok(plane),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// How to connect, as everybody's administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// How to connect as somebody else, who may do what they were granted and no more: by impersonation, which is as good as a
    /// certificate of their own for all that is asked after it. Theirs is the same context.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn kubeconfig_as(&self, user: &str) -> Result<PathBuf, String> {
        let text = std::fs::read_to_string(self.kubeconfig()).map_err(|e| e.to_string())?;
        let mut config: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        config["users"][0]["user"]["as"] = json!(user);
        let path = self
            .dir
            .join(format!("kubeconfig-{}", user.replace(':', "-")));
        std::fs::write(&path, config.to_string()).map_err(|e| e.to_string())?;
        Ok(path)
    }

    /// A file beside those of its audit log, whose names begin alike; none where nothing is written down.
    pub fn beside_audit(&self, ending: &str) -> Option<PathBuf> {
        let folder = self.audit.as_deref()?;
        Some(folder.join(audit::name(&self.dir, ending)))
    }

    /// The context of [`ControlPlane::kubeconfig`].
    pub const CONTEXT: &str = "test";

    /// The real client, connected.
    pub fn kubectl(&self) -> Command {
        let mut kubectl = Command::new(self.programs.join("kubectl"));
        kubectl.arg("--kubeconfig").arg(self.kubeconfig());
        kubectl
    }

    /// The real client of Helm, connected, with files of its own.
    ///
    /// # Errors
    /// Why it is not to be had, for people.
    pub fn helm(&self, version: Helm) -> Result<Command, String> {
        let mut helm = Command::new(version.program()?);
        helm.env("KUBECONFIG", self.kubeconfig());
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(name, self.dir.join("helm"));
        }
        Ok(helm)
    }

    /// Makes routes of the Gateway API known. Nobody serves them: there is no controller.
    ///
    /// # Errors
    /// Why they are not to be had, for people.
    pub fn know_routes(&self) -> Result<(), String> {
        let mut apply = self.kubectl();
        apply.args(["apply", "--server-side"]);
        for file in go::routes()? {
            apply.arg("-f").arg(file);
        }
        run(&mut apply)?;
        let definitions = ["wait", "--for=condition=Established", "--timeout=60s"];
        let names = ["httproutes", "grpcroutes", "gateways"]
            .map(|kind| format!("crd/{kind}.gateway.networking.k8s.io"));
        run(self.kubectl().args(definitions).args(names))
    }

    /// Makes the kinds of Argo CD, Argo Rollouts, Flagger and Flux known. Nobody acts on them: there is no controller.
    ///
    /// # Errors
    /// Why they are not to be had, for people.
    pub fn know_deliverers(&self) -> Result<(), String> {
        let mut definitions = String::new();
        for file in go::deliverers()? {
            let text = std::fs::read_to_string(&file);
            let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
            // Beside definitions there are the controllers themselves.
            let is_definition = |it: &&str| it.contains("\nkind: CustomResourceDefinition\n");
            let documents = text.split("\n---\n").map(|it| format!("\n{it}\n"));
            for document in documents.filter(|it| is_definition(&it.as_str())) {
                definitions += &format!("---{document}");
            }
        }
        let file = self.dir.join("deliverers.yaml");
        std::fs::write(&file, definitions).map_err(|error| error.to_string())?;
        let mut apply = self.kubectl();
        run(apply.args(["apply", "--server-side", "-f"]).arg(&file))?;
        let established = ["wait", "--for=condition=Established", "--timeout=60s", "-f"];
        run(self.kubectl().args(established).arg(&file))?;
        // What is established may say for a moment that its storage is not ready.
        let all = "applications.argoproj.io,applicationsets.argoproj.io,rollouts.argoproj.io,canaries.flagger.app,\
                   gitrepositories.source.toolkit.fluxcd.io,kustomizations.kustomize.toolkit.fluxcd.io,helmreleases.helm.toolkit.fluxcd.io";
        self.wait("storage", || self.ask(&["get", "--all-namespaces", all]))
    }

    /// A new namespace that takes pods. Nobody waits for its end: the control plane ends first.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn namespace(&self) -> Result<String, String> {
        let name = format!("test-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        run(self.kubectl().args(["create", "namespace", &name]))?;
        let account = || {
            run(self
                .kubectl()
                .args(["-n", &name, "get", "serviceaccount", "default"]))
        };
        self.wait("a namespace", account)?;
        Ok(name)
    }

    fn attempt(programs: &Path, is_serving: bool, audit: Option<PathBuf>) -> Result<Self, String> {
        let dir = tempfile::Builder::new()
            .prefix("belay-kubernetes-")
            .tempdir();
        let dir = dir.map_err(|e| e.to_string())?.keep();
        let mut plane = Self {
            keeper: Mutex::new(Keeper::of(&dir)?),
            programs: programs.to_owned(),
            dir,
            namespaces: AtomicU32::new(0),
            services: Range::claim()?,
            is_serving,
            audit,
            ports: (free_port()?, trouble::lasting_port()?),
        };
        plane.launch()?;
        Ok(plane)
    }

    fn launch(&mut self) -> Result<(), String> {
        for name in ["log", "pki"] {
            std::fs::create_dir(self.dir.join(name)).map_err(|e| e.to_string())?;
        }
        let authority = certificates::make(&self.dir.join("pki"))?;
        let url = format!("https://127.0.0.1:{}", self.ports.1);
        let kubeconfig = certificates::kubeconfig(&authority, &url, Self::CONTEXT);
        std::fs::write(self.kubeconfig(), kubeconfig).map_err(|e| e.to_string())?;
        self.etcd()?;
        self.api_server()?;
        self.wait("the API server", || self.ask(&["get", "--raw", "/readyz"]))?;
        let kind = go::files().join("port-forward.yaml");
        run(self.kubectl().arg("create").arg("-f").arg(kind))?;
        let established = [
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=1s",
        ];
        self.wait("the kinds of kwok", || self.ask(&established))?;
        self.controllers()?;
        let nodes: String = (0..2).map(node).collect();
        let file = self.dir.join("nodes.yaml");
        std::fs::write(&file, nodes).map_err(|e| e.to_string())?;
        run(self
            .kubectl()
            .args(["apply", "--server-side", "-f"])
            .arg(&file))?;
        let ready = [
            "wait",
            "--for=condition=Ready",
            "node",
            "--all",
            "--timeout=1s",
        ];
        self.wait("the nodes", || self.ask(&ready))?;
        match self.is_serving {
            true => self.serve_traffic(),
            false => Ok(()),
        }
    }

    fn etcd(&self) -> Result<(), String> {
        let mut etcd = self.program("etcd");
        let [client, peer] =
            [self.ports.0, free_port()?].map(|port| format!("http://127.0.0.1:{port}"));
        etcd.args(["--name", "test", "--unsafe-no-fsync", "--log-level", "warn"])
            .arg("--data-dir")
            .arg(self.dir.join("etcd"))
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("test={peer}")]);
        self.serve("etcd", &etcd)
    }

    fn api_server(&self) -> Result<(), String> {
        let (etcd, port) = self.ports;
        let mut server = self.program("kube-apiserver");
        server
            .args(["--etcd-servers", &format!("http://127.0.0.1:{etcd}")])
            .args(["--bind-address", "127.0.0.1"])
            .args(["--advertise-address", "127.0.0.1"])
            .args(["--secure-port", &port.to_string()])
            .args(["--endpoint-reconciler-type", "none"])
            .arg("--tls-cert-file")
            .arg(self.pki("server.crt"))
            .arg("--tls-private-key-file")
            .arg(self.pki("server.key"))
            .arg("--client-ca-file")
            .arg(self.pki("ca.crt"))
            .args(["--authorization-mode", "RBAC"])
            .args(["--service-account-issuer", "https://kubernetes.default.svc"])
            .arg("--service-account-key-file")
            .arg(self.pki("accounts.key"))
            .arg("--service-account-signing-key-file")
            .arg(self.pki("accounts.key"))
            .args(["--service-cluster-ip-range", &self.services.text()])
            .args(["--enable-priority-and-fairness=false", "--profiling=false"]);
        if let Some(folder) = &self.audit {
            server.args(audit::arguments(&self.dir, folder)?);
        }
        self.serve("kube-apiserver", &server)
    }

    fn controllers(&self) -> Result<(), String> {
        // Without a port of their own they ask the API server less, and can lose none.
        let common = [
            "--secure-port=0",
            "--leader-elect=false",
            "--profiling=false",
        ];
        let quick = ["--kube-api-qps=200", "--kube-api-burst=400"];
        let mut manager = self.program("kube-controller-manager");
        manager
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(common)
            .args(quick)
            .arg("--service-account-private-key-file")
            .arg(self.pki("accounts.key"))
            .arg("--root-ca-file")
            .arg(self.pki("ca.crt"))
            .args(["--allocate-node-cidrs=true", "--cluster-cidr", PODS])
            .args(["--service-cluster-ip-range", &self.services.text()])
            .arg("--concurrent-deployment-syncs=10")
            .arg("--horizontal-pod-autoscaler-sync-period=1s");
        self.serve("kube-controller-manager", &manager)?;
        let mut scheduler = self.program("kube-scheduler");
        scheduler.arg("--kubeconfig").arg(self.kubeconfig());
        self.serve("kube-scheduler", scheduler.args(common).args(quick))?;
        let node = free_port()?.to_string();
        let mut kwok = self.program("kwok");
        kwok.arg("--kubeconfig")
            .arg(self.kubeconfig())
            .arg("--config")
            .arg(self.stages()?)
            // A test may have a node of its own that nobody plays.
            .args(["--manage-all-nodes=false", "--cidr", PODS])
            .args(["--manage-nodes-with-annotation-selector", PLAYED])
            .args(["--node-ip", "127.0.0.1", "-v", "WARN"])
            // Where the API server asks for logs, and for connections to pods.
            .args(["--node-port", &node])
            .args(["--server-address", &format!("127.0.0.1:{node}")])
            .arg("--tls-cert-file")
            .arg(self.pki("server.crt"))
            .arg("--tls-private-key-file")
            .arg(self.pki("server.key"))
            .args(["--enable-crds", "PortForward"])
            .args(["--node-lease-duration-seconds", "40"]);
        self.serve("kwok", &kwok)
    }

    /// How pods behave, with the place of what they have written.
    fn stages(&self) -> Result<PathBuf, String> {
        let unusable = |error: std::io::Error| format!("how pods behave: {error}");
        let written = self.dir.join("written.log");
        std::fs::write(&written, WRITTEN).map_err(unusable)?;
        let stages = std::fs::read_to_string(go::files().join("stages.yaml")).map_err(unusable)?;
        let file = self.dir.join("stages.yaml");
        let stages = stages.replace("LOGS", &written.display().to_string());
        std::fs::write(&file, stages).map_err(unusable)?;
        Ok(file)
    }

    fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }

    fn pki(&self, name: &str) -> PathBuf {
        self.dir.join("pki").join(name)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.join("log").join(name)
    }

    fn serve(&self, name: &str, server: &Command) -> Result<(), String> {
        let log = self.log(name);
        self.keeper().start(server, &log)
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, arguments: &[&str]) -> Result<(), String> {
        run(self.kubectl().args(arguments))
    }

    /// Until it is so, or one of the servers says that its port is taken.
    fn wait(&self, what: &str, is_so: impl Fn() -> Result<(), String>) -> Result<(), String> {
        let deadline = Instant::now() + START;
        loop {
            let Err(error) = is_so() else {
                return Ok(());
            };
            let logs =
                ["etcd", "kube-apiserver"].map(|name| std::fs::read_to_string(self.log(name)));
            if logs
                .iter()
                .flatten()
                .any(|log| log.contains("address already in use"))
            {
                return Err("a port was taken".to_owned());
            }
            if Instant::now() > deadline {
                return Err(format!("{what} of the control plane is not ready: {error}"));
            }
            pause();
        }
    }
}

fn node(number: u32) -> String {
    let played = PLAYED.replace('=', ": ");
    format!(
        "---\napiVersion: v1\nkind: Node\nmetadata: {{name: node-{number}, annotations: {{{played}}}, labels: \
         {{kubernetes.io/hostname: node-{number}, kubernetes.io/os: linux}}}}\n"
    )
}
