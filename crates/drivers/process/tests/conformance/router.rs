//! A router that is a table in memory.

use async_trait::async_trait;
use belay_driver::{Error, Moved, Route, RouteState, Router, Upstream};
use belay_model::error::Class;
use std::collections::BTreeMap;
use std::sync::Mutex;

#[derive(Default)]
struct State {
    routes: BTreeMap<String, Route>,
    number: u64,
    throttled_ms: Option<u64>,
}

#[derive(Default)]
pub(crate) struct Table(Mutex<State>);

impl Table {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no panic while held")
    }

    /// Someone gives all traffic to something of their own.
    pub(crate) fn meddle(&self, name: &str) {
        let mut state = self.state();
        let upstream = Upstream {
            id: "theirs".to_owned(),
            address: "127.0.0.1:2".parse().expect("an address"),
        };
        let route = state
            .routes
            .entry(name.to_owned())
            .or_insert_with(|| Route {
                listen: "127.0.0.1:1".parse().expect("an address"),
                groups: BTreeMap::new(),
                mark: "theirs".to_owned(),
            });
        route.groups = BTreeMap::from([("theirs".to_owned(), (1000, vec![upstream]))]);
        state.number += 1;
    }

    /// The next change is refused.
    pub(crate) fn throttle(&self, retry_after_ms: u64) {
        self.state().throttled_ms = Some(retry_after_ms);
    }
}

#[async_trait]
impl Router for Table {
    async fn observe(&self, name: &str) -> Result<Option<RouteState>, Error> {
        let state = self.state();
        Ok(state.routes.get(name).map(|route| RouteState {
            route: route.clone(),
            number: state.number,
            in_flight: BTreeMap::new(),
        }))
    }

    async fn set(&self, name: &str, seen: Option<&Route>, want: &Route) -> Result<Moved, Error> {
        let mut state = self.state();
        if let Some(ms) = state.throttled_ms.take() {
            let mut error = Error::not_applied(Class::Quota, "too many changes");
            error.retry_after_ms = Some(ms);
            return Err(error);
        }
        if state.routes.get(name) != seen {
            return Err(Error::not_applied(Class::Conflict, "the route has changed"));
        }
        state.routes.insert(name.to_owned(), want.clone());
        state.number += 1;
        Ok(Moved {
            number: state.number,
            switched_us: 1,
        })
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        self.state().routes.remove(name);
        Ok(())
    }

    async fn drain(&self, _: &str, _: &str, _: u64) -> Result<u64, Error> {
        Ok(0)
    }

    async fn times(&self, _: &str, _: &str) -> Result<BTreeMap<String, i64>, Error> {
        Ok(BTreeMap::new())
    }
}
