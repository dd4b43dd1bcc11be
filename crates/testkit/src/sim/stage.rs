//! Plays a story: a place for all that there is, seats for workers (`seats`), people, and whoever answers what waits for a
//! person. Time is paused and goes on by itself when nobody has anything to do, so that a story always goes the same way.

use super::audit::Audit;
use super::counters::Counters;
use super::people;
use super::report::Report;
use super::story::{Deed, Story, Trouble, Weather};
use super::wire::Link;
use crate::{Crashes, FakeClock, MemoryStore, Script, World};
use belay_engine::ports::Store;
use belay_model::id::{ArtifactDigest, EnvironmentName, ReleaseNumber, Scope, ServiceName};
use belay_model::release::{Record, Target};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How long a lease lives, milliseconds.
const LEASE_MS: u64 = 1_000;
/// The longest that one deployment may take once nothing fails any more: the longest bake, and what else waits.
const LONGEST_MS: u64 = 40 * 60_000;
/// The most events that one journal may have; usual are some tens.
const LONGEST_JOURNAL: u64 = 5_000;

/// Plays a story to its end.
///
/// # Panics
/// Not with the engine's panics: those are breaches.
pub fn play(story: &Story) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("a runtime");
    let played = AssertUnwindSafe(|| runtime.block_on(async { Stage::set(story).play().await }));
    std::panic::catch_unwind(played).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Report {
            breaches: vec![format!("it panicked: {}", text.unwrap_or_default())],
            counters: Counters::default(),
            journals: Vec::new(),
            logs: Vec::new(),
        }
    })
}

/// A service in an environment.
pub(super) struct Ground {
    pub(super) scope: Scope,
    pub(super) worlds: BTreeMap<String, World>,
    /// Numbers of its releases begin above this, so that they are its own.
    first: u32,
}

impl Ground {
    /// The record of a release.
    pub(super) fn record(&self, release: u32) -> Record {
        let number = self.first + release;
        Record {
            format: 1,
            scope: self.scope.clone(),
            release: ReleaseNumber(number),
            artifact: ArtifactDigest::new(format!("sha256:{number:064}")),
            config: BTreeMap::new(),
            secrets: BTreeMap::new(),
            sealed: None,
            targets: self.worlds.keys().map(|name| target(name)).collect(),
        }
    }

    /// A target by number.
    pub(super) fn world(&self, number: usize) -> &World {
        self.named(number).1
    }

    /// The same with its name.
    pub(super) fn named(&self, number: usize) -> (&String, &World) {
        let number = number % self.worlds.len();
        self.worlds.iter().nth(number).expect("some")
    }
}

pub(super) fn target(name: &str) -> Target {
    Target {
        driver: name.to_owned(),
        name: name.to_owned(),
        host: None,
        settings: serde_json::Value::Null,
    }
}

/// Everything of a story but its workers.
pub(super) struct Stage {
    pub(super) story: Story,
    pub(super) clock: Arc<FakeClock>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) grounds: Arc<Vec<Ground>>,
    pub(super) audit: Arc<Audit>,
    /// Told when a journal does not end.
    endless: Arc<Notify>,
    pub(super) next: AtomicU32,
    pub(super) is_over: AtomicBool,
    pub(super) script: Arc<Script>,
    pub(super) links: Vec<Arc<Link>>,
}

impl Stage {
    fn set(story: &Story) -> Arc<Self> {
        let clock = Arc::new(FakeClock::default());
        let nobody = Arc::new(Crashes::default());
        let store = MemoryStore::with_leases(nobody.clone(), clock.clone(), LEASE_MS);
        let store = Arc::new(store);
        let script = Arc::new(Script::new(clock.clone()));
        let mut grounds = Vec::new();
        for (number, place) in story.places.iter().enumerate() {
            let world = |(nth, kind): (usize, &crate::Kind)| {
                let world = World::new(*kind, nobody.clone(), place.instances);
                let of = |at: usize| {
                    let here = place.faults.iter().filter(|(target, ..)| *target == nth);
                    let mut here = here.filter(|(_, call, _)| *call == at);
                    here.next().map(|(_, _, fault)| fault.clone())
                };
                let last = place.faults.iter().map(|(_, call, _)| *call).max();
                world.faults((0..last.map_or(0, |last| last + 1)).map(of));
                if number % 2 == 0 {
                    // Of every second place the platforms tell of changes: what bakes there is at rest.
                    world.tells();
                }
                (format!("p{number}t{nth}"), world)
            };
            let ground = Ground {
                scope: scope(number),
                worlds: place.targets.iter().enumerate().map(world).collect(),
                first: u32::try_from(number).expect("few") * 100,
            };
            for broken in &place.broken {
                let hash = ground.record(*broken).hash();
                ground
                    .worlds
                    .values()
                    .for_each(|world| world.break_release(hash.clone()));
            }
            for (release, look, said) in &place.said {
                script.say(ground.first + release, *look, *said);
            }
            grounds.push(ground);
        }
        let grounds = Arc::new(grounds);
        let audit = Arc::new(Audit::new(story, &store, &clock, grounds.clone()));
        let onlooker = audit.clone();
        let endless = Arc::new(Notify::new());
        let bell = endless.clone();
        store.watched_by(move |id, entries| {
            if entries.iter().any(|entry| entry.seq > LONGEST_JOURNAL) {
                bell.notify_one();
            }
            onlooker.appended(id, entries);
        });
        Arc::new(Self {
            links: story
                .workers
                .iter()
                .map(|_| Arc::new(Link::new()))
                .collect(),
            story: story.clone(),
            clock,
            store,
            grounds,
            audit,
            endless,
            next: AtomicU32::new(1),
            is_over: AtomicBool::new(false),
            script,
        })
    }

    async fn play(self: Arc<Self>) -> Report {
        let mut tasks = JoinSet::new();
        for seat in 0..self.story.workers.len() {
            tasks.spawn(self.clone().sit(seat));
        }
        for incident in self.story.incidents.clone() {
            tasks.spawn(self.clone().befall(incident));
        }
        tasks.spawn(people::answer(self.clone()));
        let story = async {
            people::act(&self).await;
            self.is_over.store(true, Ordering::SeqCst);
            self.at_rest().await;
        };
        let bound = std::time::Duration::from_millis(self.bound_ms());
        let is_done = tokio::select! {
            biased;
            never = watched(&mut tasks) => match never {},
            () = self.endless.notified() => false,
            done = tokio::time::timeout(bound, story) => done.is_ok(),
        };
        if !is_done {
            let open = self.store.open().await.unwrap_or_default();
            let open = open
                .iter()
                .map(|one| format!("{} {:?}: {:?}", one.id, one.phase, one.step_title));
            let open = open.collect::<Vec<_>>().join(", ");
            self.audit
                .breach(format!("liveness: it comes to no rest: {open}"));
        } else {
            self.audit.at_rest();
        }
        tasks.shutdown().await;
        self.audit.report(&self.store)
    }

    /// By then everything is at rest.
    fn bound_ms(&self) -> u64 {
        let acts = self.story.acts.iter();
        let acting: u64 = acts.clone().map(|act| act.after_ms).sum();
        let deploys = acts.filter(|act| {
            use Deed::{Deploy, GoBack, GoTo, Hotfix, Promote, Undo};
            matches!(
                act.deed,
                Deploy(_) | Hotfix(..) | GoBack | Undo | GoTo(..) | Promote(..)
            )
        });
        let incidents = self
            .story
            .incidents
            .iter()
            .map(|incident| match incident.trouble {
                Trouble::Kill(_) => 10_000,
                Trouble::NoStore(at, ms)
                | Trouble::NoAnswers(at, ms)
                | Trouble::NoPlatform(at, ms) => at + ms,
                // What waits by the clock may wait for so much longer.
                Trouble::Jump(at, by) => at + 2 * by.unsigned_abs(),
                Trouble::Leap(at, _) => at,
                Trouble::Stall(at, ms) => at + ms,
            });
        // A person who says to try again has it wait anew.
        let again = match self.story.weather {
            Weather::People => 8,
            _ => 1,
        };
        let deploys = again * deploys.count() as u64;
        acting + incidents.sum::<u64>() + (deploys + 1) * LONGEST_MS
    }

    /// Resolves when nothing is open and nothing is owed.
    async fn at_rest(&self) {
        loop {
            let generation = self.store.generation();
            let work = self.store.work("").await.expect("memory");
            if work == belay_engine::lease::Work::default() {
                return;
            }
            self.store.changed(generation).await;
        }
    }
}

/// Never resolves; ends with the panic of a task.
async fn watched(tasks: &mut JoinSet<()>) -> std::convert::Infallible {
    loop {
        match tasks.join_next().await {
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// Neighbours share their environment or their service.
fn scope(place: usize) -> Scope {
    Scope {
        service: ServiceName::new(format!("service{}", place.div_ceil(2))),
        environment: EnvironmentName::new(format!("environment{}", place / 2)),
    }
}
