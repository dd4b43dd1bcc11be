//! One look at a release: its own record, and what became of the objects of its manifest.

use super::plan::{content, resource_key, to_state};
use super::record::{self, DEPLOYED, Listed, Record};
use crate::history::images;
use crate::kinds;
use crate::look::{Look, Resources};
use belay_driver::Error;
use belay_model::error::Class;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What is known of a revision, as a fact of the release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) revision: u32,
    pub(crate) status: String,
    /// Digest of what it says shall be.
    pub(crate) content: String,
    /// Hash of the record that it was made of, where we made it.
    pub(crate) record: Option<String>,
    /// `NAME-VERSION`.
    pub(crate) chart: String,
    pub(crate) app_version: Value,
    /// What its workloads run.
    pub(crate) images: Vec<String>,
    pub(crate) description: String,
    /// Unix microseconds.
    pub(crate) since_us: i64,
    /// Whether helm 4 applies it on the server.
    pub(crate) server_side: bool,
}

/// Revisions that were read before: what one says never changes, and reading all of them each time would move megabytes.
#[derive(Default)]
pub(crate) struct Contents(Mutex<BTreeMap<(String, String), Arc<Known>>>);

/// More than that many are forgotten together.
const REMEMBERED: usize = 4096;

impl Look<'_> {
    /// A release, and the objects of its newest manifest. Where that one is not deployed, the release is what the newest
    /// revision says that was, with the newest one's status; and the objects of both are there.
    pub(crate) async fn release(
        &self,
        name: &str,
        contents: &Contents,
    ) -> Result<Resources, Error> {
        let listed = record::revisions(self.cluster, self.home, name).await?;
        let Some(newest) = listed.last() else {
            return Ok(Resources::new());
        };
        let record = self.read(name, newest.revision).await?;
        if record.is_uninstalled() {
            return Ok(Resources::new());
        }
        let mut objects = record.objects()?;
        let before = match record.was_deployed() {
            true => None,
            false => before(&listed),
        };
        let told = match before {
            Some(before) => Some(self.read(name, before.revision).await?),
            None => None,
        };
        if let Some(told) = &told {
            objects.extend(told.objects()?);
        }
        let known = self.revisions(name, &listed, contents).await?;
        let told = told.as_ref().unwrap_or(&record);
        let mut resource = told.resource(self.digests);
        resource.spec["status"] = json!(record.info.status);
        resource.health = record.health();
        let facts = &mut resource.facts;
        let own = known.iter().find(|it| it.revision == told.version);
        let own_content = own.map(|it| it.content.as_str()).unwrap_or_default();
        let mut alike = known.iter().rev().filter(|it| it.content == own_content);
        facts["at"] = json!(told.version);
        facts["revision"] = json!(record.version);
        facts["description"] = json!(record.info.description);
        facts["last_deployed"] = json!(record.info.last_deployed);
        facts["content"] = json!(own_content);
        facts["record"] = json!(alike.find_map(|it| it.record.clone()));
        facts["revisions"] = json!(known);
        let mut found = Resources::new();
        for (key, it) in self.existing(&objects).await? {
            found.insert(key, self.live(&it, true).await?);
        }
        found.insert(resource_key(name), resource);
        Ok(found)
    }

    /// All that helm has kept, oldest first.
    pub(crate) async fn revisions(
        &self,
        name: &str,
        listed: &[Listed],
        contents: &Contents,
    ) -> Result<Vec<Known>, Error> {
        let known = listed.iter().map(async |it| {
            let key = (it.uid.clone(), it.status.clone());
            let before = contents.lock().get(&key).cloned();
            if let Some(known) = before {
                return Ok::<_, Error>(Some((*known).clone()));
            }
            // Helm may just have forgotten it.
            let found = record::record(self.cluster, self.home, name, it.revision).await?;
            let Some(found) = found else { return Ok(None) };
            let known = self.known(&found, it)?;
            let mut all = contents.lock();
            if all.len() >= REMEMBERED {
                all.clear();
            }
            all.insert(key, Arc::new(known.clone()));
            Ok(Some(known))
        });
        Ok(try_join_all(known).await?.into_iter().flatten().collect())
    }

    fn known(&self, record: &Record, listed: &Listed) -> Result<Known, Error> {
        let state = to_state(record, self.digests, self.home)?;
        let resource = record.resource(self.digests);
        let objects = record.objects()?;
        let workloads = objects.iter().filter(|it| kinds::of(it).is_some());
        let images = workloads.flat_map(|it| images(&it["spec"]["template"]));
        Ok(Known {
            revision: record.version,
            status: record.info.status.clone(),
            content: content(&state),
            record: resource.facts["record"].as_str().map(str::to_owned),
            chart: record.chart_name(),
            app_version: record.chart.metadata["appVersion"].clone(),
            images: images.collect(),
            description: record.info.description.clone(),
            since_us: listed.since_us,
            server_side: record.apply_method == "ssa",
        })
    }

    async fn read(&self, name: &str, revision: u32) -> Result<Record, Error> {
        let record = record::record(self.cluster, self.home, name, revision).await?;
        // Between the list and this, another may have taken its place and helm have forgotten it: looked at anew, later.
        record.ok_or_else(|| {
            Error::not_applied(Class::Conflict, format!("read {name}: it changes just now"))
        })
    }
}

impl Contents {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Arc<Known>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest revision that was deployed. One that is called superseded may have failed: a rollback that fails calls the one
/// before it so.
fn before(listed: &[Listed]) -> Option<&Listed> {
    let newest = |is_it: fn(&str) -> bool| listed.iter().rev().find(|it| is_it(&it.status));
    newest(|status| status == DEPLOYED).or_else(|| newest(record::was_deployed))
}
