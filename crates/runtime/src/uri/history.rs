//! The platform's own versions of something, and what Belay knows of them.

use super::place::What;
use super::{Error, Uri};
use crate::Belay;
use crate::targets::{looking, unplanned};
use belay_driver::{Availability, Revision};
use belay_driver_kubernetes::{Kubernetes, Past, Settings, has_same_pods};
use belay_model::environment::{Known, Standing};
use belay_model::id::Scope;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What there is to know of something that a URI names.
#[derive(Clone, Debug)]
pub struct PlatformHistory {
    /// It.
    pub uri: Uri,
    /// The platform's own versions, newest first.
    pub revisions: Vec<Revision>,
    /// The target of Belay that it belongs to, if it does: `shop/production`.
    pub target: Option<String>,
}

impl Uri {
    /// The platform's own versions. Works without a store; where there is one, what Belay has seen of them counts, too.
    ///
    /// # Errors
    /// It is not there, or cannot be looked at.
    pub async fn history(
        &self,
        belay: Option<&Belay>,
        env: &BTreeMap<String, String>,
    ) -> Result<PlatformHistory, crate::Error> {
        let settings = self.settings(env)?;
        let driver = match belay {
            Some(belay) => belay.own_driver().await?,
            None => nobodys(),
        };
        let what = self.what.clone();
        let (revisions, target) = match what {
            What::Release(_) => {
                let found = driver.release_history(&looking(), &settings).await;
                let found = found.map_err(|error| unplanned(&self.scope(), error))?;
                if found.is_empty() {
                    return Err(self.not_there());
                }
                (found, None)
            }
            What::Workload(_) => {
                let mut past = self.past(&driver, &settings).await?;
                if let Some(belay) = belay {
                    belay.tell_what_is_known(&settings, &mut past).await?;
                }
                let own = self.scope().to_string();
                let mut marks = past.marks.into_iter().map(|mark| mark.target);
                let target = marks.find(|target| *target != own);
                let revisions = past.versions.into_iter().map(|it| it.revision);
                (revisions.collect(), target)
            }
        };
        Ok(PlatformHistory {
            uri: self.clone(),
            revisions,
            target,
        })
    }

    pub(super) fn not_there(&self) -> crate::Error {
        let (title, namespace) = (self.title(), self.namespace.clone());
        Error::NotThere { title, namespace }.into()
    }

    pub(super) async fn past(
        &self,
        driver: &Kubernetes,
        settings: &Settings,
    ) -> Result<Past, crate::Error> {
        let past = driver.past(&looking(), settings).await;
        let past = past.map_err(|error| unplanned(&self.scope(), error))?;
        past.ok_or_else(|| self.not_there())
    }
}

/// The driver of who has no store: what it hides nobody can compare.
pub(super) fn nobodys() -> Kubernetes {
    Kubernetes::new(&[0; 32], "")
}

impl Belay {
    /// The driver of this store, for what is no part of its contract.
    pub(crate) async fn own_driver(&self) -> Result<Kubernetes, crate::Error> {
        let identity = self.database().identity().await?;
        Ok(Kubernetes::new(self.blobs().await?.digest_key(), identity))
    }

    /// Where Belay has seen a version to be good, that counts.
    async fn tell_what_is_known(
        &self,
        settings: &Settings,
        past: &mut Past,
    ) -> Result<(), crate::Error> {
        let known = self.records_of(settings).await?;
        for version in &mut past.versions {
            let good = known.iter().find(|(_, known, object)| {
                known.good_at_us.is_some() && has_same_pods(object, &version.object)
            });
            if let (Some((scope, ..)), Availability::Unknown(_)) =
                (good, &version.revision.availability)
            {
                version.revision.availability =
                    Availability::Yes(format!("Belay saw it to be good in {scope}"));
            }
        }
        Ok(())
    }

    /// The records of all scopes that have the workload of these settings, and it as they have it.
    pub(super) async fn records_of(
        &self,
        settings: &Settings,
    ) -> Result<Vec<(Scope, Known, Value)>, crate::Error> {
        let mut found = Vec::new();
        for scope in self.scopes().await? {
            let view = self.view(&scope).await?;
            for known in view.records.values() {
                for target in &known.record.targets {
                    let Ok(its) = Settings::deserialize(&target.settings) else {
                        continue;
                    };
                    if target.driver != "kubernetes"
                        || (&its.context, &its.namespace)
                            != (&settings.context, &settings.namespace)
                    {
                        continue;
                    }
                    let objects = its.objects.into_iter();
                    let own = objects.filter(|it| settings.workloads.contains(&named(it)));
                    found.extend(own.map(|it| (scope.clone(), known.clone(), it)));
                }
            }
        }
        Ok(found)
    }
}

/// `deployment/api`.
fn named(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]).to_lowercase();
    format!("{kind}/{}", text(&object["metadata"]["name"]))
}

/// Why a version was gone back from, if it was.
pub(super) fn left(records: &[(Scope, Known, Value)], object: &Value) -> Option<String> {
    let is_left = |(_, known, its): &&(Scope, Known, Value)| {
        known.standing == Standing::Quarantined && has_same_pods(its, object)
    };
    let (_, known, _) = records.iter().find(is_left)?;
    let why = known.reason.as_deref().unwrap_or("it was rolled back");
    Some(format!("Belay went back from it ({why})"))
}
