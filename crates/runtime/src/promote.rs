//! Promotion: a release goes to an environment because it is good in another one. The same number and the same artifact go
//! there; what the environment lays over them is its own.

use crate::{Belay, DeployRequest, Error, Released};
use belay_model::config::{Barrier, Environment};
use belay_model::id::{EnvironmentName, ReleaseNumber, Scope, ServiceName};
use belay_model::promotion::{Promotion, Unproved};
use belay_model::release::{Record, Release};
use std::path::PathBuf;

/// A release that is there already.
pub(crate) struct Promoted {
    pub(crate) release: Release,
    /// Where the files of its artifact are.
    pub(crate) files: PathBuf,
}

impl Belay {
    /// The release that shall go on from an environment. `number`: absent: what serves there.
    pub(crate) async fn promoted(
        &self,
        request: &DeployRequest,
        service: &ServiceName,
        from: &EnvironmentName,
        number: Option<ReleaseNumber>,
    ) -> Result<Promoted, Error> {
        let place = Scope {
            service: service.clone(),
            environment: from.clone(),
        };
        if !request
            .loaded
            .config
            .environments
            .contains_key(from.as_str())
        {
            self.find_scope(Some(service.as_str()), Some(from.as_str()))
                .await?;
        }
        let number = match number {
            Some(number) => number,
            None => {
                let view = self.view(&place).await?;
                let serving = view.serving().map(|known| known.record.release);
                serving.ok_or(Error::NothingServes { scope: place })?
            }
        };
        let mut releases = self.store().releases(service).await?;
        let Some(at) = releases.iter().position(|one| one.number == number) else {
            let known = releases.iter().map(|one| one.number.to_string());
            return Err(Error::NotFound {
                what: format!("release {number} of {service}"),
                known: known.collect(),
                nearest: None,
            });
        };
        let release = releases.swap_remove(at);
        let files = self.artifacts().directory(&release.artifact).await;
        let files = files.map_err(|error| Error::ArtifactLost {
            release: number,
            why: crate::artifacts::chain(&error),
        })?;
        Ok(Promoted { release, files })
    }

    /// Where a release has proved itself, if it has to; or why it has not. `number`: the release's, if it has one.
    pub(crate) async fn promotion(
        &self,
        request: &DeployRequest,
        environment: &Environment,
        release: &Release,
        number: Option<ReleaseNumber>,
    ) -> Result<Result<Option<Promotion>, Error>, Error> {
        let passes = request.hotfix && environment.hotfix.passes.contains(&Barrier::From);
        let policy = environment.from.as_ref().filter(|_| !passes);
        let policy = policy.map(EnvironmentName::new);
        let to = Scope {
            service: ServiceName::new(&request.loaded.config.service),
            environment: EnvironmentName::new(&request.environment),
        };
        let from = match (&request.released, &policy) {
            (Released::Promoted { from, .. }, Some(policy)) if from != policy => {
                return Ok(Err(Error::ComesFrom {
                    scope: to,
                    from: policy.clone(),
                    asked: from.clone(),
                }));
            }
            (Released::Promoted { from, .. }, _) | (Released::New { .. }, Some(from)) => {
                from.clone()
            }
            (Released::New { .. }, None) => return Ok(Ok(None)),
        };
        let place = Scope {
            service: to.service.clone(),
            environment: from.clone(),
        };
        let view = self.view(&place).await?;
        // What was deployed there under another number may be the same there all the same: only a setting differs that the
        // environment has its own value for.
        let there = request.loaded.config.environments.get(from.as_str());
        let settings = there.map(|there| there.config_over(&release.config));
        let is_it = |record: &Record| {
            let is_same = Some(&record.config) == settings.as_ref();
            Some(record.release) == number || is_same && record.artifact == release.artifact
        };
        let standing = environment.from_standing.filter(|_| policy.is_some());
        let standing = standing.unwrap_or_default();
        let found = Promotion::of(&from, &view, is_it, standing);
        Ok(found.map(Some).map_err(|why| Error::Unproved {
            scope: to,
            release: number,
            from,
            why,
        }))
    }
}

/// How a release is called that may have no number yet.
pub(crate) fn numbered(release: Option<ReleaseNumber>) -> String {
    release.map_or_else(
        || "a new release".to_owned(),
        |release| format!("release {release}"),
    )
}

/// Why it may not go on from there.
pub(crate) fn unproved(from: &EnvironmentName, why: &Unproved) -> String {
    match why {
        Unproved::Unknown => format!("it was never in {from}"),
        Unproved::Unverified(None) => format!("it is not verified in {from}"),
        Unproved::Unverified(Some(why)) => format!("it is not verified in {from} ({why})"),
        Unproved::Unbaked => format!("it has not baked in {from} yet"),
        Unproved::Quarantined(why) => format!("it is quarantined in {from} ({why})"),
    }
}

/// What makes a release good where it is not.
pub(crate) fn prove(
    scope: &Scope,
    release: Option<ReleaseNumber>,
    from: &EnvironmentName,
    why: &Unproved,
) -> String {
    let (service, to) = (&scope.service, &scope.environment);
    let promote = format!("belay promote {from} {to}");
    match (why, release) {
        (Unproved::Quarantined(_), Some(release)) => format!(
            "deploy something else there; or lift it: `belay release lift {release} {service} -e {from} --reason TEXT`"
        ),
        (Unproved::Unbaked, _) => {
            format!("wait for it (`belay status {service} -e {from}`), then: `{promote}`")
        }
        _ => format!(
            "deploy it there first: `belay deploy {service} -e {from}`; when it is good there: `{promote}`"
        ),
    }
}
