//! What Belay has to be allowed on a cluster for what is configured, recorded or named by a URI; and whether it is.

use super::charts::{CHART, gather};
use super::cluster::{Cluster, cluster};
use super::helm::fill;
use super::manifests::collect;
use super::targets::written;
use super::{Error, written_release};
use crate::Belay;
use crate::config::Loaded;
use crate::targets::looking;
use crate::uri::Uri;
use belay_driver_kubernetes::helm::{Chart, Program, Rendering};
use belay_driver_kubernetes::permissions::{
    Asked, AskedFrom, Checked, Purpose, Rights, Subject, guessed, role,
};
use belay_driver_kubernetes::render::{self, Images, Overlay};
use belay_driver_kubernetes::{Gitops, Kubernetes, Layout, Settings};
use belay_model::config::{
    self, Check, Environment, HelmTarget, KubernetesTarget, ReleaseKind, Strategy,
};
use belay_model::id::Scope;
use belay_model::release::{Record, Target};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// A target on Kubernetes, and the rights that it takes.
#[derive(Clone, Debug)]
pub struct Takes {
    /// What for, in words.
    pub title: String,
    /// What the Role is called.
    name: String,
    settings: Settings,
    /// Them.
    pub rights: Rights,
}

impl Takes {
    /// Where the target lives.
    pub fn namespace(&self) -> &str {
        &self.settings.namespace
    }

    /// A Role that grants just them, bound to somebody; to an account `belay` of the namespace that is made with it unless
    /// another is named.
    pub fn role(&self, subject: Option<&Subject>) -> String {
        let own = Subject::Account {
            namespace: self.settings.namespace.clone(),
            name: "belay".to_owned(),
            made: true,
        };
        role(
            &self.rights,
            subject.unwrap_or(&own),
            &self.name,
            &self.title,
        )
    }

    /// Whether whoever asks has them.
    ///
    /// # Errors
    /// The cluster did not say.
    pub async fn check(&self) -> Result<Checked, crate::Error> {
        let (driver, cx) = (stranger(), looking());
        let asked = driver.check(&cx, &self.settings, &self.rights).await;
        Ok(asked.map_err(|error| Error::Unasked(error.message))?)
    }
}

/// It only looks: whose it is plays no part.
fn stranger() -> Kubernetes {
    Kubernetes::new(&[0; 32], "")
}

/// What the targets of an environment take, as they are configured now. `env`: the variables of whoever asks.
///
/// # Errors
/// There is none on Kubernetes, or what is released cannot be read.
pub async fn takes(
    loaded: &Loaded,
    environment: &str,
    env: &BTreeMap<String, String>,
) -> Result<Vec<Takes>, crate::Error> {
    let known = &loaded.config.environments;
    let own = known
        .get(environment)
        .ok_or_else(|| crate::Error::NoEnvironment {
            name: environment.to_owned(),
            file: loaded.path.clone(),
            known: known.keys().cloned().collect(),
            nearest: crate::scope::nearest(environment, known.keys()),
        })?;
    let base = std::path::absolute(loaded.path.parent().unwrap_or(Path::new("")));
    let base = base.map_err(|source| crate::Error::Io {
        what: format!("find {}", loaded.path.display()),
        source,
    })?;
    let from = Configured {
        loaded,
        environment: own,
        base: &base,
        env,
    };
    let mut all = Vec::new();
    for place in own.places() {
        let settings = match place.target {
            config::Target::Kubernetes(target) => from.manifests(target, place.name).await?,
            config::Target::Helm(target) => from.chart(target).await?,
            config::Target::Process(_) => continue,
        };
        let checks: Vec<&Check> = loaded.config.checks_in(own).collect();
        let service = &loaded.config.service;
        let place = place.name.map_or_else(String::new, |it| format!("-{it}"));
        all.push(
            of(
                format!("{service} in {environment}"),
                &format!("{service}-{environment}{place}"),
                settings,
                &checks,
            )
            .await,
        );
    }
    match all.is_empty() {
        true => Err(Error::NotOnKubernetes(environment.to_owned()).into()),
        false => Ok(all),
    }
}

async fn of(title: String, name: &str, settings: Settings, checks: &[&Check]) -> Takes {
    let purpose = Purpose::Deploy(asked(&settings, checks.iter().copied()));
    let rights = stranger().rights(&settings, purpose).await;
    Takes {
        title,
        name: called(name),
        settings,
        rights,
    }
}

/// What checks ask of a target.
pub(super) fn asked<'a>(settings: &Settings, checks: impl Iterator<Item = &'a Check>) -> Asked {
    let from = match settings.context.is_some() || settings.kubeconfig.is_some() {
        true => AskedFrom::Outside,
        false => AskedFrom::Inside,
    };
    checks.fold(Asked::default(), |mut asked, check| {
        match &check.through {
            Some(entrance) => drop(asked.through.insert(entrance.kind)),
            None => asked.pods = Some(from),
        }
        asked
    })
}

/// As the cluster takes names.
fn called(name: &str) -> String {
    let allowed = |it: char| match it.to_ascii_lowercase() {
        it if it.is_ascii_lowercase() || it.is_ascii_digit() => it,
        _ => '-',
    };
    let name: String = name.chars().map(allowed).collect();
    format!("belay-{}", name.trim_matches('-'))
}

/// What it takes to look at what a URI names.
///
/// # Errors
/// It is not clear which cluster is meant.
pub async fn takes_of_look(
    uri: &Uri,
    env: &BTreeMap<String, String>,
) -> Result<Takes, crate::Error> {
    let settings = uri.settings(env)?;
    let driver = stranger();
    let mut rights = driver.rights(&settings, Purpose::History).await;
    if settings.helm.is_none() {
        for purpose in [Purpose::Adopt, Purpose::Bundle] {
            rights.add(driver.rights(&settings, purpose).await);
        }
    }
    Ok(Takes {
        title: uri.to_string(),
        name: called(&format!("{}-look", uri.scope().service)),
        settings,
        rights,
    })
}

/// What it takes to look at what a URI names, and to go back.
///
/// # Errors
/// It is not clear which cluster is meant; what was released is not known.
pub async fn takes_of_back(
    uri: &Uri,
    gitops: Option<Gitops>,
    env: &BTreeMap<String, String>,
) -> Result<Takes, crate::Error> {
    let mut takes = takes_of_look(uri, env).await?;
    takes.name = called(&uri.scope().service.to_string());
    takes.settings.gitops = gitops;
    let driver = stranger();
    let mut settings = revisions(&driver, &takes.settings).await?;
    settings.insert(0, takes.settings.clone());
    for settings in settings {
        let own = driver.rights(&settings, Purpose::Rollback).await;
        takes.rights.add(own);
    }
    Ok(takes)
}

/// What a Helm release has come to in the revisions that are kept: their kinds stand nowhere else.
async fn revisions(driver: &Kubernetes, settings: &Settings) -> Result<Vec<Settings>, Error> {
    let unread = |error: belay_driver::Error| Error::Unasked(error.message);
    let past = driver.release_past(&looking(), settings).await;
    let Some(past) = past.map_err(unread)? else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for number in past.revisions.iter().filter_map(|it| it.revision.number) {
        let found = driver.release_at(&looking(), settings, number).await;
        all.extend(found.map_err(unread)?);
    }
    Ok(all)
}

/// What a strategy takes in a namespace, for Deployments with the objects that nearly all releases have.
pub fn takes_of_strategy(namespace: &str, strategy: &Strategy) -> Takes {
    let object =
        |(api_version, kind): (&str, &str)| json!({ "apiVersion": api_version, "kind": kind });
    let usual = [
        ("apps/v1", "Deployment"),
        ("v1", "Service"),
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
    ];
    let settings = Settings {
        namespace: namespace.to_owned(),
        objects: usual.map(object).to_vec(),
        layout: layout(strategy.is_side_by_side()),
        ..Settings::default()
    };
    let word = match strategy {
        Strategy::Basic => "basic",
        Strategy::Rolling => "rolling",
        Strategy::BlueGreen => "blue_green",
        Strategy::Canary(_) => "canary",
    };
    Takes {
        title: format!(
            "releases of Deployments, Services, ConfigMaps and Secrets in {namespace}, strategy {word}"
        ),
        name: called(word),
        rights: guessed(
            &settings,
            Purpose::Deploy(Asked {
                pods: Some(AskedFrom::Outside),
                ..Asked::default()
            }),
        ),
        settings,
    }
}

fn layout(is_side_by_side: bool) -> Layout {
    match is_side_by_side {
        true => Layout::SideBySide,
        false => Layout::InPlace,
    }
}

/// An environment as it is written.
struct Configured<'a> {
    loaded: &'a Loaded,
    environment: &'a Environment,
    base: &'a Path,
    env: &'a BTreeMap<String, String>,
}

impl Configured<'_> {
    /// Which cluster is meant. Where that is not known here, somebody may still want to know what it takes.
    fn cluster(&self, context: Option<&str>, kubeconfig: Option<&Path>) -> Cluster {
        let found = cluster(context, kubeconfig, self.base, self.env);
        found.unwrap_or_else(|_| Cluster {
            kubeconfig: kubeconfig.map(|it| self.base.join(it)),
            context: context.map(str::to_owned),
        })
    }

    /// Names of secrets; what they are plays no part.
    fn secrets(&self) -> BTreeMap<String, String> {
        let named = self.loaded.config.secrets_in(self.environment);
        let nothing = |name| (name, "0".repeat(64));
        named.into_keys().map(nothing).collect()
    }

    async fn manifests(
        &self,
        target: &KubernetesTarget,
        name: Option<&str>,
    ) -> Result<Settings, crate::Error> {
        let read = match self.loaded.config.release.kind() {
            Ok(ReleaseKind::Manifests(path)) => {
                let found = collect(&self.base.join(path)).await?;
                render::read(&found).map_err(Error::Rendered)?
            }
            // What they are called tells what it takes.
            Ok(ReleaseKind::Running) => {
                let named = target.workloads.iter().map(|it| render::named(it.as_str()));
                named.flatten().collect()
            }
            _ => return Err(Error::NoManifests.into()),
        };
        let overlay = Overlay {
            service: self.loaded.config.service.clone(),
            namespace: target.namespace.clone(),
            workloads: target.workloads.iter().map(ToString::to_string).collect(),
            config: self.loaded.config.config_in(self.environment),
            secrets: self.secrets(),
        };
        let laid = render::lay_out(&read, &overlay, usize::MAX).map_err(Error::Rendered)?;
        let cluster = self.cluster(target.context.as_deref(), target.kubeconfig.as_deref());
        let is_side_by_side = self.environment.is_side_by_side(name, false);
        let of_hotfix = self.environment.is_side_by_side(name, true);
        let said = written(target, is_side_by_side || of_hotfix);
        let settings = Settings::deserialize(&said).unwrap_or_default();
        Ok(Settings {
            kubeconfig: cluster.kubeconfig,
            context: cluster.context,
            objects: laid.objects,
            ..settings
        })
    }

    async fn chart(&self, target: &HelmTarget) -> Result<Settings, crate::Error> {
        let release = &self.loaded.config.release;
        if !matches!(
            release.kind(),
            Ok(ReleaseKind::Chart(_) | ReleaseKind::RemoteChart(..))
        ) {
            return Err(Error::NoChart.into());
        }
        let failed = |source| crate::Error::Io {
            what: "make a folder for the chart".to_owned(),
            source,
        };
        let dir = tempfile::tempdir().map_err(failed)?;
        let images = Images {
            only: release.image.clone(),
            named: release.images.clone(),
        };
        let values = gather(release, self.base, &[&images], dir.path()).await?;
        let config = self.loaded.config.config_in(self.environment);
        let filled = fill(
            values,
            target,
            self.base,
            &release.values_from,
            (&config, &self.secrets()),
        )?;
        let cluster = self.cluster(target.context.as_deref(), target.kubeconfig.as_deref());
        let said = written_release(target, &self.loaded.config.service);
        let mut settings = Settings::deserialize(&said).unwrap_or_default();
        settings.kubeconfig = cluster.kubeconfig;
        settings.context = cluster.context;
        let program = Program::find(None).await.map_err(Error::Helm)?;
        // A chart may ask for versions; who cannot say them gets what it is by default.
        let api = stranger().api(&settings).await.unwrap_or_default();
        let rendering = Rendering {
            program: &program,
            chart: &dir.path().join(CHART),
            release: settings.helm.as_deref().unwrap_or_default(),
            namespace: &target.namespace,
            values: &filled.all,
            is_upgrade: api.has_release,
            kube_version: &api.version,
            api_versions: &api.kinds,
        };
        let rendered = rendering.render().await.map_err(|error| Error::Chart {
            what: error.to_string(),
            next: "see what `helm template` says of it with the same values".to_owned(),
        })?;
        settings.objects = rendered.objects;
        settings.chart = Some(Chart {
            hooks: Chart::kinds_of(&rendered.hooks),
            ..Chart::default()
        });
        Ok(settings)
    }
}

impl Belay {
    /// What the releases that a place has had take beside what is configured now: objects of theirs may be there still, and a way
    /// back may need them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn takes_of_past(
        &self,
        scope: &Scope,
        takes: &mut Takes,
    ) -> Result<(), crate::Error> {
        let view = self.view(scope).await?;
        for known in view.records.values() {
            for target in on_kubernetes(&known.record) {
                let Ok(settings) = Settings::deserialize(&target.settings) else {
                    continue;
                };
                if settings.namespace == takes.settings.namespace {
                    let purpose = Purpose::Deploy(Asked::default());
                    takes
                        .rights
                        .add(stranger().rights(&settings, purpose).await);
                }
            }
        }
        Ok(())
    }
}

pub(super) fn on_kubernetes(record: &Record) -> impl Iterator<Item = &Target> {
    record.targets.iter().filter(|it| it.driver == "kubernetes")
}
