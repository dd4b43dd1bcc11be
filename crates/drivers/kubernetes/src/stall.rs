//! A deadline for what the platform has none for: it waits for the pods of a StatefulSet or a DaemonSet for ever.

use crate::kinds::{Counts, Kind};
use crate::pods::{self, Trouble};
use belay_model::error::Class;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Where a workload says how long nothing of it may move, in seconds, as a Deployment does in `progressDeadlineSeconds`.
const SAYS: &str = "belay.dev/progress-deadline-seconds";
/// What a Deployment has that says nothing.
const DEFAULT: Duration = Duration::from_secs(600);
/// Of how many pods it is told that they are not ready.
const PODS: usize = 3;

/// How long nothing of a workload has moved.
pub(crate) struct Stall {
    since: Instant,
    best: Option<Counts>,
}

impl Stall {
    /// It begins to be followed.
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            best: None,
        }
    }

    /// When it is over; none: the platform says so itself.
    pub(crate) fn ends(&mut self, kind: &dyn Kind, object: &Value) -> Option<Instant> {
        let counts = kind.counts(object);
        // As the platform counts it: more of them is progress, fewer is none.
        let is_more = self.best.is_none_or(|best| {
            counts.updated > best.updated
                || counts.ready > best.ready
                || counts.available > best.available
                || counts.wanted != best.wanted
        });
        if is_more {
            self.since = Instant::now();
        }
        self.best = Some(counts);
        let longest = (!kind.has_deadline()).then(|| longest(object))?;
        // A number that is no time is as good as none.
        self.since.checked_add(longest)
    }
}

fn longest(object: &Value) -> Duration {
    let said = object["metadata"]["annotations"][SAYS].as_str();
    let seconds = said.and_then(|it| it.parse().ok());
    seconds.map_or(DEFAULT, Duration::from_secs)
}

/// What there is to say of it when its time is over.
pub(crate) fn over(object: &Value, pods: &[&Value]) -> Trouble {
    let sick = pods
        .iter()
        .filter(|pod| !pods::is_ready(pod) && !pods::is_ending(pod));
    let named: Vec<String> = sick
        .map(|pod| {
            let (name, node) = (&pod["metadata"]["name"], &pod["spec"]["nodeName"]);
            let at = node
                .as_str()
                .map_or_else(|| "no node".to_owned(), |it| format!("node {it}"));
            format!("{} ({at})", pods::text(name))
        })
        .take(PODS)
        .collect();
    let who = match named.is_empty() {
        true => "none of its pods is known to be in trouble".to_owned(),
        false => format!("not ready: {}", named.join(", ")),
    };
    let longest = longest(object).as_secs();
    Trouble {
        class: Class::Timeout,
        text: format!(
            "nothing of it has moved for {longest} s (the annotation {SAYS} changes that); {who}"
        ),
        may_pass: false,
    }
}
