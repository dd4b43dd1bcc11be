//! Whether a release could go back right now.

use super::apply::Work;
use super::hold::{Held, Started, holder};
use super::plan::{How, Step, plan};
use super::program::Program;
use super::record;
use belay_driver::{Error, Restorability, Stage};
use belay_model::state::{Goal, State};

impl Work<'_> {
    /// Exactly where helm has kept the revision, or it is built again from our record; not where neither is there, somebody
    /// is at work on the release, or there is no helm to do it.
    pub(crate) async fn restorable(
        &self,
        release: &str,
        now: &State,
        goal: &Goal,
    ) -> Result<Restorability, Error> {
        let digests = self.base.digests;
        let steps = plan(release, self.base.target, now, goal, Stage::BACK, digests);
        let steps = match steps {
            Ok(steps) => steps,
            Err(error) => return Ok(Restorability::No(vec![error.message])),
        };
        if steps.is_empty() {
            return Ok(Restorability::Exact { millis: None });
        }
        let mut objections = Vec::new();
        if let Err(error) = Program::find(self.program).await {
            objections.push(error.to_string());
        }
        let listed = record::revisions(&self.base.writer.cluster, self.home(), release).await?;
        if let Some(newest) = listed.last().filter(|it| it.status.starts_with("pending-")) {
            let mark = self.mark().await?;
            let started = Started::of(mark.as_ref());
            let after = self.settings.abandoned_after_ms;
            if let Held::By(who) = holder((release, self.home()), newest, started.as_ref(), after) {
                objections.push(format!("somebody is at work on {release}: {who}"));
            }
        }
        if !objections.is_empty() {
            return Ok(Restorability::No(objections));
        }
        let mut notes = Vec::new();
        for step in &steps {
            if let How::Upgrade { record } = Step::of(step)?.how {
                notes.push(format!(
                    "helm has forgotten that revision of {release}: it is built again from the chart and the values of record {}",
                    record.short()
                ));
            }
        }
        Ok(match notes.is_empty() {
            true => Restorability::Exact { millis: None },
            false => Restorability::Partial(notes),
        })
    }
}
