//! Steps on a release, begun. Helm is started behind a gate, noted on our mark, and let through: whoever takes over finds it,
//! and one that a worker who was replaced has started never begins.

use super::hold::{self, Held, Started, holder};
use super::look::Contents;
use super::past;
use super::plan::{How, Step, resource_key};
use super::process::{Process, Processes};
use super::program::Program;
use super::record;
use crate::apply::theirs;
use crate::cluster::Name;
use crate::look::Look;
use crate::mark::{Mark, Note};
use crate::settings::Settings;
use crate::{compare, kinds, object, takeover};
use belay_driver::{Applied, Artifacts, Context, Error};
use belay_model::error::Class;
use belay_model::state::{Resource, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How to ask what became of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Handle {
    /// The helm that is at work; absent: all was as it should be, and is only followed.
    pub(super) process: Option<Process>,
    /// The newest revision before it.
    pub(super) base: u32,
    /// Numbers of pods that somebody has set, by workload: helm sets what the chart says.
    pub(super) scaled: BTreeMap<String, i64>,
}

/// One call of the driver that may change a release.
pub(crate) struct Work<'a> {
    pub(crate) base: crate::apply::Work<'a>,
    pub(crate) settings: &'a Settings,
    pub(crate) contents: &'a Contents,
    pub(crate) processes: &'a Processes,
    /// The program, where it is not the one on the `PATH`.
    pub(crate) program: Option<&'a Path>,
    /// Where charts are; without it nothing can be installed.
    pub(crate) artifacts: Option<&'a dyn Artifacts>,
}

impl Work<'_> {
    pub(super) fn cx(&self) -> &Context {
        self.base.cx
    }

    pub(super) fn home(&self) -> &str {
        self.base.home
    }

    pub(super) fn look(&self) -> Look<'_> {
        Look {
            cluster: &self.base.writer.cluster,
            home: self.base.home,
            digests: self.base.digests,
        }
    }

    pub(super) async fn observe(&self, release: &str) -> Result<State, Error> {
        let resources = self.look().release(release, self.contents).await?;
        Ok(crate::kubernetes::state(resources))
    }

    pub(crate) async fn apply(&self, step: &Step, seen: &State) -> Result<Applied, Error> {
        let named = [past::named(&step.release)];
        self.base
            .marker()
            .write(self.cx(), Note::Made(&named))
            .await?;
        let now = self.observe(&step.release).await?;
        let is_there = self.is_as_seen(step, seen, &now)?;
        let key = resource_key(&step.release);
        let there = now.resources.get(&key);
        let base = there.and_then(|it| it.facts["revision"].as_u64());
        let mut handle = Handle {
            process: None,
            base: base.and_then(|it| u32::try_from(it).ok()).unwrap_or(0),
            scaled: scaled(&now),
        };
        if is_there || matches!(step.how, How::PutRight) {
            return accepted(&handle);
        }
        if !step.overwrites {
            self.takes_from_nobody(step).await?;
        }
        self.free(&step.release).await?;
        let program = Program::find(self.program).await;
        let program =
            program.map_err(|error| Error::not_applied(Class::Application, error.to_string()))?;
        let (arguments, values) = self.command(step, &program, there).await?;
        handle.process = Some(
            self.start(&program, arguments, &values, handle.base)
                .await?,
        );
        accepted(&handle)
    }

    /// Refuses where somebody was there since. Answers whether all is as the step wants it, but for how far it is rolled out.
    fn is_as_seen(&self, step: &Step, seen: &State, now: &State) -> Result<bool, Error> {
        let wanted = step.wanted();
        let keys = |states: [&State; 2]| -> BTreeSet<String> {
            let all = states.into_iter().flat_map(|it| &it.resources);
            let own = all.filter(|(_, it)| it.facts["belongs"] == true);
            own.map(|(key, _)| key.clone()).collect()
        };
        let differ = |one: &State, other: &State| -> Vec<String> {
            let of = |key: &String| match (one.resources.get(key), other.resources.get(key)) {
                (Some(one), Some(other)) => {
                    let fields = compare::musts(key, one, other).into_iter();
                    let line = |(path, (was, is))| format!("{key}: {path}: {was} -> {is}");
                    fields.map(line).collect()
                }
                (None, None) => Vec::new(),
                (Some(_), None) => vec![format!("{key}: there -> gone")],
                (None, Some(_)) => vec![format!("{key}: absent -> there")],
            };
            keys([one, other]).iter().flat_map(of).collect()
        };
        if differ(&wanted, now).is_empty() {
            return Ok(true);
        }
        let changed = differ(seen, now);
        if changed.is_empty() {
            return Ok(false);
        }
        let newest = now.resources.get(&resource_key(&step.release));
        let who = newest.map(last).unwrap_or_default();
        let message = format!(
            "change {}: someone else was there since it was looked at{who}",
            step.release
        );
        Err(Error::not_applied(Class::Conflict, message).with_detail(changed))
    }

    /// Refuses where others have put something into an object that the release does not have.
    async fn takes_from_nobody(&self, step: &Step) -> Result<(), Error> {
        for (key, wanted) in &step.objects {
            let wanted = wanted.resource();
            let named = object::made(&wanted);
            if key.starts_with("release/") {
                continue;
            }
            let Some(live) = self
                .base
                .writer
                .cluster
                .get(Name::of(&named, self.home()))
                .await?
            else {
                continue;
            };
            let is_helm = |entry: &Value| entry["manager"] == "helm";
            let now = self.base.resource(&live).await?;
            let foreign = takeover::foreign(key, &wanted, &live, &now, self.base.digests, is_helm);
            if !foreign.is_empty() {
                return Err(theirs(key, foreign));
            }
        }
        Ok(())
    }

    /// Frees a release that is pending and that nobody is at work on.
    pub(super) async fn free(&self, release: &str) -> Result<(), Error> {
        let listed = record::revisions(&self.base.writer.cluster, self.home(), release).await?;
        let Some(newest) = listed.last().filter(|it| it.status.starts_with("pending-")) else {
            return Ok(());
        };
        let mark = self.mark().await?;
        let started = Started::of(mark.as_ref());
        match holder(
            (release, self.home()),
            newest,
            started.as_ref(),
            self.settings.abandoned_after_ms,
        ) {
            Held::ByNobody(_) => {
                hold::free(&self.base.writer, self.cx(), self.home(), release, newest).await
            }
            Held::By(who) => {
                let message = format!("change {release}: somebody is at work on it: {who}");
                Err(Error::not_applied(Class::Conflict, message))
            }
        }
    }

    pub(super) async fn mark(&self) -> Result<Option<Mark>, Error> {
        Mark::read(&self.base.writer.cluster, self.home(), self.base.target).await
    }
}

/// What was done last, and when.
fn last(release: &Resource) -> String {
    let text = |name: &str| release.facts[name].as_str().unwrap_or("?").to_owned();
    format!(
        "; its newest revision is {}, of {}: {}",
        release.facts["revision"],
        text("last_deployed"),
        text("description")
    )
}

/// Numbers of pods that were set apart from all else.
fn scaled(now: &State) -> BTreeMap<String, i64> {
    let counted = now.resources.iter().filter_map(|(key, it)| {
        let count = it.facts["desired"].as_i64()?;
        let is_set = it.facts["scaled"] == true && kinds::of_key(key)?.is_scalable();
        (is_set && count > 0).then(|| (key.clone(), count))
    });
    counted.collect()
}

fn accepted(handle: &Handle) -> Result<Applied, Error> {
    let handle = serde_json::to_value(handle).expect("a handle is plain data");
    Ok(Applied::Accepted { handle })
}
