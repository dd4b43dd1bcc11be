//! Instances on disk: which supervised directories belong to a target, and what each is doing.
//!
//! A directory's name is TARGET.GROUP.INDEX, so that one look at the folder tells what is there. The record's hash is
//! in the instance's environment (`BELAY_RECORD`): what an instance runs is told by itself, not by its name. So is that
//! it takes no traffic (`BELAY_TRAFFIC`).

use crate::Error;
use crate::supervisor::{Desired, Phase, Status, Supervised};
use belay_model::release::Target;
use futures_util::future::join_all;
use std::path::{Path, PathBuf};

/// The variable that tells an instance that it takes no traffic, and its value. Absent: it does.
pub(super) const NO_TRAFFIC: (&str, &str) = ("BELAY_TRAFFIC", "none");

/// One instance that shall run.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub group: String,
    pub index: u32,
    pub record: String,
    pub port: u16,
    pub takes_traffic: bool,
    pub status: Status,
    pub supervised: Supervised,
}

impl Instance {
    pub(super) fn is_ready(&self) -> bool {
        self.status.phase == Phase::Ready
    }

    /// Why it is not ready, in words.
    pub(super) fn trouble(&self) -> String {
        let phase = format!("{:?}", self.status.phase).to_lowercase();
        match &self.status.last_answer {
            Some(answer) => format!("instance {} is {phase}, last seen: {answer}", self.index),
            None => format!("instance {} is {phase}", self.index),
        }
    }
}

/// The part of a directory's name that tells the target.
fn prefix(target: &Target) -> String {
    format!("{}.", target.name.replace('/', "."))
}

/// Where an instance lives.
pub(super) fn dir(root: &Path, target: &Target, group: &str, index: u32) -> PathBuf {
    root.join(format!("{}{group}.{index}", prefix(target)))
}

fn directories(root: &Path, target: &Target) -> Vec<(String, u32, PathBuf)> {
    let prefix = prefix(target);
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (group, index) = name.strip_prefix(&prefix)?.rsplit_once('.')?;
            // A further dot would be another target whose name begins like this one.
            let own = !group.contains('.');
            own.then_some((group.to_owned(), index.parse().ok()?, entry.path()))
        })
        .collect();
    found.sort();
    found
}

/// All instances of a target that shall run, by group and index.
pub(super) async fn running(root: &Path, target: &Target) -> Vec<Instance> {
    let looks = directories(root, target)
        .into_iter()
        .map(|(group, index, path)| async move {
            let supervised = Supervised::at(&path);
            let status = supervised.status().await.ok()?;
            if status.desired == Desired::Stopped {
                return None;
            }
            let spec = supervised.spec().ok()?;
            let record = spec.env.get("BELAY_RECORD").cloned().unwrap_or_default();
            let (name, none) = NO_TRAFFIC;
            let takes_traffic = spec.env.get(name).is_none_or(|value| value != none);
            Some(Instance {
                group,
                takes_traffic,
                index,
                record,
                port: spec.port.unwrap_or(0),
                status,
                supervised,
            })
        });
    let mut found = Vec::new();
    for look in looks.map(tokio::spawn).collect::<Vec<_>>() {
        found.extend(look.await.ok().flatten());
    }
    found
}

/// Sees stops to their end that were written down and of which the supervisor does not know yet.
///
/// # Errors
/// One did not stop.
pub(super) async fn finish_stops(root: &Path, target: &Target) -> Result<(), (Supervised, Error)> {
    let dirs = directories(root, target).into_iter();
    let stops = dirs.map(|(_, _, path)| async move {
        let supervised = Supervised::at(&path);
        // One that cannot be asked does not count among those that run, now or later.
        if !supervised.is_to_be_stopped().await.unwrap_or(false) {
            return Ok(());
        }
        let stopped = supervised.stop(None).await;
        stopped.map(drop).map_err(|error| (supervised, error))
    });
    join_all(stops).await.into_iter().collect()
}

/// Removes what is left of the oldest stopped instances, so that logs of the last ones stay and nothing grows.
pub(super) async fn prune(root: &Path, target: &Target, keep: usize) {
    let mut stopped = Vec::new();
    for (_, _, path) in directories(root, target) {
        let supervised = Supervised::at(&path);
        if supervised
            .status()
            .await
            .is_ok_and(|status| status.desired == Desired::Stopped)
        {
            let changed = std::fs::metadata(&path)
                .and_then(|meta| meta.modified())
                .ok();
            stopped.push((changed, supervised));
        }
    }
    stopped.sort_by_key(|(changed, _)| std::cmp::Reverse(*changed));
    for (_, supervised) in stopped.into_iter().skip(keep) {
        if let Err(error) = supervised.remove().await {
            tracing::debug!(%error, "a stopped instance stays");
        }
    }
}
