//! The rules of `release`, and whether it is what a target runs.

use belay_model::config::{KubernetesTarget, ReleaseError, ReleaseKind, Target};

use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;

impl Loaded {
    pub(super) fn release(&self, found: &mut Vec<Diagnostic>) {
        let release = &self.config.release;
        match release.kind() {
            Err(error @ ReleaseError::NotOne) => {
                let paths = [&release.artifact, &release.manifests];
                let is_none = paths.iter().all(|it| it.is_none()) && release.chart.is_none();
                let code = match is_none && !release.running {
                    true => Code::MissingKey,
                    false => Code::Contradiction,
                };
                found.push(self.on_key(code, "release", error.to_string()));
            }
            Err(error @ ReleaseError::Image) => {
                let key = match release.image {
                    Some(_) => "release.image",
                    None => "release.images",
                };
                found.push(self.on_key(Code::Contradiction, key, error.to_string()));
            }
            Err(error @ ReleaseError::OfChart) => {
                let key = match (&release.version, release.values.is_empty()) {
                    (Some(_), _) => "release.version",
                    (None, false) => "release.values",
                    (None, true) => "release.values_from",
                };
                found.push(self.on_key(Code::Contradiction, key, error.to_string()));
            }
            Ok(_) => {}
        }
    }

    /// `path`: where the target itself is written.
    pub(super) fn source_of(&self, path: &str, target: &Target, found: &mut Vec<Diagnostic>) {
        let (kind, message, advice) = match (self.config.release.kind(), target) {
            (Ok(ReleaseKind::Artifact(_)), Target::Kubernetes(_)) => (
                "kubernetes",
                "on Kubernetes a release is manifests, and this one is an artifact",
                "write `release: { manifests: ./k8s }`",
            ),
            (Ok(ReleaseKind::Running), Target::Kubernetes(target)) => {
                return self.running(path, target, found);
            }
            (Ok(ReleaseKind::Manifests(_) | ReleaseKind::Running), Target::Process(_)) => (
                "process",
                "processes run an artifact, and this release is one for Kubernetes",
                "write `release: { artifact: ./dist }`",
            ),
            (
                Ok(ReleaseKind::Artifact(_) | ReleaseKind::Manifests(_) | ReleaseKind::Running),
                Target::Helm(_),
            ) => (
                "helm",
                "a Helm release is made of a chart, and this release is none",
                "write `release: { chart: ./chart }`",
            ),
            (
                Ok(ReleaseKind::Chart(_) | ReleaseKind::RemoteChart(..)),
                Target::Process(_) | Target::Kubernetes(_),
            ) => {
                let kind = match target {
                    Target::Process(_) => "process",
                    _ => "kubernetes",
                };
                let message = "a chart goes to a Helm release";
                let complaint =
                    self.on_key(Code::Contradiction, &format!("{path}.{kind}"), message);
                let advice = "write `target: { helm: { context: ..., namespace: ... } }`";
                return found.push(complaint.suggest(advice.to_owned()));
            }
            _ => return,
        };
        let complaint = self.on_key(Code::Contradiction, &format!("{path}.{kind}"), message);
        found.push(complaint.suggest(advice.to_owned()));
    }

    /// What runs has to be named: nothing else says what the release is about.
    fn running(&self, path: &str, target: &KubernetesTarget, found: &mut Vec<Diagnostic>) {
        if target.workloads.is_empty() {
            let message = "a release of what is running needs the names of its workloads";
            let complaint = self.on_key(Code::MissingKey, &format!("{path}.kubernetes"), message);
            found.push(complaint.suggest("add `workloads: [deployment/NAME]`".to_owned()));
        }
    }
}
