//! Our mark on a target: a Lease in its namespace that says which store has it, which workers may not change it any more, and
//! which objects were made for it.

use crate::cluster::{Cluster, List, Name};
use crate::past::Marked;
use crate::write::{Sent, Writer};
use belay_driver::{Context, Error};
use belay_model::error::Class;
use belay_model::release::Target;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

const STORE: &str = "belay.dev/store";
const TARGET: &str = "belay.dev/target";
const EPOCHS: &str = "belay.dev/epochs";
const INVENTORY: &str = "belay.dev/inventory";

/// Of how many deployments the newest workers are known.
const REMEMBERED: usize = 20;
/// How often a mark that changes all the time is read again.
const ATTEMPTS: u32 = 8;

/// A mark as it was read.
pub(crate) struct Mark(Value);

/// What is called so, without its contents: what an inventory holds.
fn named(object: &Value, home: &str) -> Value {
    let name = Name::of(object, home);
    json!({
        "apiVersion": name.api_version, "kind": name.kind,
        "metadata": { "namespace": name.namespace, "name": name.name },
    })
}

impl Mark {
    pub(crate) async fn read(
        cluster: &Cluster,
        home: &str,
        target: &Target,
    ) -> Result<Option<Self>, Error> {
        let name = name(&target.name);
        let lease = cluster.get(Name {
            api_version: "coordination.k8s.io/v1",
            kind: "Lease",
            namespace: home,
            name: &name,
        });
        Ok(lease.await?.map(Self))
    }

    /// The objects that were made for the target, as far as they may be there still.
    pub(crate) fn inventory(&self) -> Vec<Value> {
        self.list(INVENTORY)
    }

    /// What was noted under a name.
    pub(crate) fn noted<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        let text = self.0["metadata"]["annotations"][name].as_str()?;
        serde_json::from_str(text).ok()
    }

    fn list(&self, name: &str) -> Vec<Value> {
        let text = self.0["metadata"]["annotations"][name].as_str();
        let list = text.and_then(|text| serde_json::from_str(text).ok());
        list.unwrap_or_default()
    }

    fn store(&self) -> &str {
        let annotations = &self.0["metadata"]["annotations"];
        annotations[STORE].as_str().unwrap_or_default()
    }

    /// The newest worker of a deployment that was here.
    fn epoch(&self, cx: &Context) -> Option<u64> {
        let epochs = self.list(EPOCHS);
        let own = epochs.iter().find(|it| it[0] == cx.deployment.as_str())?;
        own[1].as_u64()
    }

    fn allows(&self, cx: &Context, store: &str) -> Result<(), Error> {
        let refused = |why: String| Err(Error::not_applied(Class::Conflict, why));
        if self.store() != store {
            let namespace = self.0["metadata"]["namespace"].as_str().unwrap_or_default();
            let name = self.0["metadata"]["name"].as_str().unwrap_or_default();
            return refused(format!(
                "change what another store has: it is {}, of deployment {}; if that one is gone, delete the lease {namespace}/{name}",
                self.store(),
                self.0["spec"]["holderIdentity"]
                    .as_str()
                    .unwrap_or_default(),
            ));
        }
        match self.epoch(cx) {
            Some(epoch) if epoch > cx.epoch => refused(format!(
                "go on: another worker has taken over (number {epoch}, this one is {})",
                cx.epoch
            )),
            _ => Ok(()),
        }
    }
}

/// The targets that have an object in their inventory, of whichever store.
pub(crate) async fn all_on(
    cluster: &Cluster,
    home: &str,
    object: &Value,
    store: &str,
) -> Result<Vec<Marked>, Error> {
    let what = List::of("coordination.k8s.io/v1", "Lease", home);
    let leases = match cluster.list(what).await {
        Ok((leases, _)) => leases,
        // Who may not look at them is refused with the first step, if there is one.
        Err(error) if error.class == Class::Authorisation => Vec::new(),
        Err(error) => return Err(error),
    };
    let it = named(object, home);
    let marks = leases.into_iter().map(Mark);
    let marks = marks.filter(|mark| mark.inventory().contains(&it));
    let told = marks.map(|mark| {
        let metadata = &mark.0["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Marked {
            target: text(&metadata["annotations"][TARGET]),
            is_ours: mark.store() == store,
            store: mark.store().to_owned(),
            lease: text(&metadata["name"]),
        }
    });
    Ok(told.collect())
}

/// What is to become of an inventory.
#[derive(Clone, Copy)]
pub(crate) enum Note<'a> {
    Nothing,
    Made(&'a [Value]),
    Gone(&'a [Value]),
}

/// Who marks, and where.
pub(crate) struct Marker<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) store: &'a str,
    pub(crate) home: &'a str,
    pub(crate) target: &'a Target,
}

impl Marker<'_> {
    /// Refuses whoever may not change this target; a look, and no more.
    pub(crate) async fn check(&self, cx: &Context) -> Result<(), Error> {
        match Mark::read(&self.writer.cluster, self.home, self.target).await? {
            Some(mark) => mark.allows(cx, self.store),
            None => Ok(()),
        }
    }

    /// Says whose it is from now on, and what was made or is gone. Older workers of the same deployment are refused.
    pub(crate) async fn write(&self, cx: &Context, note: Note<'_>) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            let mark = Mark::read(&self.writer.cluster, self.home, self.target).await?;
            if let Some(mark) = &mark {
                mark.allows(cx, self.store)?;
            }
            let fields = self.fields(cx, mark.as_ref(), note);
            let sent = match mark {
                Some(Mark(lease)) if is_in(&fields, &lease) => return Ok(()),
                Some(Mark(lease)) => {
                    let mut fields = fields;
                    fields["metadata"]["resourceVersion"] =
                        lease["metadata"]["resourceVersion"].clone();
                    self.writer.merge(self.home, lease, fields).await?
                }
                None => self.writer.create(self.home, &fields).await?,
            };
            if let Sent::Done(_) = sent {
                return Ok(());
            }
        }
        let message = format!("mark {}: its mark changes all the time", self.target.name);
        Err(Error::not_applied(Class::Connectivity, message))
    }

    /// Writes something more on a mark that is there, unless a newer worker has been here.
    pub(crate) async fn note(&self, cx: &Context, name: &str, value: &Value) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            let Some(mark) = Mark::read(&self.writer.cluster, self.home, self.target).await? else {
                break;
            };
            mark.allows(cx, self.store)?;
            let Mark(lease) = mark;
            let fields = json!({ "metadata": {
                "annotations": { name: value.to_string() },
                "resourceVersion": lease["metadata"]["resourceVersion"],
            } });
            if let Sent::Done(_) = self.writer.merge(self.home, lease, fields).await? {
                return Ok(());
            }
        }
        let message = format!("mark {}: its mark changes all the time", self.target.name);
        Err(Error::not_applied(Class::Connectivity, message))
    }

    fn fields(&self, cx: &Context, mark: Option<&Mark>, note: Note<'_>) -> Value {
        let own = cx.deployment.as_str();
        let mut epochs = mark.map(|it| it.list(EPOCHS)).unwrap_or_default();
        // The last one is the newest.
        if epochs.last().is_none_or(|it| *it != json!([own, cx.epoch])) {
            epochs.retain(|it| it[0] != own);
            epochs.push(json!([own, cx.epoch]));
        }
        epochs.drain(..epochs.len().saturating_sub(REMEMBERED));
        let inventory = mark.map(Mark::inventory).unwrap_or_default();
        let mut inventory: BTreeSet<String> = inventory.iter().map(Value::to_string).collect();
        let names = |objects: &[Value]| -> Vec<String> {
            let names = objects.iter().map(|it| named(it, self.home).to_string());
            names.collect()
        };
        match note {
            Note::Nothing => {}
            Note::Made(objects) => inventory.extend(names(objects)),
            Note::Gone(objects) => {
                for name in names(objects) {
                    inventory.remove(&name);
                }
            }
        }
        let inventory: Vec<String> = inventory.into_iter().collect();
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": name(&self.target.name),
                "annotations": {
                    STORE: self.store,
                    TARGET: self.target.name,
                    EPOCHS: json!(epochs).to_string(),
                    INVENTORY: format!("[{}]", inventory.join(",")),
                },
            },
            "spec": { "holderIdentity": own },
        })
    }
}

/// Whether a lease says so already; it may say more.
fn is_in(fields: &Value, lease: &Value) -> bool {
    let holder = |it: &Value| it["spec"]["holderIdentity"].clone();
    let said = &lease["metadata"]["annotations"];
    let mut all = fields["metadata"]["annotations"]
        .as_object()
        .into_iter()
        .flatten();
    holder(fields) == holder(lease) && all.all(|(name, value)| said[name] == *value)
}

/// The name of the mark of a target: what Kubernetes allows, and another for each.
fn name(target: &str) -> String {
    let allowed = |it: char| match it {
        it if it.is_ascii_lowercase() || it.is_ascii_digit() => it,
        it if it.is_ascii_uppercase() => it.to_ascii_lowercase(),
        _ => '-',
    };
    let words: String = target.chars().map(allowed).take(40).collect();
    let hash = hex::encode(&Sha256::digest(target)[..4]);
    format!("belay-{}-{hash}", words.trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn each_target_has_a_name_that_is_allowed() {
        let one = name("shop/production");
        assert!(one.starts_with("belay-shop-production-"), "{one}");
        assert_ne!(one, name("shop-production"));
        let long = name(&"Ü/".repeat(200));
        assert!(long.len() <= 63 && long.starts_with("belay-"), "{long}");
    }
}
