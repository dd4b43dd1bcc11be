//! Targets on Kubernetes as a record has them: with the objects of the release, laid out for the environment.

use super::cluster::{Cluster, cluster};
use crate::{Belay, DeployRequest, Error};
use belay_driver_kubernetes::render::{self, Laid, Overlay};
use belay_driver_kubernetes::{Layout, Settings};
use belay_model::config::{self, Environment, KubernetesTarget};
use belay_model::release::{Record, SecretUse, Target};
use serde_json::{Value, json};
use std::path::Path;

/// What is written of a target, without what it takes a look at the world to know.
pub(crate) fn written(target: &KubernetesTarget) -> Value {
    let mut settings = json!({ "namespace": target.namespace });
    if let Some(context) = &target.context {
        settings["context"] = json!(context);
    }
    if !target.workloads.is_empty() {
        settings["workloads"] = json!(target.workloads);
    }
    settings
}

/// What a record's target says, as far as [`written`] says anything.
pub(crate) fn settings(target: &Target, today: &Value) -> Value {
    let mut settings = target.settings.clone();
    if target.driver == "kubernetes"
        && let Some(fields) = settings.as_object_mut()
    {
        fields.retain(|name, _| today.get(name).is_some());
    }
    settings
}

impl Belay {
    /// Gives a record's targets on Kubernetes what they are to have. `base`: what paths in the configuration are relative to.
    pub(crate) async fn lay_out(
        &self,
        record: &mut Record,
        request: &DeployRequest,
        environment: &Environment,
        base: &Path,
    ) -> Result<(), Error> {
        let places = environment.places().enumerate();
        let places = places.filter_map(|(number, place)| match place.target {
            config::Target::Kubernetes(target) => Some((number, target)),
            config::Target::Process(_) => None,
        });
        let places: Vec<_> = places.collect();
        if places.is_empty() {
            return Ok(());
        }
        // What stands for the values of Secrets that are there needs the key, whether or not we bring any.
        self.blobs().await?;
        let release = self.manifests(&record.artifact).await?;
        let digest = |(name, used): (&String, &SecretUse)| (name.clone(), used.digest.clone());
        let mut left = render::MAX_BYTES;
        for (number, written) in places {
            let cluster = cluster(written, base, &request.env)?;
            let overlay = Overlay {
                service: record.scope.service.to_string(),
                namespace: written.namespace.clone(),
                workloads: written.workloads.iter().map(ToString::to_string).collect(),
                config: record.config.clone(),
                secrets: record.secrets.iter().map(digest).collect(),
            };
            let laid = render::lay_out(&release, &overlay, left).map_err(super::Error::Rendered)?;
            left = left.saturating_sub(laid.bytes);
            let is_of_this_machine = cluster.kubeconfig.is_some();
            let target = &mut record.targets[number];
            target.host = is_of_this_machine.then(|| self.host().to_owned());
            target.settings = json!(of(cluster, overlay.namespace, laid));
        }
        Ok(())
    }
}

fn of(cluster: Cluster, namespace: String, laid: Laid) -> Settings {
    Settings {
        kubeconfig: cluster.kubeconfig,
        context: cluster.context,
        namespace,
        objects: laid.objects,
        workloads: laid.workloads,
        // The only one that a configuration can ask for: strategies that need the other are refused with it.
        layout: Layout::InPlace,
        ..Settings::default()
    }
}
