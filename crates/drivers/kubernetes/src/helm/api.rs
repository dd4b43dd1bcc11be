//! What a chart may ask of the cluster that it goes to.

use super::record;
use crate::kubernetes::Kubernetes;
use crate::settings::Settings;
use belay_driver::Error;

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Api {
    /// Version of the cluster, such as `v1.37.1`.
    pub version: String,
    /// What it knows: `apps/v1`, `apps/v1/Deployment`.
    pub kinds: Vec<String>,
    /// Whether a release of that name is there, so that a new one is an upgrade.
    pub has_release: bool,
}

impl Kubernetes {
    /// Asks the cluster.
    ///
    /// # Errors
    /// By class: who we are, what we may, whether the server answers.
    pub async fn api(&self, settings: &Settings) -> Result<Api, Error> {
        let cluster = self.clusters.connect(settings).await?;
        let (version, kinds) = cluster.api_versions().await?;
        let mut has_release = false;
        if let Some(release) = &settings.helm {
            let listed = record::revisions(&cluster, &settings.namespace, release).await?;
            has_release = listed.last().is_some_and(|it| it.status != "uninstalled");
        }
        Ok(Api {
            version,
            kinds,
            has_release,
        })
    }
}
