//! Bringing a group up.

use crate::Error as ProcessError;
use crate::platform::process::Process;
use crate::platform::{instance, ports, shape};
use crate::supervisor::{Claim, Desired, NotReady, Readiness, Spec, Supervised};
use belay_driver::{Context, Error, Material};
use belay_model::config::{ProcessTarget, ReadyKind};
use belay_model::error::Class;
use belay_model::id::RecordHash;
use belay_model::release::Target;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::path::Path;

/// How long a process that nobody can ask has to run before it counts as ready, milliseconds. docs/belay-yaml.md says it.
const RUNS_MS: u64 = 1000;

/// Brings a group up: `count` instances of the record, all ready.
pub(in crate::platform) async fn grow(
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
    let own = material.record.target(&target.name).unwrap_or(target);
    let settings = shape::settings(own)?;
    // Until all are ready: each has its port then.
    let mut claims = Vec::new();
    let mut starts = Vec::new();
    for index in 0..count {
        let dir = instance::dir(&driver.options.root, target, group, index);
        let supervised =
            prepare(driver, &dir, group, index, material, &settings, &mut claims).await?;
        cx.progress.line(&format!(
            "starting instance {} of {count} of {group}",
            index + 1
        ));
        // All at once: going back to a group that is gone takes as long as the slowest instance, not as all of them.
        // Within this call, not as tasks of their own, which would go on for a moment after it was dropped.
        starts.push(async move {
            let started = supervised.start(&driver.options.exe).await;
            started.map_err(|error| failed(&supervised, error))?;
            Ok::<_, Error>(supervised)
        });
    }
    let started = join_all(starts).await;
    let started: Vec<Supervised> = started.into_iter().collect::<Result<_, _>>()?;
    let mut ready = 0;
    for supervised in started {
        wait_ready(driver, &supervised).await?;
        ready += 1;
        cx.progress
            .line(&format!("instances of {group} ready: {ready} of {count}"));
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
    claims: &mut Vec<Claim>,
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
        let removed = again.remove().await;
        removed.map_err(|error| failed(&there, error))?;
    }
    let (port, claim) = ports::free().ok_or_else(|| {
        Error::not_applied(Class::Quota, "find a free port between 20000 and 32000")
    })?;
    claims.push(claim);
    let root = driver
        .artifacts
        .directory(&material.record.artifact)
        .await?;
    let mut spec = Spec::new(format!("{group}.{index}"), command(&root, settings), root);
    spec.env = environment(group, material, settings);
    spec.port = Some(port);
    match settings.ready() {
        Some(ready) => {
            spec.ready = match ready.kind() {
                Ok(ReadyKind::Http { path }) => Readiness::http(path),
                Ok(ReadyKind::Tcp) | Err(_) => Readiness::Tcp,
            };
            spec.ready_timeout_ms = ready.within.as_ms();
        }
        None => {
            spec.ready = Readiness::Started;
            spec.timing.started_ms = RUNS_MS;
        }
    }
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

fn environment(
    group: &str,
    material: &Material,
    settings: &ProcessTarget,
) -> BTreeMap<String, String> {
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
    let (name, none) = instance::NO_TRAFFIC;
    // Nobody else may say it.
    env.remove(name);
    if settings.listen.is_none() {
        env.insert(name.to_owned(), none.to_owned());
    }
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
        format!("see {name} ready: {}", report.why),
    )
    .with_detail(detail)
}

pub(in crate::platform) fn failed(supervised: &Supervised, error: ProcessError) -> Error {
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
