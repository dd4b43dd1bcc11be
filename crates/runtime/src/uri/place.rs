//! The URI of one thing on a platform.

use super::Error;
use crate::kubernetes::{Cluster, cluster};
use belay_driver_kubernetes::Settings;
use belay_model::config::WorkloadName;
use belay_model::id::{EnvironmentName, Scope, ServiceName};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The environment of what is in the cluster that we are in.
const HERE: &str = "in-cluster";

/// A workload, or a Helm release: `kubernetes://CONTEXT/NAMESPACE/deployment/NAME`, `helm://CONTEXT/NAMESPACE/RELEASE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// Of the kubeconfig; absent: the cluster that we are in.
    pub context: Option<String>,
    /// Where it is.
    pub namespace: String,
    /// What it is.
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Workload(WorkloadName),
    Release(String),
}

/// Whether a text is meant to be a URI.
pub fn is_uri(text: &str) -> bool {
    text.contains("://")
}

impl FromStr for Uri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::Malformed {
            uri: text.to_owned(),
            why,
        };
        let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
        let own = match scheme {
            "kubernetes" => 3,
            "helm" => 2,
            other => return Err(wrong(format!("there is no `{other}://`"))),
        };
        let parts: Vec<String> = rest.split('/').map(decoded).collect();
        // Contexts may have slashes in them, as those of EKS do.
        let Some(at) = parts.len().checked_sub(own).filter(|at| *at > 0) else {
            return Err(wrong("a part is missing".to_owned()));
        };
        let (context, own) = parts.split_at(at);
        if own.iter().any(String::is_empty) {
            return Err(wrong("a part is empty".to_owned()));
        }
        let what = match own {
            [_, kind, name] => {
                let named = format!("{kind}/{name}").parse();
                What::Workload(named.map_err(
                    |error: belay_model::config::ParseWorkloadError| wrong(error.to_string()),
                )?)
            }
            [_, release] => What::Release(release.clone()),
            _ => unreachable!("as many as the scheme has"),
        };
        Ok(Self {
            context: Some(context.join("/")).filter(|it| !it.is_empty()),
            namespace: own[0].clone(),
            what,
        })
    }
}

/// With `%2F` and the like as what they stand for.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let [first, more @ ..] = rest {
        let digits = more.get(..2).filter(|_| *first == b'%');
        let byte = digits.and_then(|it| u8::from_str_radix(std::str::from_utf8(it).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = &more[if byte.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (context, namespace) = (self.context.as_deref().unwrap_or_default(), &self.namespace);
        match &self.what {
            What::Workload(name) => write!(f, "kubernetes://{context}/{namespace}/{name}"),
            What::Release(name) => write!(f, "helm://{context}/{namespace}/{name}"),
        }
    }
}

impl Uri {
    /// What its deployments belong to. No configuration can have such names.
    pub fn scope(&self) -> Scope {
        let context = self.context.as_deref().unwrap_or(HERE);
        let service = match &self.what {
            What::Workload(name) => name.to_string(),
            What::Release(name) => format!("helm/{name}"),
        };
        Scope {
            service: ServiceName::new(service),
            environment: EnvironmentName::new(format!("{context}/{}", self.namespace)),
        }
    }

    /// The one whose deployments belong to a scope; none: it is that of a configuration.
    pub(crate) fn of(scope: &Scope) -> Option<Self> {
        let (context, namespace) = scope.environment.as_str().rsplit_once('/')?;
        let (kind, name) = scope.service.as_str().split_once('/')?;
        let what = match kind {
            "helm" => What::Release(name.to_owned()),
            _ => What::Workload(scope.service.as_str().parse().ok()?),
        };
        Some(Self {
            context: Some(context.to_owned()).filter(|it| it != HERE),
            namespace: namespace.to_owned(),
            what,
        })
    }

    /// How people call it: `deployment/api`.
    pub fn title(&self) -> String {
        match &self.what {
            What::Workload(name) => name.to_string(),
            What::Release(name) => format!("the Helm release {name}"),
        }
    }

    pub(super) fn workload(&self) -> Option<&WorkloadName> {
        match &self.what {
            What::Workload(name) => Some(name),
            What::Release(_) => None,
        }
    }

    /// What its driver is told. `env`: the variables of whoever asks.
    pub(crate) fn settings(
        &self,
        env: &BTreeMap<String, String>,
    ) -> Result<Settings, crate::Error> {
        let Cluster {
            kubeconfig,
            context,
        } = self.cluster(env)?;
        let (workloads, helm) = match &self.what {
            What::Workload(name) => (vec![name.to_string()], None),
            What::Release(name) => (Vec::new(), Some(name.clone())),
        };
        Ok(Settings {
            kubeconfig,
            context,
            namespace: self.namespace.clone(),
            workloads,
            helm,
            ..Settings::default()
        })
    }

    fn cluster(&self, env: &BTreeMap<String, String>) -> Result<Cluster, crate::Error> {
        if self.context.is_none() {
            if !env.contains_key("KUBERNETES_SERVICE_HOST") {
                return Err(Error::NotInCluster(self.to_string()).into());
            }
            return Ok(Cluster {
                kubeconfig: None,
                context: None,
            });
        }
        let context = self.context.as_deref();
        cluster(context, None, Path::new("/"), env).map_err(|error| match error {
            crate::Error::Kubernetes(crate::KubernetesError::Cluster { what, next })
                if next.contains("`kubeconfig:`") =>
            {
                let next = "set KUBECONFIG to the one that has the context".to_owned();
                crate::KubernetesError::Cluster { what, next }.into()
            }
            error => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, context: Option<&str>, namespace: &str, scope: &str) {
        let uri: Uri = text.parse().unwrap();
        assert_eq!(
            (uri.context.as_deref(), uri.namespace.as_str()),
            (context, namespace)
        );
        assert_eq!(uri.scope().to_string(), scope);
        assert_eq!(Uri::of(&uri.scope()).as_ref(), Some(&uri));
        assert_eq!(uri.to_string().parse::<Uri>().unwrap(), uri);
    }

    #[test]
    fn the_last_parts_name_it_and_the_rest_is_the_context() {
        check(
            "kubernetes://prod/shop/deployment/api",
            Some("prod"),
            "shop",
            "deployment/api/prod/shop",
        );
        check(
            "helm://prod/shop/api",
            Some("prod"),
            "shop",
            "helm/api/prod/shop",
        );
        let eks = "arn:aws:eks:eu-west-1:1:cluster/prod";
        for context in [eks.to_owned(), eks.replace('/', "%2F")] {
            let text = format!("kubernetes://{context}/shop/statefulset/db");
            check(
                &text,
                Some(eks),
                "shop",
                &format!("statefulset/db/{eks}/shop"),
            );
        }
        check(
            "kubernetes:///shop/daemonset/agent",
            None,
            "shop",
            "daemonset/agent/in-cluster/shop",
        );
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        for (text, why) in [
            ("kubernetes://prod/shop/api", "a part is missing"),
            ("kubernetes://prod/shop/deployment/", "a part is empty"),
            ("kubernetes://prod/shop/pod/api", "`pod` is no workload"),
            ("helm://shop/api", "a part is missing"),
            (
                "azure-webapp://sub/group/app",
                "there is no `azure-webapp://`",
            ),
        ] {
            let error = text.parse::<Uri>().unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn no_context_is_the_cluster_that_we_are_in_and_no_other() {
        let uri: Uri = "kubernetes:///shop/deployment/api".parse().unwrap();
        let home = BTreeMap::from([("HOME".to_owned(), "/".to_owned())]);
        let error = uri.settings(&home).unwrap_err();
        assert_eq!(error.code(), "E0320");
        let pod = BTreeMap::from([("KUBERNETES_SERVICE_HOST".to_owned(), "10.0.0.1".to_owned())]);
        let settings = uri.settings(&pod).unwrap();
        assert_eq!((settings.kubeconfig, settings.context), (None, None));
    }
}
