//! A route as requests read it: one immutable snapshot, replaced whole by one atomic store.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use belay_proxy_api::{Route, SplitBy};
use tokio::sync::watch;

use crate::clock::wall_us;
use crate::health;
use crate::inflight::GroupState;
use crate::split::{Split, cookie_value};
use crate::upstream::Upstream;

const KEEP_LEFT_US: u64 = 3_600_000_000;

/// Where a listener finds its route. The store into it is the switch.
pub(crate) type Slot = ArcSwap<LiveRoute>;

#[derive(Debug)]
pub(crate) struct LiveRoute {
    pub(crate) state: Arc<RouteState>,
    pub(crate) split: Split,
    /// The name of the sticky cookie, if the route has one.
    pub(crate) cookie: Option<String>,
    pub(crate) groups: Vec<LiveGroup>,
}

#[derive(Debug)]
pub(crate) struct LiveGroup {
    pub(crate) cookie_value: String,
    pub(crate) state: Arc<GroupState>,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
}

/// What outlives a change of the route.
#[derive(Debug, Default)]
pub(crate) struct RouteState {
    /// Numbers the requests for the split.
    pub(crate) requests: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) groups: Mutex<BTreeMap<String, Arc<GroupState>>>,
}

impl LiveRoute {
    /// What serves when the route is gone but connections to it are not: 503.
    pub(crate) fn closed(state: Arc<RouteState>) -> Self {
        Self {
            state,
            split: Split::new(std::iter::empty()),
            cookie: None,
            groups: Vec::new(),
        }
    }

    pub(crate) fn new(
        name: &str,
        route: &Route,
        state: &Arc<RouteState>,
        sequence: &Arc<AtomicU64>,
    ) -> Self {
        let cookie = match &route.split_by {
            SplitBy::Request => None,
            SplitBy::Cookie { name } => Some(name.clone()),
        };
        let mut known = state.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = route.groups.iter().map(|(group_name, group)| {
            let group_state = known
                .entry(group_name.clone())
                .or_insert_with(|| Arc::new(GroupState::new(sequence.clone())));
            let mut upstreams = group_state
                .upstreams
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let live = group.upstreams.iter().map(|upstream| {
                let key = (upstream.id.clone(), upstream.address);
                let fresh = || Arc::new(Upstream::new(upstream.address));
                upstreams.entry(key).or_insert_with(fresh).clone()
            });
            LiveGroup {
                cookie_value: cookie_value(name, cookie.as_deref().unwrap_or(""), group_name),
                upstreams: live.collect(),
                state: group_state.clone(),
            }
        });
        Self {
            groups: groups.collect(),
            split: Split::new(route.groups.values().map(|group| group.weight)),
            cookie,
            state: state.clone(),
        }
    }
}

impl RouteState {
    /// Before the swap to `route`: groups that are new in the table begin their stay.
    pub(crate) fn enter(&self, route: &Route) {
        let known = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        for name in route.groups.keys() {
            let Some(state) = known.get(name) else {
                continue;
            };
            let mut left = state.left_us.lock().unwrap_or_else(PoisonError::into_inner);
            if left.take().is_some() {
                state.counters.enter_table();
            }
        }
    }

    /// After the swap: starts and ends checks, and forgets what is over.
    pub(crate) fn settle(&self, route: Option<&Route>, kill: &watch::Receiver<()>) {
        let now = wall_us();
        let mut known = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|name, state| {
            let group = route.and_then(|route| route.groups.get(name));
            let mut left = state.left_us.lock().unwrap_or_else(PoisonError::into_inner);
            if group.is_none() && left.is_none() {
                *left = Some(now);
            }
            let mut upstreams = state
                .upstreams
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            upstreams.retain(|(id, address), upstream| {
                let stays = group.is_some_and(|group| {
                    group
                        .upstreams
                        .iter()
                        .any(|it| it.id == *id && it.address == *address)
                });
                let check = group
                    .filter(|_| stays)
                    .and_then(|group| group.health.as_ref());
                health::set(upstream, check, kill);
                stays || upstream.in_flight.load(std::sync::atomic::Ordering::SeqCst) > 0
            });
            group.is_some()
                || state.in_flight() > 0
                || left.is_none_or(|left| now.saturating_sub(left) < KEEP_LEFT_US)
        });
    }
}
