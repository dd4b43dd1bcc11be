//! The platform, and what it is asked beside what every driver is.

use crate::apply::Work;
use crate::cluster::{Cluster, Clusters};
use crate::digests::Digests;
use crate::helm::{self, Contents, Processes};
use crate::look::Look;
use crate::settings::{Layout, Settings};
use crate::write::{UnderWay, Writer};
use crate::{groups, object, router, sending};
use belay_driver::{Artifacts, Context, Error};
use belay_model::error::Class;
use belay_model::release::{Record, Target};
use belay_model::state::{Resource, State};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Kubernetes as a platform.
pub struct Kubernetes {
    pub(crate) digests: Digests,
    pub(crate) store: String,
    pub(crate) clusters: Clusters,
    pub(crate) contents: Contents,
    processes: Processes,
    helm: Option<PathBuf>,
    pub(crate) artifacts: Option<Arc<dyn Artifacts>>,
    under_way: UnderWay,
    last_seen: Mutex<Option<Seen>>,
}

/// What was seen last, whatever target it was.
struct Seen {
    at: Instant,
    target: Target,
    state: State,
}

/// How long what was seen counts for a question that changes nothing: whoever asks whether he can go back has just looked.
const LATELY: Duration = Duration::from_secs(1);

impl Kubernetes {
    /// `key` makes the digests that stand for secret values; whoever has it can guess short ones. `store` tells the store
    /// that this is for from all others: a target that another one has is refused.
    pub fn new(key: &[u8; 32], store: impl Into<String>) -> Self {
        Self {
            digests: Digests::new(key),
            store: store.into(),
            clusters: Clusters::default(),
            contents: Contents::default(),
            processes: Processes::default(),
            helm: None,
            artifacts: None,
            under_way: UnderWay::default(),
            last_seen: Mutex::default(),
        }
    }

    /// Where charts are: without it no Helm release can be installed.
    #[must_use]
    pub fn with_artifacts(mut self, artifacts: Arc<dyn Artifacts>) -> Self {
        self.artifacts = Some(artifacts);
        self
    }

    /// The program to move Helm releases with, instead of the `helm` on the `PATH`.
    #[must_use]
    pub fn with_helm(mut self, program: impl Into<PathBuf>) -> Self {
        self.helm = Some(program.into());
        self
    }

    /// The state that a revision of a Helm release made, as its record has it; none: helm does not know it any more.
    ///
    /// # Errors
    /// By class: who we are, what we may, whether the server answers, and in time.
    pub async fn at_revision(
        &self,
        cx: &Context,
        target: &Target,
        revision: u32,
    ) -> Result<Option<State>, Error> {
        let settings = Settings::of(target)?;
        let Some(name) = &settings.helm else {
            let message = format!(
                "find revision {revision}: {} is no Helm release",
                target.name
            );
            return Err(Error::not_applied(Class::Unknown, message));
        };
        in_time(cx, async {
            let cluster = self.clusters.connect(&settings).await?;
            let home = &settings.namespace;
            let Some(record) = helm::record(&cluster, home, name, revision).await? else {
                return Ok(None);
            };
            helm::to_state(&record, &self.digests, home).map(Some)
        })
        .await
    }

    pub(crate) fn saw(&self, target: &Target, state: &State) {
        let mut last = self
            .last_seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = Some(Seen {
            at: Instant::now(),
            target: target.clone(),
            state: state.clone(),
        });
    }

    pub(crate) fn seen_lately(&self, target: &Target) -> Option<State> {
        let last = self
            .last_seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref()?;
        let counts = last.target == *target && last.at.elapsed() < LATELY;
        counts.then(|| last.state.clone())
    }

    pub(crate) fn written(&self, objects: &[Value], home: &str) -> State {
        let resource = |it| (object::key(it, home), object::written(it, &self.digests));
        state(objects.iter().map(resource))
    }

    pub(crate) fn look<'a>(&'a self, cluster: &'a Cluster, settings: &'a Settings) -> Look<'a> {
        Look {
            cluster,
            home: &settings.namespace,
            digests: &self.digests,
        }
    }

    pub(crate) fn helm_work<'a>(
        &'a self,
        cluster: Arc<Cluster>,
        cx: &'a Context,
        target: &'a Target,
        settings: &'a Settings,
    ) -> helm::Work<'a> {
        helm::Work {
            base: self.work(cluster, cx, target, settings),
            settings,
            contents: &self.contents,
            processes: &self.processes,
            program: self.helm.as_deref(),
            artifacts: self.artifacts.as_deref(),
        }
    }

    /// The state in which a record alone serves at a target of these settings.
    pub(crate) fn alone(&self, record: &Record, settings: &Settings) -> State {
        let home = &settings.namespace;
        if settings.layout == Layout::InPlace {
            return self.written(&settings.objects, home);
        }
        let group = record.group();
        let mut state = self.written(&groups::lay_out(settings, &group), home);
        for resource in groups::foreign(settings, &group) {
            let key = object::key(&object::made(&resource), home);
            state.resources.entry(key).or_insert(resource);
        }
        sending::tell(&mut state, settings);
        if let Some(route) = sending::route(settings, home)
            && let Some(it) = state.resources.get_mut(&route)
        {
            it.spec[router::WEIGHTS] = json!({ group: 1000 });
        }
        state
    }

    pub(crate) fn work<'a>(
        &'a self,
        cluster: Arc<Cluster>,
        cx: &'a Context,
        target: &'a Target,
        settings: &'a Settings,
    ) -> Work<'a> {
        let under_way = self.under_way.at(&target.name);
        Work {
            writer: Writer { cluster, under_way },
            digests: &self.digests,
            store: &self.store,
            home: &settings.namespace,
            target,
            cx,
        }
    }
}

pub(crate) fn state(resources: impl IntoIterator<Item = (String, Resource)>) -> State {
    State {
        resources: resources.into_iter().collect(),
        ..State::default()
    }
}

pub(crate) async fn in_time<T>(
    cx: &Context,
    look: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let deadline = Duration::from_millis(cx.deadline_ms);
    tokio::time::timeout(deadline, look)
        .await
        .unwrap_or_else(|_| {
            let message = "look at the cluster: it does not answer in time";
            Err(Error::not_applied(Class::Timeout, message))
        })
}
