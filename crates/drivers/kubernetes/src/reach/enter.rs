//! Where users come in from outside the cluster: as objects say it whose status somebody else writes, which may take a while.

use super::doors::{self, Closed, Door};
use super::{Front, Reached, Unreached};
use crate::cluster::{Cluster, List, Name};
use crate::kubernetes::Kubernetes;
use crate::settings::Settings;
use belay_model::config::{Entrance, EntranceKind};
use belay_model::release::Target;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";
/// How long a load balancer may take to get its address: clouds take minutes where it is new.
const WAIT: Duration = Duration::from_secs(180);

impl Kubernetes {
    /// Where users come in to a target from outside its cluster; waits up to three minutes for an address that is not there yet.
    /// `host`: whom they ask for, where the entrance has several.
    ///
    /// # Errors
    /// Nobody can tell where.
    pub async fn enter(
        &self,
        target: &Target,
        entrance: &Entrance,
        host: Option<&str>,
    ) -> Result<Vec<Reached>, Unreached> {
        let settings = Settings::of(target)?;
        let cluster = self.clusters.connect(&settings).await?;
        let home = settings.namespace.as_str();
        let title = entrance.to_string();
        let doors = match entrance.kind {
            EntranceKind::Service => {
                let of = |it: &Value| doors::of_service(it, host);
                said_by(&cluster, ("v1", "Service", home, &entrance.name), of).await?
            }
            EntranceKind::Ingress => {
                let of = |it: &Value| doors::of_ingress(it, host);
                let named = (
                    "networking.k8s.io/v1",
                    "Ingress",
                    home,
                    entrance.name.as_str(),
                );
                said_by(&cluster, named, of).await?
            }
            EntranceKind::HttpRoute => {
                let named = (GATEWAY_API, "HTTPRoute", home, entrance.name.as_str());
                let (route, parents) = said_by(&cluster, named, |it| {
                    Ok((it.clone(), doors::parents(it, home)?))
                })
                .await?;
                let each = parents.iter().map(async |parent| {
                    let of = |it: &Value| doors::of_gateway(it, parent, &route, host);
                    let named = (GATEWAY_API, "Gateway", &*parent.namespace, &*parent.name);
                    said_by(&cluster, named, of).await
                });
                try_join_all(each).await?.concat()
            }
        };
        try_join_all(doors.iter().map(|door| reached(&title, door))).await
    }
}

/// What an object says, once it says it. `apiVersion`, kind, namespace, name.
async fn said_by<T>(
    cluster: &Cluster,
    (api_version, kind, namespace, name): (&str, &str, &str, &str),
    read: impl Fn(&Value) -> Result<T, Closed>,
) -> Result<T, Unreached> {
    let fields = format!("metadata.name={name}");
    let what = List {
        fields: &fields,
        ..List::of(api_version, kind, namespace)
    };
    let named = Name {
        api_version,
        kind,
        namespace,
        name,
    };
    let mut missing = String::new();
    let said = async {
        loop {
            let found = cluster.get(named).await?;
            let Some(object) = &found else {
                let title = format!("{}/{name}", kind.to_lowercase());
                let why = format!("{title} is not there, in the namespace {namespace}");
                return Err(Unreached::Unknown(why));
            };
            match read(object) {
                Ok(said) => return Ok(said),
                Err(Closed::Unclear(why)) => return Err(Unreached::Unknown(why)),
                Err(Closed::NotYet(why)) => missing = why,
            }
            let version = object["metadata"]["resourceVersion"].as_str();
            let version = version.unwrap_or_default();
            let mut changes = Box::pin(cluster.watch(what, version).await?);
            changes.next().await;
        }
    };
    match tokio::time::timeout(WAIT, said).await {
        Ok(said) => said,
        Err(_) => {
            let seconds = WAIT.as_secs();
            Err(Unreached::Unknown(format!("{missing} after {seconds} s")))
        }
    }
}

async fn reached(title: &str, door: &Door) -> Result<Reached, Unreached> {
    let ip = match door.address.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) => {
            let found = tokio::net::lookup_host((door.address.as_str(), door.port)).await;
            let found = found.map(|mut all| all.next());
            let unknown = |why: String| {
                Unreached::Unknown(format!(
                    "{title} is at {}, which leads nowhere{why}",
                    door.address
                ))
            };
            let found = found.map_err(|error| unknown(format!(" ({error})")))?;
            found.ok_or_else(|| unknown(String::new()))?.ip()
        }
    };
    let address = SocketAddr::from((ip, door.port));
    let own = || match door.address.parse() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
        _ => door.address.clone(),
    };
    let scheme = if door.is_secure { "https" } else { "http" };
    let asked = door.host.as_ref();
    let asked = asked.map_or_else(String::new, |host| format!("{scheme}://{host} at "));
    Ok(Reached {
        address,
        title: format!("{title} ({asked}{address})"),
        forward: None,
        front: Some(Front {
            host: door.host.clone().unwrap_or_else(own),
            is_secure: door.is_secure,
        }),
    })
}
