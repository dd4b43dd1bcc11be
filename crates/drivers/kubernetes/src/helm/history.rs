//! The revisions that helm has kept.

use super::apply::Work;
use super::look::Known;
use super::record;
use belay_driver::{Error, Revision};

impl Work<'_> {
    /// Those of a release, newest first.
    pub(crate) async fn history(&self, release: &str) -> Result<Vec<Revision>, Error> {
        let listed = record::revisions(&self.base.writer.cluster, self.home(), release).await?;
        let known = self
            .look()
            .revisions(release, &listed, self.contents)
            .await?;
        let newest = known.last().map(|it| it.revision);
        let told = known.iter().rev().map(|it| Revision {
            name: format!("release/{release}/{}", it.revision),
            title: title(it, newest == Some(it.revision)),
            since_us: Some(it.since_us),
        });
        Ok(told.collect())
    }
}

fn title(it: &Known, is_newest: bool) -> String {
    let app = it.app_version.as_str().map(|app| format!(" (app {app})"));
    let newest = if is_newest { ", newest" } else { "" };
    format!(
        "{}{}, {}{newest}: {}",
        it.chart,
        app.unwrap_or_default(),
        it.status,
        it.description
    )
}
