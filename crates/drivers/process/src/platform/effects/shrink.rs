//! Taking a group down, in part or whole, once nothing needs it.

use super::grow::failed;
use crate::platform::instance::{self, Instance};
use crate::platform::process::Process;
use belay_driver::{Context, Error, Route};
use belay_model::error::Class;
use belay_model::release::Target;
use futures_util::future::join_all;

/// How long requests in flight may take before instances are told to stop, milliseconds. Longer ones are cut by the
/// instance itself, which gets SIGTERM and its stop time.
const DRAIN_MS: u64 = 30_000;
/// Stopped instances that stay on disk for their output.
const KEEP_STOPPED: usize = 20;

/// Reduces a group. Refused while it has weight; requests in flight are waited for. A group that takes no traffic has
/// neither, and the router is not asked.
pub(in crate::platform) async fn shrink(
    driver: &Process,
    cx: &Context,
    target: &Target,
    group: &str,
    count: u32,
) -> Result<(), Error> {
    let instances = instance::running(&driver.options.root, target).await;
    let leaving = instances
        .into_iter()
        .filter(|instance| instance.group == group && instance.index >= count);
    let leaving: Vec<Instance> = leaving.collect();
    let takes_none = !leaving.is_empty() && leaving.iter().all(|instance| !instance.takes_traffic);
    if !takes_none {
        end_traffic(driver, cx, target, group, count).await?;
    }
    stop(driver, cx, group, leaving).await?;
    instance::prune(&driver.options.root, target, KEEP_STOPPED).await;
    Ok(())
}

/// Waits until those that leave have no requests and get none.
async fn end_traffic(
    driver: &Process,
    cx: &Context,
    target: &Target,
    group: &str,
    count: u32,
) -> Result<(), Error> {
    let route = driver
        .router
        .observe(&target.name)
        .await?
        .map(|now| now.route);
    let weight = route
        .as_ref()
        .and_then(|route| route.groups.get(group))
        .map_or(0, |(weight, _)| *weight);
    if weight > 0 && count == 0 {
        let message = format!("stop {group}: it still has traffic");
        return Err(Error::not_applied(Class::Conflict, message));
    }
    if weight > 0 {
        narrow(driver, target, route.as_ref(), group, count).await?;
    } else {
        let left = driver.router.drain(&target.name, group, DRAIN_MS).await?;
        if left > 0 {
            cx.progress.line(&format!(
                "{left} requests of {group} did not end in {} s",
                DRAIN_MS / 1000
            ));
        }
    }
    Ok(())
}

async fn stop(
    driver: &Process,
    cx: &Context,
    group: &str,
    leaving: Vec<Instance>,
) -> Result<(), Error> {
    cx.progress
        .line(&format!("stopping {} instances of {group}", leaving.len()));
    // Within this call, not as tasks of their own: one that is at work goes on for a moment after it was aborted, and
    // whoever settles this call must not meet it.
    let stops = leaving.iter().map(|instance| async {
        let stopped = instance.supervised.stop(None).await;
        if stopped.is_err() {
            let _ = instance.supervised.ensure(&driver.options.exe).await;
        }
        stopped.map_err(|error| failed(&instance.supervised, error))
    });
    let stopped = join_all(stops).await;
    stopped
        .into_iter()
        .try_for_each(|stopped| stopped.map(drop))
}

/// Takes the upstreams that are to go out of a group that keeps its traffic.
async fn narrow(
    driver: &Process,
    target: &Target,
    route: Option<&Route>,
    group: &str,
    count: u32,
) -> Result<(), Error> {
    let Some(route) = route else { return Ok(()) };
    let mut want = route.clone();
    if let Some((_, upstreams)) = want.groups.get_mut(group) {
        upstreams.retain(|upstream| upstream.id.parse::<u32>().is_ok_and(|index| index < count));
    }
    if want != *route {
        driver.router.set(&target.name, Some(route), &want).await?;
    }
    Ok(())
}
