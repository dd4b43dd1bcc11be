//! What an owner does about a change that is not its own, by what it says of itself. Pure.

use super::{Acts, Note, Tool, at};
use serde_json::Value;

/// What it is like when nobody holds it: the note tells what the hold has changed.
pub(super) fn freed(tool: Tool, live: &Value, note: &Note) -> Value {
    let mut free = live.clone();
    if let Some((path, _)) = tool.hold() {
        let mut place = &mut free;
        for name in path {
            place = &mut place[*name];
        }
        *place = note.was.clone();
    }
    free
}

/// Whether the field is as a hold makes it.
pub(super) fn is_held(tool: Tool, live: &Value) -> bool {
    tool.hold()
        .is_some_and(|(path, value)| *at(live, path) == value)
}

/// See the module. `as_release`: what is changed is its Helm release, not single objects of it.
pub(super) fn acts(tool: Tool, live: &Value, as_release: bool) -> Acts {
    let never = |why: &str| Acts::Never(why.to_owned());
    let later = |when: &str| Acts::Later(when.to_owned());
    let spec = &live["spec"];
    match tool {
        Tool::Application => {
            let automated = &spec["syncPolicy"]["automated"];
            let skipped = &live["metadata"]["annotations"]["argocd.argoproj.io/skip-reconcile"];
            if skipped == "true" {
                never("it is told to skip its reconciliation")
            } else if automated.is_null() || automated["enabled"] == false {
                never("it does not sync by itself")
            } else if automated["selfHeal"] == true {
                Acts::AtOnce
            } else {
                later("with selfHeal off, it does so at the next commit")
            }
        }
        Tool::Kustomization | Tool::HelmRelease if spec["suspend"] == true => {
            never("it is suspended")
        }
        Tool::Kustomization => Acts::AtOnce,
        Tool::HelmRelease => match spec["driftDetection"]["mode"] == "enabled" || as_release {
            true => Acts::AtOnce,
            false => later("with drift detection off, it does so at its next upgrade"),
        },
        Tool::Rollout => Acts::AtOnce,
        Tool::Canary if spec["suspend"] == true => never("it is suspended"),
        Tool::Canary => Acts::AtOnce,
        Tool::Controller => later("it does so whenever it likes"),
    }
}

/// What to do with one that cannot be held.
pub(super) fn unholdable(tool: Tool) -> Option<&'static str> {
    match tool {
        Tool::Application | Tool::Kustomization | Tool::HelmRelease => None,
        Tool::Rollout => Some(
            "it moves the pods of what it refers to by steps of its own: release through it, or take its `workloadRef` away",
        ),
        Tool::Canary => Some(
            "it sends users to pods of its own, and takes a change for a release of its own: release through it, or delete it",
        ),
        Tool::Controller => Some("change what it is made of instead"),
    }
}

/// Whether what an owner applies says the field that a hold of `child` would change: who does not say it leaves it. Argo CD compares
/// what it has applied once, which cannot be seen: it counts as said.
pub(super) fn would_set_back(parent: Tool, child: Tool, live: &Value) -> bool {
    let Some((path, _)) = child.hold() else {
        return false;
    };
    let manager = match parent {
        Tool::Kustomization => "kustomize-controller",
        Tool::HelmRelease => "helm-controller",
        Tool::Application => return true,
        Tool::Rollout | Tool::Canary | Tool::Controller => return false,
    };
    let managed = live["metadata"]["managedFields"].as_array();
    let names: Vec<String> = path.iter().map(|name| format!("f:{name}")).collect();
    let says = |entry: &Value| {
        let fields = &entry["fieldsV1"];
        let said = names.iter().fold(fields, |it, name| &it[name.as_str()]);
        entry["manager"] == manager && !said.is_null()
    };
    managed.into_iter().flatten().any(says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_does_not_act_by_itself_says_why() {
        let check = |tool: Tool, spec: Value, expect: &str| {
            let told = match acts(tool, &json!({ "spec": spec }), false) {
                Acts::AtOnce => "at once".to_owned(),
                Acts::Later(when) => when,
                Acts::Never(why) => why,
                Acts::Unseen => unreachable!(),
            };
            assert!(told.contains(expect), "{tool:?} {spec}: {told}");
        };
        let policy = |automated: Value| json!({ "syncPolicy": { "automated": automated } });
        let application = |spec, expect| check(Tool::Application, spec, expect);
        application(json!({}), "does not sync by itself");
        application(
            policy(json!({ "enabled": false, "selfHeal": true })),
            "does not sync by itself",
        );
        application(policy(json!({})), "at the next commit");
        application(policy(json!({ "selfHeal": true })), "at once");
        check(Tool::Kustomization, json!({}), "at once");
        check(Tool::Kustomization, json!({ "suspend": true }), "suspended");
        check(Tool::HelmRelease, json!({}), "next upgrade");
        check(
            Tool::HelmRelease,
            json!({ "driftDetection": { "mode": "enabled" } }),
            "at once",
        );
        check(Tool::Canary, json!({ "suspend": true }), "suspended");
    }

    #[test]
    fn who_does_not_say_a_field_leaves_it() {
        let live = |fields: Value| json!({ "metadata": { "managedFields": [{ "manager": "kustomize-controller", "fieldsV1": { "f:spec": fields } }] } });
        let says = live(json!({ "f:suspend": {} }));
        let silent = live(json!({ "f:interval": {} }));
        let by = |parent, live: &Value| would_set_back(parent, Tool::Kustomization, live);
        assert!(by(Tool::Kustomization, &says));
        assert!(!by(Tool::Kustomization, &silent));
        assert!(by(Tool::Application, &silent));
    }
}
