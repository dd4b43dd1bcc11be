//! What came of a story: what it breached, what was seen, and all of it in words.

use super::audit::Audit;
use super::counters::Counters;
use super::told;
use crate::{Fault, MemoryStore};
use belay_model::event::Entry;
use belay_model::id::DeploymentId;

/// What came of a story.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What may never happen and did, one line each.
    pub breaches: Vec<String>,
    /// What was seen.
    pub counters: Counters,
    /// All journals, in the order of their beginnings.
    pub journals: Vec<(DeploymentId, Vec<Entry>)>,
    /// What happened on each target.
    pub logs: Vec<(String, Vec<String>)>,
}

impl Report {
    /// All of it, for whoever looks into a seed, and to compare two runs.
    pub fn trace(&self) -> String {
        let mut lines = Vec::new();
        for (id, journal) in &self.journals {
            lines.push(format!("{id}:"));
            lines.extend(journal.iter().map(told::line));
        }
        for (name, log) in &self.logs {
            lines.push(format!("{name}: {}", log.join("; ")));
        }
        lines.extend(
            self.breaches
                .iter()
                .map(|breach| format!("BREACH {breach}")),
        );
        lines.join("\n")
    }
}

impl Audit {
    pub(super) fn report(&self, store: &MemoryStore) -> Report {
        let mut logs = Vec::new();
        for (ground, place) in self.grounds.iter().zip(&self.story.places) {
            for (nth, (target, world)) in ground.worlds.iter().enumerate() {
                // Where a stranger was, or a person left things half-way, what was there before may serve nobody.
                let here = self.here(&ground.scope);
                let is_odd = here.meddled_us.is_some() || here.is_rough;
                for breach in world.breaches() {
                    if !is_odd || breach.starts_with("I4") {
                        self.breach(breach);
                    }
                }
                let last = place.faults.iter().map(|(_, call, _)| *call + 1).max();
                let calls = last.unwrap_or(0) - world.faults_left();
                let here = place.faults.iter().filter(|(it, ..)| *it == nth);
                for (_, _, fault) in here.filter(|(_, call, _)| *call < calls) {
                    self.count(name(fault));
                }
                logs.push((target.clone(), world.log()));
            }
        }
        let weather = self.story.weather;
        let seen = self.seen();
        let mut counters = seen.counters.clone();
        counters.count(format!("stories: {weather:?}"));
        counters.add(
            format!("deployments: {weather:?}"),
            counters.of("deployments"),
        );
        Report {
            breaches: seen.breaches.clone(),
            counters,
            journals: seen
                .order
                .iter()
                .map(|id| (id.clone(), store.journal(id)))
                .collect(),
            logs,
        }
    }
}

/// How a fault is called in the table.
fn name(fault: &Fault) -> &'static str {
    match fault {
        Fault::Refused(_) => "faults: refused",
        Fault::AnswerLost(_) => "faults: answer lost",
        Fault::Half(_) => "faults: broken half-way",
        Fault::Throttled(_) => "faults: throttled",
        Fault::Late(_) => "faults: late",
    }
}
