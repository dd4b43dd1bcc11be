//! The rules of a target on Kubernetes.

use belay_model::config::{Environment, KubernetesTarget, Target};

use super::check::{is_name, proper_name};
use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;

impl Loaded {
    /// `path`: where it is written. Whether the cluster is there is asked when something goes to it.
    pub(super) fn kubernetes(
        &self,
        path: &str,
        target: &KubernetesTarget,
        found: &mut Vec<Diagnostic>,
    ) {
        if !is_name(&target.namespace) {
            let message = "a namespace's name is 1 to 63 characters of a-z, 0-9 and `-`";
            let complaint = self.on_value(Code::WrongValue, &format!("{path}.namespace"), message);
            found.push(complaint.suggest(proper_name(&target.namespace)));
        }
        if target.context.as_deref() == Some("") {
            let message = "a context has a name";
            let complaint = self.on_value(Code::WrongValue, &format!("{path}.context"), message);
            found.push(complaint.suggest("`kubectl config get-contexts` names them".to_owned()));
        }
        for (number, name) in target.workloads.iter().enumerate() {
            if target.workloads[..number].contains(name) {
                let path = format!("{path}.workloads[{number}]");
                let message = format!("`{name}` has its turn already");
                found.push(self.on_value(Code::Contradiction, &path, message));
            }
        }
    }

    /// Checks of an environment, and of the service in it, that nobody could ask.
    pub(super) fn checks_on_kubernetes(
        &self,
        name: &str,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        let is_one = |target: &Target| matches!(target, Target::Kubernetes(_));
        if !environment.places().any(|place| is_one(place.target)) {
            return;
        }
        if !self.config.verify.is_empty() {
            found.push(self.no_check_on_kubernetes("verify"));
        }
        if !environment.verify.is_empty() {
            let path = format!("environments.{name}.verify");
            found.push(self.no_check_on_kubernetes(&path));
        }
    }

    /// `path`: where the checks are written.
    pub(super) fn no_check_on_kubernetes(&self, path: &str) -> Diagnostic {
        let message = "checks ask an address, and Belay knows none of what runs on Kubernetes";
        let complaint = self.on_key(Code::Contradiction, path, message);
        let advice = "leave them out: that the pods are ready is the evidence";
        complaint.suggest(advice.to_owned())
    }
}
