//! A connection to an API server, and the requests that only look.

use crate::away::Patience;
use crate::builtin;
use crate::changes::{self, Listeners};
use crate::connection::Connection;
use crate::digests::Digests;
use crate::error::failed;
use crate::object;
use crate::schemas::Schemas;
use crate::settings::Settings;
use belay_driver::{Context, Error};
use belay_model::error::Class;
use belay_model::state::Resource;
use futures_util::Stream;
use http::header::{HeaderValue, USER_AGENT};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, LogParams};
use kube::api::{WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::PartialObjectMeta;
use kube::discovery::{Discovery, Scope, pinned_kind};
use kube::{Client, Config};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What we are called in requests.
const AGENT: &str = concat!("belay/", env!("CARGO_PKG_VERSION"));

/// How long it counts that the server does not know a kind: what is hardly ever there is not asked for all the time.
const UNKNOWN: Duration = Duration::from_secs(300);

/// What was found out about kinds that are not built in, by `apiVersion` and `kind`.
type Kinds = BTreeMap<(String, String), (ApiResource, Scope)>;

/// Which object: what it is called by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    pub(crate) api_version: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> Name<'a> {
    /// That of an object in a target whose namespace is `home`.
    pub(crate) fn of(object: &'a Value, home: &'a str) -> Self {
        let text = |value: &'a Value| value.as_str().unwrap_or_default();
        let metadata = &object["metadata"];
        Self {
            api_version: text(&object["apiVersion"]),
            kind: text(&object["kind"]),
            namespace: metadata["namespace"].as_str().unwrap_or(home),
            name: text(&metadata["name"]),
        }
    }
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.kind.to_lowercase();
        write!(f, "{kind} {}/{}", self.namespace, self.name)
    }
}

/// Connections by how they are made: a kubeconfig that was written anew is another.
#[derive(Default)]
pub(crate) struct Clusters(Mutex<BTreeMap<How, Arc<Cluster>>>);

type How = (Option<PathBuf>, Option<String>, Option<SystemTime>);

impl Clusters {
    pub(crate) async fn connect(&self, settings: &Settings) -> Result<Arc<Cluster>, Error> {
        let path = settings.kubeconfig.clone();
        let written = path.as_ref().and_then(|path| std::fs::metadata(path).ok());
        let written = written.and_then(|it| it.modified().ok());
        let how = (path, settings.context.clone(), written);
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known().get(&how).cloned() {
            return Ok(known);
        }
        let cluster = Arc::new(Cluster::connect(settings).await?);
        let (path, context, _) = &how;
        let mut known = known();
        known.retain(|(a_path, a_context, _), _| (a_path, a_context) != (path, context));
        known.insert(how, cluster.clone());
        Ok(cluster)
    }

    /// The next one to connect asks anew who we are.
    pub(crate) fn forget(&self, settings: &Settings) {
        let of =
            |(path, context, _): &How| (path, context) == (&settings.kubeconfig, &settings.context);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|how, _| !of(how));
    }

    /// The same, and it is waited for where it is away for a moment.
    pub(crate) async fn patient(
        &self,
        cx: &Context,
        settings: &Settings,
    ) -> Result<Arc<Cluster>, Error> {
        let cluster = self.connect(settings).await?;
        Ok(Arc::new(cluster.with(Patience::of(cx))))
    }
}

pub(crate) struct Cluster {
    connection: Arc<Connection>,
    kinds: Arc<Mutex<Kinds>>,
    /// Kinds that nobody knew when they were asked for.
    unknown: Arc<Mutex<BTreeMap<(String, String), Instant>>>,
    schemas: Arc<Schemas>,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) patience: Patience,
}

impl Cluster {
    fn with(&self, patience: Patience) -> Self {
        Self {
            connection: self.connection.clone(),
            kinds: self.kinds.clone(),
            unknown: self.unknown.clone(),
            schemas: self.schemas.clone(),
            listeners: self.listeners.clone(),
            patience,
        }
    }

    async fn connect(settings: &Settings) -> Result<Self, Error> {
        let unusable = |error: &dyn std::fmt::Display| {
            Error::not_applied(Class::Unknown, format!("use the kubeconfig: {error}"))
        };
        let options = KubeConfigOptions {
            context: settings.context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = match (&settings.kubeconfig, &settings.context) {
            // The cluster that we are in, and no other: what somebody made the current context is never taken.
            (None, None) => Config::incluster().map_err(|error| unusable(&error)),
            (path, _) => {
                let read = path
                    .as_ref()
                    .map_or_else(Kubeconfig::read, Kubeconfig::read_from);
                let kubeconfig = read.map_err(|error| unusable(&error))?;
                let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
                config.map_err(|error| unusable(&error))
            }
        };
        let mut config = config?;
        // Whether it is worth while to try again is the engine's question.
        config.default_retry = false;
        // So that the audit log of a cluster says who it was.
        let agent = HeaderValue::from_static(AGENT);
        config.headers.push((USER_AGENT, agent));
        Ok(Self {
            connection: Arc::new(Connection::new(config)?),
            schemas: Arc::default(),
            kinds: Arc::default(),
            unknown: Arc::default(),
            listeners: Arc::default(),
            patience: Patience::default(),
        })
    }

    /// An object; none where it is absent, or its kind is unknown to the server.
    pub(crate) async fn get(&self, name: Name<'_>) -> Result<Option<Value>, Error> {
        let Some((api, resource)) = self.api(name).await? else {
            return Ok(None);
        };
        let found = self.patience.ask(|| api.get_opt(name.name)).await;
        let found = found.map_err(|error| failed(&format!("look at {name}"), error))?;
        Ok(found.map(|object| as_value(object, &resource)))
    }

    /// The objects of a kind that have these labels, all where there are none; and the version of the list.
    pub(crate) async fn list(&self, what: List<'_>) -> Result<(Vec<Value>, String), Error> {
        let Some((api, resource)) = self.api(what.name()).await? else {
            return Ok((Vec::new(), String::new()));
        };
        let mut parameters = ListParams::default().labels(what.labels);
        if !what.fields.is_empty() {
            parameters = parameters.fields(what.fields);
        }
        let list = self.patience.ask(|| api.list(&parameters)).await;
        let list = list.map_err(|error| failed(&what.in_words(), error))?;
        let version = list.metadata.resource_version.unwrap_or_default();
        let items = list.items.into_iter();
        let items = items.map(|object| as_value(object, &resource)).collect();
        Ok((items, version))
    }

    /// The objects of a kind in all namespaces.
    pub(crate) async fn list_everywhere(&self, what: List<'_>) -> Result<Vec<Value>, Error> {
        let Some((resource, _)) = self.kind(what.api_version, what.kind).await? else {
            return Ok(Vec::new());
        };
        let api: Api<DynamicObject> = Api::all_with(self.client(), &resource);
        let list = api.list(&ListParams::default().fields(what.fields)).await;
        let list = list.map_err(|error| failed(&what.in_words(), error))?;
        let items = list.items.into_iter();
        Ok(items.map(|object| as_value(object, &resource)).collect())
    }

    /// Whether the server knows a kind. That it does not is believed for a while.
    pub(crate) async fn knows(&self, api_version: &str, kind: &str) -> Result<bool, Error> {
        let key = (api_version.to_owned(), kind.to_owned());
        let unknown = || self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        let since = unknown().get(&key).copied();
        if since.is_some_and(|since| since.elapsed() < UNKNOWN) {
            return Ok(false);
        }
        let is_known = self.kind(api_version, kind).await?.is_some();
        if !is_known {
            unknown().insert(key, Instant::now());
        }
        Ok(is_known)
    }

    /// What becomes of the objects of a list since that version. It ends from time to time.
    pub(crate) async fn watch(
        &self,
        what: List<'_>,
        version: &str,
    ) -> Result<impl Stream<Item = kube::Result<WatchEvent<DynamicObject>>> + use<>, Error> {
        let api = self.api_apart(&what).await?;
        let mut parameters = WatchParams::default().labels(what.labels);
        if !what.fields.is_empty() {
            parameters = parameters.fields(what.fields);
        }
        let events = self.patience.ask(|| api.watch(&parameters, version)).await;
        events.map_err(|error| failed(&what.in_words(), error))
    }

    /// What becomes of the objects of a list since that version, and of all that are there where it is empty; as long as the
    /// server keeps it open, which is up to an hour. Of each object only what stands over it.
    pub(crate) async fn watch_headers(
        &self,
        what: List<'_>,
        version: &str,
    ) -> Result<impl Stream<Item = kube::Result<WatchEvent<PartialObjectMeta>>> + use<>, Error>
    {
        let api = self.api_apart(&what).await?;
        let parameters = WatchParams::default().timeout(changes::OPEN_SECONDS);
        let events = api.watch_metadata(&parameters, version).await;
        events.map_err(|error| failed(&what.in_words(), error))
    }

    /// What stands over each object: not its contents, which may be large.
    pub(crate) async fn headers(&self, what: List<'_>) -> Result<Vec<ObjectMeta>, Error> {
        let Some((api, _)) = self.api(what.name()).await? else {
            return Ok(Vec::new());
        };
        let parameters = ListParams::default().labels(what.labels);
        let list = api.list_metadata(&parameters).await;
        let list = list.map_err(|error| failed(&what.in_words(), error))?;
        Ok(list.items.into_iter().map(|it| it.metadata).collect())
    }

    /// The server's version, and the groups and kinds that it knows: `apps/v1`, `apps/v1/Deployment`.
    pub(crate) async fn api_versions(&self) -> Result<(String, Vec<String>), Error> {
        let asked = |error| failed("ask the cluster what it knows", error);
        let version = self.client().apiserver_version().await.map_err(asked)?;
        let discovery = Discovery::new(self.client());
        // In one answer: asked one by one, a group that somebody takes away meanwhile is an error.
        let discovery = discovery.run_aggregated().await.map_err(asked)?;
        let mut all = Vec::new();
        for group in discovery.groups() {
            for version in group.versions() {
                let name = match group.name() {
                    "" => version.to_owned(),
                    group => format!("{group}/{version}"),
                };
                let kinds = group.versioned_resources(version).into_iter();
                all.extend(kinds.map(|(it, _)| format!("{name}/{}", it.kind)));
                all.push(name);
            }
        }
        all.sort();
        Ok((version.git_version, all))
    }

    /// What the kinds of a group and version (`GROUP/VERSION`) look like, as OpenAPI has it; none where nobody may know.
    pub(crate) async fn openapi(&self, version: &str) -> Result<Option<Value>, Error> {
        let path = format!("/openapi/v3/apis/{version}");
        let client = self.client();
        let request = async || {
            let request = http::Request::get(&path).body(Vec::new());
            let request = request.map_err(kube::Error::HttpError)?;
            client.request::<Value>(request).await
        };
        match self.patience.ask(request).await {
            Ok(document) => Ok(Some(document)),
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Ok(None),
            Err(error) => Err(failed(&format!("ask what {version} looks like"), error)),
        }
    }

    /// An object as it is in states. `belongs`: it is there because of the target, and goes with it.
    pub(crate) async fn resource(
        &self,
        object: &Value,
        digests: &Digests,
        belongs: bool,
    ) -> Result<Resource, Error> {
        let mut resource = object::live(object, digests, belongs);
        let schema = self.schemas.of(self, object).await?;
        schema.leave_out(&mut resource);
        Ok(resource)
    }

    /// The last lines that a container of a pod wrote, in its life before this one where it had one.
    pub(crate) async fn log(&self, namespace: &str, pod: &str, previous: bool) -> Option<String> {
        let parameters = LogParams {
            previous,
            tail_lines: Some(20),
            ..LogParams::default()
        };
        self.pods(namespace).logs(pod, &parameters).await.ok()
    }

    /// For kinds of which there are no objects.
    pub(crate) fn client(&self) -> Client {
        self.connection.asking()
    }

    /// The pods of a namespace, for what only they can be asked.
    fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client(), namespace)
    }

    /// The same, for what takes a connection of its own.
    pub(crate) fn pods_apart(&self, namespace: &str) -> Result<Api<Pod>, Error> {
        let client = self.connection.staying();
        let client = client.map_err(|error| failed("use the kubeconfig", error))?;
        Ok(Api::namespaced(client, namespace))
    }

    /// The last lines of one container, of its life before this one where that is asked for; or why they are not to be had.
    pub(crate) async fn tail(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
        lines: i64,
    ) -> Result<String, String> {
        let parameters = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: Some(lines),
            timestamps: true,
            ..LogParams::default()
        };
        let log = self.pods(namespace).logs(pod, &parameters).await;
        log.map_err(|error| format!("not to be had: {}\n", crate::error::causes(&error)))
    }

    pub(crate) async fn api(
        &self,
        name: Name<'_>,
    ) -> Result<Option<(Api<DynamicObject>, ApiResource)>, Error> {
        let found = self.kind(name.api_version, name.kind).await?;
        Ok(found.map(|(resource, scope)| {
            let api = api(self.client(), name.namespace, &resource, &scope);
            (api, resource)
        }))
    }

    /// The same, for what stays open.
    async fn api_apart(&self, what: &List<'_>) -> Result<Api<DynamicObject>, Error> {
        let found = self.kind(what.api_version, what.kind).await?;
        let (resource, scope) = found.ok_or_else(|| unknown(what))?;
        let client = self.connection.staying();
        let client = client.map_err(|error| failed(&what.in_words(), error))?;
        Ok(api(client, what.namespace, &resource, &scope))
    }

    /// What a kind is called in requests, and whether it has a namespace; none: the server does not know it.
    pub(crate) async fn kind(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<(ApiResource, Scope)>, Error> {
        if let Some(known) = builtin::kind(api_version, kind) {
            return Ok(Some(known));
        }
        let key = (api_version.to_owned(), kind.to_owned());
        let kinds = || self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kinds().get(&key).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind_of = GroupVersionKind::gvk(group, version, kind);
        let client = self.client();
        let asked = self.patience.ask(|| pinned_kind(&client, &kind_of));
        let found = match asked.await {
            Ok((resource, capabilities)) => (resource, capabilities.scope),
            // Somebody may make it known at any time, so that this is not remembered.
            Err(kube::Error::Discovery(_)) => return Ok(None),
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            Err(error) => return Err(failed(&format!("ask for the kind {kind}"), error)),
        };
        kinds().insert(key, found.clone());
        Ok(Some(found))
    }
}

fn api(
    client: Client,
    namespace: &str,
    resource: &ApiResource,
    scope: &Scope,
) -> Api<DynamicObject> {
    match scope {
        Scope::Cluster => Api::all_with(client, resource),
        Scope::Namespaced => Api::namespaced_with(client, namespace, resource),
    }
}

fn unknown(what: &List<'_>) -> Error {
    let message = format!("{}: the server does not know it", what.in_words());
    Error::not_applied(Class::Unknown, message)
}

/// Which objects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List<'a> {
    pub(crate) api_version: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) namespace: &'a str,
    /// Empty: whatever they have.
    pub(crate) labels: &'a str,
    /// Empty: whatever they are.
    pub(crate) fields: &'a str,
}

impl<'a> List<'a> {
    pub(crate) fn of(api_version: &'a str, kind: &'a str, namespace: &'a str) -> Self {
        Self {
            api_version,
            kind,
            namespace,
            labels: "",
            fields: "",
        }
    }

    fn name(&self) -> Name<'a> {
        Name {
            api_version: self.api_version,
            kind: self.kind,
            namespace: self.namespace,
            name: "",
        }
    }

    fn in_words(&self) -> String {
        format!("list objects of kind {} in {}", self.kind, self.namespace)
    }
}

/// With its kind, which items of lists lack.
pub(crate) fn as_value(object: DynamicObject, resource: &ApiResource) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    value["apiVersion"] = json!(resource.api_version);
    value["kind"] = json!(resource.kind);
    value
}
