//! Where what is asked for next takes the place of what was accepted, who goes back does not wait for that to end.

use async_trait::async_trait;
use belay_driver::{
    Applied, Capabilities, Capacity, Context, Driver, Error, Restorability, Revision, Settled,
    Split, Stage,
};
use belay_engine::ports::{Drivers, Ports};
use belay_engine::worker::Worker;
use belay_model::config::Strategy;
use belay_model::event::{Ask, Outcome, RollbackResult};
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, DifferenceEntry, Goal, Resource, State, Weight};
use belay_testkit::{Scene, check_journal};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// One place that takes any release at once and is then on its way there; to one of them it never gets.
struct Slow {
    /// Which release is asked for.
    asked: Mutex<Option<String>>,
    /// To which one it never gets.
    endless: String,
    /// Somebody follows it there.
    followed: Notify,
    supersedes: bool,
}

const PLACE: &str = "place";

fn state(record: &str, is_there: bool) -> State {
    let resource = Resource {
        spec: json!({ "of": record, "is_there": is_there }),
        ..Resource::default()
    };
    State {
        resources: [(PLACE.to_owned(), resource)].into(),
        ..State::default()
    }
}

#[async_trait]
impl Driver for Slow {
    fn capabilities(&self, _: &Target) -> Capabilities {
        Capabilities {
            split: Split::Platform,
            staged: false,
            warm_standby: false,
            supersedes: self.supersedes,
            units: 1,
        }
    }

    fn desired(&self, record: &Record, _: &Target) -> State {
        state(record.hash().as_str(), true)
    }

    fn plan(
        &self,
        target: &Target,
        from: &State,
        goal: &Goal,
        _: Stage,
    ) -> Result<Vec<Effect>, Error> {
        let want = goal.want.of(&target.name);
        let effect = || Effect {
            verb: Verb::Deploy,
            wave: Wave::Switch,
            title: "roll".to_owned(),
            params: want.resources[PLACE].spec["of"].clone(),
            records: Vec::new(),
            idempotent: true,
            residue: None,
        };
        let is_met = self.diff(want, from).is_met();
        Ok((!is_met).then(effect).into_iter().collect())
    }

    fn after(&self, _: &Target, _: &State, effect: &Effect) -> State {
        state(effect.params.as_str().unwrap_or_default(), true)
    }

    fn capacity(&self, _: &Target, _: &State) -> Option<Capacity> {
        None
    }

    fn scaled(&self, _: &Target, state: &State, _: u32) -> State {
        state.clone()
    }

    fn diff(&self, want: &State, have: &State) -> Difference {
        let spec = |state: &State| {
            let resource = state.resources.get(PLACE);
            resource.map_or(Value::Null, |it| it.spec.clone())
        };
        let entry = DifferenceEntry {
            weight: Weight::Must,
            key: PLACE.to_owned(),
            want: spec(want),
            have: spec(have),
        };
        Difference(
            (entry.want != entry.have)
                .then_some(entry)
                .into_iter()
                .collect(),
        )
    }

    async fn observe(&self, _: &Context, _: &Target) -> Result<State, Error> {
        let asked = self.asked.lock().expect("no panic while held");
        let asked = asked.as_deref();
        Ok(asked.map_or_else(State::default, |it| state(it, it != self.endless)))
    }

    async fn apply(
        &self,
        _: &Context,
        _: &Target,
        effect: &Effect,
        _: &State,
    ) -> Result<Applied, Error> {
        let record = effect.params.as_str().map(str::to_owned);
        *self.asked.lock().expect("no panic while held") = record;
        let handle = json!(1);
        Ok(Applied::Accepted { handle })
    }

    async fn settle(
        &self,
        _: &Context,
        _: &Target,
        effect: &Effect,
        handle: Option<&Value>,
    ) -> Result<Settled, Error> {
        if handle.is_none() {
            return Ok(Settled::Quiet);
        }
        if effect.params == self.endless.as_str() {
            self.followed.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(Settled::Done)
    }

    async fn restorable(&self, _: &Context, _: &Target, _: &Goal) -> Result<Restorability, Error> {
        Ok(Restorability::Exact { millis: None })
    }

    async fn history(&self, _: &Context, _: &Target) -> Result<Vec<Revision>, Error> {
        Ok(Vec::new())
    }
}

struct Only(Arc<Slow>);

impl Drivers for Only {
    fn driver(&self, _: &str) -> Option<Arc<dyn Driver>> {
        Some(self.0.clone())
    }
}

/// How long it takes from the word to go back until it is there.
async fn goes_back_in(supersedes: bool) -> Duration {
    let scene = Scene::new(Strategy::Basic, 1);
    let driver = Arc::new(Slow {
        asked: Mutex::default(),
        endless: scene.record(2).hash().as_str().to_owned(),
        followed: Notify::new(),
        supersedes,
    });
    // A worker leaves when nothing is open.
    let works = || {
        let ports = Ports {
            drivers: Arc::new(Only(driver.clone())),
            ..scene.ports()
        };
        let worker = Worker::new(ports, scene.owner());
        tokio::spawn(async move { worker.run().await })
    };
    scene.deploy(1).await;
    works();
    scene.at_rest().await;
    let id = scene.deploy(2).await;
    let running = works();
    driver.followed.notified().await;
    let begun = tokio::time::Instant::now();
    scene.signal(&id, Ask::Abort).await;
    scene.at_rest().await;
    let took = begun.elapsed();
    running.abort();
    check_journal(&scene.store.journal(&id));
    let back = Outcome::Failed {
        rollback: RollbackResult::Complete,
        residue: Vec::new(),
    };
    assert_eq!(scene.outcome(&id).await, Some(back));
    let asked = driver.asked.lock().expect("no panic while held").clone();
    assert_eq!(asked.as_deref(), Some(scene.record(1).hash().as_str()));
    took
}

#[tokio::test(start_paused = true)]
async fn who_goes_back_waits_for_nothing_that_is_superseded() {
    let took = goes_back_in(true).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_goes_back_waits_for_what_would_still_happen() {
    let took = goes_back_in(false).await;
    assert!(took >= Duration::from_secs(10), "{took:?}");
}
