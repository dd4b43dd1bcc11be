//! I4 where a step may not be repeated: it is only where the world shows nothing at all of it.

use async_trait::async_trait;
use belay_driver::{
    Applied, Capabilities, Capacity, Context, Driver, Error, Restorability, Revision, Settled,
    Split, Stage,
};
use belay_engine::ports::{Drivers, Ports, StoreError};
use belay_engine::worker::{Stop, Worker};
use belay_model::config::Strategy;
use belay_model::error::Class;
use belay_model::event::{Ask, Event, Outcome, RollbackResult};
use belay_model::id::{DeploymentId, RecordHash};
use belay_model::plan::{Effect, Look, Verb, Wave};
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, DifferenceEntry, Goal, Resource, State, Weight};
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::rolled_back;
use belay_testkit::{Scene, check_journal};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What the lost call did.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Did {
    Nothing,
    /// What no goal needs, and nothing else.
    Note,
    All,
}

/// How the answer is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// It comes as an error.
    Error,
    /// The worker is killed before it comes.
    Killed,
    /// It does not come, and nobody is killed (I11).
    Silence,
    /// It was accepted, and then the platform cannot be reached to follow it.
    Accepted,
}

impl Way {
    const ALL: [Way; 4] = [Way::Error, Way::Killed, Way::Silence, Way::Accepted];
}

/// A place with a note about it that no goal needs, both changed by one call that may not be repeated.
#[derive(Default)]
struct Noted {
    there: Mutex<State>,
    calls: Mutex<Vec<String>>,
    /// The answer to the call for that record is lost, once.
    lost: Mutex<Option<(String, Did)>>,
    /// It does not come at all then, rather than as an error, and this is told.
    hangs: Option<Notify>,
    /// Nobody is killed: it is waited for.
    is_patient: bool,
    /// The call is accepted instead.
    is_accepted: bool,
    /// From that call on nobody can look, until it is said otherwise.
    hides: bool,
    is_hidden: AtomicBool,
    /// Its effects name that record, on the way to that one.
    names: Mutex<Option<(Value, RecordHash)>>,
}

fn set(state: &mut State, keys: &[&str], record: &Value) {
    for key in keys {
        state.resources.remove(*key);
        if !record.is_null() {
            let resource = Resource {
                spec: json!({ "record": record }),
                ..Resource::default()
            };
            state.resources.insert((*key).to_owned(), resource);
        }
    }
}

fn spec(state: &State, key: &str) -> Value {
    let resource = state.resources.get(key);
    resource.map_or(Value::Null, |one| one.spec.clone())
}

#[async_trait]
impl Driver for Noted {
    fn capabilities(&self, _: &Target) -> Capabilities {
        Capabilities {
            split: Split::Platform,
            staged: false,
            warm_standby: false,
            supersedes: false,
            units: 1,
        }
    }

    fn desired(&self, record: &Record, _: &Target) -> State {
        let mut state = State::default();
        set(&mut state, &["place", "note"], &json!(record.hash()));
        state
    }

    fn plan(
        &self,
        target: &Target,
        from: &State,
        goal: &Goal,
        _: Stage,
    ) -> Result<Vec<Effect>, Error> {
        let want = goal.want.of(&target.name);
        let record = spec(want, "place")["record"].clone();
        let names = self.names.lock().expect("no panic while held");
        let named = names.iter().filter(|(of, _)| *of == record);
        let effect = Effect {
            verb: Verb::Deploy,
            wave: Wave::Switch,
            title: format!("set to {record}"),
            records: named.map(|(_, hash)| hash.clone()).collect(),
            params: record,
            idempotent: false,
            residue: None,
        };
        let is_met = self.diff(want, from).0.is_empty();
        Ok((!is_met).then_some(effect).into_iter().collect())
    }

    fn after(&self, _: &Target, from: &State, effect: &Effect) -> State {
        let mut after = from.clone();
        set(&mut after, &["place", "note"], &effect.params);
        after
    }

    fn capacity(&self, _: &Target, _: &State) -> Option<Capacity> {
        None
    }

    fn scaled(&self, _: &Target, state: &State, _: u32) -> State {
        state.clone()
    }

    fn diff(&self, want: &State, have: &State) -> Difference {
        let keys: BTreeSet<_> = want.resources.keys().chain(have.resources.keys()).collect();
        let entry = |key: &String| DifferenceEntry {
            weight: if key == "note" {
                Weight::Informational
            } else {
                Weight::Must
            },
            key: key.clone(),
            want: spec(want, key),
            have: spec(have, key),
        };
        let entries = keys.into_iter().map(entry);
        Difference(entries.filter(|entry| entry.want != entry.have).collect())
    }

    async fn observe(&self, _: &Context, _: &Target) -> Result<State, Error> {
        if self.is_hidden.load(Ordering::SeqCst) {
            return Err(Error::not_applied(Class::Connectivity, "there is no way"));
        }
        Ok(self.there.lock().expect("no panic while held").clone())
    }

    async fn apply(
        &self,
        _: &Context,
        _: &Target,
        effect: &Effect,
        _: &State,
    ) -> Result<Applied, Error> {
        let record = effect.params.as_str().unwrap_or_default().to_owned();
        self.calls
            .lock()
            .expect("no panic while held")
            .push(record.clone());
        let lost = self.lost.lock().expect("no panic while held");
        let lost = { lost }.take_if(|(of, _)| *of == record);
        let keys: &[&str] = match lost {
            Some((_, Did::Nothing)) => &[],
            Some((_, Did::Note)) => &["note"],
            Some((_, Did::All)) | None => &["place", "note"],
        };
        let there = self.there.lock();
        set(
            &mut there.expect("no panic while held"),
            keys,
            &effect.params,
        );
        if lost.is_none() {
            let times = BTreeMap::new();
            return Ok(Applied::Done { times });
        }
        self.is_hidden.store(self.hides, Ordering::SeqCst);
        if let Some(told) = &self.hangs {
            told.notify_one();
            std::future::pending::<()>().await;
        }
        if self.is_accepted {
            return Ok(Applied::Accepted { handle: json!(1) });
        }
        Err(Error::maybe_applied(Class::Connectivity, "answer lost"))
    }

    async fn settle(
        &self,
        _: &Context,
        _: &Target,
        _: &Effect,
        handle: Option<&Value>,
    ) -> Result<Settled, Error> {
        match handle {
            Some(_) => Err(Error::not_applied(Class::Connectivity, "there is no way")),
            None => Ok(Settled::Quiet),
        }
    }

    async fn restorable(&self, _: &Context, _: &Target, _: &Goal) -> Result<Restorability, Error> {
        Ok(Restorability::Exact { millis: None })
    }

    async fn history(&self, _: &Context, _: &Target) -> Result<Vec<Revision>, Error> {
        Ok(Vec::new())
    }
}

struct Only(Arc<Noted>);

impl Drivers for Only {
    fn driver(&self, _: &str) -> Option<Arc<dyn Driver>> {
        Some(self.0.clone())
    }
}

/// A worker that has that driver.
fn works(scene: &Scene, driver: &Arc<Noted>) -> JoinHandle<Result<Stop, StoreError>> {
    let ports = Ports {
        drivers: Arc::new(Only(driver.clone())),
        ..scene.ports()
    };
    let worker = Worker::new(ports, scene.owner());
    tokio::spawn(async move { worker.run().await })
}

async fn deploy(scene: &Scene, driver: &Arc<Noted>, release: u32) -> Option<Outcome> {
    let id = scene.deploy(release).await;
    let hangs = async {
        match &driver.hangs {
            Some(hangs) if !driver.is_patient => hangs.notified().await,
            _ => std::future::pending().await,
        }
    };
    let mut running = works(scene, driver);
    tokio::select! {
        biased;
        () = scene.at_rest() => {}
        () = hangs => {
            // Killed there, and another one takes over.
            running.abort();
            running = works(scene, driver);
            scene.at_rest().await;
        }
    }
    running.abort();
    check_journal(&scene.store.journal(&id));
    scene.summary(&id).await.outcome
}

#[tokio::test(start_paused = true)]
async fn i4_what_may_not_be_repeated_is_not_where_anything_of_it_is_seen() {
    let back = Outcome::Failed {
        rollback: RollbackResult::Complete,
        residue: Vec::new(),
    };
    let cases = [
        (Did::Nothing, 2, Outcome::Succeeded),
        (Did::Note, 1, back),
        (Did::All, 1, Outcome::Succeeded),
    ];
    for (way, (did, calls, outcome)) in Way::ALL
        .into_iter()
        .flat_map(|way| cases.clone().map(|case| (way, case)))
    {
        let scene = Scene::new(Strategy::Basic, 1);
        let driver = Arc::new(Noted {
            hangs: matches!(way, Way::Killed | Way::Silence).then(Notify::new),
            is_accepted: way == Way::Accepted,
            is_patient: way == Way::Silence,
            ..Noted::default()
        });
        let first = deploy(&scene, &driver, 1).await;
        assert_eq!(first, Some(Outcome::Succeeded));
        let second = scene.record(2).hash().as_str().to_owned();
        *driver.lost.lock().expect("no panic while held") = Some((second.clone(), did));
        let came = deploy(&scene, &driver, 2).await;
        assert_eq!(came, Some(outcome), "{did:?}, {way:?}");
        let made = driver.calls.lock().expect("no panic while held").clone();
        let made = made.iter().filter(|record| **record == second);
        assert_eq!(made.count(), calls, "{did:?}, {way:?}");
    }
}

/// A deployment of release 2 that goes back, and waits for a person on the way.
struct Stuck {
    scene: Scene,
    driver: Arc<Noted>,
    id: DeploymentId,
    running: JoinHandle<Result<Stop, StoreError>>,
}

impl Stuck {
    async fn on_the_way_back(driver: Noted, lose: impl FnOnce(&Noted, &Scene)) -> Self {
        let scene = Scene::new(Strategy::Basic, 1);
        let driver = Arc::new(driver);
        let first = deploy(&scene, &driver, 1).await;
        assert_eq!(first, Some(Outcome::Succeeded));
        lose(&driver, &scene);
        scene.script.say(2, Look::Bake, Said::Fail);
        let id = scene.deploy(2).await;
        let running = works(&scene, &driver);
        scene.until_parked(&id).await;
        Self {
            scene,
            driver,
            id,
            running,
        }
    }

    /// The call back is half done when its answer is lost.
    async fn half_done(hides: bool) -> Self {
        let driver = Noted {
            hides,
            ..Noted::default()
        };
        Self::on_the_way_back(driver, |driver, scene| {
            let first = scene.record(1).hash().as_str().to_owned();
            *driver.lost.lock().expect("no panic while held") = Some((first, Did::Note));
        })
        .await
    }

    /// That is there of that release now.
    fn comes(&self, release: u32, keys: &[&str]) {
        let record = json!(self.scene.record(release).hash());
        let there = self.driver.there.lock();
        set(&mut there.expect("no panic while held"), keys, &record);
    }

    async fn retry(&self) {
        self.scene.signal(&self.id, Ask::Retry).await;
        self.scene.at_rest().await;
        check_journal(&self.scene.store.journal(&self.id));
    }

    /// How often release 1 was called for on the way back.
    fn calls(&self) -> usize {
        let first = self.scene.record(1).hash().as_str().to_owned();
        let made = self.driver.calls.lock().expect("no panic while held");
        made.iter().filter(|made| **made == first).count() - 1
    }

    async fn outcome(&self) -> Option<Outcome> {
        self.scene.outcome(&self.id).await
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.running.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn i4_on_the_way_back_it_is_looked_for_before_a_person_has_it_repeated() {
    // Whether nobody had seen the part that was done, or it is what a person was asked about.
    for hides in [true, false] {
        let stuck = Stuck::half_done(hides).await;
        // The rest of the call comes late.
        stuck.comes(1, &["place", "note"]);
        stuck.driver.is_hidden.store(false, Ordering::SeqCst);
        stuck.retry().await;
        assert_eq!(stuck.outcome().await, rolled_back(), "{hides}");
        assert_eq!(stuck.calls(), 1, "{hides}");
    }
}

#[tokio::test(start_paused = true)]
async fn i4_what_is_half_done_is_repeated_when_a_person_who_knows_says_so() {
    let stuck = Stuck::half_done(false).await;
    stuck.retry().await;
    assert_eq!(stuck.outcome().await, rolled_back());
    assert_eq!(stuck.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn i4_so_is_what_is_gone_again() {
    let stuck = Stuck::half_done(false).await;
    stuck.comes(2, &["place", "note"]);
    stuck.retry().await;
    assert_eq!(stuck.outcome().await, rolled_back());
    assert_eq!(stuck.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn i4_what_is_half_done_in_another_way_by_then_is_asked_about_anew() {
    let stuck = Stuck::half_done(false).await;
    stuck.comes(1, &["place"]);
    stuck.comes(2, &["note"]);
    stuck.retry().await;
    assert_eq!(stuck.outcome().await, None);
    assert_eq!(stuck.calls(), 1);
    stuck.retry().await;
    assert_eq!(stuck.outcome().await, rolled_back());
    assert_eq!(stuck.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_names_a_record_that_nobody_has_is_asked_about_at_once() {
    let stuck = Stuck::on_the_way_back(Noted::default(), |driver, scene| {
        let names = Some((json!(scene.record(1).hash()), scene.record(7).hash()));
        *driver.names.lock().expect("no panic while held") = names;
    })
    .await;
    let begins = |event: &Event| matches!(event, Event::Started { step, .. } if step.plan == 1);
    let begun = || {
        let journal = stuck.scene.store.journal(&stuck.id);
        journal.iter().filter(|it| begins(&it.event)).count()
    };
    assert_eq!(begun(), 1);
    let why = stuck.scene.summary(&stuck.id).await.stuck;
    let why = why.unwrap_or_default();
    assert!(why.contains("no goal holds it"), "{why}");
    stuck.retry().await;
    assert_eq!((begun(), stuck.outcome().await), (2, None));
}
