//! A plan as commands of the platforms' own clients, for a shell: what works when Belay is gone.

use belay_engine::targets::Targets;
use belay_model::id::{RecordHash, Scope};
use belay_model::plan::{Action, Plan};
use belay_model::release::Record;
use belay_model::state::States;
use std::collections::BTreeMap;

/// A plan as a shell script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// It, with a comment for each step.
    pub text: String,
    /// Steps for which there are no plain commands, by their titles: without them the script is no way to the goal.
    pub missing: Vec<String>,
}

impl Script {
    /// `from`: what is there; `records`: those that the plan is about.
    pub(crate) async fn of(
        scope: &Scope,
        goal: &str,
        targets: &Targets,
        from: &States,
        plan: &Plan,
        records: &BTreeMap<RecordHash, Record>,
    ) -> Self {
        let mut script = Self {
            text: format!(
                "#!/bin/sh\n\
                 # {}: to {}, without Belay.\n\
                 #\n\
                 # Made from what was there when this was written: it says what shall be, and does not look whether somebody has changed\n\
                 # something since. Belay writes nothing down of what it does; when Belay is back, `belay status` names the difference.\n\
                 set -eu\n",
                comment(&scope.to_string()),
                comment(goal),
            ),
            missing: Vec::new(),
        };
        let mut from = from.clone();
        let steps = plan
            .phases
            .iter()
            .flat_map(|phase| phase.steps.iter().map(move |step| (phase, step)));
        for (number, (phase, step)) in (1..).zip(steps) {
            let title = step.title();
            script.text += &format!("\n# {number}. {}\n", comment(&title));
            let Action::Effect(effect) = &step.action else {
                script.text += "# Belay does this itself: see to it by hand.\n";
                continue;
            };
            let place = phase
                .target
                .as_deref()
                .and_then(|name| targets.iter().find(|it| it.target.name == name));
            let commands = match place {
                Some(place) => {
                    let there = from.of(&place.target.name);
                    place
                        .driver
                        .in_shell(&place.target, there, effect, records)
                        .await
                }
                None => None,
            };
            match (commands, place) {
                (Some(commands), Some(place)) => {
                    script.text += &commands;
                    script.text.push('\n');
                    let name = place.target.name.clone();
                    let after = place.driver.after(&place.target, from.of(&name), effect);
                    from.set(&name, after);
                }
                _ => script.missing.push(title),
            }
        }
        if plan.phases.iter().all(|phase| phase.steps.is_empty()) {
            script.text += "\n# Nothing to do: it is there.\n";
        }
        script
    }
}

/// What is one line, whatever it holds.
fn comment(text: &str) -> String {
    text.chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect()
}
