//! The three effects: grow a group, replace the route, shrink a group. Each may be repeated at any time.

use super::instance::{self, Instance};
use super::ports;
use super::process::Process;
use super::shape::{self, Shape};
use crate::Error as ProcessError;
use crate::supervisor::{Desired, NotReady, Readiness, Spec, Supervised};
use belay_driver::{Context, Error, Material, Route, Upstream};
use belay_model::config::{ProcessTarget, ReadyKind};
use belay_model::error::Class;
use belay_model::id::RecordHash;
use belay_model::release::Target;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long requests in flight may take before instances are told to stop, milliseconds. Longer ones are cut by the
/// instance itself, which gets SIGTERM and its stop time.
const DRAIN_MS: u64 = 30_000;
/// Stopped instances that stay on disk for their output.
const KEEP_STOPPED: usize = 20;
/// How often the router is asked for the first request on the goal, and how long apart, milliseconds.
const FIRST_REQUEST_LOOKS: u32 = 5;
const FIRST_REQUEST_PAUSE_MS: u64 = 10;

/// Brings a group up: `count` instances of the record, all ready.
pub(super) async fn grow(
    driver: &Process,
    cx: &Context,
    target: &Target,
    group: &str,
    record: &RecordHash,
    count: u32,
) -> Result<(), Error> {
    let material = cx.material.get(record).ok_or_else(|| {
        Error::not_applied(
            Class::Unknown,
            format!("find the material of record {}", record.short()),
        )
    })?;
    let settings = shape::settings(&material.record.target)?;
    let mut taken: BTreeSet<u16> = BTreeSet::new();
    let mut starts = JoinSet::new();
    for index in 0..count {
        let dir = instance::dir(&driver.options.root, target, group, index);
        let supervised =
            prepare(driver, &dir, group, index, material, &settings, &mut taken).await?;
        cx.progress.line(&format!(
            "starting instance {} of {count} of {group}",
            index + 1
        ));
        let exe = driver.options.exe.clone();
        // All at once: going back to a group that is gone takes as long as the slowest instance, not as all of them.
        starts.spawn(async move {
            let started = supervised.start(&exe).await;
            started.map_err(|error| failed(&supervised, error))?;
            Ok::<_, Error>(supervised)
        });
    }
    let started: Vec<Supervised> = starts
        .join_all()
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    let mut ready = 0;
    for supervised in started {
        wait_ready(driver, &supervised).await?;
        ready += 1;
        cx.progress
            .line(&format!("{ready} of {count} instances of {group} ready"));
    }
    Ok(())
}

/// Waits for a group that is there whole to be ready; one that is not whole is grown again, and waited for then.
///
/// # Errors
/// An instance that does not get ready, as growing it would have told.
pub(super) async fn wait_grown(
    driver: &Process,
    target: &Target,
    group: &str,
    count: u32,
) -> Result<(), Error> {
    let there = instance::running(&driver.options.root, target).await;
    let there = there.iter().filter(|instance| instance.group == group);
    if there.count() < usize::try_from(count).unwrap_or(usize::MAX) {
        return Ok(());
    }
    for index in 0..count {
        let dir = instance::dir(&driver.options.root, target, group, index);
        wait_ready(driver, &Supervised::at(dir)).await?;
    }
    Ok(())
}

/// The instance's directory, made if it is not there; what a stopped one left is replaced.
async fn prepare(
    driver: &Process,
    dir: &Path,
    group: &str,
    index: u32,
    material: &Material,
    settings: &ProcessTarget,
    taken: &mut BTreeSet<u16>,
) -> Result<Supervised, Error> {
    let there = Supervised::at(dir);
    if there.spec().is_ok() {
        let stopped = there
            .status()
            .await
            .is_ok_and(|status| status.desired == Desired::Stopped);
        if !stopped {
            return Ok(there);
        }
        let again = there.clone();
        // One that was told to stop may still be at it.
        again
            .stop(None)
            .await
            .map_err(|error| failed(&there, error))?;
        again.remove().map_err(|error| failed(&there, error))?;
    }
    let port = ports::free(taken).ok_or_else(|| {
        Error::not_applied(Class::Quota, "find a free port between 20000 and 32000")
    })?;
    taken.insert(port);
    let root = driver
        .artifacts
        .directory(&material.record.artifact)
        .await?;
    let mut spec = Spec::new(format!("{group}.{index}"), command(&root, settings), root);
    spec.env = environment(group, material);
    spec.port = Some(port);
    let ready = settings.ready();
    spec.ready = match ready.kind() {
        Ok(ReadyKind::Http { path }) => Readiness::http(path),
        Ok(ReadyKind::Tcp) | Err(_) => Readiness::Tcp,
    };
    spec.ready_timeout_ms = ready.within.as_ms();
    spec.stop_timeout_ms = settings.stop_timeout.as_ms();
    spec.key_file = Some(driver.options.key_file.clone());
    Supervised::create(dir, &spec, &material.secrets, &driver.key()?)
        .map_err(|error| failed(&there, error))
}

/// A program of the artifact is run from there; anything else is looked up in PATH.
fn command(root: &Path, settings: &ProcessTarget) -> Vec<String> {
    let mut words = settings.run.words().to_vec();
    let own = root.join(&words[0]);
    if own.is_file() {
        words[0] = own.to_string_lossy().into_owned();
    }
    words
}

fn environment(group: &str, material: &Material) -> BTreeMap<String, String> {
    let record = &material.record;
    let mut env = record.config.clone();
    let own = [
        ("BELAY_SERVICE", record.scope.service.to_string()),
        ("BELAY_ENVIRONMENT", record.scope.environment.to_string()),
        ("BELAY_RELEASE", record.release.to_string()),
        ("BELAY_RECORD", record.hash().to_string()),
        ("BELAY_GROUP", group.to_owned()),
    ];
    env.extend(own.map(|(name, value)| (name.to_owned(), value)));
    env
}

async fn wait_ready(driver: &Process, supervised: &Supervised) -> Result<(), Error> {
    loop {
        match supervised.wait_ready(None).await {
            Ok(_) => return Ok(()),
            Err(ProcessError::Unsupervised { .. }) => {
                // Its supervisor was killed meanwhile: another one takes over.
                supervised
                    .ensure(&driver.options.exe)
                    .await
                    .map_err(|error| failed(supervised, error))?;
            }
            Err(ProcessError::NotReady(report)) => return Err(not_ready(supervised, &report)),
            Err(error) => return Err(failed(supervised, error)),
        }
    }
}

fn not_ready(supervised: &Supervised, report: &NotReady) -> Error {
    let name = supervised
        .dir()
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut detail = Vec::new();
    if let Some(answer) = &report.status.last_answer {
        detail.push(format!("last answer seen: {answer}"));
    }
    detail.extend(report.output.iter().map(|line| format!("output: {line}")));
    Error::maybe_applied(
        Class::Application,
        format!("{name} is not ready: {}", report.why),
    )
    .with_detail(detail)
}

fn failed(supervised: &Supervised, error: ProcessError) -> Error {
    let class = match &error {
        ProcessError::Io { source, .. } if is_full(source) => Class::Quota,
        ProcessError::Spec { .. } => Class::Application,
        ProcessError::Start { .. } | ProcessError::Unsupervised { .. } => Class::Connectivity,
        _ => Class::Unknown,
    };
    let mut message = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(next) = source {
        message = format!("{message}: {next}");
        source = next.source();
    }
    Error::maybe_applied(class, message).with_detail(supervised.output(20))
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem
    )
}

/// Replaces the route. Refused when it is neither what was seen nor what is wanted (I10), and when the groups that
/// get traffic are not ready (P4).
pub(super) async fn route(
    driver: &Process,
    cx: &Context,
    target: &Target,
    listen: SocketAddr,
    weights: &BTreeMap<String, u32>,
    seen: &Shape,
) -> Result<BTreeMap<String, i64>, Error> {
    let now = driver.router.observe(&target.name).await?;
    if weights.is_empty() {
        driver.router.remove(&target.name).await?;
        return Ok(BTreeMap::new());
    }
    let current = now.as_ref().map(|now| now.route.clone());
    if let Some(there) = &current {
        check_unchanged(there, weights, listen, seen)?;
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

/// Reduces a group. Refused while it has weight; requests in flight are waited for.
pub(super) async fn shrink(
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
    let instances = instance::running(&driver.options.root, target).await;
    let leaving = instances
        .into_iter()
        .filter(|instance| instance.group == group && instance.index >= count);
    let leaving: Vec<Instance> = leaving.collect();
    cx.progress
        .line(&format!("stopping {} instances of {group}", leaving.len()));
    let stops = leaving.into_iter().map(|instance| {
        let exe = driver.options.exe.clone();
        tokio::spawn(async move {
            let stopped = instance.supervised.stop(None).await;
            if stopped.is_err() {
                let _ = instance.supervised.ensure(&exe).await;
            }
            stopped.map_err(|error| failed(&instance.supervised, error))
        })
    });
    for stop in stops.collect::<Vec<_>>() {
        stop.await
            .map_err(|error| Error::maybe_applied(Class::Unknown, error.to_string()))??;
    }
    instance::prune(&driver.options.root, target, KEEP_STOPPED).await;
    Ok(())
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
