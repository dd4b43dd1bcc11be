//! Finds out whose the objects of a target are: each claim is followed to what it names, and from there to whoever would set a hold
//! of that one back. Where none of the kinds is known to the server, nobody is there and nothing is asked.

use super::acts::{acts, freed, is_held, unholdable, would_set_back};
use super::{Acts, CLAIMS, HELD, Held, Note, OWNER, Owner, Tool, at, claims, only};
use crate::cluster::{Cluster, List, Name};
use crate::object;
use belay_driver::Error;
use belay_model::error::Class;
use belay_model::state::{Health, Resource, State};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Where Argo CD lives when nobody says otherwise.
const ARGO_CD: &str = "argocd";

/// Most owners that are followed: a chain of parents may be a ring.
const MOST: usize = 16;

/// Who looks, and for whom.
pub(crate) struct Search<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) home: &'a str,
    /// Who we are where holds are noted.
    pub(crate) holder: &'a str,
}

/// What a claim was found on.
struct Claimed {
    /// Its key.
    key: String,
    /// It, as claims name it: kind, namespace and so on.
    named: Value,
    claims: Value,
    /// An owner itself; absent: an object of the target.
    owner: Option<(Tool, Value)>,
}

/// One that was found.
struct Found {
    tool: Tool,
    named: Value,
    /// Absent: it may not be looked at.
    live: Option<Value>,
}

impl Search<'_> {
    /// Adds all of them to a state.
    pub(crate) async fn tell(&self, state: &mut State) -> Result<(), Error> {
        let as_release = state
            .resources
            .keys()
            .any(|key| key.starts_with("release/"));
        let claimed = state
            .resources
            .iter()
            .filter(|(_, it)| it.facts[CLAIMS].is_object());
        let mut waiting: VecDeque<Claimed> = claimed
            .map(|(key, it)| Claimed {
                key: key.clone(),
                named: self.named(it),
                claims: it.facts[CLAIMS].clone(),
                owner: None,
            })
            .collect();
        let mut owners: BTreeMap<String, (Found, Owner)> = BTreeMap::new();
        for (key, found) in self.by_reference(state).await? {
            self.add(&mut owners, found, as_release).of.push(key);
        }
        while let Some(it) = waiting.pop_front() {
            for found in self.resolve(&it).await? {
                let key = object::key(&found.named, self.home);
                if owners.len() >= MOST && !owners.contains_key(&key) {
                    continue;
                }
                if let Some((child, live)) = &it.owner
                    && !would_set_back(found.tool, *child, live)
                {
                    continue;
                }
                let is_new = !owners.contains_key(&key);
                let tool = found.tool;
                let live = found.live.clone();
                let named = found.named.clone();
                let owner = self.add(&mut owners, found, as_release);
                match &it.owner {
                    None => owner.of.push(it.key.clone()),
                    Some(_) => {
                        if let Some((_, child)) = owners.get_mut(&it.key) {
                            child.parents.push(key.clone());
                        }
                    }
                }
                if let Some(live) = live.filter(|_| is_new) {
                    let claims = claims(&live);
                    if let Some(why) = self.made_by_a_set(tool, &live, &claims).await?
                        && let Some((_, own)) = owners.get_mut(&key)
                    {
                        own.unholdable = Some(why);
                    }
                    waiting.push_back(Claimed {
                        key,
                        named,
                        claims,
                        owner: Some((tool, live)),
                    });
                }
            }
        }
        for (key, (found, owner)) in owners {
            state.resources.insert(key, resource(&found, &owner));
        }
        Ok(())
    }

    fn add<'m>(
        &self,
        owners: &'m mut BTreeMap<String, (Found, Owner)>,
        found: Found,
        as_release: bool,
    ) -> &'m mut Owner {
        let key = object::key(&found.named, self.home);
        let made = owners.entry(key).or_insert_with(|| {
            let owner = self.owner(&found, as_release);
            (found, owner)
        });
        &mut made.1
    }

    fn owner(&self, found: &Found, as_release: bool) -> Owner {
        let (mut own_acts, mut held) = (Acts::Unseen, None);
        let mut unholdable = unholdable(found.tool).map(str::to_owned);
        if let Some(live) = &found.live {
            own_acts = acts(found.tool, live, as_release);
            let note = note(live).filter(|_| is_held(found.tool, live));
            if let Some(note) = note {
                own_acts = acts(found.tool, &freed(found.tool, live, &note), as_release);
                let own = note.by.get(self.holder);
                let deployment = own.or(note.by.values().next()).cloned();
                held = Some(Held {
                    for_us: own.is_some(),
                    deployment: deployment.unwrap_or_default(),
                });
            }
        } else if unholdable.is_none() {
            unholdable = Some(
                "give Belay the right to look at it and to change it (`get`, `patch`)".to_owned(),
            );
        }
        Owner {
            tool: found.tool,
            acts: own_acts,
            held,
            unholdable,
            of: Vec::new(),
            parents: Vec::new(),
        }
    }

    /// As an object is called that a resource stands for.
    fn named(&self, resource: &Resource) -> Value {
        let mut named = object::made(resource);
        if named["metadata"]["namespace"].is_null() {
            named["metadata"]["namespace"] = json!(self.home);
        }
        named
    }

    /// What claims on an object lead to.
    async fn resolve(&self, it: &Claimed) -> Result<Vec<Found>, Error> {
        let mut found = Vec::new();
        let text = |name: &str| it.claims[name].as_str();
        let application = text("application").map(|name| (name, true));
        if let Some((name, is_sure)) = application.or(text("labelled").map(|name| (name, false))) {
            found.extend(self.application(name, is_sure, &it.named).await?);
        }
        for (claim, tool) in [
            ("kustomization", Tool::Kustomization),
            ("helm_release", Tool::HelmRelease),
        ] {
            let Some((namespace, name)) = text(claim).and_then(|it| it.split_once('/')) else {
                continue;
            };
            let one = self.one(tool, namespace, name).await?;
            found.extend(one.filter(|one| applies(one, &it.named)));
        }
        let controller = &it.claims["controller"];
        if it.owner.is_none() && controller.is_object() {
            found.extend(self.controller(controller, &it.named).await?);
        }
        Ok(found)
    }

    /// One by its name, if the server knows its kind and it is there.
    async fn one(&self, tool: Tool, namespace: &str, name: &str) -> Result<Option<Found>, Error> {
        let (api_version, kind) = tool.api();
        if !self.cluster.knows(api_version, kind).await? {
            return Ok(None);
        }
        let named = named(tool, namespace, name);
        let live = self.cluster.get(Name::of(&named, self.home)).await;
        let live = match live {
            Ok(None) => return Ok(None),
            Ok(live) => live,
            Err(error) if error.class == Class::Authorisation => None,
            Err(error) => return Err(error),
        };
        Ok(Some(Found { tool, named, live }))
    }

    /// The application of a name that lists an object. `is_sure`: nobody but Argo CD writes that.
    async fn application(
        &self,
        name: &str,
        is_sure: bool,
        object: &Value,
    ) -> Result<Option<Found>, Error> {
        let tool = Tool::Application;
        let (api_version, kind) = tool.api();
        if !self.cluster.knows(api_version, kind).await? {
            return Ok(None);
        }
        // Outside of Argo CD's own namespace the name is written with its namespace.
        let found = match name.split_once('_') {
            Some((namespace, name)) => self.one(tool, namespace, name).await?.into_iter().collect(),
            None => {
                let fields = format!("metadata.name={name}");
                let everywhere = List {
                    fields: &fields,
                    ..List::of(api_version, kind, "")
                };
                match self.cluster.list_everywhere(everywhere).await {
                    Ok(all) => all
                        .into_iter()
                        .map(|live| Found {
                            tool,
                            named: live.clone(),
                            live: Some(live),
                        })
                        .collect(),
                    Err(error) if error.class == Class::Authorisation => self
                        .one(tool, ARGO_CD, name)
                        .await?
                        .into_iter()
                        .collect::<Vec<_>>(),
                    Err(error) => return Err(error),
                }
            }
        };
        let lists = |it: &Found| match &it.live {
            Some(live) => tracked(live, object).is_some(),
            None => is_sure,
        };
        let own = found.into_iter().find(lists);
        Ok(own.map(|it| {
            let name = Name::of(&it.named, self.home);
            Found {
                named: named(tool, name.namespace, name.name),
                ..it
            }
        }))
    }

    /// What controls an object by its owner reference.
    async fn controller(&self, reference: &Value, object: &Value) -> Result<Option<Found>, Error> {
        let text = |name: &str| reference[name].as_str().unwrap_or_default();
        let namespace = object["metadata"]["namespace"]
            .as_str()
            .unwrap_or(self.home);
        for tool in [Tool::Rollout, Tool::Canary] {
            let (api_version, kind) = tool.api();
            let group = |version: &str| version.split('/').next().map(str::to_owned);
            if kind == text("kind") && group(api_version) == group(text("apiVersion")) {
                return self.one(tool, namespace, text("name")).await;
            }
        }
        let named = json!({
            "apiVersion": reference["apiVersion"], "kind": reference["kind"],
            "metadata": { "name": reference["name"], "namespace": namespace },
        });
        // It is there: an object goes with its owner. What it does nobody but its makers know.
        let live = Some(json!({}));
        Ok(Some(Found {
            tool: Tool::Controller,
            named,
            live,
        }))
    }

    /// Those that refer to a workload of the target, which tells nothing of it.
    async fn by_reference(&self, state: &State) -> Result<Vec<(String, Found)>, Error> {
        let mut all = Vec::new();
        let workloads = state
            .resources
            .iter()
            .filter(|(key, it)| crate::kinds::of_key(key).is_some() && it.facts["uid"].is_string());
        let workloads: Vec<(&String, Value)> =
            workloads.map(|(key, it)| (key, self.named(it))).collect();
        if workloads.is_empty() {
            return Ok(all);
        }
        for (tool, field) in [(Tool::Rollout, "workloadRef"), (Tool::Canary, "targetRef")] {
            let (api_version, kind) = tool.api();
            if !self.cluster.knows(api_version, kind).await? {
                continue;
            }
            let listed = self
                .cluster
                .list(List::of(api_version, kind, self.home))
                .await;
            let listed = match listed {
                Ok((listed, _)) => listed,
                // Nothing says that one of them is about us.
                Err(error) if error.class == Class::Authorisation => continue,
                Err(error) => return Err(error),
            };
            for live in listed {
                let refers = |object: &Value| {
                    let reference = &live["spec"][field];
                    reference["kind"] == object["kind"]
                        && reference["name"] == object["metadata"]["name"]
                };
                for (key, _) in workloads.iter().filter(|(_, object)| refers(object)) {
                    let name = Name::of(&live, self.home);
                    let named = named(tool, name.namespace, name.name);
                    let found = Found {
                        tool,
                        named,
                        live: Some(live.clone()),
                    };
                    all.push(((*key).clone(), found));
                }
            }
        }
        Ok(all)
    }

    /// Why an application cannot be held that an ApplicationSet has made, which sets all of its spec again, unless it is told not to.
    async fn made_by_a_set(
        &self,
        tool: Tool,
        live: &Value,
        claims: &Value,
    ) -> Result<Option<String>, Error> {
        let set = &claims["controller"];
        if tool != Tool::Application || set["kind"] != "ApplicationSet" {
            return Ok(None);
        }
        let named = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet",
            "metadata": { "name": set["name"], "namespace": live["metadata"]["namespace"] },
        });
        let found = match self.cluster.get(Name::of(&named, self.home)).await {
            Ok(found) => found.unwrap_or_default(),
            Err(error) if error.class == Class::Authorisation => Value::Null,
            Err(error) => return Err(error),
        };
        let spec = &found["spec"];
        let policy = spec["syncPolicy"]["applicationsSync"].as_str();
        let ignored = spec["ignoreApplicationDifferences"].to_string();
        let is_left = matches!(policy, Some("create-only" | "create-delete"))
            || ignored.contains("/spec/syncPolicy\"")
            || ignored.contains("/spec/syncPolicy/automated")
            || ignored.contains(".spec.syncPolicy");
        let name = set["name"].as_str().unwrap_or_default();
        Ok((!is_left).then(|| {
            format!("the ApplicationSet {name} would set a hold back: give it `ignoreApplicationDifferences` with the JSON pointer /spec/syncPolicy")
        }))
    }
}

fn named(tool: Tool, namespace: &str, name: &str) -> Value {
    let (api_version, kind) = tool.api();
    json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name, "namespace": namespace } })
}

/// What is noted on an owner that is held.
pub(super) fn note(live: &Value) -> Option<Note> {
    let text = live["metadata"]["annotations"][HELD].as_str()?;
    serde_json::from_str(text).ok()
}

/// What an application says of an object that it lists.
pub(super) fn tracked<'a>(application: &'a Value, object: &Value) -> Option<&'a Value> {
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    let own = Name::of(object, "");
    let group = own
        .api_version
        .split_once('/')
        .map_or("", |(group, _)| group);
    let listed = application["status"]["resources"].as_array();
    listed.into_iter().flatten().find(|it| {
        let is_called = text(&it["kind"]) == own.kind && text(&it["name"]) == own.name;
        // What has no namespace is listed without one.
        let is_there = it["namespace"].is_null() || text(&it["namespace"]) == own.namespace;
        is_called && is_there && text(&it["group"]) == group
    })
}

/// Whether one of Flux applies an object, as far as it keeps a list.
fn applies(found: &Found, object: &Value) -> bool {
    let live = found.live.as_ref();
    let entries = live.and_then(|it| it["status"]["inventory"]["entries"].as_array());
    let Some(entries) = entries else {
        return true;
    };
    let own = Name::of(object, "");
    let group = own
        .api_version
        .split_once('/')
        .map_or("", |(group, _)| group);
    let id = format!("{}_{}_{group}_{}", own.namespace, own.name, own.kind);
    entries.iter().any(|it| it["id"] == id.as_str())
}

fn resource(found: &Found, owner: &Owner) -> Resource {
    let name = Name::of(&found.named, "");
    let spec = match (&found.live, found.tool.hold()) {
        (Some(live), Some((path, _))) => {
            let free = match (&owner.held, note(live)) {
                (Some(_), Some(note)) => freed(found.tool, live, &note),
                _ => live.clone(),
            };
            only(path, at(&free, path).clone())
        }
        _ => json!({}),
    };
    Resource {
        spec,
        facts: json!({
            "apiVersion": name.api_version, "kind": name.kind, "name": name.name, "namespace": name.namespace,
            "belongs": false, OWNER: owner,
        }),
        health: Health::Unknown,
    }
}
