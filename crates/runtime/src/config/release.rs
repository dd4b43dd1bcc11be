//! The rules of `release`, and whether it is what a target runs.

use belay_model::config::{ReleaseError, ReleaseKind, Target};

use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;

impl Loaded {
    pub(super) fn release(&self, found: &mut Vec<Diagnostic>) {
        let release = &self.config.release;
        match release.kind() {
            Err(error @ ReleaseError::NotOne) => {
                let is_none = release.artifact.is_none() && release.manifests.is_none();
                let code = match is_none && release.chart.is_none() {
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
            (Ok(ReleaseKind::Manifests(_)), Target::Process(_)) => (
                "process",
                "processes run an artifact, and this release is manifests",
                "write `release: { artifact: ./dist }`",
            ),
            (Ok(ReleaseKind::Artifact(_) | ReleaseKind::Manifests(_)), Target::Helm(_)) => (
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
}
