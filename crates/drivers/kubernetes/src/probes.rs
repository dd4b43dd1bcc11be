//! Probes that fail, told as the platform says so: a pod that is not ready yet looks the same whether it starts slowly or never
//! gets there, so that nobody waits for the deadline to hear of it.

use crate::cluster::{Cluster, List};
use crate::pods::{self, text};
use belay_driver::{Error, Progress};
use belay_model::error::Class;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, future};
use kube::api::WatchEvent;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is said of how many pods: one of a hundred says what there is to know.
const PODS: usize = 5;

/// Events of probes in a namespace: those that there are, then each as it comes. It has no end.
pub(crate) async fn events<'a>(
    cluster: &Cluster,
    namespace: &str,
) -> Result<BoxStream<'a, Value>, Error> {
    let what = List {
        fields: "reason=Unhealthy",
        ..List::of("v1", "Event", namespace)
    };
    let watched = async {
        let (found, version) = cluster.list(what).await?;
        Ok::<_, Error>((found, cluster.watch(what, &version).await?))
    };
    let (found, changes) = match watched.await {
        Ok(watched) => watched,
        // It only helps people: who may not look at events does without.
        Err(error) if error.class == Class::Authorisation => {
            return Ok(stream::pending().boxed());
        }
        Err(error) => return Err(error),
    };
    let new = changes.filter_map(|change| {
        future::ready(match change {
            Ok(WatchEvent::Added(it) | WatchEvent::Modified(it)) => serde_json::to_value(it).ok(),
            _ => None,
        })
    });
    Ok(stream::iter(found)
        .chain(new)
        .chain(stream::pending())
        .boxed())
}

/// What was said of pods, and what of it was told.
#[derive(Default)]
pub(crate) struct Probes {
    said: BTreeMap<String, String>,
    told: Vec<String>,
}

impl Probes {
    pub(crate) fn hear(&mut self, event: &Value) {
        let pod = text(&event["involvedObject"]["name"]);
        self.said.insert(pod, text(&event["message"]));
    }

    /// Tells what is new of these pods, once for each.
    pub(crate) fn tell(&mut self, pods: &BTreeMap<String, Value>, progress: &dyn Progress) {
        for (name, what) in &self.said {
            let is_sick = pods.get(name).is_some_and(|pod| !pods::is_ready(pod));
            if is_sick && !self.told.contains(name) && self.told.len() < PODS {
                progress.line(&format!("pod {name} is not ready: {what}"));
                self.told.push(name.clone());
            }
        }
    }
}
