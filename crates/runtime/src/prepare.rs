//! From a request to what a deployment starts from: release, record, inputs (I7). After this nothing of the
//! configuration is read again.

use crate::promote::Promoted;
use crate::secrets::{self, Found};
use crate::{Belay, DeployRequest, Error, Images, Released, kubernetes, phases};
use belay_model::back::Back;
use belay_model::config::{
    self, Barrier, Config, Environment, Inconclusive, Place, Queue, ReleaseKind,
};
use belay_model::event::{Inputs, Kind};
use belay_model::id::{BlobId, EnvironmentName, ReleaseNumber, Scope, ServiceName};
use belay_model::release::{Record, Release, SecretUse, Target};
use belay_model::takeover::Hotfix;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a request comes to.
pub(crate) struct Prepared {
    pub(crate) record: Record,
    pub(crate) inputs: Inputs,
    /// What becomes of those that wait for their turn.
    pub(crate) queue: Queue,
    /// Its release has a number already.
    pub(crate) is_known: bool,
    /// Why it may not go there from where releases come from.
    pub(crate) unproved: Option<Error>,
}

impl Belay {
    /// Checks the request and puts everything together. With `keep` the release gets its number and the secrets are
    /// sealed; without, only the artifact is taken in: its digest is that of the copy, and what is not good where it
    /// comes from is only said to be so.
    pub(crate) async fn prepare(
        &self,
        request: &DeployRequest,
        keep: bool,
    ) -> Result<Prepared, Error> {
        let environment = environment(request)?;
        let scope = Scope {
            service: ServiceName::new(&request.loaded.config.service),
            environment: EnvironmentName::new(&request.environment),
        };
        let promoted = match &request.released {
            Released::Promoted { from, release } => Some(
                self.promoted(request, &scope.service, from, *release)
                    .await?,
            ),
            Released::New { .. } => None,
        };
        check(request, promoted.as_ref())?;
        let base = base(request)?;
        let found = secrets::resolve(request, environment, &base)?;
        if !found.is_empty() {
            // Without the key nothing shall be changed.
            self.blobs().await?;
        }
        let known = self.store().releases(&scope.service).await?;
        let (candidate, number) = match promoted {
            Some(Promoted { release, .. }) => (release.clone(), Some(release.number)),
            None => {
                let made = self.make(request, &base, &scope.service).await?;
                let is_same = |known: &&Release| {
                    known.artifact == made.artifact && known.config == made.config
                };
                let number = known.iter().find(is_same).map(|release| release.number);
                (made, number)
            }
        };
        let promotion = self.promotion(request, environment, &candidate, number);
        let (promotion, unproved) = match promotion.await? {
            Ok(promotion) => (promotion, None),
            Err(unproved) if keep => return Err(unproved),
            Err(unproved) => (None, Some(unproved)),
        };
        let (artifact, config) = (
            candidate.artifact.clone(),
            environment.config_over(&candidate.config),
        );
        let release = if keep {
            self.store().release(candidate).await?.number
        } else {
            let last = known.iter().map(|release| release.number.0).max();
            number.unwrap_or(ReleaseNumber(last.unwrap_or(0) + 1))
        };
        let clear = kubernetes::clear(&found);
        let (secrets, sealed) = self.seal(found, keep).await?;
        let mut record = Record {
            format: 1,
            scope: scope.clone(),
            release,
            artifact,
            config,
            secrets,
            sealed,
            targets: targets(&scope, environment, &self.host_for(&scope).await?),
        };
        self.lay_out(&mut record, request, environment, &base, &clear)
            .await?;
        let inputs = Inputs {
            promotion,
            ..inputs(request, environment, &record, self.actor())
        };
        Ok(Prepared {
            record,
            inputs,
            queue: environment.queue,
            is_known: number.is_some(),
            unproved,
        })
    }

    /// The release that the configuration makes now; it has no number yet. The artifact is taken in.
    async fn make(
        &self,
        request: &DeployRequest,
        base: &Path,
        service: &ServiceName,
    ) -> Result<Release, Error> {
        let Released::New {
            artifact,
            images,
            commit,
        } = &request.released
        else {
            unreachable!("what is promoted is there already");
        };
        let config = &request.loaded.config;
        let source = source(config, artifact.as_deref(), base)?;
        let written = Images {
            only: config.release.image.clone(),
            named: config.release.images.clone(),
        };
        let artifact = match config.release.kind() {
            Ok(ReleaseKind::Manifests(_)) => {
                self.add_manifests(&source, &[&written, images]).await?
            }
            Ok(ReleaseKind::Running) => self.add_images(&[&written, images]).await?,
            Ok(ReleaseKind::Chart(_) | ReleaseKind::RemoteChart(..)) => {
                self.add_chart(&config.release, base, &[&written, images])
                    .await?
            }
            _ => {
                let artifact = self.artifacts().add(&source).await;
                artifact.map_err(|error| Error::Artifact {
                    path: source.clone(),
                    why: crate::artifacts::chain(&error),
                })?
            }
        };
        Ok(Release {
            format: 1,
            service: service.clone(),
            number: ReleaseNumber(0),
            artifact,
            source: source.display().to_string(),
            config: config.config.clone(),
            created_at_ms: self.now_us() / 1000,
            commit: commit.clone(),
        })
    }

    async fn seal(
        &self,
        found: BTreeMap<String, Found>,
        keep: bool,
    ) -> Result<(BTreeMap<String, SecretUse>, Option<BlobId>), Error> {
        if found.is_empty() {
            return Ok((BTreeMap::new(), None));
        }
        let blobs = self.blobs().await?;
        let used = found.iter().map(|(name, found)| {
            let used = SecretUse {
                source: found.source.clone(),
                digest: blobs.keyed_digest(&found.value),
            };
            (name.clone(), used)
        });
        let used = used.collect();
        if !keep {
            return Ok((used, None));
        }
        let values: BTreeMap<String, String> = found
            .into_iter()
            .map(|(name, found)| (name, found.value))
            .collect();
        let blob = blobs.seal(&values, self.now_us()).await;
        Ok((used, Some(blob.map_err(Error::Key)?)))
    }
}

fn inputs(
    request: &DeployRequest,
    environment: &Environment,
    record: &Record,
    actor: &str,
) -> Inputs {
    let by_default = if request.interactive {
        Inconclusive::Ask
    } else {
        Inconclusive::RollBack
    };
    let checks = request.loaded.config.checks_in(environment);
    let hotfix = Some(&environment.hotfix).filter(|_| request.hotfix);
    let strategy = hotfix.and_then(|hotfix| hotfix.strategy.clone());
    let bake = hotfix.and_then(|hotfix| hotfix.bake);
    Inputs {
        kind: Kind::Deploy,
        scope: record.scope.clone(),
        record: Some(record.clone()),
        goal: None,
        parallel: environment.parallel,
        strategy: strategy.unwrap_or_else(|| environment.strategy()),
        phases: phases::phases(&record.scope, environment),
        back_order: environment.rollback,
        approve: environment.approve.as_ref().map(phases::approval),
        on_failure: phases::rules(&environment.on_failure),
        checks: checks.cloned().collect(),
        bake_ms: bake.unwrap_or(environment.keep.bake).as_ms(),
        warm_ms: environment.keep.warm().as_ms(),
        keep_good: environment.keep.good,
        inconclusive: environment.inconclusive.unwrap_or(by_default),
        on_first_failure: environment.on_first_failure,
        hotfix: request.hotfix.then(|| Hotfix {
            passes_freeze: environment.hotfix.passes.contains(&Barrier::Freeze),
        }),
        promotion: None,
        actor: actor.to_owned(),
        reason: request.reason.clone(),
        back: Back::default(),
    }
}

pub(crate) fn environment(request: &DeployRequest) -> Result<&Environment, Error> {
    let known = &request.loaded.config.environments;
    known
        .get(&request.environment)
        .ok_or_else(|| Error::NoEnvironment {
            name: request.environment.clone(),
            file: request.loaded.path.clone(),
            known: known.keys().cloned().collect(),
            nearest: crate::scope::nearest(&request.environment, known.keys()),
        })
}

/// The rules of the configuration. Where another artifact is given, the configuration's need not be there.
fn check(request: &DeployRequest, promoted: Option<&Promoted>) -> Result<(), Error> {
    fits(request)?;
    let files = promoted.map(|promoted| promoted.files.as_path());
    let mut found = request.loaded.check_with(Some(&request.environment), files);
    if matches!(
        &request.released,
        Released::New {
            artifact: Some(_),
            ..
        }
    ) {
        found.retain(|complaint| complaint.path != "release.artifact");
    }
    if found.is_empty() {
        Ok(())
    } else {
        Err(Error::Configuration(found))
    }
}

/// What is given instead of the configuration's has to be of its kind.
fn fits(request: &DeployRequest) -> Result<(), Error> {
    let Released::New {
        artifact, images, ..
    } = &request.released
    else {
        return Ok(());
    };
    match request.loaded.config.release.kind() {
        Ok(ReleaseKind::Artifact(_)) if *images != Images::default() => Err(Error::OtherSource {
            given: "--image",
            kind: "an artifact",
            instead: "--artifact",
        }),
        Ok(ReleaseKind::Manifests(_)) if artifact.is_some() => Err(Error::OtherSource {
            given: "--artifact",
            kind: "manifests",
            instead: "--image",
        }),
        Ok(ReleaseKind::Running) if artifact.is_some() => Err(Error::OtherSource {
            given: "--artifact",
            kind: "images of what is running",
            instead: "--image",
        }),
        Ok(ReleaseKind::Chart(_) | ReleaseKind::RemoteChart(..)) if artifact.is_some() => {
            Err(Error::OtherSource {
                given: "--artifact",
                kind: "a chart",
                instead: "--image",
            })
        }
        _ => Ok(()),
    }
}

/// What paths in the configuration are relative to.
fn base(request: &DeployRequest) -> Result<PathBuf, Error> {
    absolute(request.loaded.path.parent().unwrap_or(Path::new("")))
}

/// Where what is released lies.
fn source(config: &Config, named: Option<&Path>, base: &Path) -> Result<PathBuf, Error> {
    match (named, config.release.kind()) {
        (Some(path), _) => absolute(path),
        (None, Ok(ReleaseKind::RemoteChart(name, version))) => {
            Ok(format!("{name}:{version}").into())
        }
        (None, Ok(ReleaseKind::Running)) => Ok("what is running".into()),
        (
            None,
            Ok(
                ReleaseKind::Artifact(path)
                | ReleaseKind::Manifests(path)
                | ReleaseKind::Chart(path),
            ),
        ) => {
            // Through its components, which leaves out a `.` in the middle.
            Ok(base.join(path).components().collect())
        }
        (None, Err(_)) => unreachable!("refused with the configuration"),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    // An empty path is the working directory, which `absolute` refuses to say.
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    std::path::absolute(path).map_err(|source| Error::Io {
        what: format!("find {}", path.display()),
        source,
    })
}

/// The targets with their defaults filled in, so that a later default does not change what a record is; those on Kubernetes as
/// they are written: see [`Belay::lay_out`].
pub(crate) fn targets(scope: &Scope, environment: &Environment, host: &str) -> Vec<Target> {
    let target = |place: Place<'_>| {
        let (driver, host, settings) = match place.target {
            config::Target::Process(process) => {
                let mut process = process.clone();
                process.ready = process.ready();
                let settings = serde_json::to_value(process);
                let settings = settings.expect("a target's settings are plain data");
                ("process", Some(host.to_owned()), settings)
            }
            config::Target::Helm(target) => {
                let settings = kubernetes::written_release(target, scope.service.as_str());
                ("kubernetes", None, settings)
            }
            config::Target::Kubernetes(target) => {
                let is_side_by_side = environment.is_side_by_side(place.name, false);
                let settings = kubernetes::written(target, is_side_by_side);
                ("kubernetes", None, settings)
            }
        };
        Target {
            driver: driver.to_owned(),
            name: target_name(scope, place.name),
            host,
            settings,
        }
    };
    environment.places().map(target).collect()
}

/// What the engine calls a target: `shop/production`, and where there are several `shop/production/eu`.
pub(crate) fn target_name(scope: &Scope, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{scope}/{name}"),
        None => scope.to_string(),
    }
}
