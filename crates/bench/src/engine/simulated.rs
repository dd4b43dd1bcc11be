//! The simulated platform and what is deployed there: services with one target each, whose copies are started one by one.
//! Every call is answered at once.

use async_trait::async_trait;
use belay_driver::{
    Applied, Capabilities, Capacity, Context, Driver, Error, Restorability, Revision, Settled,
    Split, Stage,
};
use belay_model::back::Back;
use belay_model::config::{FirstFailure, Inconclusive, Strategy};
use belay_model::event::{Event, Inputs, Kind};
use belay_model::id::{
    ArtifactDigest, EnvironmentName, RecordHash, ReleaseNumber, Scope, ServiceName,
};
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, DifferenceEntry, Goal, Health, Resource, State, Weight};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The only resource of a target.
const GROUP: &str = "group";

/// How many copies a release has: each is one step. The settings of a target say so.
pub(crate) fn created(service: &str, copies: usize, bake_ms: u64) -> Event {
    Event::Created(Box::new(inputs(service, copies, bake_ms)))
}

/// A deployment of a service's first release.
pub(crate) fn inputs(service: &str, copies: usize, bake_ms: u64) -> Inputs {
    let record = record(service, copies);
    Inputs {
        kind: Kind::Deploy,
        scope: record.scope.clone(),
        record: Some(record),
        goal: None,
        strategy: Strategy::Basic,
        parallel: 1,
        phases: Vec::new(),
        back_order: belay_model::config::BackOrder::default(),
        approve: None,
        on_failure: Vec::new(),
        checks: Vec::new(),
        bake_ms,
        warm_ms: 0,
        keep_good: 5,
        inconclusive: Inconclusive::RollBack,
        on_first_failure: FirstFailure::Remove,
        hotfix: None,
        promotion: None,
        actor: "bench".to_owned(),
        reason: None,
        back: Back::default(),
    }
}

fn record(service: &str, copies: usize) -> Record {
    let scope = Scope {
        service: ServiceName::new(service),
        environment: EnvironmentName::new("bench"),
    };
    Record {
        format: 1,
        targets: vec![Target {
            driver: "simulated".to_owned(),
            name: scope.to_string(),
            host: None,
            settings: json!({ "run": "./server", "listen": "127.0.0.1:8080", "copies": copies }),
        }],
        scope,
        release: ReleaseNumber(1),
        artifact: ArtifactDigest::new(format!("sha256:{:064}", 1)),
        config: BTreeMap::from([("LOG_LEVEL".to_owned(), "info".to_owned())]),
        secrets: BTreeMap::new(),
        sealed: None,
    }
}

/// So many copies run a record.
pub(crate) fn state(record: &RecordHash, copies: usize) -> State {
    if copies == 0 {
        return State::default();
    }
    let resource = Resource {
        spec: json!({ "record": record, "copies": copies }),
        facts: json!({ "since": 1_700_000_000 }),
        health: Health::Healthy,
    };
    State {
        resources: BTreeMap::from([(GROUP.to_owned(), resource)]),
        ..State::default()
    }
}

/// Starts one more copy.
pub(crate) fn effect(record: &RecordHash, copies: usize) -> Effect {
    Effect {
        verb: Verb::Deploy,
        wave: Wave::Grow,
        title: format!("start copy {copies} of {}", record.short()),
        params: json!({ "copies": copies }),
        records: vec![record.clone()],
        idempotent: true,
        residue: None,
    }
}

fn copies(value: &Value) -> usize {
    let copies = value["copies"].as_u64().unwrap_or(0);
    usize::try_from(copies).unwrap_or(usize::MAX)
}

fn running(state: &State) -> usize {
    let group = state.resources.get(GROUP);
    group.map_or(0, |group| copies(&group.spec))
}

/// The platform: what runs, by target.
#[derive(Default)]
pub(crate) struct Platform(Mutex<BTreeMap<String, State>>);

#[async_trait]
impl Driver for Platform {
    fn capabilities(&self, _: &Target) -> Capabilities {
        Capabilities {
            split: Split::None,
            staged: false,
            warm_standby: false,
            supersedes: false,
            units: 0,
        }
    }

    fn desired(&self, record: &Record, target: &Target) -> State {
        state(&record.hash(), copies(&target.settings))
    }

    fn plan(
        &self,
        target: &Target,
        from: &State,
        goal: &Goal,
        _: Stage,
    ) -> Result<Vec<Effect>, Error> {
        let Some(record) = &goal.record else {
            return Ok(Vec::new());
        };
        let wanted = running(goal.want.of(&target.name));
        let missing = running(from) + 1..=wanted;
        Ok(missing.map(|copies| effect(record, copies)).collect())
    }

    fn after(&self, _: &Target, _: &State, effect: &Effect) -> State {
        state(&effect.records[0], copies(&effect.params))
    }

    fn capacity(&self, _: &Target, _: &State) -> Option<Capacity> {
        None
    }

    fn scaled(&self, _: &Target, state: &State, _: u32) -> State {
        state.clone()
    }

    fn diff(&self, want: &State, have: &State) -> Difference {
        let spec = |state: &State| {
            let group = state.resources.get(GROUP);
            group.map_or(Value::Null, |group| group.spec.clone())
        };
        let (want, have) = (spec(want), spec(have));
        let entry = (want != have).then(|| DifferenceEntry {
            weight: Weight::Must,
            key: GROUP.to_owned(),
            want,
            have,
        });
        Difference(entry.into_iter().collect())
    }

    async fn observe(&self, _: &Context, target: &Target) -> Result<State, Error> {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(running.get(&target.name).cloned().unwrap_or_default())
    }

    async fn apply(
        &self,
        _: &Context,
        target: &Target,
        effect: &Effect,
        seen: &State,
    ) -> Result<Applied, Error> {
        let after = self.after(target, seen, effect);
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(target.name.clone(), after);
        Ok(Applied::Done {
            times: BTreeMap::new(),
        })
    }

    async fn settle(
        &self,
        _: &Context,
        _: &Target,
        _: &Effect,
        _: Option<&Value>,
    ) -> Result<Settled, Error> {
        Ok(Settled::Quiet)
    }

    async fn restorable(&self, _: &Context, _: &Target, _: &Goal) -> Result<Restorability, Error> {
        Ok(Restorability::Exact { millis: None })
    }

    async fn history(&self, _: &Context, _: &Target) -> Result<Vec<Revision>, Error> {
        Ok(Vec::new())
    }
}
