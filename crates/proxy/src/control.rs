//! Changes of the table, one at a time: judge, bind, swap, persist, acknowledge. It answers
//! requests of the admin API and never touches a request of the data plane.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use belay_proxy_api::{
    Applied, Code, DeleteRoute, Drain, Drained, Expect, PutRoute, Refusal, Route, Status, Table,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::wall_us;
use crate::forward::Forward;
use crate::inflight::GroupState;
use crate::listener::{self, Listener};
use crate::live::{LiveRoute, RouteState, Slot};
use crate::persist::{self, Loaded};
use crate::table::validate;

/// How often a new address is tried before the change is refused: whoever had it may be leaving.
const BIND_TRIES: u32 = 4;

pub(crate) struct Control {
    pub(crate) forward: Arc<Forward>,
    pub(crate) boot: u64,
    pub(crate) sequence: Arc<AtomicU64>,
    pub(crate) table: ArcSwap<Table>,
    pub(crate) routes: Mutex<BTreeMap<String, Arc<RouteState>>>,
    persisted: AtomicU64,
    warnings: Mutex<Vec<String>>,
    /// True: listeners accept.
    gate: watch::Sender<bool>,
    /// Held for the whole of a change.
    listeners: tokio::sync::Mutex<BTreeMap<String, Listener>>,
}

impl Control {
    /// Serves the loaded table at once, unless it is a fallback.
    pub(crate) fn new(forward: Arc<Forward>, loaded: Loaded) -> Self {
        let control = Self {
            forward,
            boot: wall_us(),
            sequence: Arc::default(),
            persisted: AtomicU64::new(if loaded.fallback {
                0
            } else {
                loaded.table.number
            }),
            warnings: Mutex::new(loaded.warnings),
            gate: watch::Sender::new(!loaded.fallback),
            table: ArcSwap::from_pointee(loaded.table),
            routes: Mutex::default(),
            listeners: tokio::sync::Mutex::default(),
        };
        let mut listeners = BTreeMap::new();
        for (name, route) in &control.table.load().routes {
            let state = control.route_state(name);
            let live = control.prepare(name, route, &state);
            let slot = Arc::new(Slot::from_pointee(live));
            listeners.insert(name.clone(), control.listen(route, None, slot));
            state.settle(Some(route), &control.forward.kill);
        }
        Self {
            listeners: tokio::sync::Mutex::new(listeners),
            ..control
        }
    }

    pub(crate) async fn put(&self, put: PutRoute) -> Result<Applied, Refusal> {
        let mut listeners = self.listeners.lock().await;
        let now = self.table.load_full();
        let previous = now.routes.get(&put.name);
        if previous == Some(&put.route) {
            return self.unchanged(&now, previous).await;
        }
        expected(&put.expect, &now, previous)?;
        let mut next = Table::clone(&now);
        next.number += 1;
        next.routes.insert(put.name.clone(), put.route.clone());
        validate(&next)?;
        self.catch_up(&now).await?;

        let moves = previous.is_none_or(|previous| previous.listen != put.route.listen);
        let bound = if moves {
            Some(bind(&put.route).await?)
        } else {
            None
        };
        let state = self.route_state(&put.name);
        let live = Arc::new(self.prepare(&put.name, &put.route, &state));
        // The switch. A listener that is left behind gets the new route, too: connections to it
        // may be in the middle of a request.
        if let Some(listener) = listeners.get(&put.name) {
            listener.slot.store(live.clone());
        }
        self.table.store(Arc::new(next));
        let swapped_us = wall_us();
        if let Some(bound) = bound {
            let slot = Arc::new(Slot::new(live));
            let listener = self.listen(&put.route, Some(bound), slot);
            if let Some(mut left) = listeners.insert(put.name.clone(), listener) {
                left.stop().await;
            }
        }
        state.settle(Some(&put.route), &self.forward.kill);
        let next = self.table.load_full();
        self.persist(&next).await?;
        let previous = previous.cloned();
        Ok(Applied {
            number: next.number,
            changed: true,
            previous,
            swapped_us,
        })
    }

    pub(crate) async fn delete(&self, delete: DeleteRoute) -> Result<Applied, Refusal> {
        let mut listeners = self.listeners.lock().await;
        let now = self.table.load_full();
        let previous = now.routes.get(&delete.name);
        if previous.is_none() {
            return self.unchanged(&now, previous).await;
        }
        expected(&delete.expect, &now, previous)?;
        self.catch_up(&now).await?;
        let mut next = Table::clone(&now);
        next.number += 1;
        next.routes.remove(&delete.name);
        let state = self.route_state(&delete.name);
        let listener = listeners.remove(&delete.name);
        if let Some(listener) = &listener {
            listener
                .slot
                .store(Arc::new(LiveRoute::closed(state.clone())));
        }
        let next = Arc::new(next);
        self.table.store(next.clone());
        let swapped_us = wall_us();
        if let Some(mut listener) = listener {
            listener.stop().await;
        }
        state.settle(None, &self.forward.kill);
        self.forget_empty();
        self.persist(&next).await?;
        let previous = previous.cloned();
        Ok(Applied {
            number: next.number,
            changed: true,
            previous,
            swapped_us,
        })
    }

    pub(crate) async fn drain(&self, drain: &Drain) -> Result<Drained, Refusal> {
        let group = self.group(&drain.route, &drain.group)?;
        let began = Instant::now();
        let deadline = Duration::from_millis(drain.deadline_ms);
        let _ = tokio::time::timeout(deadline, group.emptied()).await;
        let waited_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let in_flight = group.in_flight();
        Ok(Drained {
            in_flight,
            upstreams: group.left_by_upstream(),
            waited_ms,
        })
    }

    /// A controller (or the end of the grace period) lets a fallback serve.
    pub(crate) async fn confirm(&self, number: Option<u64>) -> Result<(), Refusal> {
        let _changes_wait = self.listeners.lock().await;
        let now = self.table.load_full();
        if let Some(number) = number {
            expected(&Expect::Number(number), &now, None)?;
        }
        self.gate.send_replace(true);
        self.catch_up(&now).await
    }

    pub(crate) fn is_holding(&self) -> bool {
        !*self.gate.borrow()
    }

    pub(crate) fn warn(&self, warning: String) {
        tracing::warn!("{warning}");
        self.lock_warnings().push(warning);
    }

    pub(crate) async fn status(&self) -> Status {
        let listeners = self.listeners.lock().await;
        let table = self.table.load();
        let of_route = |(name, route): (&String, &Route)| {
            let error = listeners.get(name).and_then(Listener::bind_error);
            belay_proxy_api::ListenerStatus {
                route: name.clone(),
                address: route.listen,
                bound: error.is_none(),
                error,
            }
        };
        Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            number: table.number,
            persisted_number: self.persisted.load(Ordering::SeqCst),
            started_us: self.boot,
            holding: self.is_holding(),
            listeners: table.routes.iter().map(of_route).collect(),
            warnings: self.lock_warnings().clone(),
        }
    }

    /// Takes no more connections and waits until what is in flight is done.
    pub(crate) async fn stop(&self) {
        let mut listeners = self.listeners.lock().await;
        for listener in listeners.values_mut() {
            listener.stop().await;
        }
        for listener in listeners.values() {
            listener.closed().await;
        }
        // Tunnels, and connections of listeners that are gone.
        for group in self.groups() {
            group.emptied().await;
        }
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.groups().iter().map(|group| group.in_flight()).sum()
    }

    /// Closes connections to upstreams that nobody used for a while.
    pub(crate) fn prune(&self) {
        for group in self.groups() {
            for upstream in group
                .upstreams
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .values()
            {
                upstream.prune(self.forward.options.pool_idle);
            }
        }
    }

    fn groups(&self) -> Vec<Arc<GroupState>> {
        let of_route = |route: &Arc<RouteState>| {
            let groups = route.groups.lock().unwrap_or_else(PoisonError::into_inner);
            groups.values().cloned().collect::<Vec<_>>()
        };
        self.lock_routes().values().flat_map(of_route).collect()
    }

    fn group(&self, route: &str, group: &str) -> Result<Arc<GroupState>, Refusal> {
        let Some(state) = self.lock_routes().get(route).cloned() else {
            return Err(Refusal::new(
                Code::NotFound,
                format!("there is no route {route}"),
            ));
        };
        let groups = state.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.get(group).cloned().ok_or_else(|| {
            Refusal::new(
                Code::NotFound,
                format!("route {route} has no group {group}"),
            )
        })
    }

    fn route_state(&self, name: &str) -> Arc<RouteState> {
        self.lock_routes()
            .entry(name.to_owned())
            .or_default()
            .clone()
    }

    fn forget_empty(&self) {
        self.lock_routes().retain(|_, route| {
            !route
                .groups
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_empty()
        });
    }

    fn prepare(&self, name: &str, route: &Route, state: &Arc<RouteState>) -> LiveRoute {
        let live = LiveRoute::new(name, route, state, &self.sequence);
        state.enter(route);
        live
    }

    fn listen(&self, route: &Route, bound: Option<TcpListener>, slot: Arc<Slot>) -> Listener {
        Listener::start(
            route.listen,
            bound,
            slot,
            self.forward.clone(),
            self.gate.subscribe(),
        )
    }

    async fn unchanged(&self, now: &Table, previous: Option<&Route>) -> Result<Applied, Refusal> {
        self.catch_up(now).await?;
        let previous = previous.cloned();
        Ok(Applied {
            number: now.number,
            changed: false,
            previous,
            swapped_us: wall_us(),
        })
    }

    /// Writes what an earlier change could not: at most one change may be missing on disk.
    async fn catch_up(&self, now: &Table) -> Result<(), Refusal> {
        if self.persisted.load(Ordering::SeqCst) == now.number {
            return Ok(());
        }
        self.persist(now).await
    }

    async fn persist(&self, table: &Table) -> Result<(), Refusal> {
        let number = table.number;
        let (dir, table) = (self.forward.options.dir.clone(), table.clone());
        let saved = tokio::task::spawn_blocking(move || persist::save(&dir, &table)).await;
        let error = match saved {
            Ok(Ok(())) => {
                self.persisted.store(number, Ordering::SeqCst);
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(number, error, "cannot write the table");
        let message = format!("table {number} is in force, but cannot be written: {error}");
        Err(Refusal {
            number: Some(number),
            ..Refusal::new(Code::NotPersisted, message)
        })
    }

    pub(crate) fn lock_routes(&self) -> MutexGuard<'_, BTreeMap<String, Arc<RouteState>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_warnings(&self) -> MutexGuard<'_, Vec<String>> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn bind(route: &Route) -> Result<TcpListener, Refusal> {
    let mut pause = Duration::from_millis(10);
    for _ in 1..BIND_TRIES {
        if let Ok(listener) = listener::bind(route.listen) {
            return Ok(listener);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    listener::bind(route.listen).map_err(|error| {
        let message = format!("{} not bound: {}", route.listen, listener::describe(&error));
        Refusal {
            field: Some("listen".to_owned()),
            ..Refusal::new(Code::NotBound, message)
        }
    })
}

/// What is expected against what is.
fn expected(expect: &Expect, now: &Table, route: Option<&Route>) -> Result<(), Refusal> {
    let wrong = match expect {
        Expect::Any => None,
        Expect::Number(number) => (*number != now.number)
            .then(|| format!("table {number} was expected, the table is {}", now.number)),
        Expect::RouteAbsent => route.map(|_| "no route was expected, there is one".to_owned()),
        Expect::RouteHash(hash) => match route {
            None => Some("a route was expected, there is none".to_owned()),
            Some(route) if route.hash() == *hash => None,
            Some(_) => Some("the route is not the one that was expected".to_owned()),
        },
    };
    wrong.map_or(Ok(()), |message| {
        let refusal = Refusal::new(Code::Conflict, message);
        Err(Refusal {
            number: Some(now.number),
            route: route.cloned().map(Box::new),
            ..refusal
        })
    })
}
