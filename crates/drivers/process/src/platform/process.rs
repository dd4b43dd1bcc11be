//! The driver trait on local processes.

use super::effects;
use super::instance::{self, Instance};
use super::plan::{self, Params};
use super::shape::{self, Shape};
use crate::supervisor::KeyFile;
use async_trait::async_trait;
use belay_driver::{
    Applied, Artifacts, Capabilities, Capacity, Context, Driver, Error, Restorability, Revision,
    Router, Settled, Split, Stage,
};
use belay_model::error::Class;
use belay_model::plan::Effect;
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, Goal, Health, ROUTE, State};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// How long going back to a standing group takes, from the command typed to the last request routed to the bad release:
/// 42 ms at p50 in docs/performance.md, rounded up.
const WARM_MS: u64 = 50;

/// Where the driver works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the instances.
    pub root: PathBuf,
    /// The executable that is run as `EXE supervise DIR`.
    pub exe: PathBuf,
    /// Key that seals secrets beside instances; made when missing.
    pub key_file: PathBuf,
}

/// Local processes as a platform.
pub struct Process {
    pub(super) options: Options,
    pub(super) router: Arc<dyn Router>,
    pub(super) artifacts: Arc<dyn Artifacts>,
}

impl Process {
    /// A driver. Nothing is touched before a step is applied.
    pub fn new(options: Options, router: Arc<dyn Router>, artifacts: Arc<dyn Artifacts>) -> Self {
        Self {
            options,
            router,
            artifacts,
        }
    }

    pub(super) fn key(&self) -> Result<KeyFile, Error> {
        let path = &self.options.key_file;
        let key = if path.exists() {
            KeyFile::open(path)
        } else {
            KeyFile::create(path)
        };
        key.map_err(|error| Error::not_applied(Class::Unknown, error.to_string()))
    }
}

#[async_trait]
impl Driver for Process {
    fn capabilities(&self, target: &Target) -> Capabilities {
        let settings = shape::settings(target);
        // Without an address there is no traffic that could be split, or kept from what stands by.
        let takes_traffic = settings
            .as_ref()
            .is_ok_and(|settings| settings.listen.is_some());
        Capabilities {
            split: if takes_traffic {
                Split::Weights
            } else {
                Split::None
            },
            // Either way a group is ready before anything of the old one goes.
            staged: true,
            warm_standby: takes_traffic,
            supersedes: false,
            units: settings.map_or(1, |settings| settings.instances),
        }
    }

    fn desired(&self, record: &Record, target: &Target) -> State {
        shape::desired(record, target)
            .map(|shape| shape.state())
            .unwrap_or_default()
    }

    fn plan(
        &self,
        target: &Target,
        from: &State,
        goal: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error> {
        Ok(plan::plan(
            &Shape::of(from),
            &Shape::of(goal.want.of(&target.name)),
            stage,
        ))
    }

    fn after(&self, _: &Target, from: &State, effect: &Effect) -> State {
        let mut shape = Shape::of(from);
        if let Ok(params) = serde_json::from_value::<Params>(effect.params.clone()) {
            plan::after(&mut shape, &params);
        }
        shape.state()
    }

    fn capacity(&self, _: &Target, state: &State) -> Option<Capacity> {
        // Nobody scales processes but who deploys, or starts or stops some by hand.
        let desired = Shape::of(state).largest()?.1;
        Some(Capacity {
            desired,
            bounds: None,
        })
    }

    fn scaled(&self, _: &Target, state: &State, instances: u32) -> State {
        let Some((name, _)) = Shape::of(state).largest() else {
            return state.clone();
        };
        let mut state = state.clone();
        if let Some(group) = state.resources.get_mut(&format!("group/{name}")) {
            group.spec["instances"] = json!(instances);
        }
        state
    }

    fn diff(&self, want: &State, have: &State) -> Difference {
        plan::diff(want, have)
    }

    async fn observe(&self, _: &Context, target: &Target) -> Result<State, Error> {
        let instances = instance::running(&self.options.root, target).await;
        let mut state = State::default();
        let mut groups: BTreeMap<String, Vec<Instance>> = BTreeMap::new();
        for instance in instances {
            groups
                .entry(instance.group.clone())
                .or_default()
                .push(instance);
        }
        for (name, instances) in &groups {
            state
                .resources
                .insert(format!("group/{name}"), observed_group(instances));
        }
        if let Some(seen) = self.router.observe(&target.name).await? {
            let weights = seen
                .route
                .groups
                .iter()
                .map(|(name, (weight, _))| (name.clone(), *weight))
                .collect();
            let mut resource = shape::route_resource(seen.route.listen, &weights);
            resource.facts = json!({
                "table": seen.number, "in_flight": seen.in_flight, "mark": seen.route.mark,
            });
            state.resources.insert(ROUTE.to_owned(), resource);
        }
        Ok(state)
    }

    async fn apply(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        seen: &State,
    ) -> Result<Applied, Error> {
        let params: Params = serde_json::from_value(effect.params.clone()).map_err(|error| {
            Error::not_applied(
                Class::Unknown,
                format!("read the step's parameters: {error}"),
            )
        })?;
        match params {
            Params::Grow {
                group,
                record,
                instances,
                ..
            } => {
                effects::grow(self, cx, target, &group, &record, instances).await?;
                Ok(Applied::Done {
                    times: BTreeMap::new(),
                })
            }
            Params::Route { listen, weights } => {
                let times =
                    effects::route(self, cx, target, listen, &weights, &Shape::of(seen)).await?;
                Ok(Applied::Done { times })
            }
            Params::Shrink { group, instances } => {
                effects::shrink(self, cx, target, &group, instances).await?;
                Ok(Applied::Done {
                    times: BTreeMap::new(),
                })
            }
        }
    }

    async fn settle(
        &self,
        _: &Context,
        target: &Target,
        _: &Effect,
        _: Option<&Value>,
    ) -> Result<Settled, Error> {
        // Supervisors act for themselves and durably; a change of the table is one request that the proxy answers in
        // order: once it answers this one, nothing older is still to come. Instances that still start are not waited
        // for: what is observed says that they are not ready, and someone may have asked to go back. A stop whose caller
        // was lost is seen to its end: its request may still be on its way, or never have been sent.
        let stopped = instance::finish_stops(&self.options.root, target).await;
        stopped.map_err(|(supervised, error)| effects::failed(&supervised, error))?;
        self.router.observe(&target.name).await?;
        Ok(Settled::Quiet)
    }

    async fn restorable(
        &self,
        _: &Context,
        target: &Target,
        goal: &Goal,
    ) -> Result<Restorability, Error> {
        let wanted = Shape::of(goal.want.of(&target.name));
        let instances = instance::running(&self.options.root, target).await;
        let mut cold = false;
        let mut objections = Vec::new();
        for (name, group) in wanted
            .groups
            .iter()
            .filter(|(name, _)| wanted.is_at_work(name))
        {
            let ready = instances
                .iter()
                .filter(|instance| instance.group == *name && instance.is_ready())
                .count();
            if ready >= usize::try_from(group.instances).unwrap_or(usize::MAX) {
                continue;
            }
            cold = true;
            let Some(record) = goal.records.get(&group.record) else {
                objections.push(format!(
                    "record {} of {name} is not known any more",
                    group.record.short()
                ));
                continue;
            };
            if let Err(error) = self.artifacts.directory(&record.artifact).await {
                objections.push(format!("artifact {} of {name}: {error}", record.artifact));
            }
        }
        if !objections.is_empty() {
            return Ok(Restorability::No(objections));
        }
        Ok(Restorability::Exact {
            millis: (!cold).then_some(WARM_MS),
        })
    }

    async fn history(&self, _: &Context, _: &Target) -> Result<Vec<Revision>, Error> {
        // Processes have no versions of their own; all that is known of them is in Belay's store.
        Ok(Vec::new())
    }
}

fn observed_group(instances: &[Instance]) -> belay_model::state::Resource {
    let count = u32::try_from(instances.len()).unwrap_or(u32::MAX);
    let record = instances
        .first()
        .map(|first| first.record.clone())
        .unwrap_or_default();
    let takes_traffic = instances.first().is_none_or(|first| first.takes_traffic);
    let record = belay_model::id::RecordHash::new(record);
    let mut resource = shape::group_resource(&record, count, takes_traffic);
    let list: Vec<Value> = instances.iter().map(|instance| {
        json!({
            "id": instance.index.to_string(), "port": instance.port, "ready": instance.is_ready(),
            "phase": instance.status.phase, "pid": instance.status.child.as_ref().map(|child| child.pid),
            "supervised": instance.status.supervised, "restarts": instance.status.restarts,
        })
    }).collect();
    let ready = instances
        .iter()
        .filter(|instance| instance.is_ready())
        .count();
    resource.facts = json!({ "instances": list, "ready": ready });
    let trouble: Vec<String> = instances
        .iter()
        .filter(|instance| !instance.is_ready())
        .map(Instance::trouble)
        .collect();
    resource.health = if trouble.is_empty() {
        Health::Healthy
    } else {
        Health::Unhealthy(format!("{ready} of {count} ready; {}", trouble.join("; ")))
    };
    resource
}
