//! What the platform has written down about trouble: events, and the last lines of pods.

use crate::cluster::{Cluster, List, Name};
use crate::pods::{self, text};
use belay_driver::Error;
use serde_json::Value;

/// Of how many pods the words are gathered.
const PODS: usize = 3;
/// How many events of each are told.
const EVENTS: usize = 5;

/// What there is to say about a workload that does not get there, as lines: as much as can be had.
pub(crate) async fn gather(cluster: &Cluster, name: Name<'_>, pods: &[Value]) -> Vec<String> {
    let mut lines = told(
        &about(cluster, name.namespace, name.name)
            .await
            .unwrap_or_default(),
    );
    let sick = pods
        .iter()
        .filter(|pod| !pods::is_ready(pod) && !pods::is_ending(pod));
    for pod in sick.take(PODS) {
        let pod = text(&pod["metadata"]["name"]);
        lines.extend(told(
            &about(cluster, name.namespace, &pod)
                .await
                .unwrap_or_default(),
        ));
        let log = match cluster.log(name.namespace, &pod, true).await {
            Some(log) => Some(log),
            None => cluster.log(name.namespace, &pod, false).await,
        };
        let log = log.unwrap_or_default();
        lines.extend(log.lines().map(|line| format!("{pod} wrote: {line}")));
    }
    lines
}

/// Why the pods of a workload are not even made, if that is so.
pub(crate) async fn refused(cluster: &Cluster, name: Name<'_>) -> Result<Option<String>, Error> {
    let events = about(cluster, name.namespace, name.name).await?;
    let last = events
        .iter()
        .rev()
        .find(|it| it["reason"] == "FailedCreate" || it["reason"] == "SuccessfulCreate");
    let refused = last.filter(|it| it["reason"] == "FailedCreate");
    Ok(refused.map(|it| text(&it["message"])))
}

/// Whether somebody gets a node for one of these pods.
pub(crate) async fn is_helped(
    cluster: &Cluster,
    namespace: &str,
    pods: &[&str],
) -> Result<bool, Error> {
    let what = List {
        fields: "reason=TriggeredScaleUp",
        ..List::of("v1", "Event", namespace)
    };
    let (events, _) = cluster.list(what).await?;
    let is_about = |event: &Value| {
        let name = event["involvedObject"]["name"].as_str();
        name.is_some_and(|name| pods.contains(&name))
    };
    Ok(events.iter().any(is_about))
}

/// The events of an object, the newest last.
async fn about(cluster: &Cluster, namespace: &str, name: &str) -> Result<Vec<Value>, Error> {
    let fields = format!("involvedObject.name={name}");
    let what = List {
        fields: &fields,
        ..List::of("v1", "Event", namespace)
    };
    let (mut events, _) = cluster.list(what).await?;
    events.sort_by_key(|it| {
        let of = |name: &str| it[name].as_str().map(str::to_owned);
        of("lastTimestamp").or(of("eventTime"))
    });
    Ok(events)
}

fn told(events: &[Value]) -> Vec<String> {
    let last = &events[events.len().saturating_sub(EVENTS)..];
    let line = |it: &Value| {
        format!(
            "{}: {}",
            text(&it["involvedObject"]["name"]),
            pods::said(it)
        )
    };
    last.iter().map(line).collect()
}
