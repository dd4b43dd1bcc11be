//! What became of helm, and what comes after it: fields that it left are put right, and workloads are followed.

use super::apply::{Handle, Work};
use super::hold::{Held, Started, holder};
use super::plan::{How, Step, resource_key};
use super::process::Ended;
use super::record;
use crate::cluster::Name;
use crate::follow::{Follow, Rolling, until_gone};
use crate::mark::Note;
use crate::params::Wanted;
use crate::secrets::Known;
use crate::write::Sent;
use crate::{apply, compare, kinds, object, takeover};
use belay_driver::{Error, Settled};
use belay_model::error::{Class, Effect};
use futures_util::future::try_join_all;
use serde_json::Value;

/// In whose name fields are put right: helm 4 is in conflict with everybody else from then on.
const HELM: &str = "helm";
/// How often an object that others change all the time is looked at again.
const ATTEMPTS: u32 = 8;

impl Work<'_> {
    /// With a handle helm is waited for, and what it did is followed. Without one nobody wants to know any more: helm is given
    /// a moment to end, and what it leaves pending is freed.
    pub(crate) async fn settle(
        &self,
        step: &Step,
        handle: Option<Handle>,
    ) -> Result<Settled, Error> {
        match handle {
            Some(handle) => self.follow(step, &handle).await,
            None => {
                self.base.marker().write(self.cx(), Note::Nothing).await?;
                self.base.writer.quiet().await;
                self.over(step).await?;
                Ok(Settled::Quiet)
            }
        }
    }

    /// Waits until no helm of ours is at work any more.
    async fn over(&self, step: &Step) -> Result<(), Error> {
        let mark = self.mark().await?;
        let started = Started::of(mark.as_ref());
        if let Some(started) = &started {
            if started.process.is_alive() {
                let line = format!("wait for helm, process {}", started.process.pid);
                self.cx().progress.line(&line);
            }
            started.process.stop().await;
        }
        let listed =
            record::revisions(&self.base.writer.cluster, self.home(), &step.release).await?;
        let pending = listed.last().filter(|it| it.status.starts_with("pending-"));
        if let Some(newest) = pending {
            let after = self.settings.abandoned_after_ms;
            match holder(
                (&step.release, self.home()),
                newest,
                started.as_ref(),
                after,
            ) {
                // What another client does is no work of this step. Ours on another machine may be.
                Held::By(who) if started.is_some_and(|it| it.base + 1 == newest.revision) => {
                    let message = format!("see helm end: {who}");
                    return Err(Error::not_applied(Class::Connectivity, message));
                }
                Held::By(_) => {}
                Held::ByNobody(_) => self.free(&step.release).await?,
            }
        }
        if step.how == How::Uninstall {
            self.until_gone(step).await?;
        }
        Ok(())
    }

    async fn follow(&self, step: &Step, handle: &Handle) -> Result<Settled, Error> {
        let mut ended = None;
        if let Some(process) = &handle.process {
            ended = self.processes.end_of(&self.base.target.name, process).await;
        }
        if step.how == How::Uninstall {
            let now = self.observe(&step.release).await?;
            if now.resources.contains_key(&resource_key(&step.release)) {
                return Err(self.failed(step, ended.as_ref(), None).await);
            }
            self.until_gone(step).await?;
            return Ok(Settled::Done);
        }
        if handle.process.is_some() {
            self.did(step, handle, ended.as_ref()).await?;
        }
        self.put_right(step).await?;
        self.scale_back(step, handle).await?;
        self.roll_out(step).await
    }

    /// What came of helm: an error, unless its revision is the newest, and is deployed.
    async fn did(&self, step: &Step, handle: &Handle, ended: Option<&Ended>) -> Result<(), Error> {
        let cluster = &self.base.writer.cluster;
        let listed = record::revisions(cluster, self.home(), &step.release).await?;
        let newest = listed.last().filter(|it| it.revision > handle.base);
        let Some(newest) = newest else {
            let mut error = self.failed(step, ended, None).await;
            // It said no before it wrote anything.
            error.effect = Effect::NotApplied;
            return Err(error);
        };
        if newest.revision > handle.base + 1 {
            let message = format!(
                "change {}: someone else was there meanwhile: its newest revision is {}, and ours was to be {}",
                step.release,
                newest.revision,
                handle.base + 1
            );
            return Err(Error::maybe_applied(Class::Conflict, message));
        }
        if newest.status.starts_with("pending-") {
            self.free(&step.release).await?;
        } else if newest.status == record::DEPLOYED {
            return Ok(());
        }
        Err(self.failed(step, ended, Some(newest.revision)).await)
    }

    /// Objects that are not as the revision says: a merge of three keeps what others wrote beside it, and a hand may have been
    /// there. Of who overwrites nobody's is left; else only what is helm's own.
    async fn put_right(&self, step: &Step) -> Result<(), Error> {
        let objects = step
            .objects
            .iter()
            .filter(|(key, _)| !key.starts_with("release/"));
        for (key, wanted) in objects {
            self.put_one_right(step, key, wanted).await?;
        }
        Ok(())
    }

    async fn put_one_right(&self, step: &Step, key: &str, wanted: &Wanted) -> Result<(), Error> {
        let (wanted, writer) = (wanted.resource(), &self.base.writer);
        let mut request = object::made(&wanted);
        let mut known = Known::of(self.cx(), self.base.digests);
        let is_helm = |entry: &Value| entry["manager"] == HELM;
        for _ in 0..ATTEMPTS {
            let live = writer.cluster.get(Name::of(&request, self.home())).await?;
            if let Some(live) = &live {
                let now = self.base.resource(live).await?;
                let differ = compare::musts(key, &wanted, &now);
                if differ.is_empty() {
                    return Ok(());
                }
                let foreign =
                    takeover::foreign(key, &wanted, live, &now, self.base.digests, is_helm);
                if !foreign.is_empty() && !step.overwrites {
                    return Err(apply::theirs(key, foreign));
                }
                let paths: Vec<String> = differ.into_keys().collect();
                let line = format!("put right what helm left of {key}: {}", paths.join(", "));
                self.cx().progress.line(&line);
                known.learn_from(live);
            }
            self.base.marker().check(self.cx()).await?;
            self.learn_from_release(step, &mut known, &request).await?;
            let missing = known.reveal(&mut request);
            if !missing.is_empty() {
                let values = missing.join(", ");
                let message = format!("make {key}: nobody knows the values of {values} any more");
                return Err(Error::maybe_applied(Class::Application, message));
            }
            let mut version = Value::Null;
            if let Some(live) = live {
                let fields = takeover::of(&live, HELM);
                match writer.merge(self.home(), live, fields).await? {
                    Sent::Done(it) => {
                        apply::replicas(&mut request, key, &it, &step.wanted());
                        version = it["metadata"]["resourceVersion"].clone();
                    }
                    Sent::Moved | Sent::Theirs(_) => continue,
                }
            }
            if !version.is_null() {
                request["metadata"]["resourceVersion"] = version;
            }
            match writer
                .apply_as(HELM, self.home(), request.clone(), step.overwrites)
                .await?
            {
                Sent::Done(_) => return Ok(()),
                Sent::Theirs(fields) => return Err(apply::theirs(key, fields)),
                Sent::Moved => {}
            }
        }
        Err(apply::changes_all_the_time(key))
    }

    /// The values of Secrets that the release itself has.
    async fn learn_from_release(
        &self,
        step: &Step,
        known: &mut Known<'_>,
        request: &Value,
    ) -> Result<(), Error> {
        if request["kind"] != "Secret" {
            return Ok(());
        }
        let cluster = &self.base.writer.cluster;
        let listed = record::revisions(cluster, self.home(), &step.release).await?;
        for it in &listed {
            let found = record::record(cluster, self.home(), &step.release, it.revision).await?;
            for object in found
                .map(|it| it.objects())
                .transpose()?
                .unwrap_or_default()
            {
                known.learn_from(&object);
            }
        }
        Ok(())
    }

    /// Gives workloads back the numbers of pods that somebody had set.
    async fn scale_back(&self, step: &Step, handle: &Handle) -> Result<(), Error> {
        for (key, count) in &handle.scaled {
            let Some(wanted) = step.objects.get(key) else {
                continue;
            };
            let named = object::made(&wanted.resource());
            let writer = &self.base.writer;
            for _ in 0..ATTEMPTS {
                let Some(live) = writer.cluster.get(Name::of(&named, self.home())).await? else {
                    break;
                };
                let is_less = live["spec"]["replicas"]
                    .as_i64()
                    .is_some_and(|it| it < *count);
                if !is_less {
                    break;
                }
                let line = format!("scale {key} back to {count}, which somebody had set");
                self.cx().progress.line(&line);
                if let Sent::Done(_) = writer.scale(self.home(), &live, *count).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Follows all workloads until they are there, or one of them is known not to get there.
    async fn roll_out(&self, step: &Step) -> Result<Settled, Error> {
        let workloads = step
            .objects
            .iter()
            .filter(|(key, _)| kinds::of_key(key).is_some());
        let follow = workloads.map(async |(key, it)| {
            let named = object::made(&it.resource());
            let writer = &self.base.writer;
            let Some(live) = writer.cluster.get(Name::of(&named, self.home())).await? else {
                return Ok::<_, Error>(Settled::Quiet);
            };
            let follow = Follow {
                writer,
                cx: self.cx(),
                home: self.home(),
                named: &named,
                replace_stuck: step.replace_stuck,
                may_be_sick: false,
            };
            follow.to_its_end(&Rolling::of(key, &live)).await
        });
        let settled = try_join_all(follow).await?;
        Ok(match settled.contains(&Settled::Quiet) {
            true => Settled::Quiet,
            false => Settled::Done,
        })
    }

    /// Helm has asked the objects to go; what they have made goes first.
    async fn until_gone(&self, step: &Step) -> Result<(), Error> {
        let objects = step
            .objects
            .iter()
            .filter(|(key, _)| !key.starts_with("release/"));
        for (_, it) in objects {
            let named = object::made(&it.resource());
            until_gone(&self.base.writer.cluster, Name::of(&named, self.home())).await?;
        }
        Ok(())
    }
}
