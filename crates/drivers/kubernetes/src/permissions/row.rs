//! What a row of the table says, and how it is read.

use super::table::TABLE;
use crate::kinds::{self, Kind};
use std::collections::BTreeSet;

const APPS: &str = "apps";

/// What something is done for, as far as it decides which rights it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Case {
    /// Releases of manifests, there and back, whatever the strategy.
    Deploy,
    /// With `canary` and `blue_green`.
    Beside,
    /// Where a route shares the traffic.
    Route,
    /// With `verify:`.
    Checks,
    /// The same from outside the cluster.
    Outside,
    /// Checks through an Ingress.
    Ingress,
    /// Checks through an HTTPRoute.
    HttpRoute,
    /// Checks through a Service of type LoadBalancer.
    Balancer,
    /// Helm releases, there and back, by their URIs, too.
    Helm,
    /// `belay history kubernetes://...`.
    History,
    /// `belay history helm://...`, and adopting one.
    HelmHistory,
    /// `belay rollback kubernetes://...`.
    Rollback,
    /// `belay adopt`.
    Adopt,
    /// `belay logs --bundle`.
    Bundle,
    /// With `gitops: hold`.
    Hold,
}

impl Case {
    fn words(self) -> &'static str {
        match self {
            Self::Deploy => "manifests",
            Self::Beside => "side by side",
            Self::Route => "route",
            Self::Checks => "checks",
            Self::Outside => "checks from outside",
            Self::Ingress => "`through: ingress/...`",
            Self::HttpRoute => "`through: httproute/...`",
            Self::Balancer => "`through: service/...`",
            Self::Helm => "Helm",
            Self::History => "`history kubernetes://`",
            Self::HelmHistory => "`history` and `adopt helm://`",
            Self::Rollback => "`rollback kubernetes://`",
            Self::Adopt => "`adopt`",
            Self::Bundle => "`logs --bundle`",
            Self::Hold => "`gitops: hold`",
        }
    }
}

/// Which resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// A group, and a resource of it.
    Named(&'static str, &'static str),
    /// The kinds of workload that the target has.
    Workloads,
    /// The kinds that keep their earlier templates.
    Revisions,
    /// Pods, where the platform keeps stuck ones.
    StuckPods,
    /// The subresource by which they are scaled.
    Scales,
    /// Every kind in the release.
    Release,
    /// Every kind among the hooks of a chart.
    Hooks,
    /// Definitions of kinds, where a chart brings some beside its templates.
    Definitions,
    /// The kind of the target's route.
    Route,
    /// A kind by its `apiVersion` and its name, where the cluster knows it: in the namespace, or everywhere.
    Known(&'static str, &'static str, bool),
}

/// One right.
pub(super) struct Row {
    pub(super) of: Of,
    pub(super) verbs: &'static [&'static str],
    pub(super) cases: &'static [Case],
    pub(super) why: &'static str,
    /// What there is not without it; empty: nothing works without it.
    pub(super) without: &'static str,
}

impl Row {
    /// What it is about at a target with these kinds of workload, as far as no release says it: groups and resources.
    pub(super) fn named(&self, workloads: &BTreeSet<&'static str>) -> Vec<(String, String)> {
        let kinds = workloads.iter().filter_map(|it| kinds::named(it));
        let of_each = |resource: &dyn Fn(&dyn Kind) -> Option<String>| {
            let found: BTreeSet<String> = kinds.clone().filter_map(resource).collect();
            found.into_iter().map(|it| (APPS.to_owned(), it)).collect()
        };
        match self.of {
            Of::Named(group, resource) => vec![(group.to_owned(), resource.to_owned())],
            Of::Workloads => of_each(&|kind| Some(plural(kind.name()))),
            Of::Revisions => of_each(&|kind| Some(plural(kind.revisions()))),
            Of::Scales => of_each(&|kind| {
                let scale = format!("{}/scale", plural(kind.name()));
                kind.is_scalable().then_some(scale)
            }),
            Of::StuckPods => match { kinds }.any(|it| it.keeps_stuck_pods()) {
                true => vec![(String::new(), "pods".to_owned())],
                false => Vec::new(),
            },
            Of::Release | Of::Hooks | Of::Definitions | Of::Route | Of::Known(..) => Vec::new(),
        }
    }

    /// As the documentation has it.
    fn line(&self) -> String {
        let of = match self.of {
            Of::Named("", resource) => format!("`{resource}`"),
            Of::Named(group, resource) => format!("`{resource}` ({group})"),
            Of::Workloads => "the kind of the workload (apps)".to_owned(),
            Of::Revisions => {
                "`replicasets` for Deployments, `controllerrevisions` for others (apps)".to_owned()
            }
            Of::StuckPods => "`pods`, with StatefulSets".to_owned(),
            Of::Scales => "`deployments/scale`, `statefulsets/scale` (apps)".to_owned(),
            Of::Release => "every kind in the release".to_owned(),
            Of::Hooks => "every kind among the hooks".to_owned(),
            Of::Definitions => {
                "`customresourcedefinitions` (apiextensions.k8s.io), where the chart has a folder `crds`".to_owned()
            }
            Of::Known(api_version, kind, everywhere) => {
                let group = api_version.split('/').next().unwrap_or_default();
                let place = if everywhere { ", in the whole cluster" } else { "" };
                format!("`{}` ({group}){place}, where it is known", plural(kind))
            }
            Of::Route => "`httproutes` or `grpcroutes` (gateway.networking.k8s.io)".to_owned(),
        };
        let cases: Vec<&str> = self.cases.iter().map(|it| it.words()).collect();
        format!(
            "| {of} | {} | {} | {} | {} |\n",
            self.verbs.join(", "),
            cases.join(", "),
            self.why,
            self.without
        )
    }
}

/// Kinds that a cluster may know or not.
pub(super) fn optional() -> BTreeSet<(&'static str, &'static str)> {
    let known = TABLE.iter().filter_map(|row| match row.of {
        Of::Known(api_version, kind, _) => Some((api_version, kind)),
        _ => None,
    });
    known.collect()
}

/// What a kind's objects are called together in requests, by the rule that all kinds here follow.
pub(super) fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}

/// The rows that are about manifests and URIs, or those that are about Helm, as docs/drivers/kubernetes.md and helm.md have them.
pub fn documented(helm: bool) -> String {
    let head = "| resource | verbs | for | why | without it |\n|---|---|---|---|---|\n";
    let is_helm = |case: &Case| matches!(case, Case::Helm | Case::HelmHistory);
    let rows = TABLE
        .iter()
        .filter(|row| row.cases.iter().any(|it| is_helm(it) == helm));
    rows.fold(head.to_owned(), |all, row| all + &row.line())
}

/// What each row is for, and its verbs.
pub fn rows() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    TABLE.iter().map(|row| (row.why, row.verbs))
}
