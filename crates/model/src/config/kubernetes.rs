//! A namespace of a Kubernetes cluster as a target.

use std::{borrow::Cow, fmt, path::PathBuf, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::text::from_text;

/// A namespace of a Kubernetes cluster. What runs there is what the release's manifests say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesTarget {
    /// The context of the kubeconfig, by name. Default: none, which is possible only within a cluster: the current context is
    /// never taken, as it may be another one tomorrow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The namespace, which has to be there. Manifests leave it out, or say the same.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    pub namespace: String,
    /// The kubeconfig; a relative path is relative to `belay.yaml`. Only this machine works on the target then. Default: the one
    /// file that `KUBECONFIG` names, else `~/.kube/config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// The workloads in the order in which they are rolled out, such as `deployment/api`; all that the manifests have. A later
    /// one begins when the one before is rolled out; going back the order is reversed. Default: as in the manifests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadName>,
    /// The Service that users reach it by, or several of them; checks ask there, and `blue_green` and `canary` move its traffic.
    /// Default: the one Service of the manifests that leads to what runs.
    #[serde(default, skip_serializing_if = "ServiceNames::is_empty")]
    pub service: ServiceNames,
    /// With `blue_green` or `canary`: a Service that leads to the newest release before its users reach it. It is made where it is
    /// not in the manifests. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// With `blue_green` or `canary`: the route of the Gateway API in the namespace whose weights share the traffic, such as
    /// `httproute/api` or `grpcroute/api`. Default: none; a share is then one of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(httproute|grpcroute)/[^/]+$"))]
    pub route: Option<String>,
    /// What is done about those that apply the same objects by themselves, as a repository says (Argo CD, Flux). Default: a release is
    /// refused where one of them would undo it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitops: Option<Gitops>,
}

/// What is done about those that apply the same objects by themselves, as a repository says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gitops {
    /// They are held before anything is changed, and let go when their source says what runs.
    Hold,
    /// Nothing: they may undo what goes out.
    Ignore,
}

/// Names of Services: one, or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceNames(pub Vec<String>);

impl ServiceNames {
    /// None is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for ServiceNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [only] => serializer.serialize_str(only),
            names => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ServiceNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ServiceNames;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a Service, or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ServiceNames, E> {
                Ok(ServiceNames(vec![text.to_owned()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<ServiceNames, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(ServiceNames(names))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for ServiceNames {
    fn schema_name() -> Cow<'static, str> {
        "ServiceNames".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Names of Services: one, or a list of them.",
            "type": ["string", "array"],
            "items": { "type": "string" },
        })
    }
}

/// A workload as `kubectl` names it: `deployment/api`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorkloadName(String);

/// Kinds of workloads.
const KINDS: [&str; 3] = ["deployment", "statefulset", "daemonset"];

/// Why a text is no [`WorkloadName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseWorkloadError {
    /// No kind, or no name.
    #[error("a workload is written as `deployment/NAME`, `statefulset/NAME` or `daemonset/NAME`")]
    Shape,
    /// Another kind.
    #[error(
        "`{0}` is no workload that is rolled out; there are `deployment`, `statefulset` and `daemonset`"
    )]
    Kind(String),
}

impl WorkloadName {
    /// `KIND/NAME`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkloadName {
    type Err = ParseWorkloadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => {
                match KINDS.contains(&kind) {
                    true => Ok(Self(text.to_owned())),
                    false => Err(ParseWorkloadError::Kind(kind.to_owned())),
                }
            }
            _ => Err(ParseWorkloadError::Shape),
        }
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for WorkloadName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WorkloadName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a workload such as `deployment/api`")
    }
}

impl JsonSchema for WorkloadName {
    fn schema_name() -> Cow<'static, str> {
        "WorkloadName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A workload as `kubectl` names it: `deployment/api`.",
            "pattern": "^(deployment|statefulset|daemonset)/[^/]+$",
        })
    }
}
