//! Targets on Kubernetes as a record has them: with the objects of the release, laid out for the environment.

use super::Error;
use super::cluster::{Cluster, cluster};
use crate::{Belay, DeployRequest};
use belay_driver_kubernetes::render::{self, Laid, Overlay};
use belay_driver_kubernetes::{Gitops, Layout, Settings};
use belay_model::config::{self, Environment, KubernetesTarget};
use belay_model::release::{Record, SecretUse, Target};
use serde_json::{Value, json};
use std::path::Path;

/// What is written of a target, without what it takes a look at the world to know.
pub(crate) fn written(target: &KubernetesTarget, is_side_by_side: bool) -> Value {
    let mut settings = json!({ "namespace": target.namespace });
    if is_side_by_side {
        settings["layout"] = json!(Layout::SideBySide);
    }
    if !target.service.is_empty() {
        settings["service"] = json!(target.service);
    }
    if let Some(preview) = &target.preview {
        settings["preview"] = json!(preview);
    }
    if let Some(route) = &target.route {
        settings["route"] = json!(route);
    }
    if let Some(context) = &target.context {
        settings["context"] = json!(context);
    }
    if let Some(gitops) = target.gitops {
        settings["gitops"] = json!(gitops);
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
    /// Gives a record's targets on Kubernetes what they are to have. `base`: what paths in the configuration are relative to;
    /// `secrets`: their values.
    pub(crate) async fn lay_out(
        &self,
        record: &mut Record,
        request: &DeployRequest,
        environment: &Environment,
        base: &Path,
        secrets: &super::Clear,
    ) -> Result<(), crate::Error> {
        for (number, place) in environment.places().enumerate() {
            if let config::Target::Helm(target) = place.target {
                self.lay_out_release(record, number, target, request, base, secrets)
                    .await?;
            }
        }
        let places = environment.places().enumerate();
        let places = places.filter_map(|(number, place)| match place.target {
            config::Target::Kubernetes(target) => Some((number, place.name, target)),
            config::Target::Process(_) | config::Target::Helm(_) => None,
        });
        let places: Vec<_> = places.collect();
        if places.is_empty() {
            return Ok(());
        }
        // What stands for the values of Secrets that are there needs the key, whether or not we bring any.
        self.blobs().await?;
        let images = self.images(&record.artifact).await?;
        let release = match &images {
            Some(_) => Vec::new(),
            None => self.manifests(&record.artifact).await?,
        };
        let digest = |(name, used): (&String, &SecretUse)| (name.clone(), used.digest.clone());
        let mut left = render::MAX_BYTES;
        let is_asked = request
            .loaded
            .config
            .checks_in(environment)
            .any(|check| check.through.is_none());
        for (number, name, written) in places {
            let is_side_by_side = environment.is_side_by_side(name, request.hotfix);
            let cluster = cluster(
                written.context.as_deref(),
                written.kubeconfig.as_deref(),
                base,
                &request.env,
            )?;
            let overlay = Overlay {
                service: record.scope.service.to_string(),
                namespace: written.namespace.clone(),
                workloads: written.workloads.iter().map(ToString::to_string).collect(),
                config: record.config.clone(),
                secrets: record.secrets.iter().map(digest).collect(),
            };
            let running = match &images {
                // Made when belay.yaml said so, and promoted to where it says something else.
                Some(_) if is_side_by_side || overlay.workloads.is_empty() => {
                    return Err(Error::NoManifests.into());
                }
                Some(images) => {
                    let place = Settings {
                        kubeconfig: cluster.kubeconfig.clone(),
                        context: cluster.context.clone(),
                        namespace: written.namespace.clone(),
                        workloads: overlay.workloads.clone(),
                        ..Settings::default()
                    };
                    Some(self.running(&record.scope, &place, images).await?)
                }
                None => None,
            };
            let objects = running.as_ref().map_or(&release, |it| &it.objects);
            let laid = render::lay_out(objects, &overlay, left).map_err(Error::Rendered)?;
            left = left.saturating_sub(laid.bytes);
            let service = match running {
                Some(running) => reached(
                    &written.service.0,
                    running.services,
                    &laid.workloads,
                    is_asked,
                )?,
                None => services(&written.service.0, &laid, is_side_by_side, is_asked)?,
            };
            let ways = Ways {
                // What users reach in place is the driver's to find: what nobody wrote is no part of the record. Of what is
                // running nothing else says it.
                service: if is_side_by_side || images.is_some() {
                    service
                } else {
                    written.service.0.clone()
                },
                preview: written.preview.clone(),
                route: written.route.clone(),
                layout: match is_side_by_side {
                    true => Layout::SideBySide,
                    false => Layout::InPlace,
                },
                gitops: written.gitops.map(gitops),
            };
            let is_of_this_machine = cluster.kubeconfig.is_some();
            let target = &mut record.targets[number];
            target.host = is_of_this_machine.then(|| self.host().to_owned());
            target.settings = json!(of(cluster, overlay.namespace, laid, ways));
        }
        Ok(())
    }
}

/// How users reach a release, how releases lie, and what is done about others.
struct Ways {
    service: Vec<String>,
    preview: Option<String>,
    route: Option<String>,
    layout: Layout,
    gitops: Option<Gitops>,
}

/// As the driver has it.
pub(super) fn gitops(written: config::Gitops) -> Gitops {
    match written {
        config::Gitops::Hold => Gitops::Hold,
        config::Gitops::Ignore => Gitops::Ignore,
    }
}

fn of(cluster: Cluster, namespace: String, laid: Laid, ways: Ways) -> Settings {
    Settings {
        kubeconfig: cluster.kubeconfig,
        context: cluster.context,
        namespace,
        objects: laid.objects,
        workloads: laid.workloads,
        service: ways.service,
        preview: ways.preview,
        route: ways.route,
        layout: ways.layout,
        gitops: ways.gitops,
        ..Settings::default()
    }
}

/// The Services that users reach what is running by: those that somebody wrote, else all that select its pods.
fn reached(
    written: &[String],
    found: Vec<String>,
    workloads: &[String],
    is_asked: bool,
) -> Result<Vec<String>, crate::Error> {
    match (written, found.as_slice()) {
        ([], []) if is_asked => Err(Error::NoService(workloads.to_vec()).into()),
        ([], [_, _, ..]) if is_asked => Err(Error::WhichService(found).into()),
        ([], _) => Ok(found),
        (written, _) => Ok(written.to_vec()),
    }
}

/// The Services that users reach a release by: those that somebody wrote, else the only one that leads to what runs.
/// `is_asked`: checks ask pods, and so need it.
fn services(
    written: &[String],
    laid: &Laid,
    is_side_by_side: bool,
    is_asked: bool,
) -> Result<Vec<String>, crate::Error> {
    let lead = render::services(&laid.objects);
    if is_side_by_side {
        let only_one = laid
            .workloads
            .iter()
            .find(|it| !it.starts_with("deployment/"));
        if let Some(workload) = only_one {
            return Err(Error::OnlyOnce(workload.clone()).into());
        }
    }
    let object = |name: &&String| {
        let mut services = laid.objects.iter().filter(|it| it["kind"] == "Service");
        services.any(|it| it["metadata"]["name"] == ***name)
    };
    if let Some(astray) = written
        .iter()
        .filter(object)
        .find(|name| !lead.contains(name))
    {
        return Err(Error::LeadsNowhere(astray.clone()).into());
    }
    match (written, lead.as_slice()) {
        ([], []) if is_side_by_side || is_asked => {
            Err(Error::NoService(laid.workloads.clone()).into())
        }
        ([], [_, _, ..]) if is_side_by_side || is_asked => Err(Error::WhichService(lead).into()),
        ([], _) => Ok(lead),
        (written, _) => Ok(written.to_vec()),
    }
}
