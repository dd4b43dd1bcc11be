//! Helm releases as a record has them: the values of the environment, and what the chart comes to with them.

use super::Error;
use super::charts::{merge, put_at, read};
use super::cluster::cluster;
use crate::secrets::Found;
use crate::{Belay, DeployRequest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use belay_driver_kubernetes::helm::{Chart, Program, Rendered, Rendering};
use belay_driver_kubernetes::{Kubernetes, Settings, hidden, render};
use belay_model::config::{HelmTarget, ValueSource};
use belay_model::release::Record;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What is written of a target, without what it takes a look at the world to know.
pub(crate) fn written(target: &HelmTarget, service: &str) -> Value {
    let release = target.release.as_deref().unwrap_or(service);
    let mut settings = json!({ "namespace": target.namespace, "helm": release });
    if let Some(context) = &target.context {
        settings["context"] = json!(context);
    }
    if let Some(gitops) = target.gitops {
        settings["gitops"] = json!(gitops);
    }
    settings
}

/// Values of secrets by name, to be found in what must not have them.
pub(crate) type Clear = BTreeMap<String, String>;

/// Those that were found.
pub(crate) fn clear(found: &BTreeMap<String, Found>) -> Clear {
    let value = |(name, it): (&String, &Found)| (name.clone(), it.value.clone());
    found.iter().map(value).collect()
}

impl Belay {
    /// Gives one of a record's targets what its release is made of.
    pub(super) async fn lay_out_release(
        &self,
        record: &mut Record,
        number: usize,
        target: &HelmTarget,
        request: &DeployRequest,
        base: &Path,
        secrets: &Clear,
    ) -> Result<(), crate::Error> {
        let cluster = cluster(
            target.context.as_deref(),
            target.kubeconfig.as_deref(),
            base,
            &request.env,
        )?;
        let (chart, values) = self.chart(&record.artifact).await?;
        let Filled { values, named, all } = fill(
            values,
            target,
            base,
            &request.loaded.config.release.values_from,
            (&record.config, secrets),
        )?;
        let release = target.release.clone();
        let mut settings = Settings {
            kubeconfig: cluster.kubeconfig,
            context: cluster.context,
            namespace: target.namespace.clone(),
            helm: Some(release.unwrap_or_else(|| record.scope.service.to_string())),
            abandoned_after_ms: target.abandoned_after.map(|it| it.as_ms()),
            gitops: target.gitops.map(super::targets::gitops),
            ..Settings::default()
        };
        let rendered = rendered(&settings, &chart, &all).await;
        let rendered = rendered.map_err(|error| error.without(secrets))?;
        keeps_secrets(&rendered, secrets)?;
        let key = *self.blobs().await?.digest_key();
        settings.objects = hidden(rendered.objects, &key);
        let bytes: usize = settings.objects.iter().map(|it| it.to_string().len()).sum();
        if bytes > render::MAX_BYTES {
            let most = render::MAX_BYTES;
            return Err(Error::Rendered(render::Error::TooLarge { bytes, most }).into());
        }
        settings.chart = Some(Chart {
            name: rendered.name,
            app_version: rendered.app_version,
            digests: Chart::digests_of(&key, &all),
            values,
            secrets: named,
            random: rendered.random,
            leaves: rendered.leaves,
            hooks: Chart::kinds_of(&rendered.hooks),
            history_max: target.history_max,
            hook_timeout_ms: target.hook_timeout.map(|it| it.as_ms()),
            is_kept: false,
        });
        let is_of_this_machine = settings.kubeconfig.is_some();
        let target = &mut record.targets[number];
        target.host = is_of_this_machine.then(|| self.host().to_owned());
        target.settings = json!(settings);
        Ok(())
    }
}

/// Values of a chart.
pub(super) struct Filled {
    /// Without those of secrets.
    values: Value,
    /// Secrets by their paths.
    named: BTreeMap<String, String>,
    /// All of them.
    pub(super) all: Value,
}

/// Lays what an environment has over the values of a release: its own, then settings and secrets by their names.
pub(super) fn fill(
    mut values: Value,
    target: &HelmTarget,
    base: &Path,
    values_from: &BTreeMap<String, ValueSource>,
    (config, secrets): (&BTreeMap<String, String>, &Clear),
) -> Result<Filled, Error> {
    for file in &target.values {
        merge(&mut values, read(&base.join(file))?);
    }
    merge(&mut values, json!(target.set));
    let mut named = BTreeMap::new();
    for (path, source) in values_from {
        let missing = |what: String| Error::Values {
            what: format!("give the chart {what} at `{path}`: there is none of that name"),
            next: "correct `values_from`, or add it".to_owned(),
        };
        match source {
            ValueSource::Image(..) => {}
            ValueSource::Config => put_at(&mut values, path, json!(config))?,
            ValueSource::Setting(name) => {
                let value = config.get(name);
                let value = value.ok_or_else(|| missing(format!("the setting `{name}`")))?;
                put_at(&mut values, path, json!(value))?;
            }
            ValueSource::Secret(name) => {
                if !secrets.contains_key(name) {
                    return Err(missing(format!("the secret `{name}`")));
                }
                named.insert(path.clone(), name.clone());
            }
        }
    }
    let mut all = values.clone();
    for (path, name) in &named {
        put_at(&mut all, path, json!(secrets[name]))?;
    }
    Ok(Filled { values, named, all })
}

async fn rendered(settings: &Settings, chart: &Path, values: &Value) -> Result<Rendered, Error> {
    let program = Program::find(None).await?;
    // It only looks: whose it is plays no part.
    let asked = Kubernetes::new(&[0; 32], "").api(settings).await;
    let api = asked.map_err(|error| Error::Asked(error.message))?;
    let rendering = Rendering {
        program: &program,
        chart,
        release: settings.helm.as_deref().unwrap_or_default(),
        namespace: &settings.namespace,
        values,
        is_upgrade: api.has_release,
        kube_version: &api.version,
        api_versions: &api.kinds,
    };
    rendering.render().await.map_err(|error| Error::Chart {
        what: error.to_string(),
        next: "see what `helm template` says of it with the same values".to_owned(),
    })
}

/// Values shorter than that are found everywhere by chance.
const SHORTEST: usize = 4;

/// Whatever is no Secret stands in the record as it is.
fn keeps_secrets(rendered: &Rendered, secrets: &Clear) -> Result<(), Error> {
    for object in rendered.objects.iter().filter(|it| !is_secret(it)) {
        let text = object.to_string();
        for (name, value) in secrets.iter().filter(|(_, value)| value.len() >= SHORTEST) {
            // As JSON has it, without its quotes.
            let quoted = json!(value).to_string();
            let quoted = &quoted[1..quoted.len() - 1];
            if text.contains(quoted) || text.contains(&STANDARD.encode(value)) {
                let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
                let at = object["metadata"]["name"].as_str().unwrap_or_default();
                return Err(Error::InClear {
                    secret: name.clone(),
                    object: format!("{kind}/{at}"),
                });
            }
        }
    }
    Ok(())
}

fn is_secret(object: &Value) -> bool {
    object["kind"] == "Secret" && object["apiVersion"] == "v1"
}

impl Error {
    /// What helm says may quote a value.
    fn without(self, secrets: &Clear) -> Self {
        match self {
            Self::Chart { mut what, next } => {
                for value in secrets.values().filter(|it| it.len() >= SHORTEST) {
                    what = what.replace(value.as_str(), "***");
                }
                Self::Chart { what, next }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_driver_kubernetes::digest;

    fn secrets() -> Clear {
        BTreeMap::from([("KEY".to_owned(), "pa\"ss".to_owned())])
    }

    #[test]
    fn a_secret_in_clear_is_found() {
        let with = |data: &str, kind: &str| {
            let object = json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": "shop" }, "data": { "a": data } });
            let rendered = Rendered {
                objects: vec![object],
                ..Rendered::default()
            };
            keeps_secrets(&rendered, &secrets()).map_err(|error| error.to_string())
        };
        assert_eq!(with("nothing", "ConfigMap"), Ok(()));
        assert_eq!(with("url://pa\"ss@host", "Secret"), Ok(()));
        let told = "keep the secret KEY: the chart writes it into configmap/shop in clear";
        assert_eq!(with("url://pa\"ss@host", "ConfigMap"), Err(told.to_owned()));
        assert_eq!(
            with(&STANDARD.encode("pa\"ss"), "ConfigMap"),
            Err(told.to_owned())
        );
    }

    #[test]
    fn values_of_secrets_are_hidden() {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "data": { "a": STANDARD.encode("x") }, "stringData": { "b": "x" } });
        let key = [7; 32];
        let hidden = hidden(vec![secret], &key);
        let digest = digest(&key, b"x");
        assert_eq!(hidden[0]["data"], json!({ "a": digest, "b": digest }));
        assert!(hidden[0]["stringData"].is_null());
    }

    #[test]
    fn what_helm_says_is_told_without_values() {
        let error = Error::Chart {
            what: "render: cannot parse pa\"ss".to_owned(),
            next: String::new(),
        };
        assert_eq!(
            error.without(&secrets()).to_string(),
            "render: cannot parse ***"
        );
    }
}
