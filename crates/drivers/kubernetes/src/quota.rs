//! Whether quotas of a namespace admit what a plan asks for, as far as pods say what they ask for. Pure.

use crate::capacity::count;
use crate::compare::amount;
use crate::kinds;
use crate::params::Wanted;
use crate::surroundings::Touched;
use belay_driver::{Refusal, Remark};
use belay_model::state::{Resource, State};
use serde_json::Value;
use std::collections::BTreeMap;

/// What of one resource a plan needs beyond what is used now, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Need {
    /// Without it the plan does not get to its end.
    least: i128,
    /// While the platform goes on as it is told to.
    most: i128,
}

/// One for each resource of a quota that will not do.
pub(crate) fn remarks(touched: &Touched, from: &State, quotas: &[Value]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for quota in quotas {
        let name = quota["metadata"]["name"].as_str().unwrap_or_default();
        let hard = quota["status"]["hard"].as_object().into_iter().flatten();
        // What counts only some pods may not count these.
        let is_of_some =
            !quota["spec"]["scopes"].is_null() || !quota["spec"]["scopeSelector"].is_null();
        for (resource, hard) in hard {
            let used = amount(&quota["status"]["used"][resource]).unwrap_or(0);
            let (Some(hard), Some(need)) = (amount(hard), need(touched, from, resource)) else {
                continue;
            };
            let left = (hard - used).max(0);
            let words = |needed: i128| {
                let [needed, left] = [needed, left].map(|it| in_words(resource, it));
                format!("needs {needed} more of {resource}, and the quota {name} has {left} left")
            };
            if need.least > left && need.least > 0 && !is_of_some {
                remarks.push(Remark::Refusal(Refusal {
                    code: "E0330",
                    what: format!(
                        "the release {}, so it would never get there",
                        words(need.least)
                    ),
                    next: "raise the quota, or ask for less".to_owned(),
                }));
            } else if need.most > left && need.most > 0 {
                let line = format!(
                    "the release {} while pods are replaced: fewer are replaced at a time, or none",
                    words(need.most)
                );
                remarks.push(Remark::Warning(line));
            }
        }
    }
    remarks
}

fn in_words(resource: &str, thousandths: i128) -> String {
    let is_fine = resource.ends_with("cpu");
    match (is_fine, thousandths % 1000) {
        (_, 0) => (thousandths / 1000).to_string(),
        (true, _) => format!("{thousandths}m"),
        (false, _) => (thousandths / 1000 + 1).to_string(),
    }
}

/// None: some of the pods do not say.
fn need(touched: &Touched, from: &State, resource: &str) -> Option<Need> {
    let mut newest: BTreeMap<&String, (&Wanted, u32)> = BTreeMap::new();
    for (key, wanted) in &touched.made {
        let is_counted = kinds::of_key(key).is_some_and(kinds::Kind::is_scalable);
        if is_counted {
            let most = newest.get(key).map_or(0, |(_, most)| *most);
            newest.insert(
                key,
                (wanted, most.max(pods(wanted, from.resources.get(key)))),
            );
        }
    }
    let mut need = Need::default();
    let (mut step_least, mut step_most) = (0, 0);
    for (key, (wanted, pods)) in newest {
        let pod = cost(&wanted.spec, resource)?;
        let there = from.resources.get(key);
        let Some(there) = there else {
            need.least += pod * i128::from(pods);
            continue;
        };
        let before = cost(&there.spec, resource)? * i128::from(count(there));
        need.least += pod * i128::from(pods) - before;
        let is_rolled = wanted.spec["spec"]["template"] != there.spec["spec"]["template"];
        if is_rolled {
            let (surge, unavailable) = at_a_time(key, &wanted.spec, count(there));
            step_most = step_most.max(pod * i128::from(surge));
            if unavailable == 0 {
                step_least = step_least.max(pod);
            }
        }
    }
    need.most = need.least + step_most;
    need.least += step_least;
    Some(need)
}

/// How many there will be.
fn pods(wanted: &Wanted, there: Option<&Resource>) -> u32 {
    let said = wanted.spec["spec"]["replicas"].as_u64();
    let said = said.and_then(|it| u32::try_from(it).ok());
    match there {
        Some(there) if there.facts["scaled"] == true || said.is_none() => count(there),
        _ => said.unwrap_or(1),
    }
}

/// How many pods more there are while they are replaced, and how many fewer may be.
fn at_a_time(key: &str, spec: &Value, pods: u32) -> (u32, u32) {
    if !key.starts_with("deployment.") {
        // One after the other.
        return (0, 1);
    }
    let strategy = &spec["spec"]["strategy"];
    if strategy["type"] == "Recreate" {
        return (0, pods);
    }
    let number = |name: &str, up: bool| {
        let said = &strategy["rollingUpdate"][name];
        let percent = match said {
            Value::Number(number) => {
                return u32::try_from(number.as_u64().unwrap_or(0)).unwrap_or(pods);
            }
            Value::String(text) => text.trim_end_matches('%').parse().unwrap_or(25),
            _ => 25_u64,
        };
        let whole = u64::from(pods) * percent;
        u32::try_from(if up { whole.div_ceil(100) } else { whole / 100 }).unwrap_or(pods)
    };
    match (number("maxSurge", true), number("maxUnavailable", false)) {
        // As the platform has it.
        (0, 0) => (0, 1),
        both => both,
    }
}

/// What a pod counts for in a quota, in thousandths. None: nobody says.
fn cost(spec: &Value, resource: &str) -> Option<i128> {
    let (side, name) = match resource {
        "pods" | "count/pods" => return Some(1000),
        "cpu" | "memory" => ("requests", resource),
        _ => resource.split_once('.')?,
    };
    if !matches!(
        (side, name),
        (
            "requests" | "limits",
            "cpu" | "memory" | "ephemeral-storage"
        )
    ) {
        return None;
    }
    let pod = &spec["spec"]["template"]["spec"];
    let of = |container: &Value| {
        let resources = &container["resources"];
        let said = &resources[side][name];
        // Who only says a limit asks for that.
        let said = if said.is_null() && side == "requests" {
            &resources["limits"][name]
        } else {
            said
        };
        amount(said)
    };
    let mut whole = 0;
    for container in pod["containers"].as_array()? {
        whole += of(container)?;
    }
    let before = pod["initContainers"].as_array().into_iter().flatten();
    let before: Option<Vec<i128>> = before.map(of).collect();
    Some(before?.into_iter().fold(whole, i128::max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_model::state::Health;
    use serde_json::json;

    const KEY: &str = "deployment.apps/api";

    fn workload(image: &str, replicas: u32, cpu: &str, strategy: Value) -> Resource {
        let container =
            json!({ "name": "app", "image": image, "resources": { "requests": { "cpu": cpu } } });
        Resource {
            spec: json!({ "spec": { "replicas": replicas, "strategy": strategy, "template": { "spec": { "containers": [container] } } } }),
            facts: json!({}),
            health: Health::Unknown,
        }
    }

    /// What is said of a release over what is there, with that quota.
    fn check(there: Option<Resource>, wanted: &Resource, quota: (&str, &str, &str), expect: &str) {
        let (resource, hard, used) = quota;
        let quota = json!({ "metadata": { "name": "q" }, "status": { "hard": { resource: hard }, "used": { resource: used } } });
        let mut from = State::default();
        from.resources.extend(there.map(|it| (KEY.to_owned(), it)));
        let touched = Touched {
            made: vec![(KEY.to_owned(), Wanted::of(wanted))],
            ..Touched::default()
        };
        let said = remarks(&touched, &from, &[quota]);
        let said: Vec<String> = said
            .iter()
            .map(|it| match it.refusal() {
                Some(refusal) => format!("refused: {}", refusal.what),
                None => it.line(),
            })
            .collect();
        assert!(
            said.join("; ").contains(expect) && said.is_empty() == expect.is_empty(),
            "{said:?} is not {expect}"
        );
    }

    #[test]
    fn what_a_quota_does_not_admit_is_known_before() {
        let of = |image: &str, strategy: Value| workload(image, 4, "100m", strategy);
        let (old, new) = (|| Some(of("app:1", Value::Null)), of("app:2", Value::Null));
        // One more for a moment is what the platform does by itself.
        check(old(), &new, ("pods", "5", "4"), "");
        check(
            old(),
            &new,
            ("pods", "4", "4"),
            "WARNING: the release needs 1 more of pods, and the quota q has 0 left while",
        );
        let none_less = of(
            "app:2",
            json!({ "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } }),
        );
        check(
            old(),
            &none_less,
            ("pods", "4", "4"),
            "refused: the release needs 1 more of pods",
        );
        check(
            old(),
            &of("app:2", json!({ "type": "Recreate" })),
            ("pods", "4", "4"),
            "",
        );
        // Beside what is there, all of them.
        check(
            None,
            &new,
            ("requests.cpu", "500m", "200m"),
            "refused: the release needs 400m more of requests.cpu, and the quota q has 300m left",
        );
        check(None, &new, ("requests.cpu", "1", "600m"), "");
        // Larger ones need more in the end.
        check(
            old(),
            &workload("app:2", 4, "200m", Value::Null),
            ("cpu", "700m", "400m"),
            "refused: the release needs 400m more of cpu",
        );
        // Nobody says how much memory they need.
        check(None, &new, ("requests.memory", "1Gi", "1Gi"), "");
    }
}
