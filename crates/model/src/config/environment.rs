//! One environment: its overlay, its target and its policy. Policy that the engine does not honour yet has no field here, so
//! that writing it is an error and not a silence.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::service::{Literals, literals};
use super::{Check, Config, Duration, SecretRef, Strategy, Target};

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
    /// The place the service runs in.
    pub target: Target,
    /// How a release replaces the one before. Default: `rolling` with more than one instance, else `basic`.
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

impl Environment {
    /// `strategy` with its default resolved.
    pub fn strategy(&self) -> Strategy {
        let Target::Process(process) = &self.target;
        match &self.strategy {
            Some(strategy) => strategy.clone(),
            None if process.instances > 1 => Strategy::Rolling,
            None => Strategy::Basic,
        }
    }
}

impl Config {
    /// The service's settings with the environment's laid over them.
    pub fn config_in(&self, environment: &Environment) -> BTreeMap<String, String> {
        overlay(&self.config, &environment.config)
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
