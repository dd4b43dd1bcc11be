//! Moving traffic: the route of a target is replaced whole.

use crate::platform::instance::{self, Instance};
use crate::platform::process::Process;
use crate::platform::shape::Shape;
use belay_driver::{Context, Error, Route, Upstream};
use belay_model::error::Class;
use belay_model::release::Target;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How often the router is asked for the first request on the goal, and how long apart, milliseconds.
const FIRST_REQUEST_LOOKS: u32 = 5;
const FIRST_REQUEST_PAUSE_MS: u64 = 10;

/// Replaces the route. Refused when it is neither what was seen nor what is wanted (I10), and when the groups that
/// get traffic are not ready (P4).
pub(in crate::platform) async fn route(
    driver: &Process,
    cx: &Context,
    target: &Target,
    listen: SocketAddr,
    weights: &BTreeMap<String, u32>,
    seen: &Shape,
) -> Result<BTreeMap<String, i64>, Error> {
    let now = driver.router.observe(&target.name).await?;
    let current = now.as_ref().map(|now| now.route.clone());
    if let Some(there) = &current {
        check_unchanged(there, weights, listen, seen)?;
    }
    if weights.is_empty() {
        driver.router.remove(&target.name).await?;
        return Ok(BTreeMap::new());
    }
    let want = wanted_route(driver, cx, target, listen, weights).await?;
    let moved = driver
        .router
        .set(&target.name, current.as_ref(), &want)
        .await?;
    let mut times = BTreeMap::from([("t4".to_owned(), moved.switched_us)]);
    let losers = current
        .iter()
        .flat_map(|route| &route.groups)
        .filter(|(name, _)| !weights.contains_key(*name));
    for (name, _) in losers {
        if let Some(first_error) = driver
            .router
            .times(&target.name, name)
            .await?
            .get("first_error")
        {
            times.insert("t0".to_owned(), *first_error);
        }
    }
    if let Some(first) = first_request(driver, target, weights, moved.switched_us).await? {
        times.insert("t3".to_owned(), first);
    }
    Ok(times)
}

fn check_unchanged(
    there: &Route,
    weights: &BTreeMap<String, u32>,
    listen: SocketAddr,
    seen: &Shape,
) -> Result<(), Error> {
    let now: BTreeMap<String, u32> = there
        .groups
        .iter()
        .filter(|(_, (weight, _))| *weight > 0)
        .map(|(name, (weight, _))| (name.clone(), *weight))
        .collect();
    let as_seen = now == seen.weights && Some(there.listen) == seen.listen;
    let as_wanted = now == *weights && there.listen == listen;
    if as_seen || as_wanted {
        return Ok(());
    }
    let detail = vec![
        format!("as we left it: {:?} on {:?}", seen.weights, seen.listen),
        format!("as it is now: {now:?} on {}", there.listen),
        format!("as it should become: {weights:?} on {listen}"),
    ];
    let message = "someone else changed the route in the meantime";
    Err(Error::not_applied(Class::Conflict, message).with_detail(detail))
}

async fn wanted_route(
    driver: &Process,
    cx: &Context,
    target: &Target,
    listen: SocketAddr,
    weights: &BTreeMap<String, u32>,
) -> Result<Route, Error> {
    let instances = instance::running(&driver.options.root, target).await;
    let mut groups = BTreeMap::new();
    for (name, weight) in weights {
        let own: Vec<&Instance> = instances
            .iter()
            .filter(|instance| instance.group == *name)
            .collect();
        let ready: Vec<&&Instance> = own.iter().filter(|instance| instance.is_ready()).collect();
        if ready.is_empty() {
            let detail = own.iter().map(|instance| instance.trouble()).collect();
            let message = format!("send traffic to {name}: none of its instances is ready");
            return Err(Error::not_applied(Class::Application, message).with_detail(detail));
        }
        // All of them: one that is not ready for the moment comes back without another change of the table, and the
        // proxy passes over upstreams that refuse connections.
        let upstreams = own.iter().map(|instance| Upstream {
            id: instance.index.to_string(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, instance.port)),
        });
        groups.insert(name.clone(), (*weight, upstreams.collect()));
    }
    Ok(Route {
        listen,
        groups,
        mark: format!("{} epoch {}", cx.deployment, cx.epoch),
    })
}

/// The first request that a group got which had none before. One that was serving all along has no such moment: for
/// its users the switch itself is it.
async fn first_request(
    driver: &Process,
    target: &Target,
    weights: &BTreeMap<String, u32>,
    switched_us: i64,
) -> Result<Option<i64>, Error> {
    for _ in 0..FIRST_REQUEST_LOOKS {
        for name in weights.keys() {
            match driver
                .router
                .times(&target.name, name)
                .await?
                .get("first_started")
            {
                Some(first) => return Ok(Some((*first).max(switched_us))),
                None => continue,
            }
        }
        tokio::time::sleep(Duration::from_millis(FIRST_REQUEST_PAUSE_MS)).await;
    }
    Ok(None)
}
