//! What is looked at immediately before traffic moves or pods go: that there is enough for it, and that nobody needs them.

use crate::apply::Work;
use crate::cluster::{List, Name};
use crate::groups::LABEL;
use crate::params::{Need, Wanted};
use crate::{kinds, object, pods, traffic};
use belay_driver::Error;
use belay_model::error::Class;
use belay_model::state::State;
use serde_json::Value;
use std::collections::BTreeMap;

impl Work<'_> {
    /// Refuses where fewer pods are ready than a switch needs.
    pub(crate) async fn enough(&self, key: &str, needs: &[Need]) -> Result<(), Error> {
        for need in needs {
            let labels = need
                .labels
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            let mut labels: Vec<String> = labels.collect();
            // What is in no group may have all labels of those that are.
            if !need.labels.contains_key(LABEL) {
                labels.push(format!("!{LABEL}"));
            }
            let labels = labels.join(",");
            let what = List {
                labels: &labels,
                ..List::of("v1", "Pod", self.home)
            };
            let (found, _) = self.writer.cluster.list(what).await?;
            let ready = found
                .iter()
                .filter(|pod| pods::is_ready(pod) && !pods::is_ending(pod))
                .count();
            let wanted = usize::try_from(need.pods).unwrap_or(usize::MAX);
            if ready < wanted {
                let message = format!(
                    "move traffic by {key}: {ready} of the {wanted} pods of {} that it needs are ready, so nothing was moved",
                    need.key
                );
                let said = found.iter().map(pods::fact).filter_map(|it| {
                    let why = it["trouble"].as_str()?.to_owned();
                    Some(format!("{}: {why}", pods::text(&it["name"])))
                });
                return Err(
                    Error::not_applied(Class::Application, message).with_detail(said.collect())
                );
            }
        }
        Ok(())
    }

    /// Refuses to remove a workload that a live Service or the route sends traffic to at this moment.
    pub(crate) async fn last_copy(
        &self,
        gone: &BTreeMap<String, Wanted>,
        seen: &State,
    ) -> Result<(), Error> {
        let runs: Vec<&String> = gone
            .keys()
            .filter(|key| kinds::of_key(key).is_some())
            .collect();
        if runs.is_empty() {
            return Ok(());
        }
        // What sends traffic is looked at anew; the rest is as it was seen.
        let mut now = seen.clone();
        let mut senders: Vec<String> = traffic::senders(seen).map(|(key, _)| key.clone()).collect();
        senders.extend(traffic::weights(seen).map(|(key, _)| key.clone()));
        for key in senders.into_iter().filter(|key| !gone.contains_key(key)) {
            let like = &seen.resources[&key];
            let named = object::made(like);
            let live = self.writer.cluster.get(Name::of(&named, self.home)).await?;
            match live {
                Some(live) => {
                    let mut resource = self.live(&live, like, seen).await?;
                    resource.facts[traffic::SENDS] = like.facts[traffic::SENDS].clone();
                    now.resources.insert(key, resource);
                }
                None => {
                    now.resources.remove(&key);
                }
            }
        }
        now.resources
            .retain(|key, it| it.facts[traffic::SENDS] != true || !gone.contains_key(key));
        let serves = |key: &&&String| traffic::serves(&now, key) && has_pods(&now, key);
        match runs.iter().find(serves) {
            None => Ok(()),
            Some(key) => {
                let by = traffic::senders(&now)
                    .map(|(key, _)| key.as_str())
                    .collect::<Vec<_>>()
                    .join(", ");
                let message =
                    format!("remove {key}: {by} sends traffic to it, so nothing was removed");
                Err(Error::not_applied(Class::Conflict, message))
            }
        }
    }
}

fn has_pods(state: &State, key: &str) -> bool {
    let ready = state.resources.get(key).map(|it| it.facts["ready"].clone());
    ready.as_ref().and_then(Value::as_u64).unwrap_or(0) > 0
}
