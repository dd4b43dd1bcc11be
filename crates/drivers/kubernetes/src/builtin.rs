//! Kinds that every supported server knows: nobody has to ask what they are called in requests.

use k8s_openapi::api::{
    apps, autoscaling, batch, coordination, core, discovery, networking, policy, rbac,
};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::ApiResource;
use kube::discovery::Scope;

/// What a kind is called, and whether its objects are in a namespace.
trait Scoped {
    const SCOPE: Scope;
}

impl Scoped for NamespaceResourceScope {
    const SCOPE: Scope = Scope::Namespaced;
}

impl Scoped for ClusterResourceScope {
    const SCOPE: Scope = Scope::Cluster;
}

fn of<K: k8s_openapi::Resource>() -> (ApiResource, Scope)
where
    K::Scope: Scoped,
{
    let resource = ApiResource {
        group: K::GROUP.to_owned(),
        version: K::VERSION.to_owned(),
        api_version: K::API_VERSION.to_owned(),
        kind: K::KIND.to_owned(),
        plural: K::URL_PATH_SEGMENT.to_owned(),
    };
    (resource, K::Scope::SCOPE)
}

/// None: it has to be asked for.
pub(crate) fn kind(api_version: &str, kind: &str) -> Option<(ApiResource, Scope)> {
    let found = match (api_version, kind) {
        ("v1", "ConfigMap") => of::<core::v1::ConfigMap>(),
        ("v1", "Event") => of::<core::v1::Event>(),
        ("v1", "Namespace") => of::<core::v1::Namespace>(),
        ("v1", "Pod") => of::<core::v1::Pod>(),
        ("v1", "ResourceQuota") => of::<core::v1::ResourceQuota>(),
        ("v1", "Secret") => of::<core::v1::Secret>(),
        ("v1", "Service") => of::<core::v1::Service>(),
        ("v1", "ServiceAccount") => of::<core::v1::ServiceAccount>(),
        ("apps/v1", "ControllerRevision") => of::<apps::v1::ControllerRevision>(),
        ("apps/v1", "DaemonSet") => of::<apps::v1::DaemonSet>(),
        ("apps/v1", "Deployment") => of::<apps::v1::Deployment>(),
        ("apps/v1", "ReplicaSet") => of::<apps::v1::ReplicaSet>(),
        ("apps/v1", "StatefulSet") => of::<apps::v1::StatefulSet>(),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => {
            of::<autoscaling::v2::HorizontalPodAutoscaler>()
        }
        ("batch/v1", "CronJob") => of::<batch::v1::CronJob>(),
        ("batch/v1", "Job") => of::<batch::v1::Job>(),
        ("coordination.k8s.io/v1", "Lease") => of::<coordination::v1::Lease>(),
        ("discovery.k8s.io/v1", "EndpointSlice") => of::<discovery::v1::EndpointSlice>(),
        ("networking.k8s.io/v1", "Ingress") => of::<networking::v1::Ingress>(),
        ("networking.k8s.io/v1", "NetworkPolicy") => of::<networking::v1::NetworkPolicy>(),
        ("policy/v1", "PodDisruptionBudget") => of::<policy::v1::PodDisruptionBudget>(),
        ("rbac.authorization.k8s.io/v1", "Role") => of::<rbac::v1::Role>(),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => of::<rbac::v1::RoleBinding>(),
        _ => return None,
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::kind;
    use kube::discovery::Scope;

    #[test]
    fn what_they_are_called() {
        let (it, scope) = kind("networking.k8s.io/v1", "Ingress").expect("known");
        assert_eq!(
            (it.plural.as_str(), it.group.as_str()),
            ("ingresses", "networking.k8s.io")
        );
        assert_eq!(scope, Scope::Namespaced);
        let (it, scope) = kind("v1", "Namespace").expect("known");
        assert_eq!((it.plural.as_str(), it.group.as_str()), ("namespaces", ""));
        assert_eq!(scope, Scope::Cluster);
        assert!(kind("apps/v1beta1", "Deployment").is_none());
    }
}
