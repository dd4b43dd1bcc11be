//! Who is behind a Service, and since when: what the real client is told by watches, written down as it comes.

use anyhow::{Context, Result, bail};
use belay_load::now_us;
use belay_testbed::ControlPlane;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long something may take where a second is due.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Seen {
    /// Names of the ready pods, each time that somebody came or went, Unix microseconds.
    ready: Vec<(i64, BTreeSet<String>)>,
    /// Ready pods of each slice that there is now.
    slices: BTreeMap<String, BTreeSet<String>>,
    /// Images of all pods that there ever were.
    images: BTreeMap<String, String>,
    /// Names of the pods that there are now.
    pods: BTreeSet<String>,
    /// When a pod first said that it waits for something, by the reason.
    waits: BTreeMap<String, i64>,
}

/// Until it is dropped.
pub(crate) struct Endpoints {
    seen: Arc<Mutex<Seen>>,
    _clients: [Child; 2],
}

impl Endpoints {
    pub(crate) async fn of(plane: &ControlPlane, namespace: &str, service: &str) -> Result<Self> {
        let seen = Arc::<Mutex<Seen>>::default();
        let slices = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?watch=true&\
             labelSelector=kubernetes.io%2Fservice-name%3D{service}"
        );
        let pods = format!("/api/v1/namespaces/{namespace}/pods?watch=true");
        let told = Self {
            _clients: [
                follow(plane, &slices, seen.clone(), of_slice)?,
                follow(plane, &pods, seen.clone(), of_pod)?,
            ],
            seen,
        };
        told.until("the service has an endpoint", |seen| {
            let (_, ready) = seen.ready.last()?;
            let known = ready.iter().all(|pod| seen.images.contains_key(pod));
            (known && !ready.is_empty()).then_some(())
        })
        .await?;
        Ok(told)
    }

    /// Waits until just `count` pods, all of this image, are ready; answers since when they are.
    pub(crate) async fn arrived(&self, image: &str, count: usize) -> Result<i64> {
        let what = format!("all {count} endpoints are of {image}");
        self.until(&what, |seen| {
            let is_there = |ready: &BTreeSet<String>| {
                ready.len() == count && ready.iter().all(|pod| seen.is_of(pod, image))
            };
            let stays = seen.ready.iter().rev();
            let stays = stays.take_while(|(_, ready)| is_there(ready));
            stays.last().map(|(at_us, _)| *at_us)
        })
        .await
    }

    /// Waits until one pod of this image is ready.
    pub(crate) async fn has(&self, image: &str) -> Result<()> {
        let what = format!("an endpoint is of {image}");
        self.until(&what, |seen| {
            let (_, ready) = seen.ready.last()?;
            ready.iter().any(|pod| seen.is_of(pod, image)).then_some(())
        })
        .await
    }

    /// Waits until there is no pod of this image any more.
    pub(crate) async fn gone(&self, image: &str) -> Result<()> {
        let what = format!("no pod is of {image}");
        self.until(&what, |seen| {
            let is_there = seen.pods.iter().any(|pod| seen.is_of(pod, image));
            (!is_there).then_some(())
        })
        .await
    }

    /// When a pod first said that it waits for this.
    pub(crate) async fn waits(&self, reason: &str) -> Result<i64> {
        let what = format!("a pod waits: {reason}");
        self.until(&what, |seen| seen.waits.get(reason).copied())
            .await
    }

    /// Forgets what pods have waited for.
    pub(crate) fn forget_waits(&self) {
        self.lock().waits.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until<T>(&self, what: &str, find: impl Fn(&Seen) -> Option<T>) -> Result<T> {
        let began = Instant::now();
        loop {
            if let Some(found) = find(&self.lock()) {
                return Ok(found);
            }
            if began.elapsed() > PATIENCE {
                let seen = self.lock();
                bail!("waited in vain until {what}: {:?}", seen.ready.last());
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

impl Seen {
    fn is_of(&self, pod: &str, image: &str) -> bool {
        self.images.get(pod).is_some_and(|it| it == image)
    }
}

fn follow(
    plane: &ControlPlane,
    path: &str,
    seen: Arc<Mutex<Seen>>,
    note: fn(&mut Seen, &str, &Value),
) -> Result<Child> {
    let mut kubectl = Command::from(plane.kubectl());
    let kubectl = kubectl.args(["get", "--raw", path]);
    let mut client = kubectl
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("run kubectl")?;
    let lines = client.stdout.take().context("its output")?;
    tokio::spawn(async move {
        let mut lines = BufReader::new(lines).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(change) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            note(&mut seen, text(&change["type"]), &change["object"]);
        }
    });
    Ok(client)
}

fn of_slice(seen: &mut Seen, event: &str, slice: &Value) {
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let ready = endpoints.filter(|it| it["conditions"]["ready"] == true);
    let ready = ready.map(|it| text(&it["targetRef"]["name"]).to_owned());
    let name = text(&slice["metadata"]["name"]).to_owned();
    if event == "DELETED" {
        seen.slices.remove(&name);
    } else {
        seen.slices.insert(name, ready.collect());
    }
    let all = seen.slices.values().flatten().cloned().collect();
    seen.ready.push((now_us(), all));
}

fn of_pod(seen: &mut Seen, event: &str, pod: &Value) {
    let image = text(&pod["spec"]["containers"][0]["image"]).to_owned();
    let name = text(&pod["metadata"]["name"]).to_owned();
    if event == "DELETED" {
        seen.pods.remove(&name);
    } else {
        seen.pods.insert(name.clone());
    }
    seen.images.insert(name, image);
    let waits = &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
    if let Some(reason) = waits.as_str() {
        seen.waits.entry(reason.to_owned()).or_insert_with(now_us);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
