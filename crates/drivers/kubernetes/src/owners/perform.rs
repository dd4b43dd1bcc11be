//! Holds, done: one patch of one field of each, with what it was noted beside it, so that anybody can put it back. A hold is lifted by
//! the same patch backwards, unless the source says something else than it should: then it stays, as whoever is let go would set
//! that at once.

use super::acts::{acts, is_held};
use super::find::{note, tracked};
use super::plan::{Meant, Step, When, wanted};
use super::{Acts, HELD, Tool, at};
use crate::apply::{ATTEMPTS, Work, changes_all_the_time};
use crate::cluster::{Cluster, List, Name};
use crate::mark;
use crate::params::Wanted;
use crate::write::Sent;
use belay_driver::{Applied, Error};
use belay_model::error::Class;
use futures_util::StreamExt;
use kube::api::WatchEvent;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What Argo CD is asked with to compare once more, and removes when it has.
const REFRESH: &str = "argocd.argoproj.io/refresh";

/// How long that may take. It compares within seconds what it knows already.
const COMPARED: Duration = Duration::from_secs(10);

impl Work<'_> {
    pub(crate) async fn gitops(&self, step: &Step) -> Result<Applied, Error> {
        self.marker().write(self.cx, mark::Note::Nothing).await?;
        match step {
            Step::Hold { owners } => {
                for it in owners {
                    self.hold(it).await?;
                }
            }
            Step::Lift { owners, when } => {
                let mut kept = BTreeSet::new();
                for it in owners {
                    let below = owners
                        .iter()
                        .find(|below| below.parents.contains(&it.key) && kept.contains(&below.key));
                    let why = match below {
                        Some(below) => {
                            Some(format!("it would set back {}, which is held", below.title))
                        }
                        None => self.lift(it, *when).await?,
                    };
                    if let Some(why) = why {
                        kept.insert(it.key.clone());
                        let line = format!("{} stays held: {why}", it.title);
                        self.cx.progress.line(&line);
                    }
                }
            }
        }
        let times = BTreeMap::new();
        Ok(Applied::Done { times })
    }

    /// Makes sure that no hold or lift that was sent before does anything any more.
    pub(crate) async fn fence_gitops(&self, step: &Step) -> Result<(), Error> {
        let objects: Vec<Wanted> = step.owners().iter().map(wanted).collect();
        self.fence_all(&objects.iter().collect::<Vec<_>>()).await
    }

    fn holder(&self) -> String {
        holder(self.store, &self.target.name)
    }

    async fn hold(&self, it: &Meant) -> Result<(), Error> {
        let Some((path, _)) = it.tool.hold() else {
            let message = format!("hold {}: there is no such thing", it.title);
            return Err(Error::not_applied(Class::Application, message));
        };
        for attempt in 0..ATTEMPTS {
            let Some(live) = self.owner(it, attempt).await? else {
                return Ok(());
            };
            let is_held = is_held(it.tool, &live);
            let known = note(&live).filter(|_| is_held);
            if known.is_none() && matches!(acts(it.tool, &live, true), Acts::Never(_)) {
                // Somebody else has seen to it.
                return Ok(());
            }
            let holder = self.holder();
            if known.as_ref().is_some_and(|it| it.by.contains_key(&holder)) {
                return Ok(());
            }
            let mut note = known.unwrap_or_else(|| super::Note {
                was: at(&live, path).clone(),
                // That it is asked for something else counts, too.
                generation: live["metadata"]["generation"].as_i64().unwrap_or(0) + 1,
                ..super::Note::default()
            });
            note.by.insert(holder, self.cx.deployment.to_string());
            let note = json!(note).to_string();
            if self.change(&live, it.held(), Value::String(note)).await? {
                return Ok(());
            }
        }
        Err(changes_all_the_time(&it.key))
    }

    /// Answers why it stays held, if it does.
    async fn lift(&self, it: &Meant, when: When) -> Result<Option<String>, Error> {
        let holder = self.holder();
        for attempt in 0..ATTEMPTS {
            let Some(live) = self.owner(it, attempt).await? else {
                return Ok(None);
            };
            let Some(mut note) = note(&live).filter(|note| note.by.contains_key(&holder)) else {
                return Ok(None);
            };
            if is_held(it.tool, &live)
                && let Some(why) = self.objection(it, &live, &note, when).await?
            {
                return Ok(Some(why));
            }
            // To ask it has changed it.
            let Some(live) = self.owner(it, attempt).await? else {
                return Ok(None);
            };
            note.by.remove(&holder);
            let done = match is_held(it.tool, &live) {
                true if !note.by.is_empty() => {
                    let others: Vec<&str> = note.by.keys().map(String::as_str).collect();
                    let others = format!("others need it held, too ({})", others.join(", "));
                    let note = json!(note).to_string();
                    if self.change(&live, json!({}), Value::String(note)).await? {
                        return Ok(Some(others));
                    }
                    false
                }
                true => self.change(&live, it.free(&note.was), Value::Null).await?,
                // Somebody has let it go.
                false => self.change(&live, json!({}), Value::Null).await?,
            };
            if done {
                return Ok(None);
            }
        }
        Err(changes_all_the_time(&it.key))
    }

    async fn owner(&self, it: &Meant, attempt: u32) -> Result<Option<Value>, Error> {
        if attempt > 0 {
            self.marker().check(self.cx).await?;
        }
        let name = Name::of(&it.named, self.home);
        self.writer.cluster.get(name).await
    }

    /// Changes fields of one, and what is noted on it; false: it is another by now.
    async fn change(&self, live: &Value, mut fields: Value, note: Value) -> Result<bool, Error> {
        fields["metadata"] = json!({
            "resourceVersion": live["metadata"]["resourceVersion"], "annotations": { HELD: note },
        });
        let sent = self.writer.merge(self.home, live.clone(), fields).await?;
        Ok(matches!(sent, Sent::Done(_)))
    }

    /// What speaks against letting it go.
    async fn objection(
        &self,
        it: &Meant,
        live: &Value,
        note: &super::Note,
        when: When,
    ) -> Result<Option<String>, Error> {
        match it.tool {
            // Nothing of the target is its own: it only would have set back the hold of another.
            _ if it.of.is_empty() => Ok(None),
            Tool::Application => self.not_synced(it, live).await,
            Tool::Kustomization => {
                let source = self.source(live).await?;
                let applied = live["status"]["lastAppliedRevision"].as_str();
                Ok(objection(source.as_deref(), applied, when))
            }
            _ => {
                let now = live["metadata"]["generation"].as_i64().unwrap_or(0);
                let revision = |number: i64| format!("generation {number}");
                Ok(objection(
                    Some(&revision(now)),
                    Some(&revision(note.generation)),
                    when,
                ))
            }
        }
    }

    /// The revision that the source of a kustomization has now.
    async fn source(&self, live: &Value) -> Result<Option<String>, Error> {
        let (reference, own) = (&live["spec"]["sourceRef"], &live["metadata"]["namespace"]);
        let namespace = reference["namespace"].as_str().or(own.as_str());
        let name = Name {
            api_version: "source.toolkit.fluxcd.io/v1",
            kind: reference["kind"].as_str().unwrap_or_default(),
            namespace: namespace.unwrap_or_default(),
            name: reference["name"].as_str().unwrap_or_default(),
        };
        let source = match self.writer.cluster.get(name).await {
            Ok(source) => source.unwrap_or_default(),
            Err(error) if error.class == Class::Authorisation => Value::Null,
            Err(error) => return Err(error),
        };
        let revision = source["status"]["artifact"]["revision"].as_str();
        Ok(revision.map(str::to_owned))
    }

    /// Asks Argo CD to compare, and whether what runs is what it would apply.
    async fn not_synced(&self, it: &Meant, live: &Value) -> Result<Option<String>, Error> {
        let fields = json!({ "metadata": { "annotations": { REFRESH: "normal" } } });
        let Sent::Done(asked) = self.writer.merge(self.home, live.clone(), fields).await? else {
            return Ok(Some("it changes all the time".to_owned()));
        };
        let name = Name::of(&it.named, self.home);
        let compared = compared(&self.writer.cluster, name, asked);
        let Ok(compared) = tokio::time::timeout(COMPARED, compared).await else {
            let seconds = COMPARED.as_secs();
            return Ok(Some(format!(
                "Argo CD has not compared it within {seconds} s"
            )));
        };
        let compared = compared?;
        let differs = it
            .of
            .iter()
            .find(|object| tracked(&compared, object).is_some_and(|it| it["status"] != "Synced"));
        Ok(differs.map(|object| {
            let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let kind = text(kind).to_lowercase();
            format!(
                "its source says something else of {kind}/{} than what runs",
                text(name)
            )
        }))
    }
}

/// Who holds, as it is noted.
pub(crate) fn holder(store: &str, target: &str) -> String {
    format!("{store}/{target}")
}

/// An application once nobody is asked to compare it any more.
async fn compared(cluster: &Cluster, name: Name<'_>, asked: Value) -> Result<Value, Error> {
    let fields = format!("metadata.name={}", name.name);
    let own = List {
        fields: &fields,
        ..List::of(name.api_version, name.kind, name.namespace)
    };
    let is_done = |it: &Value| it["metadata"]["annotations"][REFRESH].is_null();
    let mut version = asked["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    loop {
        let mut changes = Box::pin(cluster.watch(own, &version).await?);
        while let Some(Ok(change)) = changes.next().await {
            match change {
                WatchEvent::Added(it) | WatchEvent::Modified(it) => {
                    let it = serde_json::to_value(it).unwrap_or_default();
                    if is_done(&it) {
                        return Ok(it);
                    }
                }
                WatchEvent::Deleted(_) => return Ok(json!({})),
                WatchEvent::Error(_) => break,
                WatchEvent::Bookmark(_) => {}
            }
        }
        let (found, now) = cluster.list(own).await?;
        match found.into_iter().next() {
            None => return Ok(json!({})),
            Some(it) if is_done(&it) => return Ok(it),
            Some(_) => version = now,
        }
    }
}

/// What speaks against letting one go that does not tell what it would apply: whether its source is another than it has applied is all
/// that is known.
fn objection(source: Option<&str>, applied: Option<&str>, when: When) -> Option<String> {
    let (Some(source), Some(applied)) = (source, applied) else {
        return Some("what its source says is not known".to_owned());
    };
    match when {
        When::SaysWhatRuns if source == applied => Some(format!(
            "its source still says what it applied before ({source})"
        )),
        When::SaysWhatWas if source != applied => Some(format!(
            "its source has come to say something else ({source}, not {applied})"
        )),
        When::SaysWhatRuns | When::SaysWhatWas => None,
    }
}
