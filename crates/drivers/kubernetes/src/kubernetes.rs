//! What the driver will be asked, as far as it goes: to look, and to compare.

use crate::cluster::Cluster;
use crate::digests::Digests;
use crate::settings::{Settings, What};
use crate::{compare, deployment, helm, object};
use belay_driver::{Context, Error};
use belay_model::error::Class;
use belay_model::release::Target;
use belay_model::state::{Difference, Resource, State};
use futures_util::future::try_join_all;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Kubernetes as a platform.
pub struct Kubernetes {
    digests: Digests,
}

impl Kubernetes {
    /// `key` makes the digests that stand for secret values; whoever has it can guess short ones.
    pub fn new(key: &[u8; 32]) -> Self {
        Self {
            digests: Digests::new(key),
        }
    }

    /// The state in which what is written in the target's settings is there. Pure.
    pub fn desired(&self, target: &Target) -> State {
        let Ok(settings) = Settings::of(target) else {
            return State::default();
        };
        self.written(&settings.objects, &settings.namespace)
    }

    /// What keeps `have` from being `want`. Pure.
    pub fn diff(&self, want: &State, have: &State) -> Difference {
        compare::diff(want, have)
    }

    /// What is there, read only. Absent objects are absent, and so are those whose kind the server does not know.
    ///
    /// # Errors
    /// By class: who we are, what we may, whether the server answers, and in time.
    pub async fn observe(&self, cx: &Context, target: &Target) -> Result<State, Error> {
        let settings = Settings::of(target)?;
        in_time(cx, async {
            let cluster = Cluster::connect(&settings).await?;
            let here = Here {
                cluster,
                home: &settings.namespace,
                digests: &self.digests,
            };
            let resources = match &settings.what {
                What::Deployment(name) => here.deployment(name, &settings.objects).await?,
                What::Release(name) => here.release(name).await?,
            };
            Ok(state(resources))
        })
        .await
    }

    /// The state that a revision of a Helm release made, as its record has it; none: helm does not know it any more.
    ///
    /// # Errors
    /// As [`Kubernetes::observe`].
    pub async fn at_revision(
        &self,
        cx: &Context,
        target: &Target,
        revision: u32,
    ) -> Result<Option<State>, Error> {
        let settings = Settings::of(target)?;
        let What::Release(name) = &settings.what else {
            let message = format!(
                "find revision {revision}: {} is no Helm release",
                target.name
            );
            return Err(Error::not_applied(Class::Unknown, message));
        };
        in_time(cx, async {
            let cluster = Cluster::connect(&settings).await?;
            let home = &settings.namespace;
            let Some(record) = helm::record(&cluster, home, name, revision).await? else {
                return Ok(None);
            };
            let mut state = self.written(&record.objects()?, home);
            state
                .resources
                .insert(record.key(), record.into_goal(&self.digests));
            Ok(Some(state))
        })
        .await
    }

    fn written(&self, objects: &[Value], home: &str) -> State {
        let resource = |it| (object::key(it, home), object::written(it, &self.digests));
        state(objects.iter().map(resource))
    }
}

fn state(resources: impl IntoIterator<Item = (String, Resource)>) -> State {
    State {
        resources: resources.into_iter().collect(),
        ..State::default()
    }
}

async fn in_time<T>(
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

type Resources = BTreeMap<String, Resource>;

/// One look at one target.
struct Here<'a> {
    cluster: Cluster,
    home: &'a str,
    digests: &'a Digests,
}

impl Here<'_> {
    /// A Deployment with what its pods are given, what sends them traffic and what scales them; and the release's own
    /// objects, wherever they are.
    async fn deployment(&self, name: &str, objects: &[Value]) -> Result<Resources, Error> {
        let mut found = self.objects(objects).await?;
        let Some(it) = self
            .cluster
            .get("apps/v1", "Deployment", self.home, name)
            .await?
        else {
            return Ok(found);
        };
        let (key, resource) = self.live(&it, true).await?;
        found.insert(key, resource);
        let mut beside = Vec::new();
        for (kind, name) in deployment::references(&it) {
            beside.extend(self.cluster.get("v1", kind, self.home, &name).await?);
        }
        let mut services = self.cluster.list("v1", "Service", self.home, "").await?;
        services.retain(|service| deployment::is_served_by(service, &it));
        let scalers = self
            .cluster
            .list("autoscaling/v2", "HorizontalPodAutoscaler", self.home, "");
        let mut scalers = scalers.await?;
        scalers.retain(|scaler| deployment::is_scaled_by(scaler, &it));
        for object in beside.iter().chain(&services).chain(&scalers) {
            let (key, resource) = self.live(object, false).await?;
            found.entry(key).or_insert(resource);
        }
        Ok(found)
    }

    /// A Helm release, and the objects of its newest manifest. While that one is not deployed, those of the newest that was
    /// are there, too.
    async fn release(&self, name: &str) -> Result<Resources, Error> {
        let revisions = helm::revisions(&self.cluster, self.home, name).await?;
        let Some((newest, _)) = revisions.last() else {
            return Ok(Resources::new());
        };
        // Between the list and this, another may have taken its place and helm have forgotten it: looked at anew, later.
        let gone =
            || Error::not_applied(Class::Conflict, format!("read {name}: it changes just now"));
        let record = helm::record(&self.cluster, self.home, name, *newest).await?;
        let record = record.ok_or_else(gone)?;
        if record.is_uninstalled() {
            return Ok(Resources::new());
        }
        let mut objects = record.objects()?;
        if !record.was_deployed() {
            let mut before = revisions.iter().rev().skip(1);
            let before = before.find(|(_, status)| helm::was_deployed(status));
            if let Some((revision, _)) = before {
                let before = helm::record(&self.cluster, self.home, name, *revision).await?;
                objects.extend(before.ok_or_else(gone)?.objects()?);
            }
        }
        let mut found = self.objects(&objects).await?;
        found.insert(record.key(), record.resource(self.digests));
        Ok(found)
    }

    /// Those of these objects that are there.
    async fn objects(&self, written: &[Value]) -> Result<Resources, Error> {
        let by_key = written.iter().map(|it| (object::key(it, self.home), it));
        let by_key: BTreeMap<String, &Value> = by_key.collect();
        let found = try_join_all(by_key.into_values().map(|it| self.object(it))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn object(&self, written: &Value) -> Result<Option<(String, Resource)>, Error> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text(&written["apiVersion"]), text(&written["kind"]));
        let metadata = &written["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or(self.home);
        let name = text(&metadata["name"]);
        let found = self
            .cluster
            .get(&api_version, &kind, namespace, &name)
            .await?;
        match found {
            Some(it) => self.live(&it, true).await.map(Some),
            None => Ok(None),
        }
    }

    async fn live(&self, it: &Value, belongs: bool) -> Result<(String, Resource), Error> {
        let mut resource = object::live(it, self.digests, belongs);
        if deployment::is_one(it) {
            let namespace = it["metadata"]["namespace"].as_str().unwrap_or(self.home);
            let selector = deployment::selector(it);
            let pods = self.cluster.list("v1", "Pod", namespace, &selector).await?;
            deployment::tell(&mut resource, it, &pods);
        }
        Ok((object::key(it, self.home), resource))
    }
}
