//! The targets of a deployment with their drivers: what is asked of each, and put together again.

use crate::ports::Drivers;
use belay_driver::{Context, Driver, Error, Old, Remark, Restorability, Stage};
use belay_model::error::{Class, Failure};
use belay_model::plan::{Action, Effect, Phase, Plan};
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, DifferenceEntry, Goal, ROUTE, State, States};
use futures_util::future::join_all;
use std::sync::Arc;

/// See the module.
#[derive(Clone)]
pub struct Targets(Vec<Place>);

/// One target and its driver.
#[derive(Clone)]
pub struct Place {
    /// Where.
    pub target: Target,
    /// How.
    pub driver: Arc<dyn Driver>,
}

impl Place {
    /// A state without what may stand by beside the wanted one; who has the traffic is never that.
    pub(crate) fn without_standby(&self, want: &State, have: &State) -> State {
        let mut have = have.clone();
        if self.driver.capabilities(&self.target).warm_standby {
            have.resources
                .retain(|key, _| key == ROUTE || want.resources.contains_key(key));
        }
        have
    }

    /// Whether nobody serves there who could have the rest of a share: the least share is all of the traffic then.
    ///
    /// # Errors
    /// The goal is impossible on this platform.
    pub(crate) fn serves_nobody(&self, from: &State, goal: &Goal) -> Result<bool, Error> {
        let Self { target, driver } = self;
        let least = Stage {
            share: 1,
            capacity: 1000,
            old: Old::Keep,
            overwrites: false,
        };
        let effects = driver.plan(target, from, goal, least)?;
        let effects = effects.iter();
        let then = effects.fold(from.clone(), |at, effect| driver.after(target, &at, effect));
        let want = goal.want.of(&target.name);
        Ok(driver
            .diff(want, &self.without_standby(want, &then))
            .is_met())
    }
}

impl Targets {
    /// Of the targets, each once; where two have one name the first counts.
    ///
    /// # Errors
    /// This Belay was built without one of the drivers.
    pub fn of<'a>(
        drivers: &dyn Drivers,
        targets: impl IntoIterator<Item = &'a Target>,
    ) -> Result<Self, Failure> {
        let mut places: Vec<Place> = Vec::new();
        for target in targets {
            if places.iter().any(|place| place.target.name == target.name) {
                continue;
            }
            let driver = drivers.driver(&target.driver).ok_or_else(|| {
                let name = &target.driver;
                let message = format!("find the driver `{name}`: this belay was built without it");
                Failure::from(Error::not_applied(Class::Unknown, message))
            })?;
            places.push(Place {
                target: target.clone(),
                driver,
            });
        }
        Ok(Self(places))
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.0.iter()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Place> {
        self.0.iter().find(|place| place.target.name == name)
    }

    /// Those of a name that is wanted.
    pub fn only(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let own = self.0.iter().filter(|place| wanted(&place.target.name));
        Self(own.cloned().collect())
    }

    /// Those that a plan has effects on.
    pub(crate) fn moved_by(&self, plan: &Plan) -> Self {
        let moves = |phase: &&Phase| phase.steps.iter().any(|step| step.effect().is_some());
        let moved = plan.phases.iter().filter(moves);
        let moved: Vec<_> = moved.map(|phase| phase.target.as_deref()).collect();
        self.only(|name| moved.contains(&Some(name)))
    }

    /// The first target that those states tell of and that is none of these.
    pub(crate) fn unknown<'a>(&self, states: &'a States) -> Option<&'a str> {
        let mut names = states.iter().map(|(name, _)| name);
        // A state without a name is that of the only one.
        names.find(|name| self.get(name).is_none() && (!name.is_empty() || self.0.is_empty()))
    }

    /// The states in which a record alone serves; nothing where it has no place.
    pub fn desired(&self, record: &Record) -> States {
        let of = |place: &Place| {
            let name = place.target.name.clone();
            let state = record.target(&name).map_or_else(State::default, |target| {
                place.driver.desired(record, target)
            });
            (name, state)
        };
        self.0.iter().map(of).collect()
    }

    /// What keeps `have` from being `want`, on all targets that `want` tells of. One that nobody could observe differs.
    pub fn diff(&self, want: &States, have: &States) -> Vec<String> {
        self.diff_unless(want, have, |_, _| false)
    }

    /// The same without what is not meant, by target and entry.
    pub(crate) fn diff_unless(
        &self,
        want: &States,
        have: &States,
        is_other: impl Fn(&str, &DifferenceEntry) -> bool,
    ) -> Vec<String> {
        let of = |place: &Place| {
            let name = &place.target.name;
            let Some(want) = want.get(name) else {
                return Vec::new();
            };
            match have.get(name) {
                Some(have) => {
                    let mut difference = place.driver.diff(want, have);
                    difference.0.retain(|entry| !is_other(name, entry));
                    self.lines(place, &difference)
                }
                None => vec![format!("{name}: it could not be observed")],
            }
        };
        self.0.iter().flat_map(of).collect()
    }

    /// The same without what may stand by beside it.
    pub fn lacks(&self, want: &States, have: &States) -> Vec<String> {
        let of = |place: &Place| {
            let name = &place.target.name;
            let have = place.without_standby(want.of(name), have.get(name)?);
            Some((name.clone(), have))
        };
        self.diff(want, &self.0.iter().filter_map(of).collect())
    }

    /// What of `want` is there and serves badly.
    pub(crate) fn unwell(&self, want: &States, have: &States) -> Vec<String> {
        let of = |place: &Place| {
            let name = &place.target.name;
            let (want, mut have) = (want.of(name), have.of(name).clone());
            have.resources
                .retain(|key, _| want.resources.contains_key(key));
            self.labelled(place, have.unhealthy())
        };
        self.0.iter().flat_map(of).collect()
    }

    /// One line per unmet entry; with the name of the target where there are several.
    fn lines(&self, place: &Place, difference: &Difference) -> Vec<String> {
        self.labelled(place, difference.lines())
    }

    fn labelled(&self, place: &Place, lines: Vec<String>) -> Vec<String> {
        if self.0.len() == 1 {
            return lines;
        }
        let name = &place.target.name;
        lines
            .into_iter()
            .map(|line| format!("{name}: {line}"))
            .collect()
    }

    /// What they are like when all effects of a plan are done. Pure.
    pub fn after(&self, from: &States, plan: &Plan) -> States {
        let mut at = from.clone();
        for phase in &plan.phases {
            let name = phase.target.as_deref().unwrap_or_default();
            let Some(place) = self.get(name) else {
                continue;
            };
            for step in &phase.steps {
                if let Action::Effect(effect) = &step.action {
                    let next = place.driver.after(&place.target, at.of(name), effect);
                    at.set(name, next);
                }
            }
        }
        at
    }

    /// Whether a goal can be reached on all of them right now: the worst answer, and one after the other the time.
    ///
    /// # Errors
    /// One of them cannot be asked; which, and why.
    pub async fn restorable(
        &self,
        cx: &Context,
        goal: &Goal,
    ) -> Result<Restorability, (String, Failure)> {
        let (mut total, mut partly, mut not) = (Some(0), Vec::new(), Vec::new());
        for place in &self.0 {
            let answer = place.driver.restorable(cx, &place.target, goal).await;
            let of = |error: Error| (place.target.name.clone(), error.into());
            match answer.map_err(of)? {
                Restorability::Exact { millis } => {
                    total = total.zip(millis).map(|(total, one)| total + one);
                }
                Restorability::Partial(lines) => partly.extend(lines),
                Restorability::No(lines) => not.extend(lines),
            }
        }
        Ok(match (partly, not) {
            (_, not) if !not.is_empty() => Restorability::No(not),
            (partly, _) if !partly.is_empty() => Restorability::Partial(partly),
            _ => Restorability::Exact { millis: total },
        })
    }

    /// What their drivers have to say of a plan from there, before anything changes.
    pub async fn remarks(&self, cx: &Context, from: &States, plan: &Plan) -> Vec<Remark> {
        let asked = self.0.iter().map(async |place| {
            let name = &place.target.name;
            let phases = plan.phases.iter();
            let own = phases.filter(|phase| phase.target.as_ref() == Some(name));
            let steps = own.flat_map(|phase| &phase.steps);
            let effects: Vec<Effect> = steps.filter_map(|step| step.effect().cloned()).collect();
            if effects.is_empty() {
                return Vec::new();
            }
            let said = place
                .driver
                .remarks(cx, &place.target, from.of(name), &effects)
                .await;
            // What is not known stands in nobody's way.
            said.unwrap_or_else(|error| {
                let line = format!(
                    "whether others are in the way at {name} is not known: failed to {error}"
                );
                vec![Remark::Warning(line)]
            })
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// What is there, on each of them, all asked at once; and what could not be observed.
    pub async fn observe(&self, cx: &Context) -> (States, Vec<(String, Failure)>) {
        let looks = self
            .0
            .iter()
            .map(|place| place.driver.observe(cx, &place.target));
        let mut states = States::default();
        let mut failures = Vec::new();
        for (place, seen) in self.0.iter().zip(join_all(looks).await) {
            match seen {
                Ok(state) => states.set(&place.target.name, state),
                Err(error) => failures.push((place.target.name.clone(), error.into())),
            }
        }
        (states, failures)
    }
}

/// Nobody knows how that target is reached.
pub(crate) fn unknown(name: &str) -> Failure {
    let message = format!("find target {name}: no record tells of it");
    Error::not_applied(Class::Unknown, message).into()
}
