//! The platform's own versions of a workload: ReplicaSets and ControllerRevisions.

use crate::cluster::{Cluster, Name};
use crate::kinds::Kind;
use crate::look::revisions;
use crate::pods::text;
use crate::settings::Workload;
use belay_driver::{Error, Revision};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// Those of a workload, newest first.
pub(crate) async fn history(
    cluster: &Cluster,
    home: &str,
    workload: &Workload,
) -> Result<Vec<Revision>, Error> {
    let kind = workload.kind;
    let object = cluster.get(Name {
        api_version: crate::kinds::API,
        kind: kind.name(),
        namespace: home,
        name: &workload.name,
    });
    let Some(object) = object.await? else {
        return Ok(Vec::new());
    };
    let mut all = revisions(cluster, kind, home, &object).await?;
    all.sort_by_key(|it| std::cmp::Reverse(kind.number(it)));
    let newest = kind.newest(&object, &all);
    let told = all.iter().map(|it| {
        let hash = it["metadata"]["labels"][kind.label()].as_str();
        // The name of a ControllerRevision is what the pods of a StatefulSet are labelled with.
        let is_it = |newest: &str| hash == Some(newest) || it["metadata"]["name"] == newest;
        tell(kind, workload, it, newest.as_deref().is_some_and(is_it))
    });
    Ok(told.collect())
}

fn tell(kind: &dyn Kind, workload: &Workload, revision: &Value, is_current: bool) -> Revision {
    let number = kind.number(revision).unwrap_or_default();
    let containers = kind.template(revision)["spec"]["containers"].as_array();
    let containers = containers.into_iter().flatten();
    let images: Vec<String> = containers.map(|it| text(&it["image"])).collect();
    let mut title = images.join(", ");
    let metadata = &revision["metadata"];
    if let Some(cause) = metadata["annotations"]["kubernetes.io/change-cause"].as_str() {
        title += &format!(" ({cause})");
    }
    // Of those that have no pods any more nobody tells whether they ever worked.
    let available = revision["status"]["availableReplicas"].as_i64();
    if let Some(available) = available.filter(|count| *count > 0) {
        title += &format!(", {available} available");
    }
    if is_current {
        title += ", current";
    }
    let since = text(&metadata["creationTimestamp"]).parse::<Timestamp>();
    Revision {
        name: format!("{}/{number}", workload.key()),
        title,
        since_us: since.ok().map(Timestamp::as_microsecond),
    }
}
