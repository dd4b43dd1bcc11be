//! What people ask of deployments, releases and instances, other than going forward and back.

use crate::{Belay, Error};
use belay_engine::queue;
use belay_model::back::Back;
use belay_model::environment::{Known, Standing};
use belay_model::event::{Ask, Event};
use belay_model::id::{
    DeploymentId, EnvironmentName, RecordHash, ReleaseNumber, Scope, ServiceName,
};
use belay_model::release::Release;
use belay_model::summary::{Phase, Summary};
use std::path::PathBuf;

/// A release and what it is where.
#[derive(Clone, Debug)]
pub struct ReleaseInfo {
    /// It.
    pub release: Release,
    /// Its records by environment, newest standing first.
    pub standings: Vec<(EnvironmentName, Known)>,
    /// Environments in which it serves.
    pub serves: Vec<EnvironmentName>,
}

/// A quarantine that was lifted.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifted {
    /// Where.
    pub scope: Scope,
    /// Whose.
    pub record: RecordHash,
    /// What it stands for now.
    pub standing: Standing,
}

/// Where the output of an instance is.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceLog {
    /// Its group: release and short hash.
    pub group: String,
    /// Its name.
    pub instance: String,
    /// Its output; rotated files beside it as `output.log.1`.
    pub path: PathBuf,
}

impl Belay {
    /// Tells a deployment something. Answers how it stood before.
    ///
    /// # Errors
    /// There is no such deployment, it has ended, or it does not wait for that (`retry`, `skip`, `abandon` answer one
    /// that waits for a person).
    pub async fn signal(
        &self,
        id: &DeploymentId,
        ask: Ask,
        reason: Option<String>,
    ) -> Result<Summary, Error> {
        let summary = self.store().summary(id).await?;
        let summary = summary.ok_or_else(|| crate::scope::no_deployment(id.as_str()))?;
        let waits_for_time = ask == Ask::Advance && {
            let deployment = self.fold(id).await?;
            deployment.waits_for_time() || deployment.asks_for_capacity()
        };
        let objection = match objection(&summary, &ask) {
            None if ask == Ask::Advance && !waits_for_time => {
                Some("time is not what it waits for now")
            }
            objection => objection,
        };
        if let Some(why) = objection {
            return Err(Error::NotAsked {
                id: id.clone(),
                ask: word(&ask),
                why: why.to_owned(),
                has_ended: summary.phase == Phase::Ended,
            });
        }
        if matches!(ask, Ask::Approve | Ask::Reject) {
            self.require_asked(id).await?;
        }
        self.append_signal(id, ask, reason).await?;
        Ok(summary)
    }

    pub(crate) async fn append_signal(
        &self,
        id: &DeploymentId,
        ask: Ask,
        reason: Option<String>,
    ) -> Result<(), Error> {
        self.append_said(id, ask, reason, Back::default()).await
    }

    pub(crate) async fn append_said(
        &self,
        id: &DeploymentId,
        ask: Ask,
        reason: Option<String>,
        back: Back,
    ) -> Result<(), Error> {
        let signal = Event::Signal {
            actor: self.actor().to_owned(),
            ask,
            reason,
            back,
        };
        let store = self.store();
        queue::tell(store.as_ref(), id, self.now_us(), &signal).await?;
        Ok(())
    }

    /// An answer of someone who was not asked would not count: they are told so.
    async fn require_asked(&self, id: &DeploymentId) -> Result<(), Error> {
        let deployment = self.fold(id).await?;
        if deployment.asks(self.actor()) {
            return Ok(());
        }
        Err(Error::NotYours {
            id: id.clone(),
            actor: self.actor().to_owned(),
            by: deployment.asked_people(),
        })
    }

    /// Lifts the quarantine of a release, in one environment or wherever it is quarantined. Its error budget begins anew.
    ///
    /// # Errors
    /// No record of it is quarantined there.
    pub async fn lift(
        &self,
        service: &ServiceName,
        environment: Option<&EnvironmentName>,
        release: ReleaseNumber,
        reason: String,
    ) -> Result<Vec<Lifted>, Error> {
        let mut lifted = Vec::new();
        for scope in self.scopes().await? {
            let is_meant = scope.service == *service
                && environment.is_none_or(|environment| scope.environment == *environment);
            if !is_meant {
                continue;
            }
            let view = self.view(&scope).await?;
            let known = view.of_release(release).into_iter();
            for known in known.filter(|known| known.standing == Standing::Quarantined) {
                let one = self.lift_one(&scope, known, &reason).await?;
                lifted.push(one);
            }
        }
        if lifted.is_empty() {
            return Err(Error::NotQuarantined { release });
        }
        Ok(lifted)
    }

    async fn lift_one(&self, scope: &Scope, known: &Known, reason: &str) -> Result<Lifted, Error> {
        let standing = known.lifted();
        let record = known.record.hash();
        let at_us = self.now_us();
        let events = known.lift(None, self.actor(), Some(reason));
        let events = events.map(|event| (at_us, event)).to_vec();
        self.store().append_environment(scope, None, events).await?;
        Ok(Lifted {
            scope: scope.clone(),
            record,
            standing,
        })
    }

    /// Newest deployments first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn history(&self, scope: &Scope, limit: usize) -> Result<Vec<Summary>, Error> {
        Ok(self.store().history(scope, limit).await?)
    }

    /// Releases of a service, newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn releases(&self, service: &ServiceName) -> Result<Vec<ReleaseInfo>, Error> {
        let mut views = Vec::new();
        for scope in self.scopes().await? {
            if scope.service == *service {
                views.push((scope.environment.clone(), self.view(&scope).await?));
            }
        }
        let releases = self.store().releases(service).await?;
        let told = releases.into_iter().map(|release| {
            let standings = views.iter().flat_map(|(environment, view)| {
                let known = view.of_release(release.number).into_iter();
                known.map(|known| (environment.clone(), known.clone()))
            });
            let serves = views.iter().filter(|(_, view)| {
                let serving = view.serving();
                serving.is_some_and(|known| known.record.release == release.number)
            });
            ReleaseInfo {
                standings: standings.collect(),
                serves: serves.map(|(environment, _)| environment.clone()).collect(),
                release,
            }
        });
        Ok(told.collect())
    }

    /// Where instances write; all groups unless one is named. Those that were stopped lately are among them.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub async fn logs(
        &self,
        scope: &Scope,
        group: Option<&str>,
    ) -> Result<Vec<InstanceLog>, Error> {
        let root = self.launcher().instances();
        let prefix = format!("{}.{}.", scope.service, scope.environment);
        let entries = match std::fs::read_dir(&root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|source| Error::Io {
                what: format!("list {}", root.display()),
                source,
            })?,
        };
        let mut logs: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let (own, index) = name.strip_prefix(&prefix)?.rsplit_once('.')?;
                let path = entry.path().join("output.log");
                let is_meant = group.is_none_or(|group| group == own) && path.is_file();
                is_meant.then(|| InstanceLog {
                    group: own.to_owned(),
                    instance: index.to_owned(),
                    path,
                })
            })
            .collect();
        logs.sort_by(|a, b| (&a.group, &a.instance).cmp(&(&b.group, &b.instance)));
        Ok(logs)
    }
}

/// Why a deployment does not take a request.
fn objection(summary: &Summary, ask: &Ask) -> Option<&'static str> {
    match (summary.phase, ask) {
        (Phase::Ended, _) => Some("it has ended"),
        (_, Ask::Advance) => None,
        _ if summary.stuck.is_some() => None,
        (Phase::RollingBack, Ask::Abort) => Some("it goes back already"),
        (_, Ask::Abort | Ask::Supersede { .. }) => None,
        (_, Ask::Retry | Ask::Skip | Ask::Abandon) => Some("it does not wait for a person"),
        (Phase::Waiting, Ask::Approve | Ask::Reject) => None,
        (_, Ask::Approve | Ask::Reject) => Some("it does not wait for an approval"),
        (Phase::Paused, Ask::Pause) => Some("it is paused already"),
        (Phase::Paused, Ask::Resume) => None,
        (_, Ask::Resume) => Some("it is not paused"),
        (_, Ask::Pause | Ask::Stop) => None,
    }
}

fn word(ask: &Ask) -> &'static str {
    match ask {
        Ask::Supersede { .. } => "make way",
        Ask::Abort => "go back",
        Ask::Retry => "retry",
        Ask::Skip => "skip",
        Ask::Abandon => "abandon",
        Ask::Approve => "approve",
        Ask::Reject => "reject",
        Ask::Pause => "pause",
        Ask::Resume => "resume",
        Ask::Advance => "advance",
        Ask::Stop => "stop",
    }
}
