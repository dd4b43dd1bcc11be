//! The `Router` port on belay proxy. A proxy that is not there is started; a store that never had one has no routes.

use crate::artifacts::chain;
use crate::launch::Launcher;
use async_trait::async_trait;
use belay_driver::{Error, Moved, Route, RouteState, Router, Upstream};
use belay_model::error::{Class, Effect};
use belay_proxy_api::{self as api, Client, Code, Expect};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a proxy that is not there may take to come back.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// See the module.
pub(crate) struct ProxyRouter {
    client: Client,
    launcher: Launcher,
}

impl ProxyRouter {
    pub(crate) fn new(launcher: Launcher) -> Self {
        Self {
            client: launcher.client(),
            launcher,
        }
    }

    /// Asks until the proxy answers. Every request may be sent again: a change to what is there already is no change.
    async fn ask<T, F>(&self, question: impl Fn() -> F) -> Result<T, api::Error>
    where
        F: Future<Output = Result<T, api::Error>>,
    {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let error = match question().await {
                Err(error @ (api::Error::Connect { .. } | api::Error::Transport(_))) => error,
                answered => return answered,
            };
            if Instant::now() >= deadline {
                return Err(error);
            }
            if matches!(error, api::Error::Connect { .. })
                && let Err(error) = self.launcher.start_proxy().await
            {
                tracing::warn!(%error, "the proxy did not start; trying again");
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn stats(&self, name: &str) -> Result<Option<api::RouteStats>, Error> {
        let request = api::StatsRequest {
            route: Some(name.to_owned()),
            since: None,
        };
        let stats = self.ask(|| self.client.stats(&request)).await;
        let mut stats = stats.map_err(|error| translate("ask the proxy about", name, &error))?;
        Ok(stats.routes.remove(name))
    }
}

#[async_trait]
impl Router for ProxyRouter {
    async fn observe(&self, name: &str) -> Result<Option<RouteState>, Error> {
        if !self.launcher.has_proxy() {
            return Ok(None);
        }
        let table = self.ask(|| self.client.table()).await;
        let table = table.map_err(|error| translate("observe the route of", name, &error))?;
        let Some(route) = table.routes.get(name) else {
            return Ok(None);
        };
        let groups = self.stats(name).await?.unwrap_or_default().groups;
        let in_flight = groups
            .into_iter()
            .map(|(group, stats)| (group, stats.in_flight))
            .collect();
        Ok(Some(RouteState {
            route: from_proxy(route),
            number: table.number,
            in_flight,
        }))
    }

    async fn set(&self, name: &str, seen: Option<&Route>, want: &Route) -> Result<Moved, Error> {
        let expect = seen.map_or(Expect::RouteAbsent, |seen| {
            Expect::RouteHash(to_proxy(seen).hash())
        });
        let put = api::PutRoute {
            name: name.to_owned(),
            route: to_proxy(want),
            expect,
        };
        let applied = self.ask(|| self.client.put_route(&put)).await;
        let applied = applied.map_err(|error| match error.refusal() {
            Some(refusal) if refusal.code == Code::NotBound => not_bound(want, refusal),
            _ => translate("change the route of", name, &error),
        })?;
        Ok(Moved {
            number: applied.number,
            switched_us: micros(applied.swapped_us),
        })
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        if !self.launcher.has_proxy() {
            return Ok(());
        }
        let delete = api::DeleteRoute {
            name: name.to_owned(),
            expect: Expect::Any,
        };
        match self.ask(|| self.client.delete_route(&delete)).await {
            Err(error) if is(&error, Code::NotFound) => Ok(()),
            Err(error) => Err(translate("remove the route of", name, &error)),
            Ok(_) => Ok(()),
        }
    }

    async fn drain(&self, name: &str, group: &str, deadline_ms: u64) -> Result<u64, Error> {
        if !self.launcher.has_proxy() {
            return Ok(0);
        }
        let drain = api::Drain {
            route: name.to_owned(),
            group: group.to_owned(),
            deadline_ms,
        };
        match self.ask(|| self.client.drain(&drain)).await {
            Err(error) if is(&error, Code::NotFound) => Ok(0),
            Err(error) => Err(translate("drain a group of", name, &error)),
            Ok(drained) => Ok(drained.in_flight),
        }
    }

    async fn times(&self, name: &str, group: &str) -> Result<BTreeMap<String, i64>, Error> {
        if !self.launcher.has_proxy() {
            return Ok(BTreeMap::new());
        }
        let groups = self.stats(name).await?.unwrap_or_default().groups;
        let times = groups
            .get(group)
            .map(|group| group.times)
            .unwrap_or_default();
        let named = [
            ("first_started", times.first_started_us),
            ("last_started", times.last_started_us),
            ("first_error", times.first_error_us),
        ];
        let known = named
            .into_iter()
            .filter_map(|(time, at_us)| Some((time.to_owned(), micros(at_us?))));
        Ok(known.collect())
    }
}

fn to_proxy(route: &Route) -> api::Route {
    let group = |weight: u32, upstreams: &[Upstream]| api::Group {
        weight,
        upstreams: upstreams
            .iter()
            .map(|upstream| api::Upstream {
                id: upstream.id.clone(),
                address: upstream.address,
            })
            .collect(),
        health: None,
    };
    api::Route {
        listen: route.listen,
        split_by: api::SplitBy::Request,
        groups: route
            .groups
            .iter()
            .map(|(name, (weight, upstreams))| (name.clone(), group(*weight, upstreams)))
            .collect(),
        owner: Some(route.mark.clone()),
    }
}

fn from_proxy(route: &api::Route) -> Route {
    let upstreams = |group: &api::Group| {
        let upstreams = group.upstreams.iter().map(|upstream| Upstream {
            id: upstream.id.clone(),
            address: upstream.address,
        });
        (group.weight, upstreams.collect())
    };
    Route {
        listen: route.listen,
        groups: route
            .groups
            .iter()
            .map(|(name, group)| (name.clone(), upstreams(group)))
            .collect(),
        mark: route.owner.clone().unwrap_or_default(),
    }
}

fn is(error: &api::Error, code: Code) -> bool {
    error.refusal().is_some_and(|refusal| refusal.code == code)
}

// Not the release's fault: `Quota` never quarantines.
fn not_bound(want: &Route, refusal: &api::Refusal) -> Error {
    let address = want.listen;
    let message = format!("listen on {address}: {}", refusal.message);
    let port = address.port();
    Error::not_applied(Class::Quota, message).with_detail(vec![format!(
        "see who holds it: ss -ltnp 'sport = :{port}'"
    )])
}

fn translate(what: &str, name: &str, error: &api::Error) -> Error {
    let message = format!("{what} {name}: {}", chain(error));
    let (class, effect) = match error {
        api::Error::Connect { .. } => (Class::Connectivity, Effect::NotApplied),
        api::Error::Transport(_) => (Class::Connectivity, Effect::MaybeApplied),
        api::Error::Timeout(_) => (Class::Timeout, Effect::MaybeApplied),
        api::Error::Answer { .. } => (Class::Unknown, Effect::MaybeApplied),
        api::Error::Refused(refusal) => match refusal.code {
            Code::Conflict => (Class::Conflict, Effect::NotApplied),
            Code::Invalid | Code::NotFound | Code::NotBound => {
                (Class::Application, Effect::NotApplied)
            }
            // In force but not on disk: sent again until it is.
            Code::NotPersisted => (Class::Quota, Effect::MaybeApplied),
            Code::Internal => (Class::Unknown, Effect::MaybeApplied),
        },
    };
    Error {
        effect,
        ..Error::not_applied(class, message)
    }
}

fn micros(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX)
}
