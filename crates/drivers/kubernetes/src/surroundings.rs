//! What is there beside a target and matters to a plan: its namespace, quotas, disruption budgets, autoscalers, finalizers, and who has
//! paused it. Looked at once, before anything changes; what may not be looked at is left out.

use crate::cluster::{Cluster, List, Name};
use crate::params::{Params, Wanted};
use crate::{capacity, compare, helm, kinds, object, quota};
use belay_driver::{Error, Refusal, Remark};
use belay_model::error::Class;
use belay_model::plan::Effect;
use belay_model::state::State;
use futures_util::future::try_join3;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a plan does to objects.
#[derive(Default)]
pub(crate) struct Touched {
    /// Made or changed, by key; a workload as often as it is.
    pub(crate) made: Vec<(String, Wanted)>,
    pub(crate) removed: BTreeSet<String>,
}

impl Touched {
    pub(crate) fn by(effects: &[Effect], from: &State) -> Self {
        let mut touched = Self::default();
        for effect in effects {
            if let Ok(params) = Params::of(effect) {
                touched.add(&params, from);
            } else if let Ok(step) = helm::Step::of(effect) {
                let wanted = step.wanted();
                for (key, it) in &step.objects {
                    let there = from.resources.get(key);
                    match (wanted.resources.get(key), there) {
                        (None, _) => _ = touched.removed.insert(key.clone()),
                        (Some(it), Some(there)) if compare::musts(key, it, there).is_empty() => {}
                        (Some(_), _) => touched.made.push((key.clone(), it.clone())),
                    }
                }
            }
        }
        touched
    }

    fn add(&mut self, params: &Params, from: &State) {
        match params {
            Params::Remove { objects, .. } => self.removed.extend(objects.keys().cloned()),
            Params::Scale { key, replicas, .. } => {
                let made = self.made.iter().rev().find(|(known, _)| known == key);
                let made = made.map(|(_, it)| it.clone());
                let there = from.resources.get(key).map(Wanted::of);
                if let Some(mut scaled) = made.or(there) {
                    scaled.spec["spec"]["replicas"] = json!(replicas);
                    self.made.push((key.clone(), scaled));
                }
            }
            Params::Put { .. } | Params::Roll { .. } | Params::Switch { .. } => {
                let objects = params.objects().into_iter();
                let objects = objects.map(|(key, it)| (key.clone(), it.clone()));
                self.made.extend(objects);
            }
        }
    }

    /// The workloads that are made or changed.
    fn workloads(&self) -> BTreeMap<&String, &Wanted> {
        let made = self.made.iter().map(|(key, it)| (key, it));
        made.filter(|(key, _)| kinds::of_key(key).is_some())
            .collect()
    }
}

/// See the module.
pub(crate) async fn remarks(
    cluster: &Cluster,
    home: &str,
    from: &State,
    effects: &[Effect],
) -> Result<Vec<Remark>, Error> {
    let touched = Touched::by(effects, from);
    let quotas = listed(cluster, "v1", "ResourceQuota", home);
    let budgets = listed(cluster, "policy/v1", "PodDisruptionBudget", home);
    let (namespace, quotas, budgets) = try_join3(namespace(cluster, home), quotas, budgets).await?;
    let mut remarks: Vec<Remark> = namespace.into_iter().collect();
    remarks.extend(quota::remarks(&touched, from, &quotas));
    remarks.extend(going(&touched, from));
    for (key, wanted) in touched.workloads() {
        remarks.extend(paused(key, wanted, from));
        remarks.extend(scaled(key, from));
        remarks.extend(budgets.iter().filter_map(|it| budget(key, wanted, it)));
    }
    Ok(remarks)
}

/// None where they may not be listed.
async fn listed(
    cluster: &Cluster,
    version: &str,
    kind: &str,
    home: &str,
) -> Result<Vec<Value>, Error> {
    match cluster.list(List::of(version, kind, home)).await {
        Ok((found, _)) => Ok(found),
        Err(error) if error.class == Class::Authorisation => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

async fn namespace(cluster: &Cluster, home: &str) -> Result<Option<Remark>, Error> {
    let name = Name {
        api_version: "v1",
        kind: "Namespace",
        namespace: home,
        name: home,
    };
    let refused = |what: String, next: &str| {
        let (code, next) = ("E0329", next.to_owned());
        Some(Remark::Refusal(Refusal { code, what, next }))
    };
    Ok(match cluster.get(name).await {
        Ok(None) => refused(
            format!("the namespace {home} is not there"),
            "make it, or correct `namespace:`",
        ),
        Ok(Some(it)) if it["status"]["phase"] == "Terminating" => refused(
            format!("the namespace {home} is being deleted, and takes nothing new"),
            "wait until it is gone and make it again, or name another one",
        ),
        Ok(Some(_)) => None,
        Err(error) if error.class == Class::Authorisation => None,
        Err(error) => return Err(error),
    })
}

/// What goes, or does not.
fn going(touched: &Touched, from: &State) -> Vec<Remark> {
    let waits = |key: &String| {
        let finalizers = from.resources.get(key)?.facts[object::FINALIZERS].as_array();
        let names: Vec<&str> = finalizers?.iter().filter_map(Value::as_str).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let removed = touched.removed.iter().filter_map(|key| {
        let names = waits(key)?;
        Some(Remark::Warning(format!(
            "{key} is not gone before its finalizers are taken off: {names}"
        )))
    });
    let made: BTreeSet<&String> = touched.made.iter().map(|(key, _)| key).collect();
    let wanted = made.into_iter().filter_map(|key| {
        let there = from.resources.get(key)?;
        let since = there.facts[object::DELETED].as_str()?;
        let waits = waits(key).map_or_else(String::new, |names| {
            format!(", and waits for its finalizers ({names})")
        });
        Some(Remark::Refusal(Refusal {
            code: "E0331",
            what: format!("{key} is being deleted since {since}{waits}"),
            next: "wait until it is gone; it is made again then".to_owned(),
        }))
    });
    removed.chain(wanted).collect()
}

fn paused(key: &str, wanted: &Wanted, from: &State) -> Option<Remark> {
    let is_paused = |spec: &Value| spec["spec"]["paused"] == true;
    let there = from.resources.get(key).filter(|it| is_paused(&it.spec))?;
    let stays = is_paused(&wanted.spec);
    Some(match (stays, wanted.force) {
        (true, _) => Remark::Warning(format!(
            "{key} is paused, and stays so: nothing of it is rolled out"
        )),
        (false, true) => Remark::Note(format!("{key} is paused, and goes on with this")),
        (false, false) => {
            let name = there.facts["name"].as_str().unwrap_or_default();
            let kind = key.split('.').next().unwrap_or_default();
            Remark::Warning(format!(
                "{key} was paused by somebody, which is in the way: `kubectl rollout resume {kind}/{name}`"
            ))
        }
    })
}

fn scaled(key: &str, from: &State) -> Option<Remark> {
    let (least, most) = capacity::bounds(from, key)?;
    let now = capacity::count(from.resources.get(key)?);
    Some(Remark::Note(format!(
        "an autoscaler keeps {key} between {least} and {most} pods, and has {now} now: how many is left to it"
    )))
}

fn budget(key: &str, wanted: &Wanted, budget: &Value) -> Option<Remark> {
    let selector = &budget["spec"]["selector"];
    let labels = &wanted.spec["spec"]["template"]["metadata"]["labels"];
    let mut pairs = selector["matchLabels"].as_object()?.iter();
    let selects = pairs.all(|(name, value)| labels[name] == *value);
    let is_at_its_end = budget["status"]["disruptionsAllowed"] == 0
        && budget["status"]["expectedPods"].as_i64().unwrap_or(0) > 0;
    let name = budget["metadata"]["name"].as_str()?;
    (selects && is_at_its_end).then(|| {
        Remark::Note(format!(
            "poddisruptionbudget/{name} allows no pod of {key} to be evicted now: this evicts none, but whoever drains a node waits"
        ))
    })
}
