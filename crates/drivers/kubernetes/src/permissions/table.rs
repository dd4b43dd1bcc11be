//! The table. What the driver asks of an API server stands here, and nothing else: a right that no request needs is found by the
//! audit of the tests (`tests/rights.rs`), and one that is missing by every test, as all run with what the table says.

use crate::kinds::{self, Kind};
use std::collections::BTreeSet;

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

use Case::{
    Adopt, Beside, Bundle, Checks, Deploy, Helm, HelmHistory, History, Hold, Outside, Rollback,
    Route,
};

const APPS: &str = "apps";
const ARGO: &str = "argoproj.io/v1alpha1";
const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io/v1";
const FLUX_HELM: &str = "helm.toolkit.fluxcd.io/v2";
const SOURCE: &str = "source.toolkit.fluxcd.io/v1";

/// See the module.
pub(super) static TABLE: &[Row] = &[
    Row {
        of: Of::Release,
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        cases: &[Deploy, Helm],
        why: "looked at, applied, followed, and taken away with what is left over",
        without: "",
    },
    Row {
        of: Of::Workloads,
        verbs: &["get"],
        cases: &[History, Adopt, Bundle, Rollback],
        why: "what runs",
        without: "",
    },
    Row {
        of: Of::Workloads,
        verbs: &["list", "watch", "patch"],
        cases: &[Rollback],
        why: "given the pods of another revision, and followed",
        without: "",
    },
    Row {
        of: Of::Revisions,
        verbs: &["list"],
        cases: &[Deploy, Helm, Rollback, History, Adopt, Bundle],
        why: "the platform's own revisions, and which pods are of the newest",
        without: "",
    },
    Row {
        of: Of::Named("", "pods"),
        verbs: &["list"],
        cases: &[Deploy, Helm, Rollback, History, Adopt, Bundle],
        why: "which are ready",
        without: "",
    },
    Row {
        of: Of::Named("", "pods"),
        verbs: &["watch"],
        cases: &[Deploy, Helm, Rollback],
        why: "what becomes of them",
        without: "",
    },
    Row {
        of: Of::StuckPods,
        verbs: &["delete"],
        cases: &[Deploy, Helm, Rollback],
        why: "pods of a StatefulSet that are stuck on a bad template",
        without: "",
    },
    Row {
        of: Of::Named("", "pods/log"),
        verbs: &["get"],
        cases: &[Deploy, Helm, Rollback, Bundle],
        why: "the last lines of what does not get ready",
        without: "errors come without them",
    },
    Row {
        of: Of::Named("", "events"),
        verbs: &["list"],
        cases: &[Deploy, Helm, Rollback, Bundle],
        why: "why pods are not made, or not placed",
        without: "",
    },
    Row {
        of: Of::Named("", "configmaps"),
        verbs: &["get"],
        cases: &[Deploy, Rollback],
        why: "what pods are given",
        without: "",
    },
    Row {
        of: Of::Named("", "secrets"),
        verbs: &["get"],
        cases: &[Deploy, Rollback],
        why: "what pods are given; digests of it are kept",
        without: "",
    },
    Row {
        of: Of::Named("", "secrets"),
        verbs: &["get"],
        cases: &[Bundle],
        why: "values to be hidden",
        without: "what is written there of values that this account may not read is not hidden",
    },
    Row {
        of: Of::Named("", "services"),
        verbs: &["list"],
        cases: &[Deploy, Rollback, Adopt],
        why: "who sends traffic to the pods",
        without: "",
    },
    Row {
        of: Of::Named("", "services"),
        verbs: &["get"],
        cases: &[Beside, Checks],
        why: "where users reach it",
        without: "",
    },
    Row {
        of: Of::Named("", "services"),
        verbs: &["patch"],
        cases: &[Beside],
        why: "traffic is moved",
        without: "",
    },
    Row {
        of: Of::Named("discovery.k8s.io", "endpointslices"),
        verbs: &["list", "watch"],
        cases: &[Beside, Checks],
        why: "where traffic goes",
        without: "",
    },
    Row {
        of: Of::Route,
        verbs: &["get", "list", "watch", "patch"],
        cases: &[Route],
        why: "traffic is moved by its weights, and it is seen that it was taken",
        without: "",
    },
    Row {
        of: Of::Named("", "pods/portforward"),
        verbs: &["get", "create"],
        cases: &[Outside],
        // `create` the server asks of itself when the connection is upgraded (from 1.35 on).
        why: "pods are asked",
        without: "",
    },
    Row {
        of: Of::Named("coordination.k8s.io", "leases"),
        verbs: &["get", "create", "patch"],
        cases: &[Deploy, Helm, Rollback],
        why: "the mark that says whose it is",
        without: "",
    },
    Row {
        of: Of::Named("coordination.k8s.io", "leases"),
        verbs: &["list"],
        cases: &[History, HelmHistory, Rollback, Adopt],
        why: "whether Belay has it already",
        without: "it is told by nothing but the first step",
    },
    Row {
        of: Of::Named("autoscaling", "horizontalpodautoscalers"),
        verbs: &["list"],
        cases: &[Deploy, Rollback, Adopt],
        why: "the bounds within which pods are scaled",
        without: "an autoscaler's number of pods counts as anybody's",
    },
    Row {
        of: Of::Named("", "events"),
        verbs: &["watch"],
        cases: &[Deploy, Helm, Rollback],
        why: "probes that fail while pods are waited for",
        without: "they are not told",
    },
    Row {
        of: Of::Named("", "namespaces"),
        verbs: &["get"],
        cases: &[Deploy, Helm, Rollback],
        why: "whether it goes",
        without: "it is not said before",
    },
    Row {
        of: Of::Named("", "resourcequotas"),
        verbs: &["list"],
        cases: &[Deploy, Helm, Rollback],
        why: "what can never fit",
        without: "it is not said before",
    },
    Row {
        of: Of::Named("policy", "poddisruptionbudgets"),
        verbs: &["list"],
        cases: &[Deploy, Helm, Rollback],
        why: "what others may not evict",
        without: "it is not said before",
    },
    // Whoever else owns objects is looked at here, where the cluster knows such: nobody has to grant it.
    Row {
        of: Of::Known(ARGO, "Rollout", false),
        verbs: &["list"],
        cases: &[Deploy, Helm, Rollback],
        why: "whether Argo Rollouts moves the pods",
        without: "it is not found",
    },
    Row {
        of: Of::Known("flagger.app/v1beta1", "Canary", false),
        verbs: &["list"],
        cases: &[Deploy, Helm, Rollback],
        why: "whether Flagger moves the pods",
        without: "it is not found",
    },
    Row {
        of: Of::Known(ARGO, "Application", true),
        verbs: &["get", "list"],
        cases: &[Deploy, Helm, Rollback],
        why: "whether Argo CD would undo it",
        without: "what it would do is not known",
    },
    Row {
        of: Of::Known(KUSTOMIZE, "Kustomization", true),
        verbs: &["get"],
        cases: &[Deploy, Helm, Rollback],
        why: "whether Flux would undo it",
        without: "what it would do is not known",
    },
    Row {
        of: Of::Known(FLUX_HELM, "HelmRelease", true),
        verbs: &["get"],
        cases: &[Deploy, Helm, Rollback],
        why: "whether Flux would undo it by its helm",
        without: "what it would do is not known",
    },
    Row {
        of: Of::Known(ARGO, "Application", true),
        verbs: &["patch", "watch"],
        cases: &[Hold],
        why: "it is held, and asked to compare before it is let go",
        without: "it cannot be held",
    },
    Row {
        of: Of::Known(KUSTOMIZE, "Kustomization", true),
        verbs: &["patch"],
        cases: &[Hold],
        why: "it is suspended, and let go",
        without: "it cannot be held",
    },
    Row {
        of: Of::Known(FLUX_HELM, "HelmRelease", true),
        verbs: &["patch"],
        cases: &[Hold],
        why: "its helm is suspended, and let go",
        without: "it cannot be held",
    },
    Row {
        of: Of::Known(ARGO, "ApplicationSet", true),
        verbs: &["get"],
        cases: &[Hold],
        why: "whether it would set a hold back",
        without: "it counts as if it would",
    },
    Row {
        of: Of::Known(SOURCE, "GitRepository", true),
        verbs: &["get"],
        cases: &[Hold],
        why: "whether what Flux reads has moved",
        without: "a hold stays until somebody lets it go",
    },
    Row {
        of: Of::Named("", "secrets"),
        verbs: &["list", "get"],
        cases: &[HelmHistory],
        why: "helm keeps its revisions in them",
        without: "",
    },
    Row {
        of: Of::Named("", "secrets"),
        verbs: &["get", "list", "create", "update", "patch", "delete"],
        cases: &[Helm],
        why: "helm keeps its revisions in them; one that is left pending is freed",
        without: "",
    },
    Row {
        of: Of::Hooks,
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        cases: &[Helm],
        why: "helm runs them and waits for them",
        without: "",
    },
    Row {
        of: Of::Definitions,
        verbs: &["get", "list", "watch", "create", "patch"],
        cases: &[Helm],
        why: "helm makes them before all else, and never removes them",
        without: "",
    },
    Row {
        of: Of::Scales,
        verbs: &["patch"],
        cases: &[Helm],
        why: "pods that somebody had scaled are scaled back",
        without: "",
    },
];

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
        Some(kind) => format!("{kind}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}

/// The rows that are about manifests and URIs, or those that are about Helm, as docs/drivers/kubernetes.md and helm.md have them.
pub fn documented(helm: bool) -> String {
    let head = "| resource | verbs | for | why | without it |\n|---|---|---|---|---|\n";
    let is_helm = |case: &Case| matches!(case, Helm | HelmHistory);
    let rows = TABLE
        .iter()
        .filter(|row| row.cases.iter().any(|it| is_helm(it) == helm));
    rows.fold(head.to_owned(), |all, row| all + &row.line())
}

/// What each row is for, and its verbs.
pub fn rows() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    TABLE.iter().map(|row| (row.why, row.verbs))
}
