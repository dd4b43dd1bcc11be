//! What people say: to a deployment (`retry`, `skip`, `abandon`, `approve`, `reject`, `pause`, `resume`, `advance`, `stop`),
//! and to all of a place (`freeze`).

use super::Place;
use clap::Args as Group;

/// Try the step again that a deployment is stuck at
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay retry
  belay retry dep_01k2 --detach")]
pub(crate) struct Retry {
    /// Its id, or a part that only it has [default: the one that waits for a person]
    pub(crate) deployment: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Do not follow
    #[arg(long)]
    pub(crate) detach: bool,
}

/// Go on without the step that a deployment is stuck at
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay skip --reason 'removed by hand'")]
pub(crate) struct Give {
    /// Its id, or a part that only it has [default: the one that waits for a person]
    pub(crate) deployment: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Do not follow
    #[arg(long)]
    pub(crate) detach: bool,
}

/// What is said to a deployment.
#[derive(Debug, Group)]
pub(crate) struct Say {
    /// Its id, or a part that only it has [default: the one it can be said to]
    pub(crate) deployment: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Hold up releases for a while; rollbacks are never held up
#[derive(Debug, Group)]
#[command(
    before_help = "\
Examples:
  belay freeze -e production --reason 'the big day' --for 8h
  belay freeze -e production --all-services --reason 'moving house'
  belay freeze -e production --lift --reason 'all is well'",
    after_help = "
Belay freezes a service in an environment by itself when three of its releases went back by themselves within 24 hours."
)]
pub(crate) struct Freeze {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Every service in the environment
    #[arg(long, requires = "env", conflicts_with_all = ["service", "all_environments"])]
    pub(crate) all_services: bool,
    /// Every environment of the service
    #[arg(long, conflicts_with = "env")]
    pub(crate) all_environments: bool,
    /// Why; needed unless it is lifted
    #[arg(long, value_name = "TEXT", required_unless_present = "lift")]
    pub(crate) reason: Option<String>,
    /// How long, such as `8h` [default: until it is lifted]
    #[arg(long = "for", value_name = "TIME", conflicts_with = "lift")]
    pub(crate) hold: Option<belay_model::config::Duration>,
    /// Let releases go out again
    #[arg(long)]
    pub(crate) lift: bool,
}
