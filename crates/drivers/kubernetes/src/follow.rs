//! A workload on its way, followed by watches until it is there or known not to get there.

use crate::cluster::{Cluster, List, Name};
use crate::evidence;
use crate::judge::{Course, judge, refusal, stuck};
use crate::kinds::{self, Kind};
use crate::look::revisions;
use crate::pods::{self, Trouble};
use crate::probes::{self, Probes};
use crate::stall::{self, Stall};
use crate::workload;
use crate::write::Writer;
use crate::{compare, object};
use belay_driver::{Context, Error, Settled};
use futures_util::StreamExt;
use kube::api::{DynamicObject, WatchEvent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long nothing may move before what is in the way counts: a first pull may fail, and a quota be freed by an old pod.
const REST: Duration = Duration::from_secs(5);

/// How to ask what became of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Handle {
    /// A workload is on its way.
    Rolling(Rolling),
    /// Objects are on their way out.
    Removing,
}

/// What a workload was asked to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rolling {
    key: String,
    uid: String,
    generation: i64,
    /// Digest of the template of its pods: scaling moves the generation, too.
    template: String,
}

impl Rolling {
    pub(crate) fn of(key: &str, live: &Value) -> Self {
        let metadata = &live["metadata"];
        Self {
            key: key.to_owned(),
            uid: metadata["uid"].as_str().unwrap_or_default().to_owned(),
            generation: metadata["generation"].as_i64().unwrap_or(0),
            template: template(live),
        }
    }

    /// Whether an object is still what was asked for.
    pub(crate) fn is_about(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let is_same = metadata["generation"].as_i64() == Some(self.generation)
            || template(object) == self.template;
        metadata["uid"] == self.uid.as_str() && is_same
    }
}

fn template(object: &Value) -> String {
    let leaves = compare::flatten(&object["spec"]["template"]);
    let text = json!(leaves).to_string();
    hex::encode(&Sha256::digest(text)[..8])
}

/// Who follows, and where.
pub(crate) struct Follow<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) cx: &'a Context,
    pub(crate) home: &'a str,
    /// The object that is followed, as far as it is named.
    pub(crate) named: &'a Value,
    pub(crate) replace_stuck: bool,
    /// That something is wrong with its pods is no failure: they go.
    pub(crate) may_be_sick: bool,
}

/// Why a look at what moves is over.
enum Ends {
    With(Settled),
    Fails(Trouble, Vec<Value>),
    /// A watch has ended, as they do.
    Anew,
}

impl Follow<'_> {
    fn cluster(&self) -> &Cluster {
        &self.writer.cluster
    }

    pub(crate) async fn to_its_end(&self, rolling: &Rolling) -> Result<Settled, Error> {
        let (mut stall, mut probes) = (Stall::new(), Probes::default());
        loop {
            match self.watch(rolling, &mut stall, &mut probes).await? {
                Ends::With(settled) => return Ok(settled),
                Ends::Anew => {}
                Ends::Fails(trouble, pods) => {
                    let message = format!("see {} rolled out: {}", rolling.key, trouble.text);
                    let name = Name::of(self.named, self.home);
                    let detail = evidence::gather(self.cluster(), name, &pods).await;
                    return Err(Error::maybe_applied(trouble.class, message).with_detail(detail));
                }
            }
        }
    }

    async fn watch(
        &self,
        rolling: &Rolling,
        stall: &mut Stall,
        probes: &mut Probes,
    ) -> Result<Ends, Error> {
        let name = Name::of(self.named, self.home);
        let fields = format!("metadata.name={}", name.name);
        let own = List {
            fields: &fields,
            ..List::of(name.api_version, name.kind, name.namespace)
        };
        let (mut found, version) = self.cluster().list(own).await?;
        let Some((mut object, kind)) = found.pop().and_then(|it| {
            let kind = kinds::of(&it)?;
            Some((it, kind))
        }) else {
            return Ok(Ends::With(Settled::Quiet));
        };
        let mut changes = Box::pin(self.cluster().watch(own, &version).await?);
        let labels = workload::selector(&object);
        let of_pods = List {
            labels: &labels,
            ..List::of("v1", "Pod", name.namespace)
        };
        let (found, version) = self.cluster().list(of_pods).await?;
        let mut pod_changes = Box::pin(self.cluster().watch(of_pods, &version).await?);
        let mut pods: BTreeMap<String, Value> = BTreeMap::new();
        for pod in found {
            pods.insert(called(&pod), pod);
        }
        let mut said_of_probes = probes::events(self.cluster(), name.namespace).await?;
        let mut told = String::new();
        // When something moved last, and whether what rests since then was asked about.
        let (mut moved, mut is_asked) = (Instant::now(), false);
        loop {
            self.tell(kind, &object, &mut told);
            probes.tell(&pods, self.cx.progress.as_ref());
            let ends = stall.ends(kind, &object).filter(|_| !self.may_be_sick);
            let course = self.judge(kind, &object, &pods, rolling).await?;
            let in_the_way = match course {
                Course::There => return Ok(Ends::With(Settled::Done)),
                Course::Superseded => return Ok(Ends::With(Settled::Quiet)),
                Course::Fails(_) if self.may_be_sick => None,
                Course::Fails(trouble) => return Ok(Ends::Fails(trouble, into(pods))),
                Course::GoesOn(in_the_way) => in_the_way,
            };
            if !is_asked && !self.may_be_sick && moved.elapsed() >= REST {
                is_asked = true;
                if let Some(trouble) = self.at_rest(in_the_way, &pods).await? {
                    return Ok(Ends::Fails(trouble, into(pods)));
                }
            }
            if ends.is_some_and(|ends| ends <= Instant::now()) {
                let all: Vec<&Value> = pods.values().collect();
                return Ok(Ends::Fails(stall::over(&object, &all), into(pods)));
            }
            let rests = moved + REST;
            let has_moved = tokio::select! {
                change = changes.next() => match change {
                    Some(Ok(WatchEvent::Added(it) | WatchEvent::Modified(it))) => {
                        object = self.as_value(it);
                        true
                    }
                    Some(Ok(WatchEvent::Deleted(_))) => return Ok(Ends::With(Settled::Quiet)),
                    Some(Ok(WatchEvent::Bookmark(_))) => false,
                    Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => return Ok(Ends::Anew),
                },
                change = pod_changes.next() => match change {
                    Some(Ok(WatchEvent::Added(it) | WatchEvent::Modified(it))) => {
                        let pod = serde_json::to_value(it).unwrap_or_default();
                        pods.insert(called(&pod), pod);
                        true
                    }
                    Some(Ok(WatchEvent::Deleted(it))) => {
                        pods.remove(it.metadata.name.as_deref().unwrap_or_default());
                        true
                    }
                    Some(Ok(WatchEvent::Bookmark(_))) => false,
                    Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => return Ok(Ends::Anew),
                },
                // What is only said moves nothing.
                Some(event) = said_of_probes.next() => {
                    probes.hear(&event);
                    false
                }
                () = at(Some(rests)), if !is_asked => false,
                () = at(ends), if ends.is_some() => false,
            };
            if has_moved {
                (moved, is_asked) = (Instant::now(), false);
            }
        }
    }

    /// What becomes of it, and what is in its way removed where the step says so.
    async fn judge(
        &self,
        kind: &dyn Kind,
        object: &Value,
        by_name: &BTreeMap<String, Value>,
        rolling: &Rolling,
    ) -> Result<Course, Error> {
        let all: Vec<&Value> = by_name.values().collect();
        // Which template is the newest only matters where something is wrong with a pod, and that is asked for at each change.
        let replaces = self.replace_stuck && kind.keeps_stuck_pods();
        let is_in_the_way = |pod: &&Value| {
            let may_be_stuck = replaces && !pods::is_ready(pod);
            may_be_stuck || pods::trouble(pod).is_some()
        };
        let is_asked = all.iter().any(is_in_the_way);
        let newest = match is_asked && rolling.is_about(object) {
            true => {
                let revisions = revisions(self.cluster(), kind, self.home, object).await?;
                kind.newest(object, &revisions)
            }
            false => None,
        };
        if self.replace_stuck {
            for pod in stuck(kind, object, &all, newest.as_deref()) {
                let mut pod = pod.clone();
                pod["apiVersion"] = json!("v1");
                pod["kind"] = json!("Pod");
                // Its status moves all the time.
                pod["metadata"]["resourceVersion"] = Value::Null;
                self.cx
                    .progress
                    .line(&format!("delete pod {}, which is stuck", called(&pod)));
                self.writer.delete(&pod, false).await?;
            }
        }
        Ok(judge(kind, object, &all, newest.as_deref(), rolling))
    }

    /// Nothing has moved for a while: what is in the way then stays there. Where pods are missing their events tell.
    async fn at_rest(
        &self,
        in_the_way: Option<Trouble>,
        pods: &BTreeMap<String, Value>,
    ) -> Result<Option<Trouble>, Error> {
        let name = Name::of(self.named, self.home);
        if let Some(trouble) = in_the_way {
            // A node may be on its way for it.
            let names: Vec<&str> = pods.keys().map(String::as_str).collect();
            let is_helped = evidence::is_helped(self.cluster(), name.namespace, &names).await?;
            return Ok((!is_helped).then_some(trouble));
        }
        let refused = evidence::refused(self.cluster(), name).await?;
        Ok(refused.map(|message| refusal(&message)))
    }

    fn tell(&self, kind: &dyn Kind, object: &Value, told: &mut String) {
        let counts = kind.counts(object);
        let line = format!(
            "{}: {} of {} updated, {} available",
            object::key(object, self.home),
            counts.updated,
            counts.wanted,
            counts.available
        );
        if *told != line {
            self.cx.progress.line(&line);
            *told = line;
        }
    }

    /// With its kind, which the objects of a watch may lack.
    fn as_value(&self, object: DynamicObject) -> Value {
        let mut value = serde_json::to_value(object).unwrap_or_default();
        value["apiVersion"] = self.named["apiVersion"].clone();
        value["kind"] = self.named["kind"].clone();
        value
    }
}

/// Waits until an object is gone: what it has made goes first.
pub(crate) async fn until_gone(cluster: &Cluster, name: Name<'_>) -> Result<(), Error> {
    let fields = format!("metadata.name={}", name.name);
    let own = List {
        fields: &fields,
        ..List::of(name.api_version, name.kind, name.namespace)
    };
    loop {
        let (found, version) = cluster.list(own).await?;
        // One that nobody has asked to go does not go.
        if found
            .iter()
            .all(|it| it["metadata"]["deletionTimestamp"].is_null())
        {
            return Ok(());
        }
        let mut changes = Box::pin(cluster.watch(own, &version).await?);
        while let Some(Ok(change)) = changes.next().await {
            if let WatchEvent::Deleted(_) | WatchEvent::Error(_) = change {
                break;
            }
        }
    }
}

/// Until that time; without one for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn called(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str();
    name.unwrap_or_default().to_owned()
}

fn into(pods: BTreeMap<String, Value>) -> Vec<Value> {
    pods.into_values().collect()
}
