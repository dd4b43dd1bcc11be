//! Where a release is asked. The pods of a release are asked one by one, or those that its Service sends to; within the cluster
//! the Service's own address is. From outside each is reached by a [port-forward](Forward): an address of the cluster may be
//! another machine's out there. Where users come in from outside is asked only where somebody [said so](Kubernetes::enter).

mod doors;
mod enter;
mod forward;
mod ports;

pub use forward::Forward;

use crate::cluster::{Cluster, List, Name};
use crate::kinds;
use crate::kubernetes::Kubernetes;
use crate::pods::{self, text};
use crate::render;
use crate::settings::Settings;
use crate::workload;
use belay_driver::{Driver, Error};
use belay_model::release::{Record, Target};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How long a Service may take to tell of pods that are ready.
const SLICES: Duration = Duration::from_secs(10);

/// Which side of a release is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Its own pods, whoever reaches them.
    Own,
    /// What its users reach.
    Users,
}

/// One place to ask.
pub struct Reached {
    /// Where.
    pub address: SocketAddr,
    /// For people: `pod api-5d9 of release 2`.
    pub title: String,
    /// What leads there; absent: it is reached as it is.
    pub forward: Option<Arc<Forward>>,
    /// As whom it is asked over HTTP; absent: as its address, without TLS.
    pub front: Option<Front>,
}

/// As whom an address is asked that many share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// The host in the request, and in its TLS.
    pub host: String,
    /// Whether it speaks TLS.
    pub is_secure: bool,
}

/// Why there is no place to ask; sentences without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// There is nothing that could answer.
    Nothing(String),
    /// Where is not known.
    Unknown(String),
}

impl From<Error> for Unreached {
    fn from(error: Error) -> Self {
        Self::Unknown(format!("failed to {}", error.message))
    }
}

impl Kubernetes {
    /// Where a record is asked on a target.
    ///
    /// # Errors
    /// There is nothing to ask, or nobody can tell where.
    pub async fn reach(
        &self,
        target: &Target,
        record: &Record,
        side: Side,
    ) -> Result<Vec<Reached>, Unreached> {
        let settings = Settings::of(target)?;
        let cluster = self.clusters.connect(&settings).await?;
        let ask = Ask {
            cluster: &cluster,
            settings: &settings,
            release: record.title(),
            is_within: is_within(&settings),
        };
        let desired = self.desired(record, target);
        let workloads = desired.resources.iter();
        let workloads = workloads.filter(|(key, _)| kinds::of_key(key).is_some());
        let names: Vec<Value> = workloads
            .map(|(_, it)| json!({ "apiVersion": it.facts["apiVersion"], "kind": it.facts["kind"], "metadata": { "name": it.facts["name"] } }))
            .collect();
        let services = ask.services(side).await?;
        let mut reached = Vec::new();
        for service in &services {
            let pods = ask.pods(&names, Some(service)).await?;
            reached.extend(match side {
                Side::Own => ask.each(&pods, Some(service)).await?,
                Side::Users => ask.users(&pods, service).await?,
            });
        }
        if services.is_empty() {
            let pods = ask.pods(&names, None).await?;
            match side {
                Side::Own => reached = ask.each(&pods, None).await?,
                Side::Users => {
                    let why = format!(
                        "no Service of the release leads to {}, so it is not known where its users reach it",
                        ask.release
                    );
                    return Err(Unreached::Unknown(why));
                }
            }
        }
        match reached.is_empty() {
            true => Err(Unreached::Nothing(format!(
                "{} has no pods to ask",
                ask.release
            ))),
            false => Ok(reached),
        }
    }
}

/// Whether we run in the cluster that is asked: nothing says how to get there otherwise.
fn is_within(settings: &Settings) -> bool {
    let is_named = settings.kubeconfig.is_some() || settings.context.is_some();
    !is_named && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

struct Ask<'a> {
    cluster: &'a Arc<Cluster>,
    settings: &'a Settings,
    release: String,
    is_within: bool,
}

impl Ask<'_> {
    fn home(&self) -> &str {
        &self.settings.namespace
    }

    /// The Services that users reach it by.
    async fn services(&self, side: Side) -> Result<Vec<Value>, Unreached> {
        let names = match self.settings.service.as_slice() {
            [] => render::services(&self.settings.objects),
            named => named.to_vec(),
        };
        let mut services = Vec::new();
        for name in &names {
            let mut written = self.settings.objects.iter();
            let written =
                written.find(|it| it["kind"] == "Service" && it["metadata"]["name"] == **name);
            let service = match (side, written) {
                // Pods answer as their own release says: the one that is there may be that of the release before, or none yet.
                (Side::Own, Some(written)) => Some(written.clone()),
                _ => {
                    let named = Name {
                        api_version: "v1",
                        kind: "Service",
                        namespace: self.home(),
                        name,
                    };
                    self.cluster.get(named).await?
                }
            };
            let missing = || Unreached::Unknown(format!("service/{name} is not there"));
            services.push(service.ok_or_else(missing)?);
        }
        Ok(services)
    }

    /// The pods of these workloads that are not on their way out, and that a Service can lead to.
    async fn pods(
        &self,
        workloads: &[Value],
        service: Option<&Value>,
    ) -> Result<Vec<Value>, Unreached> {
        let mut all = Vec::new();
        for named in workloads {
            let Some(object) = self.cluster.get(Name::of(named, self.home())).await? else {
                continue;
            };
            // One that no user reaches has an address of its own at most.
            if service.is_some_and(|it| !is_led_to(it, &object)) {
                continue;
            }
            let labels = workload::selector(&object);
            let what = List {
                labels: &labels,
                ..List::of("v1", "Pod", self.home())
            };
            let (pods, _) = self.cluster.list(what).await?;
            all.extend(pods.into_iter().filter(|pod| !pods::is_ending(pod)));
        }
        Ok(all)
    }

    /// Every pod, one by one.
    async fn each(
        &self,
        pods: &[Value],
        service: Option<&Value>,
    ) -> Result<Vec<Reached>, Unreached> {
        let port = service.map(ports::of_service).transpose();
        let port = port.map_err(Unreached::Unknown)?;
        let mut reached = Vec::new();
        for pod in pods {
            let name = text(&pod["metadata"]["name"]);
            let number = match port {
                Some(port) => ports::target(port, pod),
                None => ports::of_pod(pod),
            };
            let number = number
                .map_err(|why| Unreached::Unknown(format!("pod {name} has no address: {why}")))?;
            reached.push(self.pod(pod, number).await?);
        }
        Ok(reached)
    }

    async fn pod(&self, pod: &Value, port: u16) -> Result<Reached, Unreached> {
        let name = text(&pod["metadata"]["name"]);
        let title = format!("pod {name} of {}", self.release);
        if self.is_within {
            let ip: Option<IpAddr> = text(&pod["status"]["podIP"]).parse().ok();
            let ip =
                ip.ok_or_else(|| Unreached::Unknown(format!("pod {name} has no address yet")))?;
            let address = SocketAddr::from((ip, port));
            return Ok(Reached {
                title: format!("{title} ({address})"),
                address,
                forward: None,
                front: None,
            });
        }
        let forward = Forward::open(self.cluster, self.home(), &name, port).await?;
        Ok(Reached {
            address: forward.address(),
            title: format!("{title} (port {port}, forwarded)"),
            forward: Some(Arc::new(forward)),
            front: None,
        })
    }

    /// The Service itself, or the pods of the release that it sends to.
    async fn users(&self, pods: &[Value], service: &Value) -> Result<Vec<Reached>, Unreached> {
        let name = text(&service["metadata"]["name"]);
        let port = ports::of_service(service).map_err(Unreached::Unknown)?;
        let own: BTreeSet<String> = pods
            .iter()
            .map(|it| text(&it["metadata"]["name"]))
            .collect();
        let sends_to = self.sent_to(&name, &own).await?;
        if sends_to.is_empty() {
            let release = &self.release;
            let why = format!("service/{name} sends nothing to {release}");
            return Err(Unreached::Nothing(why));
        }
        let ip: Option<IpAddr> = text(&service["spec"]["clusterIP"]).parse().ok();
        if let (true, Some(ip), Some(number)) = (self.is_within, ip, ports::number(&port["port"])) {
            let address = SocketAddr::from((ip, number));
            return Ok(vec![Reached {
                title: format!("service/{name} ({address})"),
                address,
                forward: None,
                front: None,
            }]);
        }
        let sent_to = |pod: &&Value| sends_to.contains(&text(&pod["metadata"]["name"]));
        let pods: Vec<Value> = pods.iter().filter(sent_to).cloned().collect();
        let mut reached = self.each(&pods, Some(service)).await?;
        for it in &mut reached {
            it.title = format!("{}, behind service/{name}", it.title);
        }
        Ok(reached)
    }

    /// Those of these pods that a Service sends traffic to; waits for the first, as what was just made ready is not there yet.
    async fn sent_to(
        &self,
        service: &str,
        own: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Unreached> {
        let labels = format!("kubernetes.io/service-name={service}");
        let what = List {
            labels: &labels,
            ..List::of("discovery.k8s.io/v1", "EndpointSlice", self.home())
        };
        let there = async || -> Result<_, Error> {
            let (slices, version) = self.cluster.list(what).await?;
            let ready: BTreeSet<String> = slices.iter().flat_map(ready).collect();
            Ok((&ready & own, version))
        };
        let appear = async {
            loop {
                let (found, version) = there().await?;
                if !found.is_empty() {
                    return Ok(found);
                }
                let mut changes = Box::pin(self.cluster.watch(what, &version).await?);
                changes.next().await;
            }
        };
        match tokio::time::timeout(SLICES, appear).await {
            Ok(found) => found.map_err(|error: Error| error.into()),
            Err(_) => Ok(BTreeSet::new()),
        }
    }
}

/// Whether a Service can lead to the pods of a workload, in a stage or at its end: labels that tell releases apart do not count,
/// as they are what is moved.
fn is_led_to(service: &Value, workload: &Value) -> bool {
    let mut service = service.clone();
    if let Some(selector) = service["spec"]["selector"].as_object_mut() {
        selector.retain(|name, _| !name.starts_with("belay.dev/"));
    }
    workload::is_served_by(&service, workload)
}

/// Names of the pods that traffic is sent to.
fn ready(slice: &Value) -> Vec<String> {
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let ready = endpoints.filter(|it| it["conditions"]["ready"] != false);
    let pods = ready.filter(|it| it["targetRef"]["kind"] == "Pod");
    pods.map(|it| text(&it["targetRef"]["name"])).collect()
}
