//! Whether a workload will get there, by what the platform says of it at one moment. Pure.

use crate::follow::Rolling;
use crate::kinds::{self, COMPLETE, Kind, STUCK};
use crate::pods::{self, Trouble, condition, is_ending, is_ready, text};
use belay_model::error::Class;
use serde_json::Value;

/// How it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// All pods are of what was asked for, and serve.
    There,
    /// Someone has asked for something else since, or it is another object.
    Superseded,
    /// It will not get there.
    Fails(Trouble),
    /// It goes on; what is in the way and may pass.
    GoesOn(Option<Trouble>),
}

pub(crate) fn judge(
    kind: &dyn Kind,
    object: &Value,
    pods: &[&Value],
    newest: Option<&str>,
    rolling: &Rolling,
) -> Course {
    if !rolling.is_about(object) {
        return Course::Superseded;
    }
    let counts = kind.counts(object);
    let rollout = kinds::rollout(kind, object);
    if rollout == COMPLETE && counts.available >= counts.wanted {
        return Course::There;
    }
    let fails = |class, text: String| {
        Course::Fails(Trouble {
            class,
            text,
            may_pass: false,
        })
    };
    if object["spec"]["paused"] == true {
        return fails(Class::Application, "it is paused".to_owned());
    }
    if !kinds::is_seen(object) {
        return Course::GoesOn(None);
    }
    let own = pods.iter().filter(|pod| {
        let label = &pod["metadata"]["labels"][kind.label()];
        newest.is_some_and(|newest| label == newest)
    });
    let troubles: Vec<Trouble> = own.filter_map(|pod| pods::trouble(pod)).collect();
    if let Some(trouble) = troubles.iter().find(|it| !it.may_pass) {
        return Course::Fails(trouble.clone());
    }
    if rollout == STUCK {
        let why = condition(&object["status"], "Progressing").map(|it| text(&it["message"]));
        let text = format!(
            "the platform has given up on it: {}",
            why.unwrap_or_default()
        );
        return fails(Class::Timeout, text);
    }
    let refused =
        condition(&object["status"], "ReplicaFailure").filter(|it| it["status"] == "True");
    let refused = refused.map(|it| refusal(&text(&it["message"])));
    Course::GoesOn(troubles.into_iter().next().or(refused))
}

/// Pods that the server does not let be made.
pub(crate) fn refusal(message: &str) -> Trouble {
    let class = match message.contains("exceeded quota") {
        true => Class::Quota,
        false => Class::Application,
    };
    Trouble {
        class,
        text: format!("its pods are refused: {message}"),
        may_pass: true,
    }
}

/// Pods of an older template that will not get ready, and that the platform would wait for all the same.
pub(crate) fn stuck<'a>(
    kind: &dyn Kind,
    object: &Value,
    pods: &[&'a Value],
    newest: Option<&str>,
) -> Vec<&'a Value> {
    let Some(newest) = newest.filter(|_| kind.keeps_stuck_pods() && kinds::is_seen(object)) else {
        return Vec::new();
    };
    let is_in_the_way = |pod: &&&Value| {
        let is_old = pod["metadata"]["labels"][kind.label()] != newest;
        is_old && !is_ready(pod) && !is_ending(pod)
    };
    pods.iter().filter(is_in_the_way).copied().collect()
}
