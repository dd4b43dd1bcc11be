//! The driver trait on Kubernetes.

use crate::cluster::Name;
use crate::follow::{Follow, Handle, until_gone};
use crate::kubernetes::{Kubernetes, in_time, state};

use crate::mark::{Mark, Note};
use crate::params::{self, Params};
use crate::plan;
use crate::secrets::Known;
use crate::settings::{Layout, Settings};
use crate::{
    capacity, changes, compare, helm, history, object, owners, router, script, surroundings,
};
use async_trait::async_trait;
use belay_driver::{
    Applied, Capabilities, Capacity, Context, Driver, Error, Remark, Restorability, Revision,
    Settled, Split, Stage,
};
use belay_model::error::Class;
use belay_model::id::RecordHash;
use belay_model::plan::{Effect, Verb};
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, Goal, State};
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::sync::watch;

#[async_trait]
impl Driver for Kubernetes {
    fn capabilities(&self, target: &Target) -> Capabilities {
        let settings = Settings::of(target).unwrap_or_default();
        let written = self.written(&settings.objects, &settings.namespace);
        let units = capacity::capacity(&written).map_or(1, |it| it.desired);
        let is_beside = settings.layout == Layout::SideBySide;
        let takes_traffic = !settings.service.is_empty();
        Capabilities {
            split: match (is_beside, takes_traffic) {
                (false, _) => Split::Platform,
                (true, true) => router::split(settings.route.is_some()),
                (true, false) => Split::None,
            },
            staged: is_beside,
            warm_standby: is_beside && takes_traffic,
            supersedes: true,
            units,
        }
    }

    fn desired(&self, record: &Record, target: &Target) -> State {
        let Ok(settings) = Settings::of(target) else {
            return State::default();
        };
        match &settings.helm {
            Some(name) => helm::desired(&settings, name, record, &self.digests),
            None => self.alone(record, &settings),
        }
    }

    fn plan(
        &self,
        target: &Target,
        from: &State,
        goal: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error> {
        let settings = Settings::of(target)?;
        let want = goal.want.of(&target.name);
        let effects = match &settings.helm {
            Some(name) => helm::plan(name, target, from, goal, stage, &self.digests)?,
            None => plan::plan(&settings, from, want, goal, stage)?,
        };
        Ok(owners::around(&settings, from, want, effects, stage))
    }

    async fn in_shell(
        &self,
        target: &Target,
        from: &State,
        effect: &Effect,
        records: &BTreeMap<RecordHash, Record>,
    ) -> Option<String> {
        let settings = Settings::of(target).ok()?;
        if let Some(step) = owners::Step::of(effect) {
            return Some(script::gitops(&settings, &step));
        }
        if is_helm(target) {
            let step = helm::Step::of(effect).ok()?;
            let given = match &step.how {
                helm::How::Upgrade { record } => {
                    let artifacts = self.artifacts.as_deref()?;
                    Some(helm::written(&target.name, records.get(record)?, artifacts).await?)
                }
                _ => None,
            };
            return helm::commands(&settings, from, &step, given.as_ref());
        }
        let params = Params::of(effect).ok()?;
        Some(script::commands(&settings, from, &params))
    }

    fn after(&self, target: &Target, from: &State, effect: &Effect) -> State {
        if let Some(step) = owners::Step::of(effect) {
            return owners::after(from, &step);
        }
        if is_helm(target) {
            return helm::Step::of(effect)
                .map_or_else(|_| from.clone(), |it| helm::after(from, &it));
        }
        match Params::of(effect) {
            Ok(params) => params::after(from, &params),
            Err(_) => from.clone(),
        }
    }

    /// How many pods a Helm release has its values say.
    fn capacity(&self, target: &Target, state: &State) -> Option<Capacity> {
        if is_helm(target) {
            return None;
        }
        capacity::capacity(state)
    }

    fn scaled(&self, target: &Target, state: &State, instances: u32) -> State {
        if is_helm(target) {
            return state.clone();
        }
        capacity::scaled(state, instances)
    }

    fn diff(&self, want: &State, have: &State) -> Difference {
        compare::diff(want, have)
    }

    async fn remarks(
        &self,
        cx: &Context,
        target: &Target,
        from: &State,
        effects: &[Effect],
    ) -> Result<Vec<Remark>, Error> {
        let settings = Settings::of(target)?;
        let mut remarks = owners::remarks(from, settings.gitops);
        in_time(cx, async {
            let cluster = self.clusters.connect(&settings).await?;
            let home = &settings.namespace;
            remarks.extend(surroundings::remarks(&cluster, home, from, effects).await?);
            Ok(remarks)
        })
        .await
    }

    async fn observe(&self, cx: &Context, target: &Target) -> Result<State, Error> {
        let settings = Settings::of(target)?;
        let seen = in_time(cx, async {
            match self.seen(cx, target, &settings).await {
                // What we said who we are with may have been replaced since: a plugin or a file is asked again.
                Err(error) if error.class == Class::Authentication => {
                    self.clusters.forget(&settings);
                    self.seen(cx, target, &settings).await
                }
                seen => seen,
            }
        })
        .await?;
        self.saw(target, &seen);
        Ok(seen)
    }

    async fn changes(&self, _cx: &Context, target: &Target) -> Option<watch::Receiver<()>> {
        let settings = Settings::of(target).ok()?;
        let cluster = self.clusters.connect(&settings).await.ok()?;
        changes::of(&cluster, &settings)
    }

    async fn apply(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        seen: &State,
    ) -> Result<Applied, Error> {
        let settings = Settings::of(target)?;
        let cluster = self.clusters.patient(cx, &settings).await?;
        if let Some(step) = owners::Step::of(effect) {
            return self
                .work(cluster, cx, target, &settings)
                .gitops(&step)
                .await;
        }
        if settings.helm.is_some() {
            let work = self.helm_work(cluster, cx, target, &settings);
            return work.apply(&helm::Step::of(effect)?, seen).await;
        }
        let work = self.work(cluster, cx, target, &settings);
        work.apply(&Params::of(effect)?, seen).await
    }

    /// With a handle what was accepted is followed. Without one nothing of it can still be asked for, and a workload that is
    /// on its way is left to it: whatever it is asked for next takes its place at once.
    async fn settle(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        handle: Option<&Value>,
    ) -> Result<Settled, Error> {
        let settings = Settings::of(target)?;
        let cluster = self.clusters.patient(cx, &settings).await?;
        if let Some(step) = owners::Step::of(effect) {
            let work = self.work(cluster, cx, target, &settings);
            work.fence_gitops(&step).await?;
            return Ok(Settled::Quiet);
        }
        if settings.helm.is_some() {
            let work = self.helm_work(cluster, cx, target, &settings);
            let handle =
                handle.and_then(|it| serde_json::from_value::<helm::Handle>(it.clone()).ok());
            return work.settle(&helm::Step::of(effect)?, handle).await;
        }
        let params = Params::of(effect)?;
        let work = self.work(cluster, cx, target, &settings);
        let handle = handle.and_then(|it| serde_json::from_value::<Handle>(it.clone()).ok());
        match (&params, handle) {
            (
                Params::Roll { object, .. } | Params::Scale { object, .. },
                Some(Handle::Rolling(rolling)),
            ) => {
                let follow = Follow {
                    writer: &work.writer,
                    cx,
                    home: work.home,
                    named: &object::made(&object.resource()),
                    replace_stuck: matches!(
                        params,
                        Params::Roll {
                            replace_stuck: true,
                            ..
                        }
                    ),
                    // Pods that go may be sick.
                    may_be_sick: effect.verb == Verb::Retire,
                };
                return follow.to_its_end(&rolling).await;
            }
            (_, None) => work.fence(&params).await?,
            _ => {}
        }
        if let Params::Switch { object, .. } = &params {
            // Endpoints follow a selector a moment later.
            work.see(object, None).await?;
        }
        let Params::Remove { objects, .. } = &params else {
            return Ok(Settled::Quiet);
        };
        let objects: Vec<Value> = objects
            .values()
            .map(|it| object::made(&it.resource()))
            .collect();
        for it in &objects {
            until_gone(&work.writer.cluster, Name::of(it, work.home)).await?;
        }
        let mut gone = Vec::new();
        for it in objects {
            if work
                .writer
                .cluster
                .get(Name::of(&it, work.home))
                .await?
                .is_none()
            {
                gone.push(it);
            }
        }
        work.marker().write(cx, Note::Gone(&gone)).await?;
        Ok(Settled::Quiet)
    }

    async fn restorable(
        &self,
        cx: &Context,
        target: &Target,
        goal: &Goal,
    ) -> Result<Restorability, Error> {
        let now = match self.seen_lately(target) {
            Some(seen) => seen,
            None => self.observe(cx, target).await?,
        };
        let settings = Settings::of(target)?;
        if let Some(name) = &settings.helm {
            let cluster = self.clusters.connect(&settings).await?;
            let work = self.helm_work(cluster, cx, target, &settings);
            return work.restorable(name, &now, goal).await;
        }
        let mut known = Known::of(cx, &self.digests);
        for record in goal.records.values() {
            for target in &record.targets {
                let objects = target.settings["objects"].as_array();
                objects
                    .into_iter()
                    .flatten()
                    .for_each(|it| known.learn_from(it));
            }
        }
        let mut objections = Vec::new();
        for (key, wanted) in &goal.want.of(&target.name).resources {
            let there = now.resources.get(key);
            if there.is_some_and(|there| compare::musts(key, wanted, there).is_empty()) {
                continue;
            }
            let missing = known.reveal(&mut object::made(wanted));
            if !missing.is_empty() {
                let values = missing.join(", ");
                objections.push(format!("{key}: the values of {values} are not known here"));
            }
        }
        Ok(match objections.is_empty() {
            true => Restorability::Exact { millis: None },
            false => Restorability::No(objections),
        })
    }

    async fn history(&self, cx: &Context, target: &Target) -> Result<Vec<Revision>, Error> {
        let settings = Settings::of(target)?;
        in_time(cx, async {
            let cluster = self.clusters.connect(&settings).await?;
            if let Some(name) = &settings.helm {
                let look = self.look(&cluster, &settings);
                return helm::history(&look, name, &self.contents).await;
            }
            let mut all = Vec::new();
            for workload in settings.workloads()? {
                all.extend(history::history(&cluster, &settings.namespace, &workload).await?);
            }
            Ok(all)
        })
        .await
    }
}

impl Kubernetes {
    async fn seen(
        &self,
        cx: &Context,
        target: &Target,
        settings: &Settings,
    ) -> Result<State, Error> {
        let cluster = self.clusters.patient(cx, settings).await?;
        let look = self.look(&cluster, settings);
        let mut seen = match &settings.helm {
            Some(release) => state(look.release(release, &self.contents).await?),
            None => {
                let mark = Mark::read(&cluster, &settings.namespace, target).await?;
                look.manifests(settings, mark.as_ref()).await?
            }
        };
        let search = owners::Search {
            cluster: &cluster,
            home: &settings.namespace,
            holder: &owners::holder(&self.store, &target.name),
        };
        search.tell(&mut seen).await?;
        Ok(seen)
    }
}

fn is_helm(target: &Target) -> bool {
    target.settings["helm"].is_string()
}
