//! The rules of a Helm release as a target.

use belay_model::config::{HelmTarget, ReleaseKind, ValueSource};

use super::check::{is_name, proper_name};
use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;

/// Longer names helm refuses: it makes others of them.
const LONGEST_NAME: usize = 53;

impl Loaded {
    /// `path`: where it is written. Whether the cluster is there is asked when something goes to it.
    pub(super) fn helm(&self, path: &str, target: &HelmTarget, found: &mut Vec<Diagnostic>) {
        let mut wrong = |name: &str, message: &str, advice: Option<String>| {
            let complaint = self.on_value(Code::WrongValue, &format!("{path}.{name}"), message);
            found.push(complaint.suggest(advice));
        };
        if !is_name(&target.namespace) {
            let message = "a namespace's name is 1 to 63 characters of a-z, 0-9 and `-`";
            wrong("namespace", message, proper_name(&target.namespace));
        }
        if target.context.as_deref() == Some("") {
            let advice = "`kubectl config get-contexts` names them";
            wrong("context", "a context has a name", Some(advice.to_owned()));
        }
        let release = target.release.as_ref();
        if release.is_some_and(|name| !is_name(name) || name.len() > LONGEST_NAME) {
            let message = "a release's name is 1 to 53 characters of a-z, 0-9 and `-`";
            wrong(
                "release",
                message,
                release.and_then(|name| proper_name(name)),
            );
        }
        if release.is_none() && self.config.service.len() > LONGEST_NAME {
            let message = "the service's name is too long for a release: write `release:` with 53 characters at most";
            wrong("namespace", message, None);
        }
        if target.history_max.is_some_and(|most| most < 2) {
            let message = "helm has to keep the release before, so at least 2";
            wrong(
                "history_max",
                message,
                Some("did you mean `10`?".to_owned()),
            );
        }
        self.values_from(found);
    }

    /// What Belay has for a chart reaches it by `values_from` only; what nothing takes would be lost without a word.
    fn values_from(&self, found: &mut Vec<Diagnostic>) {
        let (config, release) = (&self.config, &self.config.release);
        let is_chart = matches!(
            release.kind(),
            Ok(ReleaseKind::Chart(_) | ReleaseKind::RemoteChart(..))
        );
        if !is_chart {
            return;
        }
        let sources = || release.values_from.values();
        let mut lost = |key: &str, what: &str, advice: String| {
            let message = format!("nothing in `release.values_from` takes {what} to the chart");
            let complaint = self.on_key(Code::Contradiction, key, message);
            let complaint = complaint.suggest(advice);
            if !found.contains(&complaint) {
                found.push(complaint);
            }
        };
        let is_image = |it: &ValueSource| matches!(it, ValueSource::Image(None, _));
        if release.image.is_some() && !sources().any(is_image) {
            lost(
                "release.image",
                "the image",
                "write `values_from: { image.tag: image.tag }`".to_owned(),
            );
        }
        for name in release.images.keys() {
            let is_it =
                |it: &ValueSource| matches!(it, ValueSource::Image(Some(of), _) if of == name);
            if !sources().any(is_it) {
                let advice = format!("write `values_from: {{ PATH: images.{name} }}`");
                lost(&format!("release.images.{name}"), "this image", advice);
            }
        }
        let takes = |name: &str| {
            sources().any(|it| match it {
                ValueSource::Config => true,
                ValueSource::Setting(of) => of == name,
                _ => false,
            })
        };
        for name in config.config.keys().filter(|name| !takes(name)) {
            let advice = format!(
                "write `values_from: {{ PATH: config.{name} }}`, or `PATH: config` for all"
            );
            lost(&format!("config.{name}"), "this setting", advice);
        }
        for name in config.secrets.keys() {
            if !sources().any(|it| *it == ValueSource::Secret(name.clone())) {
                let advice = format!("write `values_from: {{ PATH: secrets.{name} }}`");
                lost(&format!("secrets.{name}"), "this secret", advice);
            }
        }
    }
}
