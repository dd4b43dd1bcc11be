//! Seats with workers that come and go, and what befalls them.

use super::commands::Commands;
use super::stage::Stage;
use super::story::{Incident, Trouble};
use super::wire::{Skewed, Wire, Wires};
use crate::scene::{KeepAll, NoSecrets};
use crate::{Crashes, Hints, Reach};
use belay_driver::Driver;
use belay_engine::ports::{Clock, Ports, Store};
use belay_engine::worker::Worker;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// From a worker's death to the next one on its seat, milliseconds.
const RESTART_MS: u64 = 300;

impl Stage {
    /// Workers on a seat, one after the other.
    pub(super) async fn sit(self: Arc<Self>, seat: usize) {
        let incidents = self.story.incidents.iter();
        let kills = incidents.filter_map(|incident| match incident.trouble {
            Trouble::Kill(at) if incident.worker == seat => Some(at),
            _ => None,
        });
        let mut kills = kills.collect::<Vec<_>>().into_iter();
        for life in 0.. {
            let still = self.links[seat].is_still.clone();
            let crashes = Arc::new(Crashes::still_while(still));
            crashes.kill_at(kills.next().unwrap_or(usize::MAX));
            let owner = format!("w{seat}.{life}");
            let worker = Worker::new(self.ports(seat, &owner, &crashes), owner.as_str());
            self.live(&worker, &crashes).await;
            drop(worker);
            self.audit.count("kills");
            self.clock.sleep_ms(RESTART_MS).await;
        }
    }

    /// Until it is killed.
    async fn live(&self, worker: &Worker, crashes: &Crashes) {
        loop {
            let generation = self.store.generation();
            tokio::select! {
                biased;
                () = crashes.killed() => return,
                done = worker.run() => if let Err(error) = done {
                    self.audit.breach(format!("a worker gave up: {error}"));
                },
            }
            // Nothing to do; whoever asks for something starts it again.
            self.store.changed(generation).await;
        }
    }

    fn ports(&self, seat: usize, owner: &str, crashes: &Arc<Crashes>) -> Ports {
        let (link, hints) = (&self.links[seat], self.story.workers[seat]);
        match hints {
            Hints::Prompt => {}
            Hints::LateBy(_) => self.audit.count("hints: late"),
            Hints::Lost => self.audit.count("hints: lost"),
            Hints::Doubled => self.audit.count("hints: doubled"),
        }
        let store = Arc::new(self.store.reached_through(crashes.clone(), hints));
        link.connect(&store);
        let mut wires = BTreeMap::new();
        for ground in self.grounds.iter() {
            for (name, world) in &ground.worlds {
                let wire: Arc<dyn Driver> = Arc::new(Wire {
                    world: world.reached_through(crashes.clone()),
                    scope: ground.scope.clone(),
                    owner: owner.to_owned(),
                    store: self.store.clone(),
                    link: link.clone(),
                    audit: self.audit.clone(),
                });
                wires.insert(name.clone(), wire);
            }
        }
        Ports {
            store,
            clock: Arc::new(Skewed {
                inner: self.clock.clone(),
                link: link.clone(),
            }),
            verifier: self.script.clone(),
            runner: Arc::new(Commands {
                crashes: crashes.clone(),
                audit: self.audit.clone(),
            }),
            secrets: Arc::new(NoSecrets),
            retention: Arc::new(KeepAll),
            drivers: Arc::new(Wires(wires)),
        }
    }

    pub(super) async fn befall(self: Arc<Self>, incident: Incident) {
        let Some(link) = self.links.get(incident.worker) else {
            return;
        };
        let clock = &self.clock;
        match incident.trouble {
            Trouble::Kill(_) => {}
            Trouble::NoStore(at_ms, for_ms) => {
                clock.sleep_ms(at_ms).await;
                self.audit.count("cuts: from the store");
                link.reach(Reach::Refused);
                clock.sleep_ms(for_ms).await;
                link.reach(Reach::Here);
            }
            Trouble::NoAnswers(at_ms, for_ms) => {
                clock.sleep_ms(at_ms).await;
                self.audit.count("cuts: from its answers");
                link.reach(Reach::Silent);
                clock.sleep_ms(for_ms).await;
                link.reach(Reach::Here);
            }
            Trouble::NoPlatform(at_ms, for_ms) => {
                clock.sleep_ms(at_ms).await;
                self.audit.count("cuts: from platforms");
                link.is_cut.set(|_| true);
                clock.sleep_ms(for_ms).await;
                link.is_cut.set(|_| false);
            }
            Trouble::Jump(at_ms, by_ms) => {
                clock.sleep_ms(at_ms).await;
                self.audit.count("jumps of clocks");
                link.skew_us.fetch_add(by_ms * 1000, Ordering::Relaxed);
            }
            Trouble::Leap(at_ms, by_ms) => {
                clock.sleep_ms(at_ms).await;
                self.audit.count("leaps of clocks");
                link.ahead_ms.fetch_add(by_ms, Ordering::Relaxed);
            }
            Trouble::Stall(at_ms, for_ms) => {
                clock.sleep_ms(at_ms).await;
                self.audit.count("stalls");
                link.is_still.set(|_| true);
                clock.sleep_ms(for_ms).await;
                link.is_still.set(|_| false);
            }
        }
    }
}
