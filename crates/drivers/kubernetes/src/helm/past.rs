//! A release that Belay may never have deployed: its revisions as goals, and its chart, built again from helm's own record.

use super::chart::Chart;
use super::history;
use super::look::Known;
use super::plan::content;
use super::record::{self, Record};
use crate::compare::flatten;
use crate::digests::Digests;
use crate::kubernetes::{Kubernetes, in_time};
use crate::mark;
use crate::object;
use crate::past::Marked;
use crate::render;
use crate::settings::Settings;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use belay_driver::{Context, Error, Revision};
use belay_model::error::Class;
use belay_model::release::Record as OurRecord;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// A release, its revisions, and who has it.
#[derive(Clone, Debug)]
pub struct ReleasePast {
    /// Those that helm keeps, newest first.
    pub revisions: Vec<Kept>,
    /// Marks of Belay on it, of whichever store.
    pub marks: Vec<Marked>,
}

/// A revision that helm keeps.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What is known of it.
    pub revision: Revision,
    /// The same for all that say the same, for this driver's key.
    pub content: String,
}

/// A chart as helm's record has it.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// By their paths in the chart's folder.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// Values that somebody gave, in clear.
    pub values: Value,
    /// Charts within it: helm keeps nothing of them.
    pub subcharts: Vec<String>,
    /// What it came to, with the marks that helm puts on each.
    pub objects: Vec<Value>,
    /// What helm says of it: `deployed`.
    pub status: String,
}

/// What the inventory of a mark calls a release; the API knows no such kind.
pub(super) fn named(release: &str) -> Value {
    json!({ "apiVersion": "helm.sh/v1", "kind": "Release", "metadata": { "name": release } })
}

impl Kubernetes {
    /// The release of these settings; none: it is not there.
    ///
    /// # Errors
    /// By class: who we are, what we may, whether the server answers, and in time.
    pub async fn release_past(
        &self,
        cx: &Context,
        settings: &Settings,
    ) -> Result<Option<ReleasePast>, Error> {
        let Some(release) = &settings.helm else {
            return Ok(None);
        };
        in_time(cx, async {
            let cluster = self.clusters.connect(settings).await?;
            let look = self.look(&cluster, settings);
            let listed = record::revisions(&cluster, &settings.namespace, release).await?;
            let known = look.revisions(release, &listed, &self.contents).await?;
            if known.last().is_none_or(|it| it.status == "uninstalled") {
                return Ok(None);
            }
            let home = &settings.namespace;
            let marks = mark::all_on(&cluster, home, &named(release), &self.store).await?;
            let newest = known.last().map(|it| it.revision);
            let kept = known.iter().rev().map(|it: &Known| Kept {
                // Whatever the newest is, it is what is left.
                revision: history::tell(release, it, newest == Some(it.revision)),
                content: it.content.clone(),
            });
            Ok(Some(ReleasePast {
                revisions: kept.collect(),
                marks,
            }))
        })
        .await
    }

    /// Settings that lead to a revision as long as helm keeps it; none: it does not.
    ///
    /// # Errors
    /// As above.
    pub async fn release_at(
        &self,
        cx: &Context,
        settings: &Settings,
        revision: u64,
    ) -> Result<Option<Settings>, Error> {
        let number = u32::try_from(revision).unwrap_or(u32::MAX);
        in_time(cx, async {
            let cluster = self.clusters.connect(settings).await?;
            let release = settings.helm.as_deref().unwrap_or_default();
            let home = &settings.namespace;
            let found = record::record(&cluster, home, release, number).await?;
            let made = found.map(|it| self.leads_to(settings, &it)).transpose()?;
            Ok(made)
        })
        .await
    }

    fn leads_to(&self, settings: &Settings, record: &Record) -> Result<Settings, Error> {
        let release = record.resource(&self.digests);
        let hidden = |it| object::hidden(it, &self.digests);
        Ok(Settings {
            objects: record.objects()?.into_iter().map(hidden).collect(),
            chart: Some(Chart {
                name: record.chart_name(),
                app_version: record.chart.metadata["appVersion"].clone(),
                digests: release.spec["values"].clone(),
                hooks: Chart::kinds_of(&record.hook_objects()?),
                is_kept: true,
                ..Chart::default()
            }),
            ..settings.clone()
        })
    }

    /// What tells settings with a chart from others: [`Kept::content`] of the revision that they come to.
    pub fn content(&self, record: &OurRecord, settings: &Settings) -> String {
        let release = settings.helm.as_deref().unwrap_or_default();
        content(&super::desired(settings, release, record, &self.digests))
    }

    /// The chart of the newest revision; none: the release is not there.
    ///
    /// # Errors
    /// As above; a record that cannot be read.
    pub async fn rebuilt(
        &self,
        cx: &Context,
        settings: &Settings,
    ) -> Result<Option<Rebuilt>, Error> {
        let release = settings.helm.as_deref().unwrap_or_default();
        let home = &settings.namespace;
        in_time(cx, async {
            let cluster = self.clusters.connect(settings).await?;
            let listed = record::revisions(&cluster, home, release).await?;
            let Some(newest) = listed.last().filter(|it| it.status != "uninstalled") else {
                return Ok(None);
            };
            let secret = record::secret(&cluster, home, release, newest.revision).await?;
            secret.as_ref().map(rebuilt).transpose()
        })
        .await
    }
}

fn rebuilt(secret: &Value) -> Result<Rebuilt, Error> {
    let whole = record::whole(secret)?;
    let record = record::read(secret)?;
    let chart = &whole["chart"];
    let unreadable = |what: &str| {
        let message = format!("build the chart of {} again: {what}", record.name);
        Error::not_applied(Class::Unknown, message)
    };
    let yaml = |value: &Value| render::to_yaml(value).into_bytes();
    let mut files = vec![(PathBuf::from("Chart.yaml"), yaml(&chart["metadata"]))];
    if chart["values"].as_object().is_some_and(|it| !it.is_empty()) {
        files.push((PathBuf::from("values.yaml"), yaml(&chart["values"])));
    }
    let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default());
    if chart["schema"].is_string() {
        let schema = bytes(&chart["schema"]).map_err(|_| unreadable("its schema is no base64"))?;
        files.push((PathBuf::from("values.schema.json"), schema));
    }
    for list in ["templates", "files"] {
        for it in chart[list].as_array().into_iter().flatten() {
            let name = it["name"].as_str().unwrap_or_default();
            let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
            if name.is_empty() || !Path::new(name).components().all(is_plain) {
                return Err(unreadable(&format!("it has a file `{name}`")));
            }
            let data = bytes(&it["data"]);
            let data = data.map_err(|_| unreadable(&format!("its file {name} is no base64")))?;
            files.push((PathBuf::from(name), data));
        }
    }
    let subcharts = chart["metadata"]["dependencies"].as_array();
    let subcharts = subcharts.into_iter().flatten().map(|it| {
        let text = |name: &str| it[name].as_str().unwrap_or_default();
        format!("{} {}", text("name"), text("version"))
    });
    Ok(Rebuilt {
        subcharts: subcharts.collect(),
        files,
        values: match &whole["config"] {
            Value::Null => json!({}),
            given => given.clone(),
        },
        objects: record.objects()?,
        status: record.info.status.clone(),
    })
}

/// Objects of two manifests that are not the same, by key, with the paths that differ; none of them where one lacks it.
/// `random`: paths that do not count, by key.
pub fn differences(
    one: &[Value],
    other: &[Value],
    home: &str,
    random: &BTreeMap<String, Vec<String>>,
) -> Vec<(String, Vec<String>)> {
    let digests = Digests::new(&[0; 32]);
    let by_key = |all: &[Value]| -> BTreeMap<String, _> {
        let written = |it: &Value| {
            let spec = object::written(it, &digests).spec;
            (object::key(it, home), flatten(&spec))
        };
        all.iter().map(written).collect()
    };
    let (one, other) = (by_key(one), by_key(other));
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differ = keys.into_iter().filter_map(|key| {
        let (Some(one), Some(other)) = (one.get(key), other.get(key)) else {
            return Some((key.clone(), Vec::new()));
        };
        let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        let is_random = |path: &String| random.get(key).is_some_and(|it| it.contains(path));
        let paths = paths
            .into_iter()
            .filter(|path| one.get(*path) != other.get(*path));
        let paths: Vec<String> = paths.filter(|path| !is_random(path)).cloned().collect();
        (!paths.is_empty()).then(|| (key.clone(), paths))
    });
    differ.collect()
}
