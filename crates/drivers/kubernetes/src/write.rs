//! Requests that change something. Each is seen to its end by a task of its own, also when who asked for it is gone, so that
//! it can be waited for.

use crate::cluster::{Cluster, Name, as_value};
use crate::error::unsure;
use belay_driver::Error;
use belay_model::error::Class;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::core::Status;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::RwLock;

/// The field manager that we are.
pub(crate) const MANAGER: &str = "belay";
/// How long an answer may take. The server itself gives up after a minute.
const LONGEST: Duration = Duration::from_secs(65);

/// What is under way, by target.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<BTreeMap<String, Arc<RwLock<()>>>>);

impl UnderWay {
    pub(crate) fn at(&self, target: &str) -> Arc<RwLock<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(target.to_owned()).or_default().clone()
    }
}

/// What became of a request that names the version it is about.
pub(crate) enum Sent {
    Done(Value),
    /// It is another by now.
    Moved,
    /// Others say that fields are theirs.
    Theirs(Vec<String>),
}

/// See the module.
pub(crate) struct Writer {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) under_way: Arc<RwLock<()>>,
}

impl Writer {
    /// Waits until nothing that this process has sent is under way any more.
    pub(crate) async fn quiet(&self) {
        drop(self.under_way.write().await);
    }

    /// Server-side apply. With a version in its metadata it is only done to that one.
    pub(crate) async fn apply(
        &self,
        home: &str,
        object: Value,
        force: bool,
    ) -> Result<Sent, Error> {
        self.apply_as(MANAGER, home, object, force).await
    }

    /// The same in the name of another.
    pub(crate) async fn apply_as(
        &self,
        manager: &str,
        home: &str,
        object: Value,
        force: bool,
    ) -> Result<Sent, Error> {
        let parameters = PatchParams {
            force,
            field_manager: Some(manager.to_owned()),
            ..PatchParams::default()
        };
        self.patch(home, object.clone(), parameters, Patch::Apply(object))
            .await
    }

    /// Changes these fields, and no other.
    pub(crate) async fn merge(
        &self,
        home: &str,
        name: Value,
        fields: Value,
    ) -> Result<Sent, Error> {
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let sent = self.patch(home, name, parameters, Patch::Merge(fields));
        match sent.await {
            // It was there a moment before, and went.
            Err(error) if error.platform_code.as_deref() == Some("404 NotFound") => Ok(Sent::Moved),
            sent => sent,
        }
    }

    async fn patch(
        &self,
        home: &str,
        object: Value,
        parameters: PatchParams,
        patch: Patch<Value>,
    ) -> Result<Sent, Error> {
        let name = Name::of(&object, home);
        let what = format!("change {name}");
        let api = self.cluster.api(name).await?;
        let (api, resource) = api.ok_or_else(|| unknown(&name))?;
        let called = name.name.to_owned();
        let patience = self.cluster.patience.clone();
        let sent = self.send(&what, async move {
            let request = || api.patch(&called, &parameters, &patch);
            patience.send(request).await
        });
        match sent.await? {
            Ok(object) => Ok(Sent::Done(as_value(object, &resource))),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(conflict(&status)),
            Err(error) => Err(unsure(&what, error)),
        }
    }

    /// Sets the number of a workload's pods apart from all else, as `kubectl scale` does, so that it is known again as set.
    pub(crate) async fn scale(&self, home: &str, live: &Value, count: i64) -> Result<Sent, Error> {
        let name = Name::of(live, home);
        let what = format!("scale {name}");
        let api = self.cluster.api(name).await?;
        let (api, _) = api.ok_or_else(|| unknown(&name))?;
        let called = name.name.to_owned();
        let patch = Patch::Merge(json!({
            "metadata": { "resourceVersion": live["metadata"]["resourceVersion"] },
            "spec": { "replicas": count },
        }));
        let patience = self.cluster.patience.clone();
        let sent = self.send(&what, async move {
            let parameters = PatchParams::default();
            let request = || api.patch_scale(&called, &parameters, &patch);
            patience.send(request).await
        });
        match sent.await? {
            Ok(_) => Ok(Sent::Done(Value::Null)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Sent::Moved),
            Err(error) => Err(unsure(&what, error)),
        }
    }

    /// Makes one that is not there.
    pub(crate) async fn create(&self, home: &str, object: &Value) -> Result<Sent, Error> {
        let name = Name::of(object, home);
        let what = format!("make {name}");
        let api = self.cluster.api(name).await?;
        let (api, resource) = api.ok_or_else(|| unknown(&name))?;
        let object = serde_json::from_value(object.clone())
            .map_err(|error| Error::not_applied(Class::Unknown, format!("{what}: {error}")))?;
        let parameters = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        let patience = self.cluster.patience.clone();
        let sent = self.send(&what, async move {
            let request = || api.create(&parameters, &object);
            patience.send(request).await
        });
        match sent.await? {
            Ok(object) => Ok(Sent::Done(as_value(object, &resource))),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Sent::Moved),
            Err(error) => Err(unsure(&what, error)),
        }
    }

    /// Removes that very object; what it has made goes first where it is asked for.
    pub(crate) async fn delete(&self, live: &Value, with_its_own: bool) -> Result<Sent, Error> {
        let name = Name::of(live, "");
        let what = format!("remove {name}");
        let api = self.cluster.api(name).await?;
        let (api, _) = api.ok_or_else(|| unknown(&name))?;
        let text = |field: &str| live["metadata"][field].as_str().map(str::to_owned);
        let policy = match with_its_own {
            true => PropagationPolicy::Foreground,
            false => PropagationPolicy::Background,
        };
        let parameters = DeleteParams {
            propagation_policy: Some(policy),
            preconditions: Some(Preconditions {
                resource_version: text("resourceVersion"),
                uid: text("uid"),
            }),
            ..DeleteParams::default()
        };
        let called = name.name.to_owned();
        let patience = self.cluster.patience.clone();
        let sent = self.send(&what, async move {
            let request = || api.delete(&called, &parameters);
            patience.send(request).await
        });
        match sent.await? {
            Ok(_) => Ok(Sent::Done(Value::Null)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Sent::Done(Value::Null)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Sent::Moved),
            Err(error) => Err(unsure(&what, error)),
        }
    }

    async fn send<T: Send + 'static>(
        &self,
        what: &str,
        request: impl Future<Output = kube::Result<T>> + Send + 'static,
    ) -> Result<kube::Result<T>, Error> {
        let here = self.under_way.clone().read_owned().await;
        let task = tokio::spawn(async move {
            let _here = here;
            tokio::time::timeout(LONGEST, request).await
        });
        let lost = |why: &str| Error::maybe_applied(Class::Timeout, format!("{what}: {why}"));
        match task.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(lost("there was no answer")),
            Err(_) => Err(lost("this process ends")),
        }
    }
}

fn conflict(status: &Status) -> Sent {
    let causes = status.details.iter().flat_map(|it| &it.causes);
    let theirs = causes.filter(|it| it.reason == "FieldManagerConflict");
    let theirs: Vec<String> = theirs
        .map(|it| format!("{}: {}", it.field, it.message))
        .collect();
    match theirs.is_empty() {
        true => Sent::Moved,
        false => Sent::Theirs(theirs),
    }
}

fn unknown(name: &Name<'_>) -> Error {
    let message = format!("change {name}: the server does not know its kind");
    Error::not_applied(Class::Application, message)
}
