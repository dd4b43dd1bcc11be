//! Steps, done. Each request names the version of what was looked at a moment before, and is only sent when that is what the
//! caller has seen (I10), and no newer worker has been here (I6).

use crate::cluster::Name;
use crate::digests::Digests;
use crate::follow::{Handle, Rolling};
use crate::mark::{Marker, Note};
use crate::params::{Params, Wanted};
use crate::secrets::Known;
use crate::write::{MANAGER, Sent, Writer};
use crate::{capacity, compare, kinds, object, ownership, router, sending, takeover};
use belay_driver::{Applied, Context, Error};
use belay_model::error::Class;
use belay_model::release::Target;
use belay_model::state::{Resource, State};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often an object that others change all the time is looked at again.
pub(crate) const ATTEMPTS: u32 = 24;

/// One call of the driver that may change something.
pub(crate) struct Work<'a> {
    pub(crate) writer: Writer,
    pub(crate) digests: &'a Digests,
    pub(crate) store: &'a str,
    pub(crate) home: &'a str,
    pub(crate) target: &'a Target,
    pub(crate) cx: &'a Context,
}

impl Work<'_> {
    pub(crate) async fn apply(&self, params: &Params, seen: &State) -> Result<Applied, Error> {
        match params {
            Params::Put { objects } => {
                let made: Vec<Value> = objects
                    .values()
                    .map(|it| object::made(&it.resource()))
                    .collect();
                self.marker().write(self.cx, Note::Made(&made)).await?;
                for (key, it) in objects {
                    self.make_so(key, it, seen).await?;
                }
                let times = BTreeMap::new();
                Ok(Applied::Done { times })
            }
            Params::Roll { key, object, .. } => {
                let made = [object::made(&object.resource())];
                self.marker().write(self.cx, Note::Made(&made)).await?;
                let live = self.make_so(key, object, seen).await?;
                let rolling = Rolling::of(key, &live);
                accepted(&Handle::Rolling(rolling))
            }
            Params::Scale {
                key,
                object,
                replicas,
            } => {
                self.marker().write(self.cx, Note::Nothing).await?;
                let live = self.scale(key, object, *replicas, seen).await?;
                accepted(&Handle::Rolling(Rolling::of(key, &live)))
            }
            Params::Switch { key, object, needs } => self.switch(key, object, needs, seen).await,
            Params::Remove { objects, serves_on } => {
                self.marker().write(self.cx, Note::Nothing).await?;
                if *serves_on {
                    self.last_copy(objects, seen).await?;
                }
                for (key, it) in objects {
                    self.remove(key, it, seen).await?;
                }
                accepted(&Handle::Removing)
            }
        }
    }

    pub(crate) fn marker(&self) -> Marker<'_> {
        Marker {
            writer: &self.writer,
            store: self.store,
            home: self.home,
            target: self.target,
        }
    }

    /// Makes an object be as it is wanted; answers it.
    pub(crate) async fn make_so(
        &self,
        key: &str,
        wanted: &Wanted,
        seen: &State,
    ) -> Result<Value, Error> {
        let force = wanted.force;
        let wanted = wanted.resource();
        let named = object::made(&wanted);
        let only = wanted.facts[object::ONLY].as_str();
        let mut known = Known::of(self.cx, self.digests);
        let mut own_scale = false;
        for attempt in 0..ATTEMPTS {
            self.next(attempt).await?;
            let mut live = self.writer.cluster.get(Name::of(&named, self.home)).await?;
            self.is_as_seen(key, Some(&wanted), live.as_ref(), seen)
                .await?;
            let mut object = named.clone();
            let sent = sending::as_sent(&mut object, &wanted, live.as_ref(), seen);
            sent.map_err(|why| {
                Error::not_applied(Class::Application, format!("change {key}: {why}"))
            })?;
            if let (Some(only), Some(live)) = (only, &live) {
                let fields = sending::change(&object, only, live);
                match self.writer.merge(self.home, live.clone(), fields).await? {
                    Sent::Done(it) => return Ok(it),
                    Sent::Moved | Sent::Theirs(_) => continue,
                }
            }
            if only.is_some() {
                let message = format!("change {key}: it is not there, and not the release's own");
                return Err(Error::not_applied(Class::Application, message));
            }
            if let Some(live) = &live {
                known.learn_from(live);
            }
            let missing = known.reveal(&mut object);
            if !missing.is_empty() {
                let values = missing.join(", ");
                let message = format!("make {key}: nobody knows the values of {values} any more");
                return Err(Error::not_applied(Class::Application, message));
            }
            if let Some(there) = &live {
                let now = self.live(there, &wanted, seen).await?;
                let foreign = takeover::foreign(key, &wanted, there, &now, self.digests, |entry| {
                    ownership::is_application(entry, MANAGER)
                });
                if !foreign.is_empty() && !force {
                    return Err(theirs(key, foreign));
                }
                // Forced or not, what others have said just so stays theirs, too: the next change of it would be a conflict.
                let is_first = force && !ownership::is_applied_by(there, MANAGER);
                if !foreign.is_empty() || is_first {
                    let fields = takeover::of(there, MANAGER);
                    match self.writer.merge(self.home, there.clone(), fields).await? {
                        Sent::Done(it) => live = Some(it),
                        Sent::Moved | Sent::Theirs(_) => continue,
                    }
                }
            }
            let mut request = object.clone();
            if let Some(live) = &live {
                replicas(&mut request, key, live, seen);
                let there = self.live(live, &wanted, seen).await?;
                object::leave_to_others(&mut request, &wanted, &there);
                request["metadata"]["resourceVersion"] =
                    live["metadata"]["resourceVersion"].clone();
            }
            // What we have scaled ourselves is no one else's.
            let force = force || own_scale;
            match self.writer.apply(self.home, request, force).await? {
                Sent::Done(it) => return Ok(it),
                Sent::Theirs(fields) if !force && fields.iter().all(|it| is_ours(it)) => {
                    own_scale = true
                }
                Sent::Theirs(fields) => return Err(theirs(key, fields)),
                Sent::Moved => {}
            }
        }
        Err(changes_all_the_time(key))
    }

    /// Before another attempt: not in step with who writes all the time, and only where nobody has taken over.
    async fn next(&self, attempt: u32) -> Result<(), Error> {
        if attempt == 0 {
            return Ok(());
        }
        let pause = u64::from(attempt * attempt % 17) * 4;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.marker().check(self.cx).await
    }

    /// Makes a workload have that many pods; answers it.
    async fn scale(
        &self,
        key: &str,
        named: &Wanted,
        replicas: u32,
        seen: &State,
    ) -> Result<Value, Error> {
        let named = object::made(&named.resource());
        for attempt in 0..ATTEMPTS {
            self.next(attempt).await?;
            let Some(live) = self.writer.cluster.get(Name::of(&named, self.home)).await? else {
                let message = format!("scale {key}: it is not there");
                return Err(Error::not_applied(Class::Conflict, message));
            };
            self.is_as_seen(key, None, Some(&live), seen).await?;
            let version = &live["metadata"]["resourceVersion"];
            let fields = json!({ "metadata": { "resourceVersion": version }, "spec": { "replicas": replicas } });
            if let Sent::Done(it) = self.writer.merge(self.home, live, fields).await? {
                return Ok(it);
            }
        }
        Err(changes_all_the_time(key))
    }

    async fn remove(&self, key: &str, named: &Wanted, seen: &State) -> Result<(), Error> {
        let named = object::made(&named.resource());
        for attempt in 0..ATTEMPTS {
            self.next(attempt).await?;
            let Some(live) = self.writer.cluster.get(Name::of(&named, self.home)).await? else {
                return Ok(());
            };
            if !live["metadata"]["deletionTimestamp"].is_null() {
                return Ok(());
            }
            self.is_as_seen(key, None, Some(&live), seen).await?;
            let runs = kinds::of(&live).is_some();
            if let Sent::Done(_) = self.writer.delete(&live, runs).await? {
                return Ok(());
            }
        }
        Err(changes_all_the_time(key))
    }

    /// What is there, as it is in states. `like`: the same in a state.
    pub(crate) async fn live(
        &self,
        live: &Value,
        like: &Resource,
        seen: &State,
    ) -> Result<Resource, Error> {
        let mut resource = self.resource(live).await?;
        sending::as_in_states(&mut resource, seen, &like.facts[router::SERVICES]);
        Ok(resource)
    }

    /// The same of what stands alone.
    pub(crate) async fn resource(&self, live: &Value) -> Result<Resource, Error> {
        let cluster = &self.writer.cluster;
        cluster.resource(live, self.digests, true).await
    }

    /// Refuses where somebody was there since. That it is as wanted already is nothing to refuse.
    async fn is_as_seen(
        &self,
        key: &str,
        wanted: Option<&Resource>,
        live: Option<&Value>,
        seen: &State,
    ) -> Result<(), Error> {
        let like = wanted.or(seen.resources.get(key));
        let now = match (live, like) {
            (Some(live), Some(like)) => Some(self.live(live, like, seen).await?),
            (Some(live), None) => Some(self.resource(live).await?),
            (None, _) => None,
        };
        let (what, fields) = match (seen.resources.get(key), &now) {
            (None, None) => return Ok(()),
            (Some(seen), Some(now)) => {
                let fields = compare::musts(key, seen, now);
                if fields.is_empty() {
                    return Ok(());
                }
                let fields = fields
                    .into_iter()
                    .map(|(path, (was, is))| format!("{path}: {was} -> {is}"));
                ("changed", fields.collect())
            }
            (None, Some(_)) => ("made", Vec::new()),
            (Some(_), None) => ("removed", Vec::new()),
        };
        let is_so = now
            .zip(wanted)
            .is_some_and(|(now, wanted)| compare::musts(key, wanted, &now).is_empty());
        if is_so {
            return Ok(());
        }
        let message = format!("change {key}: someone else has {what} it since it was looked at");
        Err(Error::not_applied(Class::Conflict, message).with_detail(fields))
    }

    /// Makes sure that nothing which was sent before does anything any more: what this process sent is waited for; an older
    /// worker is refused from now on; and what it may have sent already names a version that is not the newest any more.
    pub(crate) async fn fence(&self, params: &Params) -> Result<(), Error> {
        let objects = params.objects().into_iter();
        let objects: Vec<&Wanted> = objects.map(|(_, it)| it).collect();
        self.fence_all(&objects).await
    }

    pub(crate) async fn fence_all(&self, objects: &[&Wanted]) -> Result<(), Error> {
        self.marker().write(self.cx, Note::Nothing).await?;
        self.writer.quiet().await;
        for it in objects {
            let named = object::made(&it.resource());
            for _ in 0..ATTEMPTS {
                let Some(live) = self.writer.cluster.get(Name::of(&named, self.home)).await? else {
                    break;
                };
                let version = &live["metadata"]["resourceVersion"];
                // Another value each time, so that the version moves.
                let fields = json!({ "metadata": {
                    "resourceVersion": version, "annotations": { object::FENCE: version },
                } });
                if let Sent::Done(_) = self.writer.merge(self.home, live, fields).await? {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn accepted(handle: &Handle) -> Result<Applied, Error> {
    let handle = serde_json::to_value(handle).expect("a handle is plain data");
    Ok(Applied::Accepted { handle })
}

/// How many pods there are is kept with whoever scales them. Where nobody says anything the server would make it one.
pub(crate) fn replicas(request: &mut Value, key: &str, live: &Value, seen: &State) {
    let Some(kind) = kinds::of(request).filter(|kind| kind.is_scalable()) else {
        return;
    };
    let managed = live["metadata"]["managedFields"].as_array();
    let is_scaled = managed.is_some_and(|managed| ownership::is_scaled(managed));
    let there = kind.counts(live).wanted;
    let wanted = request["spec"]["replicas"].as_i64();
    let least = capacity::bounds(seen, key).map(|(least, _)| i64::from(least));
    let is_enough = match wanted {
        Some(wanted) => there >= least.map_or(wanted, |least| least.min(wanted)) && there > 0,
        None => true,
    };
    if is_scaled && is_enough {
        if let Some(spec) = request["spec"].as_object_mut() {
            spec.remove("replicas");
        }
    } else if wanted.is_none() {
        request["spec"]["replicas"] = json!(there);
    }
}

/// Whether a conflict is with what we did ourselves, in another way than by applying.
fn is_ours(conflict: &str) -> bool {
    conflict.contains(&format!("conflict with \"{MANAGER}\""))
}

pub(crate) fn theirs(key: &str, fields: Vec<String>) -> Error {
    let message = format!(
        "change {key}: others say that fields of it are theirs; give them to {} (kubectl apply --server-side --force-conflicts \
         --field-manager {0}), or take them out of the release",
        MANAGER
    );
    Error::not_applied(Class::Conflict, message).with_detail(fields)
}

pub(crate) fn changes_all_the_time(key: &str) -> Error {
    let message = format!("change {key}: others change it all the time");
    Error::not_applied(Class::Connectivity, message)
}
