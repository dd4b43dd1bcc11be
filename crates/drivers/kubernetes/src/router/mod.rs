//! Ways of sharing traffic between what stands side by side: what each can, what of a state it moves, and what that is like for a
//! share. One more (an Istio VirtualService, a TrafficSplit of SMI) is one file, and its line in [`ALL`]. Pure; how it is seen that
//! traffic is there stands in `seen.rs`.

mod gateway;
mod service;

use belay_driver::{Error, Split, Stage};
use belay_model::plan::Verb;
use belay_model::state::{Resource, State};

pub(crate) use gateway::{Route, SERVICES, WEIGHTS, expand, normalise};

/// One way.
pub(crate) trait Router: Sync {
    /// How it shares traffic.
    fn split(&self) -> Split;

    /// The keys of what it moves, in a state.
    fn moved(&self, state: &State) -> Vec<String>;

    /// What is to be as it is then, in order; what is so already is among it.
    ///
    /// # Errors
    /// It cannot give that share.
    fn moves(&self, scene: &Scene<'_>) -> Result<Vec<Move>, Error>;

    /// Workloads that only stand by and would get traffic by these moves.
    fn in_the_way(&self, _: &Scene<'_>) -> Vec<String> {
        Vec::new()
    }
}

/// Weights go before selectors: what a route sends elsewhere nobody misses at a Service.
static ALL: [&dyn Router; 2] = [&gateway::Gateway, &service::Selector];

/// Where a share is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    /// What is there, the goal's capacity among it.
    pub(crate) at: &'a State,
    pub(crate) want: &'a State,
    pub(crate) stage: Stage,
}

/// One change of one object.
pub(crate) struct Move {
    pub(crate) key: String,
    /// What it is to be.
    pub(crate) resource: Resource,
    /// The goal's workloads that get traffic by it.
    pub(crate) to: Vec<String>,
    pub(crate) verb: Verb,
    pub(crate) title: String,
}

/// How traffic is shared at a target that has live Services, and perhaps a route.
pub(crate) fn split(has_route: bool) -> Split {
    let [by_weight, by_selector] = ALL;
    match has_route {
        true => by_weight.split(),
        false => by_selector.split(),
    }
}

pub(crate) fn moved(state: &State) -> impl Iterator<Item = String> + use<> {
    let all: Vec<String> = ALL.iter().flat_map(|it| it.moved(state)).collect();
    all.into_iter()
}

pub(crate) fn moves(scene: &Scene<'_>) -> Result<Vec<Move>, Error> {
    let mut all = Vec::new();
    for router in ALL {
        all.extend(router.moves(scene)?);
    }
    Ok(all)
}

pub(crate) fn in_the_way(scene: &Scene<'_>) -> Vec<String> {
    ALL.iter().flat_map(|it| it.in_the_way(scene)).collect()
}
