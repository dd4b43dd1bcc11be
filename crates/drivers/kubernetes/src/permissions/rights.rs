//! From targets to the rights that they take, by the table.

use super::row::{Case, Of, optional, plural};
use super::table::TABLE;
use crate::cluster::Cluster;
use crate::kinds;
use crate::kubernetes::Kubernetes;
use crate::router::Route;
use crate::settings::{Gitops, Layout, Settings};
use belay_model::config::EntranceKind;
use futures_util::future::join_all;
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::Scope;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a cluster may take to say which kinds it knows.
const PATIENCE: Duration = Duration::from_secs(5);

/// What somebody wants to do with a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Deploy to it and go back.
    Deploy(Asked),
    /// Go back by its URI.
    Rollback,
    /// See its revisions.
    History,
    /// Write a configuration of it.
    Adopt,
    /// Gather what there is to say of it.
    Bundle,
}

/// How releases are asked (`verify:`): not at all by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Whether their pods are, and from where.
    pub pods: Option<AskedFrom>,
    /// Whether they are where users come in from outside the cluster, and where that is.
    pub through: BTreeSet<EntranceKind>,
}

/// From where pods are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedFrom {
    /// From within their cluster.
    Inside,
    /// From elsewhere.
    Outside,
}

/// What may have to be done to objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// Where; absent: in the cluster as a whole.
    pub namespace: Option<String>,
    /// The group of the API: empty for its core.
    pub group: String,
    /// As requests call it: `deployments`, `pods/log`.
    pub resource: String,
    /// What is done.
    pub verbs: Vec<&'static str>,
    /// What for, in a few words.
    pub why: &'static str,
    /// What there is not without it; absent: nothing works without it.
    pub without: Option<&'static str>,
}

/// All that something takes, each right once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// In the order of the table.
    pub all: Vec<Right>,
    /// Kinds that the cluster does not know, or could not be asked about: what they are called in requests is a guess.
    pub guessed: BTreeSet<String>,
}

impl Rights {
    /// With those of others.
    pub fn add(&mut self, others: Rights) {
        for it in others.all {
            if !self.all.contains(&it) {
                self.all.push(it);
            }
        }
        self.guessed.extend(others.guessed);
    }
}

/// A kind of object, and the namespace that it is in unless the kind has none: `apiVersion`, `kind`.
type Kindred = (String, String, String);

/// What a kind is called in requests, and whether it has a namespace.
struct Called {
    group: String,
    plural: String,
    has_namespace: bool,
    is_guess: bool,
}

impl Kubernetes {
    /// The rights that a target takes, by its settings. What kinds that are not built in are called in requests the cluster
    /// says: a request for each; where it cannot be asked they are called as built-in ones would be.
    pub async fn rights(&self, settings: &Settings, purpose: Purpose) -> Rights {
        let cluster = self.clusters.connect(settings).await.ok();
        let mut called = BTreeMap::new();
        for kindred in kinds_of(settings).into_iter().chain(hooks_of(settings)) {
            let (api_version, kind, _) = &kindred;
            let name = call(cluster.as_deref(), api_version, kind).await;
            called.insert(kindred, name);
        }
        by_table(settings, purpose, &called, &known(cluster.as_deref()).await)
    }
}

/// Kinds of the table that a cluster may know, and does.
async fn known(cluster: Option<&Cluster>) -> BTreeSet<&'static str> {
    let Some(cluster) = cluster else {
        return BTreeSet::new();
    };
    let asked = optional().into_iter().map(async |(api_version, kind)| {
        let is_known = cluster.knows(api_version, kind).await;
        is_known.unwrap_or(false).then_some(kind)
    });
    // Without an answer nobody is asked to allow anything: all of it is optional.
    let answers = tokio::time::timeout(PATIENCE, join_all(asked)).await;
    answers.into_iter().flatten().flatten().collect()
}

/// The same with no cluster to ask.
pub fn guessed(settings: &Settings, purpose: Purpose) -> Rights {
    let kinds = kinds_of(settings).into_iter().chain(hooks_of(settings));
    let called = kinds.map(|it| {
        let name = guess(&it.0, &it.1);
        (it, name)
    });
    by_table(settings, purpose, &called.collect(), &BTreeSet::new())
}

async fn call(cluster: Option<&Cluster>, api_version: &str, kind: &str) -> Called {
    let name = guess(api_version, kind);
    let Some(cluster) = cluster.filter(|_| name.is_guess) else {
        return name;
    };
    match cluster.kind(api_version, kind).await.ok().flatten() {
        Some((resource, scope)) => Called {
            group: resource.group,
            plural: resource.plural,
            has_namespace: scope == Scope::Namespaced,
            is_guess: false,
        },
        None => name,
    }
}

/// Groups whose kinds are all called by the rule, beside those without a dot in their names.
const BY_RULE: [&str; 16] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "gateway.networking.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Their kinds that have no namespace, and may be part of a release.
const EVERYWHERE: [&str; 24] = [
    "APIService",
    "CSIDriver",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "CustomResourceDefinition",
    "FlowSchema",
    "GatewayClass",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "ServiceCIDR",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttributesClass",
];

/// By the rule that all built-in kinds follow; a guess for others.
fn guess(api_version: &str, kind: &str) -> Called {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let named = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let is_by_rule = !group.contains('.') || BY_RULE.contains(&group);
    Called {
        group: group.to_owned(),
        plural: named.plural,
        has_namespace: !(is_by_rule && EVERYWHERE.contains(&kind)),
        is_guess: !is_by_rule,
    }
}

fn kinds_of(settings: &Settings) -> BTreeSet<Kindred> {
    let of = |it: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let namespace = it["metadata"]["namespace"].as_str();
        let namespace = namespace.unwrap_or(&settings.namespace).to_owned();
        (text(&it["apiVersion"]), text(&it["kind"]), namespace)
    };
    settings.objects.iter().map(of).collect()
}

fn hooks_of(settings: &Settings) -> BTreeSet<Kindred> {
    let hooks = settings.chart.iter().flat_map(|it| &it.hooks);
    let home = |it: &(String, String)| (it.0.clone(), it.1.clone(), settings.namespace.clone());
    hooks.map(home).collect()
}

/// What helm makes beside a manifest: definitions of kinds, or hooks.
fn beside(settings: &Settings, definitions: bool) -> BTreeSet<Kindred> {
    let all = hooks_of(settings).into_iter();
    all.filter(|(_, kind, _)| (kind == "CustomResourceDefinition") == definitions)
        .collect()
}

/// The kinds of workload that a target has.
fn workloads(settings: &Settings) -> BTreeSet<&'static str> {
    let named = settings.workloads.iter();
    let named = named.filter_map(|it| kinds::named(it.split_once('/')?.0));
    let written = settings.objects.iter().filter_map(kinds::of);
    named.chain(written).map(|it| it.name()).collect()
}

fn cases(settings: &Settings, purpose: Purpose) -> BTreeSet<Case> {
    let is_helm = settings.helm.is_some();
    let mut cases = BTreeSet::new();
    match purpose {
        Purpose::Deploy(asked) => {
            cases.insert(if is_helm { Case::Helm } else { Case::Deploy });
            if settings.layout == Layout::SideBySide {
                cases.insert(Case::Beside);
                cases.extend(settings.route.is_some().then_some(Case::Route));
            }
            cases.extend(asked.pods.map(|_| Case::Checks));
            cases.extend((asked.pods == Some(AskedFrom::Outside)).then_some(Case::Outside));
            cases.extend(asked.through.into_iter().map(|kind| match kind {
                EntranceKind::Ingress => Case::Ingress,
                EntranceKind::HttpRoute => Case::HttpRoute,
                EntranceKind::Service => Case::Balancer,
            }));
        }
        Purpose::Rollback if is_helm => drop(cases.insert(Case::Helm)),
        Purpose::Rollback => drop(cases.insert(Case::Rollback)),
        Purpose::History | Purpose::Adopt if is_helm => drop(cases.insert(Case::HelmHistory)),
        Purpose::History => drop(cases.insert(Case::History)),
        Purpose::Adopt => drop(cases.insert(Case::Adopt)),
        Purpose::Bundle => drop(cases.insert(Case::Bundle)),
    }
    let acts = [Case::Deploy, Case::Helm, Case::Rollback];
    let holds = settings.gitops == Some(Gitops::Hold) && acts.iter().any(|it| cases.contains(it));
    cases.extend(holds.then_some(Case::Hold));
    cases
}

fn by_table(
    settings: &Settings,
    purpose: Purpose,
    called: &BTreeMap<Kindred, Called>,
    known: &BTreeSet<&str>,
) -> Rights {
    let cases = cases(settings, purpose);
    let workloads = workloads(settings);
    let mut rights = Rights::default();
    let rows = TABLE.iter();
    for row in rows.filter(|row| row.cases.iter().any(|it| cases.contains(it))) {
        let right = |namespace: Option<&str>, group: String, resource: String| Right {
            namespace: namespace.map(str::to_owned),
            group,
            resource,
            verbs: row.verbs.to_vec(),
            why: row.why,
            without: Some(row.without).filter(|it| !it.is_empty()),
        };
        let home = Some(settings.namespace.as_str());
        let mut found: Vec<Right> = row
            .named(&workloads)
            .into_iter()
            .map(|(group, resource)| right(home, group, resource))
            .collect();
        let kinds = match row.of {
            Of::Release => kinds_of(settings),
            Of::Hooks => beside(settings, false),
            Of::Definitions => beside(settings, true),
            _ => BTreeSet::new(),
        };
        for kindred in kinds {
            let Some(it) = called.get(&kindred) else {
                continue;
            };
            let (_, kind, namespace) = &kindred;
            let place = it.has_namespace.then_some(namespace.as_str());
            found.push(right(place, it.group.clone(), it.plural.clone()));
            rights.guessed.extend(it.is_guess.then(|| kind.clone()));
        }
        let route = settings.route.as_deref().filter(|_| row.of == Of::Route);
        if let Some(route) = route.and_then(|it| Route::of(it).ok()) {
            let named = route.named();
            let it = guess(
                named["apiVersion"].as_str().unwrap_or_default(),
                named["kind"].as_str().unwrap_or_default(),
            );
            found.push(right(home, it.group, it.plural));
        }
        if let Of::Known(api_version, kind, everywhere) = row.of
            && known.contains(kind)
        {
            let (group, _) = api_version.split_once('/').unwrap_or((api_version, ""));
            let place = home.filter(|_| !everywhere);
            found.push(right(place, group.to_owned(), plural(kind)));
        }
        let all = Rights {
            all: found,
            ..Rights::default()
        };
        rights.add(all);
    }
    rights
}
