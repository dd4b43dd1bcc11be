//! One look at one target.

use crate::cluster::{Cluster, List, Name};
use crate::digests::Digests;
use crate::kinds::{self, Kind};
use crate::mark::Mark;
use crate::settings::{Settings, Workload};
use crate::{groups, kubernetes, object, seen, sending, traffic, workload};
use belay_driver::Error;
use belay_model::error::Class;
use belay_model::state::{Resource, State};
use futures_util::future::{try_join, try_join_all, try_join3};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Resources = BTreeMap<String, Resource>;

pub(crate) struct Look<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) home: &'a str,
    pub(crate) digests: &'a Digests,
}

impl Look<'_> {
    /// Workloads with what their pods are given, what sends them traffic and what scales them; the release's own objects,
    /// wherever they are; and what was left of earlier ones, by our mark.
    pub(crate) async fn manifests(
        &self,
        settings: &Settings,
        mark: Option<&Mark>,
    ) -> Result<State, Error> {
        let workloads = settings.workloads()?;
        let at_work = |it: &Workload| json!({ "apiVersion": kinds::API, "kind": it.kind.name(), "metadata": { "name": it.name } });
        let known = mark.map(Mark::inventory).unwrap_or_default();
        let ours: BTreeSet<String> = known.iter().map(|it| object::key(it, self.home)).collect();
        let all = workloads.iter().map(at_work).chain(known);
        let all: Vec<Value> = settings.objects.iter().cloned().chain(all).collect();
        let found = self.existing(&all).await?;
        let running: Vec<&Value> = found
            .values()
            .filter(|it| kinds::of(it).is_some())
            .collect();
        let senders = groups::senders(settings);
        let all_of = async |it: &BTreeMap<String, Value>, belongs| {
            let each = it.iter().map(async |(key, it)| {
                let resource = self.live(it, belongs).await?;
                Ok::<_, Error>((key.clone(), resource))
            });
            try_join_all(each).await
        };
        // All that depends on nothing else is asked for at once: who goes back waits for it.
        let ((mut beside, senders), found, revisions) = try_join3(
            try_join(self.beside(&running), self.existing(&senders)),
            all_of(&found, true),
            try_join_all(running.iter().map(|it| self.templates(it))),
        )
        .await?;
        beside.extend(senders);
        let mut resources: Resources = found.into_iter().collect();
        for (key, it) in &mut resources {
            if !ours.contains(key) {
                it.facts["never_ours"] = json!(true);
            }
        }
        beside.retain(|key, _| !resources.contains_key(key));
        resources.extend(all_of(&beside, false).await?);
        self.tell_keepers(&running, &revisions, &mut resources);
        let mut state = kubernetes::state(resources);
        sending::tell(&mut state, settings);
        let hashes = sending::hashes(&state);
        let resources = state.resources.values_mut();
        resources.for_each(|it| sending::name_pin(it, &hashes));
        self.tell_endpoints(&mut state).await?;
        sending::tell_shares(&mut state);
        Ok(state)
    }

    /// Says of live Services how many endpoints they have.
    async fn tell_endpoints(&self, state: &mut State) -> Result<(), Error> {
        let senders = traffic::senders(state).filter(|(_, it)| it.facts["uid"].is_string());
        let asked = senders.map(async |(key, it)| {
            let name = it.facts["name"].as_str().unwrap_or_default();
            let (slices, _) = seen::slices(self.cluster, self.home, name).await?;
            Ok::<_, Error>((key.clone(), seen::ready(&slices).len()))
        });
        for (key, endpoints) in try_join_all(asked).await? {
            if let Some(it) = state.resources.get_mut(&key) {
                it.facts["endpoints"] = json!(endpoints);
            }
        }
        Ok(())
    }

    /// What is not the target's own and matters to it.
    async fn beside(&self, running: &[&Value]) -> Result<BTreeMap<String, Value>, Error> {
        if running.is_empty() {
            return Ok(BTreeMap::new());
        }
        let references = running
            .iter()
            .flat_map(|it| workload::references(&it["spec"]["template"]));
        let given: Vec<Value> = references
            .map(|(kind, name)| {
                json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name } })
            })
            .collect();
        let kind = "HorizontalPodAutoscaler";
        let scalers = async {
            let all = List::of("autoscaling/v2", kind, self.home);
            match self.cluster.list(all).await {
                // Who may not look at them sees all the rest.
                Err(error) if error.class == Class::Authorisation => {
                    Ok((Vec::new(), String::new()))
                }
                answer => answer,
            }
        };
        let services = self.cluster.list(List::of("v1", "Service", self.home));
        let (mut found, (services, _), (scalers, _)) =
            try_join3(self.existing(&given), services, scalers).await?;
        for it in running {
            let services = services
                .iter()
                .filter(|other| workload::is_served_by(other, it));
            let scalers = scalers
                .iter()
                .filter(|other| workload::is_scaled_by(other, it));
            let both = services.chain(scalers);
            found.extend(both.map(|it| (object::key(it, self.home), it.clone())));
        }
        Ok(found)
    }

    /// Says of what pods are given which workloads may need it again: one of their own earlier templates names it.
    fn tell_keepers(
        &self,
        running: &[&Value],
        revisions: &[Vec<Value>],
        resources: &mut Resources,
    ) {
        for (it, revisions) in running.iter().zip(revisions) {
            let Some(kind) = kinds::of(it) else { continue };
            let keeper = object::key(it, self.home);
            if let Some(own) = resources.get_mut(&keeper) {
                own.facts[sending::TEMPLATE] = json!(kind.newest(it, revisions));
            }
            let templates = revisions.iter().map(|revision| kind.template(revision));
            let templates = templates.chain([&it["spec"]["template"]]);
            for (kind, name) in templates.flat_map(workload::references) {
                let key = format!("{}/{name}", kind.to_lowercase());
                let Some(given) = resources.get_mut(&key) else {
                    continue;
                };
                let mut keepers = given.facts["kept_by"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                if !keepers.contains(&json!(keeper)) {
                    keepers.push(json!(keeper));
                }
                given.facts["kept_by"] = json!(keepers);
            }
        }
    }

    async fn templates(&self, it: &Value) -> Result<Vec<Value>, Error> {
        match kinds::of(it) {
            Some(kind) => revisions(self.cluster, kind, self.home, it).await,
            None => Ok(Vec::new()),
        }
    }

    /// Those of these objects that are there.
    pub(crate) async fn existing(&self, named: &[Value]) -> Result<BTreeMap<String, Value>, Error> {
        let by_key = named.iter().map(|it| (object::key(it, self.home), it));
        let by_key: BTreeMap<String, &Value> = by_key.collect();
        let look = by_key.into_iter().map(async |(key, it)| {
            let found = self.cluster.get(Name::of(it, self.home)).await?;
            Ok::<_, Error>(found.map(|it| (key, it)))
        });
        Ok(try_join_all(look).await?.into_iter().flatten().collect())
    }

    pub(crate) async fn live(&self, it: &Value, belongs: bool) -> Result<Resource, Error> {
        let mut resource = self.cluster.resource(it, self.digests, belongs).await?;
        if let Some(kind) = kinds::of(it) {
            let namespace = it["metadata"]["namespace"].as_str().unwrap_or(self.home);
            let pods = List {
                labels: &workload::selector(it),
                ..List::of("v1", "Pod", namespace)
            };
            let (pods, _) = self.cluster.list(pods).await?;
            workload::tell(&mut resource, kind, it, &pods);
        }
        Ok(resource)
    }
}

/// The platform's own earlier templates of a workload, and its present one.
pub(crate) async fn revisions(
    cluster: &Cluster,
    kind: &dyn Kind,
    home: &str,
    it: &Value,
) -> Result<Vec<Value>, Error> {
    let namespace = it["metadata"]["namespace"].as_str().unwrap_or(home);
    let what = List {
        labels: &workload::selector(it),
        ..List::of(kinds::API, kind.revisions(), namespace)
    };
    let (mut revisions, _) = cluster.list(what).await?;
    revisions.retain(|revision| workload::is_owned_by(revision, it));
    Ok(revisions)
}
