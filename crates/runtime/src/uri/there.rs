//! The way back of a workload that Belay never deployed: to one of the platform's own versions, as a record.

use super::choose::{Asked, Candidate, choose, described};
use super::history::left;
use super::{Error, Uri};
use crate::targets::{looking, unplanned};
use crate::way::Way;
use crate::{Belay, RollbackRequest};
use belay_driver_kubernetes::render::{self, MAX_BYTES};
use belay_driver_kubernetes::{Layout, Marked, Settings, Version, Was, has_same_pods};
use belay_engine::goal;
use belay_model::back::Risk;
use belay_model::environment::{Event as InEnvironment, Known, View};
use belay_model::id::{DeploymentId, ReleaseNumber, Scope};
use belay_model::release::{Record, Release, Target};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a way back of it has beside its goal.
pub(crate) struct Undeployed {
    /// What runs, in words.
    pub(crate) leaves: String,
    /// Versions that were passed over, and why, one line each.
    pub(crate) passed_over: Vec<String>,
    /// What people should know.
    pub(crate) remarks: Vec<String>,
    /// What runs, where the environment does not know it as what serves.
    pub(crate) runs: Option<(Release, Record)>,
    /// The release of the goal.
    pub(crate) release: Release,
}

impl Belay {
    pub(crate) async fn way_of_uri(
        &self,
        uri: &Uri,
        view: &View,
        request: &RollbackRequest,
    ) -> Result<Way, crate::Error> {
        let Some(workload) = uri.workload() else {
            return self.way_of_release(uri, view, request).await;
        };
        let settings = uri.settings(&request.env)?;
        let driver = self.own_driver().await?;
        let past = uri.past(&driver, &settings).await?;
        refuse_ours(uri, &past.marks)?;
        let records = self.records_of(&settings).await?;
        for (scope, known, _) in &records {
            let view = self.view(scope).await?;
            let serves = view
                .serving()
                .is_some_and(|it| it.record.hash() == known.record.hash());
            if serves && *scope != uri.scope() {
                return Err(Error::Ours {
                    title: uri.title(),
                    target: scope.to_string(),
                    elsewhere: None,
                }
                .into());
            }
        }
        let asked = Asked {
            to: request.to.map(|number| number.0.into()),
            unproven: request.accepts(Risk::Unproven),
        };
        let current = past.versions.iter().find(|it| it.revision.is_current);
        let candidate = |it| candidate(it, current, &records);
        let candidates: Vec<Candidate<'_>> = past.versions.iter().map(candidate).collect();
        let choice = choose(&uri.title(), &candidates, asked)?;
        let version = &past.versions[choice.at];
        let template = &version.object["spec"]["template"];
        let cx = looking();
        let given = driver.given(&cx, &settings, template, version.revision.since_us);
        let given = given
            .await
            .map_err(|error| unplanned(&uri.scope(), error))?;
        let title = described(&version.revision);
        let mut remarks: Vec<String> = choice.warning.into_iter().collect();
        let mut gone = Vec::new();
        for it in given {
            let key = &it.key;
            match it.was {
                Was::Kept => {}
                Was::Gone => gone.push(it.key),
                Was::Changed { by, .. } => remarks.push(format!(
                    "WARNING: {key} was changed after {title} was made, by {by}: its pods get it as it is now, as the platform keeps \
                     nothing of what it was"
                )),
                Was::Unseen => remarks.push(format!("whether {key} is as it was is not known: it may not be looked at")),
            }
        }
        if !gone.is_empty() {
            let gone = gone.join(", ");
            return Err(Error::NoRevision {
                title: uri.title(),
                why: format!(
                    "{title} needs {gone}, which is not there any more: its pods would not start"
                ),
                passed_over: choice.passed_over,
                next: format!("make {gone} again, or name another revision with `--to`"),
            }
            .into());
        }
        if past.is_paused {
            remarks.push("it is paused: it goes on, so that it gets there".to_owned());
        }
        let made = |object: &Value| Settings {
            objects: vec![at_home(object)],
            workloads: vec![workload.to_string()],
            layout: Layout::InPlace,
            gitops: request.gitops,
            ..settings.clone()
        };
        let source = |what: &str| format!("{uri}, {what}");
        let (release, record) = self
            .record_of(uri, made(&version.object), source(&title))
            .await?;
        let leaves = current.map_or_else(|| uri.title(), |it| described(&it.revision));
        let serving = view.serving().map(|known| &known.record);
        let is_known = serving.is_some_and(|record| {
            let target = record.targets.first();
            let object = target.map(|target| &target.settings["objects"][0]);
            object.is_some_and(|object| has_same_pods(object, &past.object))
        });
        let runs = match is_known {
            true => None,
            false => {
                let found = made(&past.object);
                Some(self.record_of(uri, found, source(&leaves)).await?)
            }
        };
        let found = Undeployed {
            leaves,
            passed_over: choice.passed_over,
            remarks,
            runs,
            release,
        };
        self.way_to(record, title, found)
    }

    /// To a version that was made a record of. `title`: that version, in words.
    pub(super) fn way_to(
        &self,
        record: Record,
        title: String,
        found: Undeployed,
    ) -> Result<Way, crate::Error> {
        let of_runs = found.runs.iter().map(|(_, record)| record);
        let targets = self.targets(std::iter::once(&record).chain(of_runs))?;
        let mut goal = goal::of_record(&targets, &record);
        goal.title = title;
        Ok(Way::Return {
            record: Box::new(record),
            goal,
            accepts: None,
            hands: Vec::new(),
            // The goal as it is named here.
            keeps_hands: true,
            skipped: Vec::new(),
            undeployed: Some(Box::new(found)),
        })
    }

    /// A release of one workload as the platform has it; its number is the next one until it is kept.
    pub(super) async fn record_of(
        &self,
        uri: &Uri,
        settings: Settings,
        source: String,
    ) -> Result<(Release, Record), crate::Error> {
        let bytes = json!(settings.objects).to_string().len();
        if bytes > MAX_BYTES {
            let error = render::Error::TooLarge {
                bytes,
                most: MAX_BYTES,
            };
            return Err(crate::KubernetesError::Rendered(error).into());
        }
        let scope = uri.scope();
        let artifact = self.add_objects(&settings.objects).await?;
        let known = self.store().releases(&scope.service).await?;
        let same = known.iter().find(|it| it.artifact == artifact);
        let last = known.iter().map(|it| it.number.0).max().unwrap_or(0);
        let release = Release {
            format: 1,
            service: scope.service.clone(),
            number: same.map_or(ReleaseNumber(last + 1), |it| it.number),
            artifact: artifact.clone(),
            source,
            config: BTreeMap::new(),
            created_at_ms: self.now_us() / 1000,
            commit: None,
        };
        let is_of_this_machine = settings.kubeconfig.is_some();
        let target = Target {
            driver: "kubernetes".to_owned(),
            name: scope.to_string(),
            host: is_of_this_machine.then(|| self.host().to_owned()),
            settings: json!(settings),
        };
        let record = Record {
            format: 1,
            scope,
            release: release.number,
            artifact,
            config: BTreeMap::new(),
            secrets: BTreeMap::new(),
            sealed: None,
            targets: vec![target],
        };
        Ok((release, record))
    }

    /// Gives the releases of a way back their numbers, and answers what the environment's stream has to say of what runs: what
    /// was there before Belay serves, and is what the deployment leaves.
    pub(crate) async fn keep_undeployed(
        &self,
        found: Undeployed,
        record: &mut Record,
        id: &DeploymentId,
    ) -> Result<Vec<InEnvironment>, crate::Error> {
        let mut events = Vec::new();
        if let Some((release, mut runs)) = found.runs {
            runs.release = self.store().release(release).await?.number;
            let hash = runs.hash();
            events.push(InEnvironment::Recorded {
                record: Box::new(runs),
            });
            events.push(InEnvironment::Serves {
                record: Some(hash),
                deployment: id.clone(),
            });
        }
        record.release = self.store().release(found.release).await?.number;
        events.push(InEnvironment::Recorded {
            record: Box::new(record.clone()),
        });
        Ok(events)
    }
}

/// The namespace is the target's to say.
pub(super) fn at_home(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    object
}

fn candidate<'a>(
    it: &'a Version,
    current: Option<&Version>,
    records: &[(Scope, Known, Value)],
) -> Candidate<'a> {
    Candidate {
        revision: &it.revision,
        is_running: current.is_some_and(|current| has_same_pods(&current.object, &it.object)),
        left: left(records, &it.object),
    }
}

/// What Belay deploys goes back by what Belay knows of it.
pub(super) fn refuse_ours(uri: &Uri, marks: &[Marked]) -> Result<(), Error> {
    let own = uri.scope().to_string();
    let is_other = |mark: &&Marked| mark.target != own || !mark.is_ours;
    match marks.iter().find(is_other) {
        None => Ok(()),
        Some(mark) => Err(Error::Ours {
            title: uri.title(),
            target: mark.target.clone(),
            elsewhere: (!mark.is_ours).then(|| (mark.store.clone(), mark.lease.clone())),
        }),
    }
}
