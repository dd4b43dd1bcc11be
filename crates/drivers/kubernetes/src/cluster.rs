//! A connection to an API server, and the few requests that are made of it. All of them only look.

use crate::error::failed;
use crate::settings::Settings;
use belay_driver::Error;
use belay_model::error::Class;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, Config};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long it may take to reach the server, so that a call with a long deadline does not hang on a dead address.
const CONNECT: Duration = Duration::from_secs(5);

/// What was found out about kinds, by `apiVersion` and `kind`; none: the server does not know it.
type Kinds = BTreeMap<(String, String), Option<(ApiResource, Scope)>>;

pub(crate) struct Cluster {
    client: Client,
    kinds: Mutex<Kinds>,
}

impl Cluster {
    pub(crate) async fn connect(settings: &Settings) -> Result<Self, Error> {
        let unusable = |error: &dyn std::fmt::Display| {
            Error::not_applied(Class::Unknown, format!("use the kubeconfig: {error}"))
        };
        let kubeconfig = match &settings.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let options = KubeConfigOptions {
            context: settings.context.clone(),
            ..KubeConfigOptions::default()
        };
        let kubeconfig = kubeconfig.map_err(|error| unusable(&error))?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.map_err(|error| unusable(&error))?;
        config.connect_timeout = Some(CONNECT);
        // Whether it is worth while to try again is the engine's question.
        config.default_retry = false;
        let client =
            Client::try_from(config).map_err(|error| failed("use the kubeconfig", error))?;
        Ok(Self {
            client,
            kinds: Mutex::default(),
        })
    }

    /// An object; none where it is absent, or its kind is unknown to the server.
    pub(crate) async fn get(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, Error> {
        let Some((api, resource)) = self.api(api_version, kind, namespace).await? else {
            return Ok(None);
        };
        let what = || format!("look at {} {namespace}/{name}", kind.to_lowercase());
        let found = api
            .get_opt(name)
            .await
            .map_err(|error| failed(&what(), error))?;
        Ok(found.map(|object| as_value(object, &resource)))
    }

    /// The objects of a kind that have these labels; empty: all.
    pub(crate) async fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<Value>, Error> {
        let Some((api, resource)) = self.api(api_version, kind, namespace).await? else {
            return Ok(Vec::new());
        };
        let what = || format!("list objects of kind {kind} in {namespace}");
        let list = api.list(&ListParams::default().labels(labels)).await;
        let list = list.map_err(|error| failed(&what(), error))?;
        Ok(list
            .items
            .into_iter()
            .map(|object| as_value(object, &resource))
            .collect())
    }

    /// The labels of each object: not its contents, which may be large.
    pub(crate) async fn labels(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<BTreeMap<String, String>>, Error> {
        let Some((api, _)) = self.api(api_version, kind, namespace).await? else {
            return Ok(Vec::new());
        };
        let what = || format!("list objects of kind {kind} in {namespace}");
        let list = api
            .list_metadata(&ListParams::default().labels(labels))
            .await;
        let list = list.map_err(|error| failed(&what(), error))?;
        let labels = list.items.into_iter().map(|object| object.metadata.labels);
        Ok(labels.map(Option::unwrap_or_default).collect())
    }

    async fn api(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
    ) -> Result<Option<(Api<DynamicObject>, ApiResource)>, Error> {
        let client = self.client.clone();
        let found = self.kind(api_version, kind).await?;
        Ok(found.map(|(resource, scope)| match scope {
            Scope::Cluster => (Api::all_with(client, &resource), resource),
            Scope::Namespaced => (Api::namespaced_with(client, namespace, &resource), resource),
        }))
    }

    async fn kind(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<(ApiResource, Scope)>, Error> {
        let key = (api_version.to_owned(), kind.to_owned());
        let kinds = || self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kinds().get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let asked = pinned_kind(&self.client, &GroupVersionKind::gvk(group, version, kind)).await;
        let found = match asked {
            Ok((resource, capabilities)) => Some((resource, capabilities.scope)),
            Err(kube::Error::Discovery(_)) => None,
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => return Err(failed(&format!("ask for the kind {kind}"), error)),
        };
        kinds().insert(key, found.clone());
        Ok(found)
    }
}

/// With its kind, which items of lists lack.
fn as_value(object: DynamicObject, resource: &ApiResource) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    value["apiVersion"] = json!(resource.api_version);
    value["kind"] = json!(resource.kind);
    value
}
