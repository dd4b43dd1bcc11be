//! Promotion: a release goes to an environment because it is good in another one. The same number and the same artifact go
//! there; what the environment lays over them is its own.

use crate::{Belay, DeployRequest, Error};
use belay_model::config::{Barrier, Environment};
use belay_model::id::{EnvironmentName, ReleaseNumber, Scope, ServiceName};
use belay_model::promotion::{Promotion, Unproved};
use belay_model::release::{Record, Release};

impl Belay {
    /// Where a release has proved itself, if it has to; or why it has not. `number`: the release's, if it has one.
    pub(crate) async fn promotion(
        &self,
        request: &DeployRequest,
        environment: &Environment,
        release: &Release,
        number: Option<ReleaseNumber>,
    ) -> Result<Result<Option<Promotion>, Error>, Error> {
        let passes = request.hotfix && environment.hotfix.passes.contains(&Barrier::From);
        let Some(from) = environment.from.as_ref().filter(|_| !passes) else {
            return Ok(Ok(None));
        };
        let from = EnvironmentName::new(from);
        let place = |environment: &EnvironmentName| Scope {
            service: ServiceName::new(&request.loaded.config.service),
            environment: environment.clone(),
        };
        let view = self.view(&place(&from)).await?;
        // What was deployed there under another number may be the same there all the same: only a setting differs that the
        // environment has its own value for.
        let there = request.loaded.config.environments.get(from.as_str());
        let settings = there.map(|there| there.config_over(&release.config));
        let is_it = |record: &Record| {
            let is_same = Some(&record.config) == settings.as_ref();
            Some(record.release) == number || is_same && record.artifact == release.artifact
        };
        let standing = environment.from_standing.unwrap_or_default();
        let found = Promotion::of(&from, &view, is_it, standing);
        Ok(found.map(Some).map_err(|why| Error::Unproved {
            scope: place(&EnvironmentName::new(&request.environment)),
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
    let service = &scope.service;
    match (why, release) {
        (Unproved::Quarantined(_), Some(release)) => format!(
            "deploy something else there; or lift it: `belay release lift {release} {service} -e {from} --reason TEXT`"
        ),
        (Unproved::Unbaked, _) => format!("wait for it: `belay status {service} -e {from}`"),
        _ => format!("deploy it there first: `belay deploy {service} -e {from}`"),
    }
}
