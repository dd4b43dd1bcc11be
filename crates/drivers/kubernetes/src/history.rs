//! The platform's own versions of a workload: ReplicaSets and ControllerRevisions.

use crate::cluster::{Cluster, List, Name};
use crate::kinds::{self, Kind};
use crate::look::revisions;
use crate::past::available;
use crate::pods::text;
use crate::settings::Workload;
use crate::workload;
use belay_driver::{Availability, Error, Revision};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// Where people say why they made a version.
pub(crate) const CAUSE: &str = "kubernetes.io/change-cause";

/// A workload with the platform's own versions of it, newest first, each as the platform has it.
pub(crate) struct Versions {
    pub(crate) object: Value,
    pub(crate) all: Vec<(Revision, Value)>,
}

/// Those of a workload; none: it is not there.
pub(crate) async fn versions(
    cluster: &Cluster,
    home: &str,
    named: &Workload,
) -> Result<Option<Versions>, Error> {
    let kind = named.kind;
    let object = cluster.get(Name {
        api_version: kinds::API,
        kind: kind.name(),
        namespace: home,
        name: &named.name,
    });
    let Some(object) = object.await? else {
        return Ok(None);
    };
    let mut all = revisions(cluster, kind, home, &object).await?;
    all.sort_by_key(|it| std::cmp::Reverse(kind.number(it)));
    let pods = List {
        labels: &workload::selector(&object),
        ..List::of("v1", "Pod", home)
    };
    let (pods, _) = cluster.list(pods).await?;
    let newest = kind.newest(&object, &all);
    let told: Vec<Revision> = all
        .iter()
        .map(|it| {
            let hash = it["metadata"]["labels"][kind.label()].as_str();
            // The name of a ControllerRevision is what the pods of a StatefulSet are labelled with.
            let is_it = |newest: &str| hash == Some(newest) || it["metadata"]["name"] == newest;
            let is_current = newest.as_deref().is_some_and(is_it);
            let availability = available::availability(kind, &object, it, &all, &pods);
            tell(kind, named, it, is_current, availability)
        })
        .collect();
    let all = told.into_iter().zip(all).collect();
    Ok(Some(Versions { object, all }))
}

/// The same for who only wants to be told.
pub(crate) async fn history(
    cluster: &Cluster,
    home: &str,
    workload: &Workload,
) -> Result<Vec<Revision>, Error> {
    let found = versions(cluster, home, workload).await?;
    let all = found.into_iter().flat_map(|found| found.all);
    Ok(all.map(|(revision, _)| revision).collect())
}

fn tell(
    kind: &dyn Kind,
    workload: &Workload,
    it: &Value,
    is_current: bool,
    availability: Availability,
) -> Revision {
    let number = kind.number(it).unwrap_or_default();
    let images = images(kind.template(it));
    let metadata = &it["metadata"];
    let cause = metadata["annotations"][CAUSE].as_str().map(str::to_owned);
    let mut title = images.join(", ");
    if let Some(cause) = &cause {
        title += &format!(" ({cause})");
    }
    if let Some(count) = it["status"]["availableReplicas"]
        .as_i64()
        .filter(|count| *count > 0)
    {
        title += &format!(", {count} available");
    }
    if is_current {
        title += ", current";
    }
    Revision {
        name: format!("{}/{number}", workload.key()),
        title,
        number: u64::try_from(number).ok(),
        since_us: moment(&metadata["creationTimestamp"]),
        images,
        cause,
        is_current,
        availability,
    }
}

/// What a template runs.
pub(crate) fn images(template: &Value) -> Vec<String> {
    let containers = template["spec"]["containers"].as_array();
    let containers = containers.into_iter().flatten();
    containers.map(|it| text(&it["image"])).collect()
}

/// A time of the API, Unix microseconds.
pub(crate) fn moment(value: &Value) -> Option<i64> {
    let time = value.as_str()?.parse::<Timestamp>();
    time.ok().map(Timestamp::as_microsecond)
}
