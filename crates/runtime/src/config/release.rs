//! The rules of `release`, and whether it is what a target runs.

use belay_model::config::{ReleaseError, ReleaseKind, Target};

use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;

impl Loaded {
    pub(super) fn release(&self, found: &mut Vec<Diagnostic>) {
        let release = &self.config.release;
        match release.kind() {
            Err(error @ ReleaseError::NotOne) => {
                let code = match release.artifact {
                    Some(_) => Code::Contradiction,
                    None => Code::MissingKey,
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
            Ok(ReleaseKind::Artifact(_) | ReleaseKind::Manifests(_)) => {}
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
            _ => return,
        };
        let complaint = self.on_key(Code::Contradiction, &format!("{path}.{kind}"), message);
        found.push(complaint.suggest(advice.to_owned()));
    }
}
