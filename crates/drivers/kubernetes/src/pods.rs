//! What a pod says of itself.

use belay_model::error::Class;
use serde_json::{Value, json};

/// What is true of a pod for the moment.
pub(crate) fn fact(pod: &Value) -> Value {
    let trouble = match troubles(pod).as_slice() {
        _ if is_ready(pod) => Value::Null,
        [] => json!("not ready"),
        some => json!(some.join(", ")),
    };
    let metadata = &pod["metadata"];
    json!({ "name": metadata["name"], "ready": is_ready(pod), "trouble": trouble })
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    condition(&pod["status"], "Ready").is_some_and(|it| it["status"] == "True")
}

/// Whether it is on its way out.
pub(crate) fn is_ending(pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null()
}

fn troubles(pod: &Value) -> Vec<String> {
    let waiting = waiting(pod).map(said);
    waiting.chain(unschedulable(pod).map(said)).collect()
}

fn waiting(pod: &Value) -> impl Iterator<Item = &Value> {
    let of = |name| pod["status"][name].as_array().into_iter().flatten();
    let containers = of("initContainerStatuses").chain(of("containerStatuses"));
    let waiting = containers.map(|container| &container["state"]["waiting"]);
    waiting.filter(|it| !it.is_null())
}

fn unschedulable(pod: &Value) -> Option<&Value> {
    condition(&pod["status"], "PodScheduled").filter(|it| it["status"] == "False")
}

/// Why a pod will not get ready, as far as it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) class: Class,
    pub(crate) text: String,
    /// It may pass: a first try failed, or there is no room yet. Over when it stays for a while and nothing moves.
    pub(crate) may_pass: bool,
}

/// What is in the way of a pod.
pub(crate) fn trouble(pod: &Value) -> Option<Trouble> {
    if is_ready(pod) || is_ending(pod) {
        return None;
    }
    let name = text(&pod["metadata"]["name"]);
    let of = |class, what: &str, it: &Value, may_pass| Trouble {
        class,
        text: format!("{what}: {name}: {}", said(it)),
        may_pass,
    };
    let by_waiting = |it: &Value| match it["reason"].as_str()? {
        "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => Some(of(
            Class::Application,
            "its image cannot be pulled",
            it,
            false,
        )),
        "ErrImagePull" => Some(of(
            Class::Application,
            "its image cannot be pulled",
            it,
            true,
        )),
        "CrashLoopBackOff" => Some(of(Class::Application, "it ends again and again", it, false)),
        // Mostly a ConfigMap or a Secret that is not there.
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(of(Class::Application, "it cannot be started", it, false))
        }
        _ => None,
    };
    let unschedulable =
        || unschedulable(pod).map(|it| of(Class::Quota, "no node has room for it", it, true));
    waiting(pod).find_map(by_waiting).or_else(unschedulable)
}

/// `Reason (what it means)`.
pub(crate) fn said(it: &Value) -> String {
    format!("{} ({})", text(&it["reason"]), text(&it["message"]))
}

pub(crate) fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut conditions = status["conditions"].as_array()?.iter();
    conditions.find(|it| it["type"] == kind)
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
