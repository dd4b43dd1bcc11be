//! The revisions that helm has kept.

use super::look::{Contents, Known};
use super::record;
use crate::look::Look;
use belay_driver::{Availability, Error, Revision};

/// Those of a release, newest first.
pub(crate) async fn history(
    look: &Look<'_>,
    release: &str,
    contents: &Contents,
) -> Result<Vec<Revision>, Error> {
    let listed = record::revisions(look.cluster, look.home, release).await?;
    let known = look.revisions(release, &listed, contents).await?;
    let mut deployed = known.iter().rev().filter(|it| it.status == "deployed");
    let current = deployed.next().or(known.last()).map(|it| it.revision);
    let told = known
        .iter()
        .rev()
        .map(|it| tell(release, it, current == Some(it.revision)));
    Ok(told.collect())
}

pub(super) fn tell(release: &str, it: &Known, is_current: bool) -> Revision {
    let app = it.app_version.as_str().map(|app| format!(" (app {app})"));
    let title = format!("{}{}, {}", it.chart, app.unwrap_or_default(), it.status);
    let availability = match it.status.as_str() {
        status if record::was_deployed(status) => Availability::Yes(format!(
            "helm says {status}; whether it looked at pods it does not keep"
        )),
        "failed" => Availability::No(format!("helm says failed: {}", it.description)),
        status => Availability::Unknown(format!("helm says {status}")),
    };
    Revision {
        name: format!("release/{release}/{}", it.revision),
        title,
        number: Some(it.revision.into()),
        since_us: Some(it.since_us),
        images: it.images.clone(),
        cause: Some(it.description.clone()).filter(|it| !it.is_empty()),
        is_current,
        availability,
    }
}
