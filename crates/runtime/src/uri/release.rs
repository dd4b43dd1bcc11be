//! The way back of a Helm release that Belay never deployed: to one of the revisions that helm keeps, as a record that leads
//! there. Values may hold secrets anywhere, so that the record has their digests, and helm has them.

use super::choose::{Asked, Candidate, choose, described};
use super::there::{Undeployed, refuse_ours};
use super::{Error, Uri};
use crate::targets::{looking, unplanned};
use crate::way::Way;
use crate::{Belay, RollbackRequest};
use belay_driver_kubernetes::helm::{Kept, ReleasePast};
use belay_driver_kubernetes::{Kubernetes, Settings};
use belay_model::back::Risk;
use belay_model::environment::{Known, Standing, View};
use belay_model::id::Scope;
use belay_model::release::Record;
use serde::Deserialize;

impl Uri {
    /// The release that it names, its revisions, and who has it.
    pub(super) async fn release_past(
        &self,
        driver: &Kubernetes,
        settings: &Settings,
    ) -> Result<ReleasePast, crate::Error> {
        let past = driver.release_past(&looking(), settings).await;
        let past = past.map_err(|error| unplanned(&self.scope(), error))?;
        past.ok_or_else(|| self.not_there())
    }
}

impl Belay {
    pub(super) async fn way_of_release(
        &self,
        uri: &Uri,
        view: &View,
        request: &RollbackRequest,
    ) -> Result<Way, crate::Error> {
        let settings = Settings {
            gitops: request.gitops,
            ..uri.settings(&request.env)?
        };
        let driver = self.own_driver().await?;
        let past = uri.release_past(&driver, &settings).await?;
        refuse_ours(uri, &past.marks)?;
        let records = self.records_of_release(&driver, &settings).await?;
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
        let newest = &past.revisions[0];
        let candidate = |it| candidate(it, newest, &records);
        let candidates: Vec<Candidate<'_>> = past.revisions.iter().map(candidate).collect();
        let asked = Asked {
            to: request.to.map(|number| number.0.into()),
            unproven: request.accepts(Risk::Unproven),
        };
        let choice = choose(&uri.title(), &candidates, asked)?;
        let chosen = &past.revisions[choice.at];
        let title = described(&chosen.revision);
        let source = |what: &str| format!("{uri}, {what}");
        let made = self.leads_to(uri, &driver, &settings, chosen).await?;
        let (release, record) = self.record_of(uri, made, source(&title)).await?;
        let leaves = described(&newest.revision);
        let serving = view.serving().map(|known| &known.record);
        let is_known = serving.is_some_and(|record| {
            records
                .iter()
                .any(|(_, known, content)| known.record == *record && *content == newest.content)
        });
        let runs = match is_known {
            true => None,
            false => {
                let made = self.leads_to(uri, &driver, &settings, newest).await?;
                Some(self.record_of(uri, made, source(&leaves)).await?)
            }
        };
        let mut remarks: Vec<String> = choice.warning.into_iter().collect();
        remarks.push(
            "helm calls a revision deployed when it was sent, and not when it worked: its workloads are followed".to_owned(),
        );
        let found = Undeployed {
            leaves,
            passed_over: choice.passed_over,
            remarks,
            runs,
            release,
        };
        self.way_to(record, title, found)
    }

    async fn leads_to(
        &self,
        uri: &Uri,
        driver: &Kubernetes,
        settings: &Settings,
        kept: &Kept,
    ) -> Result<Settings, crate::Error> {
        let number = kept.revision.number.unwrap_or_default();
        let made = driver.release_at(&looking(), settings, number).await;
        let made = made.map_err(|error| unplanned(&uri.scope(), error))?;
        made.ok_or_else(|| {
            Error::NoRevision {
                title: uri.title(),
                why: format!("helm has just forgotten {}", described(&kept.revision)),
                passed_over: Vec::new(),
                next: format!("see what there is: `belay history {uri}`"),
            }
            .into()
        })
    }

    /// The records of all scopes that are a release, and what each comes to.
    async fn records_of_release(
        &self,
        driver: &Kubernetes,
        settings: &Settings,
    ) -> Result<Vec<(Scope, Known, String)>, crate::Error> {
        let mut found = Vec::new();
        for scope in self.scopes().await? {
            let view = self.view(&scope).await?;
            for known in view.records.values() {
                let its = settings_of(&known.record, settings);
                found.extend(its.map(|its| {
                    let content = driver.content(&known.record, &its);
                    (scope.clone(), known.clone(), content)
                }));
            }
        }
        Ok(found)
    }
}

/// Settings of the record's target that is the same release.
fn settings_of(record: &Record, same: &Settings) -> Option<Settings> {
    let targets = record.targets.iter();
    let mut all = targets
        .filter(|target| target.driver == "kubernetes")
        .filter_map(|target| Settings::deserialize(&target.settings).ok());
    all.find(|its| {
        (&its.context, &its.namespace, &its.helm) == (&same.context, &same.namespace, &same.helm)
    })
}

fn candidate<'a>(it: &'a Kept, newest: &Kept, records: &[(Scope, Known, String)]) -> Candidate<'a> {
    let is_left = |(_, known, content): &&(Scope, Known, String)| {
        known.standing == Standing::Quarantined && *content == it.content
    };
    let left = records.iter().find(is_left).map(|(_, known, _)| {
        let why = known.reason.as_deref().unwrap_or("it was rolled back");
        format!("Belay went back from it ({why})")
    });
    Candidate {
        revision: &it.revision,
        is_running: it.content == newest.content,
        left,
    }
}
