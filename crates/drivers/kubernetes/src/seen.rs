//! Where traffic goes, as the platform says: the EndpointSlices of a Service have just the pods that it selects and that are ready;
//! the controllers of a route's parents have taken it as it is. By watches.

use crate::apply::Work;
use crate::cluster::{Cluster, List, Name};
use crate::pods::{self, condition, text};
use belay_driver::Error;
use belay_model::error::Class;
use futures_util::StreamExt;
use futures_util::future::try_join;
use kube::api::{DynamicObject, WatchEvent};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long the platform may take to do what a selector says. It takes a few hundredths of a second.
const LONGEST: Duration = Duration::from_secs(60);
/// How long it is waited whether anybody says anything of a route at all.
const SILENCE: Duration = Duration::from_secs(3);

/// The EndpointSlices of a Service, and the version of the list.
pub(crate) async fn slices(
    cluster: &Cluster,
    home: &str,
    service: &str,
) -> Result<(Vec<Value>, String), Error> {
    let labels = format!("kubernetes.io/service-name={service}");
    cluster.list(of_slices(&labels, home)).await
}

fn of_slices<'a>(labels: &'a str, home: &'a str) -> List<'a> {
    List {
        labels,
        ..List::of("discovery.k8s.io/v1", "EndpointSlice", home)
    }
}

/// The names of the pods that are ready endpoints.
pub(crate) fn ready<'a>(slices: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    let endpoints = slices
        .into_iter()
        .flat_map(|it| it["endpoints"].as_array().into_iter().flatten());
    // Nothing said is as good as ready.
    let ready = endpoints.filter(|it| it["conditions"]["ready"] != false);
    ready.map(|it| text(&it["targetRef"]["name"])).collect()
}

impl Work<'_> {
    /// Waits until a Service has just the endpoints that its selector says.
    pub(crate) async fn see_endpoints(
        &self,
        named: &Value,
        live: Option<&Value>,
    ) -> Result<(), Error> {
        let name = Name::of(named, self.home);
        let there = match live {
            Some(live) => Some(live.clone()),
            None => self.writer.cluster.get(name).await?,
        };
        let Some(service) = there else { return Ok(()) };
        let wait = self.until_endpoints_are(&name, &service);
        tokio::time::timeout(LONGEST, wait).await.unwrap_or_else(|_| {
            let message = format!("see where {name} sends traffic: its endpoints are not those of its selector after {LONGEST:?}");
            Err(Error::maybe_applied(Class::Timeout, message))
        })
    }

    async fn until_endpoints_are(&self, name: &Name<'_>, service: &Value) -> Result<(), Error> {
        let cluster = &self.writer.cluster;
        let labels = format!("kubernetes.io/service-name={}", name.name);
        let of_slices = of_slices(&labels, name.namespace);
        loop {
            let (wanted, listed) =
                try_join(self.selected(name, service), cluster.list(of_slices)).await?;
            let (found, version) = listed;
            if ready(&found) == wanted {
                return Ok(());
            }
            let mut slices: BTreeMap<String, Value> = BTreeMap::new();
            for it in found {
                slices.insert(text(&it["metadata"]["name"]), it);
            }
            let mut changes = Box::pin(cluster.watch(of_slices, &version).await?);
            while let Some(Ok(change)) = changes.next().await {
                match change {
                    WatchEvent::Added(it) | WatchEvent::Modified(it) => {
                        let it = as_value(it);
                        slices.insert(text(&it["metadata"]["name"]), it);
                    }
                    WatchEvent::Deleted(it) => {
                        slices.remove(it.metadata.name.as_deref().unwrap_or_default());
                    }
                    WatchEvent::Bookmark(_) => continue,
                    WatchEvent::Error(_) => break,
                }
                let there = ready(slices.values());
                // Pods may have come and gone meanwhile.
                if there == wanted || there == self.selected(name, service).await? {
                    return Ok(());
                }
            }
        }
    }

    /// The names of the pods that a Service shall send traffic to.
    async fn selected(&self, name: &Name<'_>, service: &Value) -> Result<BTreeSet<String>, Error> {
        let selector = service["spec"]["selector"].as_object();
        let Some(selector) = selector.filter(|it| !it.is_empty()) else {
            return Ok(BTreeSet::new());
        };
        let labels = selector
            .iter()
            .map(|(name, value)| format!("{name}={}", text(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let what = List {
            labels: &labels,
            ..List::of("v1", "Pod", name.namespace)
        };
        let (found, _) = self.writer.cluster.list(what).await?;
        let all = service["spec"]["publishNotReadyAddresses"] == true;
        let gets_traffic = |pod: &&Value| {
            let has_address = pod["status"]["podIP"].is_string();
            has_address && (all || pods::is_ready(pod) && !pods::is_ending(pod))
        };
        let wanted = found.iter().filter(gets_traffic);
        Ok(wanted.map(|pod| text(&pod["metadata"]["name"])).collect())
    }

    /// Waits until those that a route is for have taken it as it is. Where nobody says anything of it, nobody can be waited for.
    pub(crate) async fn see_route(&self, named: &Value, live: Option<&Value>) -> Result<(), Error> {
        let name = Name::of(named, self.home);
        let there = match live {
            Some(live) => Some(live.clone()),
            None => self.writer.cluster.get(name).await?,
        };
        let Some(route) = there else { return Ok(()) };
        let generation = route["metadata"]["generation"].as_i64().unwrap_or(0);
        let is_silent = parents(&route).is_empty();
        let longest = if is_silent { SILENCE } else { LONGEST };
        match tokio::time::timeout(longest, self.until_taken(&name, generation)).await {
            Ok(seen) => seen,
            Err(_) if is_silent => {
                let line = format!(
                    "{name}: nobody says that it was taken; is there a controller for its parents?"
                );
                self.cx.progress.line(&line);
                Ok(())
            }
            Err(_) => {
                let message = format!(
                    "see where {name} sends traffic: its parents have not taken it after {LONGEST:?}"
                );
                Err(Error::maybe_applied(Class::Timeout, message))
            }
        }
    }

    async fn until_taken(&self, name: &Name<'_>, generation: i64) -> Result<(), Error> {
        let cluster = &self.writer.cluster;
        let fields = format!("metadata.name={}", name.name);
        let own = List {
            fields: &fields,
            ..List::of(name.api_version, name.kind, name.namespace)
        };
        loop {
            let (found, version) = cluster.list(own).await?;
            let Some(found) = found.into_iter().next() else {
                return Ok(());
            };
            if taken(name, &found, generation)? {
                return Ok(());
            }
            let mut changes = Box::pin(cluster.watch(own, &version).await?);
            while let Some(Ok(change)) = changes.next().await {
                match change {
                    WatchEvent::Added(it) | WatchEvent::Modified(it) => {
                        if taken(name, &as_value(it), generation)? {
                            return Ok(());
                        }
                    }
                    WatchEvent::Deleted(_) => return Ok(()),
                    WatchEvent::Bookmark(_) => {}
                    WatchEvent::Error(_) => break,
                }
            }
        }
    }
}

fn parents(route: &Value) -> Vec<&Value> {
    route["status"]["parents"]
        .as_array()
        .into_iter()
        .flatten()
        .collect()
}

/// Whether all parents say of this generation that it is accepted and that its backends are known. One that says no is an error.
fn taken(name: &Name<'_>, route: &Value, generation: i64) -> Result<bool, Error> {
    let parents = parents(route);
    let mut all = !parents.is_empty();
    for parent in parents {
        for word in ["Accepted", "ResolvedRefs"] {
            let said = condition(parent, word);
            let said =
                said.filter(|it| it["observedGeneration"].as_i64().unwrap_or(0) >= generation);
            match said.map(|it| (it["status"].as_str().unwrap_or_default(), it)) {
                Some(("True", _)) => {}
                Some(("False", it)) => {
                    let parent = text(&parent["parentRef"]["name"]);
                    let message = format!(
                        "see {name} taken: {parent} says no to it ({word}): {}",
                        pods::said(it)
                    );
                    return Err(Error::maybe_applied(Class::Application, message));
                }
                _ => all = false,
            }
        }
    }
    Ok(all)
}

fn as_value(object: DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_else(|_| json!({}))
}
