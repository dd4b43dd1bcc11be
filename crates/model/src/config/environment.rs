//! One environment: its overlay, its targets and its policy. Policy that the engine does not honour yet has no field here, so
//! that writing it is an error and not a silence.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::service::{Literals, literals};
use super::{
    BackOrder, Check, Config, Duration, OnFailure, Percent, Phase, SecretRef, Strategy, Target,
};

/// One environment of the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Settings laid over the service's, by name. Default: none.
    #[serde(
        default,
        deserialize_with = "literals",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schemars(with = "Literals")]
    pub config: BTreeMap<String, String>,
    /// Secrets laid over the service's, by name. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretRef>,
    /// The environment that releases of this one come from: what is not good there is refused here. Default: none, a release
    /// may come from anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What a release has to be there. Default: `good`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_standing: Option<FromStanding>,
    /// The place the service runs in. Exactly one of `target` and `targets`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The places it runs in, by name (as for a service). They are served in this order and go back together.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub targets: IndexMap<String, Target>,
    /// How many targets are served side by side, at least 1; with `phases`, within each phase. Default: 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1))]
    pub parallel: u16,
    /// What is done in which order. Default: one phase for each target, without further steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
    /// How a deployment goes back.
    #[serde(default, skip_serializing_if = "BackOrder::is_default")]
    pub rollback: BackOrder,
    /// What is done when a step fails and no rule of its own, its group's or its phase's fits. Default: some kinds of failure
    /// are tried again a few times, then everything goes back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<OnFailure>,
    /// How a release replaces the one before. Default: `rolling` where processes have more than one instance, else `basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Who has to say yes before all of the traffic goes to a release. Never asked of a rollback. Default: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approve>,
    /// What becomes of deployments that wait for their turn when a newer one is asked for. Default: `latest`.
    #[serde(default)]
    pub queue: Queue,
    /// What a hotfix may do that other releases may not (`belay deploy --hotfix`). Default: it only waits for nobody.
    #[serde(default, skip_serializing_if = "Hotfix::is_default")]
    pub hotfix: Hotfix,
    /// Checks added to the service's. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verify: Vec<Check>,
    /// What is kept, and for how long, to go back to.
    #[serde(default)]
    pub keep: Keep,
    /// What happens to a first deployment that fails. Default: `remove`.
    #[serde(default)]
    pub on_first_failure: FirstFailure,
    /// Who decides when checks can say neither good nor bad: in a canary after `within`, in a bake after 30 minutes. Default: `ask` on a terminal, else `roll_back`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inconclusive: Option<Inconclusive>,
}

/// What a release has to be where it comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FromStanding {
    /// Promoted and verified there.
    #[default]
    Good,
    /// Good, and its bake there has ended, too.
    Baked,
}

/// Who has to say yes before all of the traffic goes to a release (`belay approve`). A no rolls back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// Who may answer: names as in the history, such as `ada@laptop`, or the part before the `@`. Default: anyone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// How many of them have to say yes, at least 1. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub count: u16,
    /// How long they may take; after that the release is rolled back. Default: as long as they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
}

fn one() -> u16 {
    1
}

/// What becomes of deployments that wait for their turn when a newer one is asked for. One that has begun is never
/// replaced, nor is a rollback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// The newest takes the place of those that wait.
    #[default]
    Latest,
    /// Each has its turn.
    All,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_one(number: &u16) -> bool {
    *number == 1
}

/// What a hotfix may do that other releases may not. It is verified all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hotfix {
    /// How it replaces the release before, such as a shorter canary. Default: as any release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// How long it is watched before it counts as baked. Default: `keep.bake`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bake: Option<Duration>,
    /// What it need not heed. Default: nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passes: Vec<Barrier>,
}

impl Hotfix {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What holds up releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Barrier {
    /// A freeze (`belay freeze`).
    Freeze,
    /// `from`: it need not be good where releases come from.
    From,
}

/// What is kept, and for how long, to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// How long a promoted release is watched before it counts as baked. Default: `10m`.
    pub bake: Duration,
    /// How long the release before stays up without traffic, counted from the promotion. Default: `bake` and 30 minutes more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm: Option<Duration>,
    /// How many good records are kept, at least 1. Default: 5.
    #[schemars(range(min = 1))]
    pub good: u32,
}

/// What happens to a first deployment that fails: there is nothing to go back to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FirstFailure {
    /// Take it away again.
    #[default]
    Remove,
    /// Leave it for someone to look at.
    Leave,
}

/// Who decides when checks stay inconclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Inconclusive {
    /// A person.
    Ask,
    /// Nobody: the deployment is rolled back.
    RollBack,
}

impl Keep {
    const WARM_AFTER_BAKE: Duration = Duration::from_mins(30);

    /// `warm` with its default resolved.
    pub fn warm(&self) -> Duration {
        self.warm.unwrap_or_else(|| {
            Duration::from_ms(
                self.bake
                    .as_ms()
                    .saturating_add(Self::WARM_AFTER_BAKE.as_ms()),
            )
        })
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            bake: Duration::from_mins(10),
            warm: None,
            good: 5,
        }
    }
}

/// One of an environment's targets.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its name; absent: there is only one, and it has none.
    pub name: Option<&'a str>,
    /// It.
    pub target: &'a Target,
}

impl Place<'_> {
    /// The key that it is written under, below the environment: `target`, `targets.eu`.
    pub fn key(&self) -> String {
        match self.name {
            Some(name) => format!("targets.{name}"),
            None => "target".to_owned(),
        }
    }
}

impl Environment {
    /// Its targets, in order.
    pub fn places(&self) -> impl Iterator<Item = Place<'_>> {
        let only = self
            .target
            .iter()
            .map(|target| Place { name: None, target });
        let named = self.targets.iter().map(|(name, target)| Place {
            name: Some(name),
            target,
        });
        only.chain(named)
    }

    /// A release's settings with the environment's laid over them.
    pub fn config_over(&self, release: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        overlay(release, &self.config)
    }

    /// Whether releases stand side by side on one of its targets, where that is for the strategy to say; `name`: the target's.
    pub fn is_side_by_side(&self, name: Option<&str>, hotfix: bool) -> bool {
        let own = self.hotfix.strategy.clone().filter(|_| hotfix);
        let own = own.unwrap_or_else(|| self.strategy());
        let is_here = |phase: &&Phase| match (&phase.targets, name) {
            (Some(names), Some(name)) => names.iter().any(|it| it == name),
            _ => phase.steps.is_empty(),
        };
        let here: Vec<&Phase> = self.phases.iter().filter(is_here).collect();
        let beside = |phase: &&Phase| {
            let is_part = phase.share.is_some_and(|share| share < Percent::WHOLE);
            is_part || phase.strategy.as_ref().unwrap_or(&own).is_side_by_side()
        };
        match here.is_empty() {
            true => own.is_side_by_side(),
            false => here.iter().any(beside),
        }
    }

    /// `strategy` with its default resolved.
    pub fn strategy(&self) -> Strategy {
        let is_several = |place: Place<'_>| match place.target {
            Target::Process(process) => process.instances > 1,
            // How many pods there are the cluster knows, and how they are replaced the workload says.
            Target::Kubernetes(_) | Target::Helm(_) => false,
        };
        match &self.strategy {
            Some(strategy) => strategy.clone(),
            None if self.places().any(is_several) => Strategy::Rolling,
            None => Strategy::Basic,
        }
    }
}

impl Config {
    /// The service's settings with the environment's laid over them.
    pub fn config_in(&self, environment: &Environment) -> BTreeMap<String, String> {
        environment.config_over(&self.config)
    }

    /// The service's secrets with the environment's laid over them.
    pub fn secrets_in(&self, environment: &Environment) -> BTreeMap<String, SecretRef> {
        overlay(&self.secrets, &environment.secrets)
    }

    /// The service's checks, then the environment's.
    pub fn checks_in<'a>(
        &'a self,
        environment: &'a Environment,
    ) -> impl Iterator<Item = &'a Check> {
        self.verify.iter().chain(&environment.verify)
    }
}

fn overlay<T: Clone>(
    below: &BTreeMap<String, T>,
    above: &BTreeMap<String, T>,
) -> BTreeMap<String, T> {
    below
        .iter()
        .chain(above)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
