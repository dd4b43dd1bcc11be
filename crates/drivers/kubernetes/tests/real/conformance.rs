//! The conformance suite: each kind of workload alone, and two of them one after the other.

use crate::place::{Place, place, place_with_routes, record, said};
use async_trait::async_trait;
use belay_driver::Driver;
use belay_driver::conformance::Platform;
use belay_driver_kubernetes::{Kubernetes, Layout, Settings, parse_manifest};
use belay_model::release::{Record, Target};
use std::path::PathBuf;
use std::sync::Arc;

struct Ground {
    place: Place,
    driver: Arc<Kubernetes>,
    dir: tempfile::TempDir,
    /// As kubectl knows them, in the order in which they are rolled.
    workloads: &'static [&'static str],
    lies: Lies,
}

/// How its releases lie.
#[derive(Clone, Copy, PartialEq)]
enum Lies {
    InPlace,
    /// The Service that all pods are behind is switched.
    Beside,
    /// The weights of a route are.
    Route(&'static str),
}

/// What its pods are given has a name of its own in each release.
const CONFIG: &str = "
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config-NUMBER}
data: {RELEASE: 'NUMBER'}
---
apiVersion: v1
kind: Secret
metadata: {name: secret-NUMBER}
stringData: {TOKEN: 'NUMBER'}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80}]}
";

const POD: &str = "
  selector: {matchLabels: {run: NAME}}
  template:
    metadata: {labels: {run: NAME, app: shop}}
    spec:
      containers:
      - name: app
        image: 'IMAGE:NUMBER'
        envFrom: [{configMapRef: {name: config-NUMBER}}, {secretRef: {name: secret-NUMBER}}]
";

const ROUTE: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: KIND
metadata: {name: shop}
spec: {parentRefs: [{name: web}], rules: [{backendRefs: [{name: shop, port: 80}]}]}
";

fn workload(name: &str) -> String {
    let (kind, name) = name.split_once('/').expect("a kind and a name");
    let (kind, more) = match kind {
        "deployment" => ("Deployment", "replicas: 2"),
        "statefulset" => ("StatefulSet", "replicas: 2\n  serviceName: shop"),
        _ => ("DaemonSet", "minReadySeconds: 0"),
    };
    format!(
        "\n---\napiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  {more}{}",
        POD.replace("NAME", name)
    )
}

impl Ground {
    fn of(workloads: &'static [&'static str], lies: Lies) -> Self {
        let place = match lies {
            Lies::Route(_) => place_with_routes(),
            Lies::InPlace | Lies::Beside => place(),
        };
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::copy(place.account.kubeconfig(), dir.path().join("kubeconfig")).expect("copied");
        Self {
            driver: Arc::new(place.another_driver()),
            place,
            dir,
            workloads,
            lies,
        }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    fn release(&self, number: u32, image: &str) -> Record {
        let workloads = self.workloads.iter().map(|name| workload(name));
        let mut manifest = workloads.fold(CONFIG.to_owned(), |all, it| all + &it);
        if let Lies::Route(kind) = self.lies {
            manifest += &ROUTE.replace("KIND", kind);
        }
        let manifest = manifest
            .replace("IMAGE", image)
            .replace("NUMBER", &number.to_string());
        record(&self.target(&manifest))
    }

    fn settings(&self) -> Settings {
        let beside = Settings {
            service: vec!["shop".to_owned()],
            layout: Layout::SideBySide,
            ..Settings::default()
        };
        match self.lies {
            Lies::InPlace => Settings::default(),
            Lies::Beside => beside,
            Lies::Route(kind) => Settings {
                route: Some(format!("{kind}/shop")),
                ..beside
            },
        }
    }

    fn target(&self, manifest: &str) -> Target {
        self.place.target_with(Settings {
            kubeconfig: Some(self.kubeconfig()),
            objects: parse_manifest(manifest).expect("a manifest"),
            workloads: self.workloads.iter().map(|it| (*it).to_owned()).collect(),
            ..self.settings()
        })
    }
}

#[async_trait]
impl Platform for Ground {
    fn driver(&self) -> Arc<dyn Driver> {
        self.driver.clone()
    }

    fn record(&self, number: u32) -> Record {
        self.release(number, "app")
    }

    fn broken(&self) -> Option<Record> {
        Some(self.release(9, "bad"))
    }

    fn takes_traffic(&self) -> bool {
        true
    }

    async fn meddle(&self) {
        let selector = r#"{"spec":{"selector":{"app":"theirs"}}}"#;
        let rules = r#"{"spec":{"rules":[{"backendRefs":[{"name":"theirs","port":80}]}]}}"#;
        match self.lies {
            Lies::InPlace => {
                for name in self.workloads {
                    self.place
                        .kubectl(&["set", "image", name, "app=app:theirs"]);
                }
            }
            Lies::Beside => {
                self.place
                    .kubectl(&["patch", "service", "shop", "-p", selector]);
            }
            Lies::Route(kind) => {
                self.place
                    .kubectl(&["patch", kind, "shop", "--type=merge", "-p", rules]);
            }
        }
    }

    fn throttle(&self, _: u64) -> bool {
        // The server says when to come back in whole seconds; what it says is passed on (`error.rs`).
        false
    }

    fn lock_out(&self) -> bool {
        let changes: [&[&str]; 2] = [
            &["unset", "users.admin"],
            &["set-credentials", "admin", "--token=wrong"],
        ];
        for change in changes {
            let mut kubectl = self.place.plane.kubectl();
            kubectl.arg("--kubeconfig").arg(self.kubeconfig());
            said(kubectl.arg("config").args(change), "");
        }
        true
    }

    fn fences(&self) -> bool {
        true
    }
}

async fn a_deployment() -> Ground {
    Ground::of(&["deployment/api"], Lies::InPlace)
}

async fn a_stateful_set() -> Ground {
    Ground::of(&["statefulset/db"], Lies::InPlace)
}

async fn a_daemon_set() -> Ground {
    Ground::of(&["daemonset/agent"], Lies::InPlace)
}

async fn two_workloads() -> Ground {
    Ground::of(&["deployment/api", "deployment/web"], Lies::InPlace)
}

async fn a_deployment_beside_another() -> Ground {
    Ground::of(&["deployment/api"], Lies::Beside)
}

async fn a_deployment_behind_an_http_route() -> Ground {
    Ground::of(&["deployment/api"], Lies::Route("HTTPRoute"))
}

async fn a_deployment_behind_a_grpc_route() -> Ground {
    Ground::of(&["deployment/api"], Lies::Route("GRPCRoute"))
}

async fn two_workloads_beside_two_others() -> Ground {
    Ground::of(&["deployment/api", "deployment/web"], Lies::Beside)
}

mod deployment {
    belay_driver::conformance!(super::a_deployment);
}

mod stateful_set {
    belay_driver::conformance!(super::a_stateful_set);
}

mod daemon_set {
    belay_driver::conformance!(super::a_daemon_set);
}

mod several {
    belay_driver::conformance!(super::two_workloads);
}

mod beside {
    belay_driver::conformance!(super::a_deployment_beside_another);
}

mod several_beside {
    belay_driver::conformance!(super::two_workloads_beside_two_others);
}

mod behind_an_http_route {
    belay_driver::conformance!(super::a_deployment_behind_an_http_route);
}

mod behind_a_grpc_route {
    belay_driver::conformance!(super::a_deployment_behind_a_grpc_route);
}
