//! The rules of `targets:`, `parallel:` and `phases:`.

use std::collections::BTreeMap;

use belay_model::config::{Environment, Percent, Phase, Place};

use super::check::{is_name, proper_name};
use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;
use super::nearest::did_you_mean;
use super::steps::Where;
use super::target::cannot_split;

impl Loaded {
    pub(super) fn targets(
        &self,
        path: &str,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        let targets = format!("{path}.targets");
        match (&environment.target, environment.targets.is_empty()) {
            (Some(_), false) => {
                let message = "one target is under `target`, several are under `targets`";
                let complaint = self.on_key(Code::Contradiction, &targets, message);
                found.push(complaint.suggest("keep one of the two".to_owned()));
            }
            (None, true) => {
                let message = format!("missing key `target` in `{path}`");
                let complaint = self.on_key(Code::MissingKey, path, message);
                found.push(complaint.suggest("add `target:`".to_owned()));
            }
            _ => {}
        }
        for name in environment.targets.keys().filter(|name| !is_name(name)) {
            let message = "a target's name is 1 to 63 characters of a-z, 0-9 and `-`";
            let complaint = self.on_key(Code::WrongValue, &format!("{targets}.{name}"), message);
            found.push(complaint.suggest(proper_name(name)));
        }
        let parallel = format!("{path}.parallel");
        if environment.parallel == 0 {
            let message = "with no target at a time nothing goes on";
            let complaint = self.on_value(Code::WrongValue, &parallel, message);
            found.push(complaint.suggest("did you mean `1`?".to_owned()));
        } else if environment.parallel > 1 && environment.targets.len() < 2 {
            let message = "there is one target, so none can be served beside it";
            found.push(self.on_key(Code::Contradiction, &parallel, message));
        }
    }

    pub(super) fn phases(
        &self,
        path: &str,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        self.on_failure(
            &format!("{path}.on_failure"),
            &environment.on_failure,
            found,
        );
        let mut shares: BTreeMap<Option<&str>, (Percent, usize)> = BTreeMap::new();
        for (number, phase) in environment.phases.iter().enumerate() {
            let at = format!("{path}.phases[{number}]");
            self.phase_name(&at, number, environment, found);
            self.phase_keys(&at, phase, found);
            let places = self.phase_targets(&at, phase, environment, found);
            self.phase_strategy(&at, phase, &places, found);
            for place in &places {
                let share = phase.share.unwrap_or(Percent::WHOLE);
                match shares.insert(place.name, (share, number)) {
                    Some((before, _)) if share <= before => {
                        found.push(self.share_does_not_grow(&at, phase, before));
                    }
                    _ => {}
                }
            }
            self.phase_steps(&at, phase, environment, &places, found);
        }
        if environment.phases.is_empty() {
            return;
        }
        for place in environment.places() {
            let on = place
                .name
                .map_or_else(|| "the target".to_owned(), |name| format!("`{name}`"));
            match shares.get(&place.name) {
                None => {
                    let message =
                        format!("no phase is about {on}, so the release would never be there");
                    let key = format!("{path}.{}", place.key());
                    found.push(self.on_key(Code::ImpossiblePhases, &key, message));
                }
                Some((share, number)) if *share < Percent::WHOLE => {
                    let message =
                        format!("the last phase on {on} has to go all the way, not {share}");
                    let at = format!("{path}.phases[{number}].share");
                    let complaint = self.on_value(Code::ImpossiblePhases, &at, message);
                    found.push(complaint.suggest("leave `share` out".to_owned()));
                }
                Some(_) => {}
            }
        }
    }

    fn phase_name(
        &self,
        at: &str,
        number: usize,
        environment: &Environment,
        found: &mut Vec<Diagnostic>,
    ) {
        let name = &environment.phases[number].name;
        let path = format!("{at}.name");
        if !is_name(name) {
            let message = "a phase's name is 1 to 63 characters of a-z, 0-9 and `-`";
            let complaint = self.on_value(Code::WrongValue, &path, message);
            found.push(complaint.suggest(proper_name(name)));
        } else if environment.phases[..number]
            .iter()
            .any(|other| other.name == *name)
        {
            let message = format!("there is a phase `{name}` already");
            found.push(self.on_value(Code::Contradiction, &path, message));
        }
    }

    /// `steps` is for phases without targets, the rest for those with.
    fn phase_keys(&self, at: &str, phase: &Phase, found: &mut Vec<Diagnostic>) {
        let of_targets = [
            ("targets", phase.targets.is_some()),
            ("strategy", phase.strategy.is_some()),
            ("share", phase.share.is_some()),
            ("before", !phase.before.is_empty()),
            ("after", !phase.after.is_empty()),
        ];
        if phase.steps.is_empty() {
            return;
        }
        for (key, _) in of_targets.into_iter().filter(|(_, is_there)| *is_there) {
            let message =
                format!("a phase with `steps` touches no target, and `{key}` is for one that does");
            let complaint = self.on_key(Code::Contradiction, &format!("{at}.{key}"), message);
            found.push(complaint.suggest("use `before` and `after`, or two phases".to_owned()));
        }
    }

    /// Its targets, without those that there are not.
    fn phase_targets<'a>(
        &self,
        at: &str,
        phase: &'a Phase,
        environment: &'a Environment,
        found: &mut Vec<Diagnostic>,
    ) -> Vec<Place<'a>> {
        let known = || environment.targets.keys().map(String::as_str);
        let mut places: Vec<Place<'_>> = Vec::new();
        let Some(names) = &phase.targets else {
            let all = environment.places();
            return all.filter(|_| phase.steps.is_empty()).collect();
        };
        let path = format!("{at}.targets");
        if names.is_empty() {
            let message = "a phase without targets has `steps`";
            let complaint = self.on_key(Code::ImpossiblePhases, &path, message);
            found.push(complaint.suggest("leave `targets` out for all of them".to_owned()));
        }
        for (number, name) in names.iter().enumerate() {
            let path = format!("{path}[{number}]");
            let place = environment.places().find(|place| place.name == Some(name));
            let Some(place) = place else {
                let message = format!("unknown target `{name}`");
                let complaint = self.on_value(Code::ImpossiblePhases, &path, message);
                found.push(match did_you_mean(name, known()) {
                    Some(phrase) => complaint.suggest(phrase),
                    None if environment.targets.is_empty() => complaint
                        .note("the only target has no name: leave `targets` out".to_owned()),
                    None => {
                        let known: Vec<_> = known().map(|name| format!("`{name}`")).collect();
                        complaint.note(format!("known here: {}", known.join(", ")))
                    }
                });
                continue;
            };
            if places.iter().any(|other| other.name == place.name) {
                let message = format!("`{name}` is there twice");
                found.push(self.on_value(Code::ImpossiblePhases, &path, message));
                continue;
            }
            places.push(place);
        }
        places
    }

    fn phase_strategy(
        &self,
        at: &str,
        phase: &Phase,
        places: &[Place<'_>],
        found: &mut Vec<Diagnostic>,
    ) {
        if let Some(strategy) = &phase.strategy {
            for place in places {
                self.strategy_on(&format!("{at}.strategy"), strategy, place.target, found);
            }
        }
        let Some(share) = phase.share else { return };
        let path = format!("{at}.share");
        let on_share = |message: String| self.on_value(Code::ImpossiblePhases, &path, message);
        if share > Percent::WHOLE {
            found.push(on_share(format!("{share} is more than all of the traffic")));
        } else if share == Percent::default() {
            found.push(on_share("a phase without traffic shows nothing".to_owned()));
        }
        if phase.strategy.is_some() && share < Percent::WHOLE {
            let message = "a phase that goes a part of the way has its `share` and no `strategy`";
            let complaint = self.on_key(Code::Contradiction, &format!("{at}.strategy"), message);
            found.push(complaint.suggest("keep one of the two".to_owned()));
        }
        let why_not = places.iter().find_map(|place| cannot_split(place.target));
        if let Some(why) = why_not.filter(|_| share < Percent::WHOLE) {
            let message = format!("a phase with `share` gives a part of the traffic, and {why}");
            found.push(self.on_key(Code::ImpossiblePhases, &path, message));
        }
    }

    fn share_does_not_grow(&self, at: &str, phase: &Phase, before: Percent) -> Diagnostic {
        let (key, message) = match phase.share {
            Some(_) => (
                "share",
                format!("the share must grow: an earlier phase has {before} there already"),
            ),
            None => (
                "targets",
                "an earlier phase goes all the way there already".to_owned(),
            ),
        };
        self.on_value(Code::ImpossiblePhases, &format!("{at}.{key}"), message)
    }

    fn phase_steps(
        &self,
        at: &str,
        phase: &Phase,
        environment: &Environment,
        places: &[Place<'_>],
        found: &mut Vec<Diagnostic>,
    ) {
        let only = match places {
            [only] => Some(only.target),
            _ => None,
        };
        let forward = Where {
            release_is_there: None,
            environment,
            is_back: false,
        };
        let there = Where {
            release_is_there: only,
            ..forward
        };
        let back = Where {
            is_back: true,
            ..there
        };
        for (key, steps, place) in [
            ("steps", &phase.steps, forward),
            ("before", &phase.before, forward),
            ("after", &phase.after, there),
            ("rollback.before", &phase.rollback.before, back),
            ("rollback.after", &phase.rollback.after, back),
        ] {
            self.steps(&format!("{at}.{key}"), steps, place, found);
        }
        self.on_failure(&format!("{at}.on_failure"), &phase.on_failure, found);
    }
}
