//! What people are told of them before anything changes. Pure.

use super::plan::in_the_way;
use super::{Acts, all, title};
use crate::settings::Gitops;
use crate::words;
use belay_driver::{Refusal, Remark};
use belay_model::state::State;

/// The two ways to go on.
const WAYS: &str = "to go on, write `gitops: hold` into the target (it is held first, and let go when its source says what runs), or \
                    `gitops: ignore`";

/// One for each owner of something in a state.
pub(crate) fn remarks(state: &State, gitops: Option<Gitops>) -> Vec<Remark> {
    let there = all(state);
    let owners = there.iter().filter(|(_, it)| !it.of.is_empty());
    let said = owners.filter_map(|(key, owner)| {
        let resource = state.resources.get(*key)?;
        let of = words::list(owner.of.iter());
        let who = format!("{} applies {of}", title(resource));
        if let Some(held) = &owner.held {
            let by = match held.deployment.as_str() {
                "" => String::new(),
                deployment => format!(" since {deployment}"),
            };
            return Some(Remark::Note(format!("{who}: it is held by Belay{by}, until its source says what runs")));
        }
        if gitops == Some(Gitops::Hold)
            && let Some((other, next)) = in_the_way(key, &there, &mut Vec::new())
            && let Some(other) = state.resources.get(&other)
        {
            let other = title(other);
            let what = match other == title(resource) {
                true => format!("{who}, and cannot be held"),
                false => format!("{who}, and a hold of it would not stay: {other} sets it back"),
            };
            let is_lasting = matches!(owner.acts, Acts::AtOnce | Acts::Unseen);
            return Some(match is_lasting {
                true => Remark::Refusal(Refusal {
                    code: "E0327",
                    what,
                    next: format!("{next}; or write `gitops: ignore` into the target"),
                }),
                false => Remark::Warning(format!("{what}; {next}")),
            });
        }
        Some(match (&owner.acts, gitops) {
            (Acts::Never(why), _) => Remark::Note(format!("{who}, and will not undo this: {why}")),
            (Acts::Later(when), Some(Gitops::Hold)) => {
                Remark::Note(format!("{who}: {when}, so it is held first"))
            }
            (Acts::Later(when), _) => Remark::Warning(format!("{who}, and may undo this: {when}")),
            (Acts::AtOnce | Acts::Unseen, Some(Gitops::Hold)) => Remark::Note(format!(
                "{who}, and would undo this at once: it is held first, until its source says what runs"
            )),
            (Acts::AtOnce | Acts::Unseen, Some(Gitops::Ignore)) => Remark::Warning(format!(
                "{who}, and will undo this at once (`gitops: ignore`)"
            )),
            (Acts::AtOnce, None) => Remark::Refusal(Refusal {
                code: "E0326",
                what: format!("{who}, and would undo this at once"),
                next: match &owner.unholdable {
                    Some(next) => format!("{next}; or write `gitops: ignore` into the target"),
                    None => WAYS.to_owned(),
                },
            }),
            (Acts::Unseen, None) => Remark::Refusal(Refusal {
                code: "E0328",
                what: format!("{who}, and whether it would undo this may not be looked at"),
                next: format!("give Belay the right to `get` it; {WAYS}"),
            }),
        })
    });
    said.collect()
}
