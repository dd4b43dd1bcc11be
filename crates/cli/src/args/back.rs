//! Going back: `rollback`, `abort`, `ready`.

use super::Place;
use belay_model::back;
use clap::Args as Group;

/// Go back to a release that worked
#[derive(Debug, Group)]
#[command(
    before_help = "\
Examples:
  belay rollback -e production              the one before if good, else the newest good one
  belay rollback -e production --plan       show where that leads; change nothing
  belay rollback -e production --to 7 --reason 'the basket is empty' --trigger broken-function
  belay rollback -e production --undo       take the last rollback back
  belay rollback -e production --plan --as sh > back.sh       the same without Belay
  belay rollback kubernetes://prod/shop/deployment/api        what Belay never deployed",
    after_help = "
In the place of the service a URI names what Belay never deployed: kubernetes://CONTEXT/NAMESPACE/deployment/NAME. It goes back to the
newest revision before the present one that is known to have been available. It shows where it leads before anything changes, and on a terminal asks. Without a terminal it goes on."
)]
pub(crate) struct Rollback {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Take a rollback back [default: the last one]
    #[arg(long, value_name = "DEPLOYMENT", num_args = 0..=1, default_missing_value = "", conflicts_with = "to")]
    pub(crate) undo: Option<String>,
    /// With a URI: what is done about those that would undo it (Argo CD, Flux)
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "undo")]
    pub(crate) gitops: Option<Gitops>,
    #[command(flatten)]
    pub(crate) how: How,
}

/// What is done about those that apply the same objects, as a repository says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Gitops {
    /// They are held first
    Hold,
    /// Nothing: they may undo it
    Ignore,
}

impl From<Gitops> for belay_runtime::Gitops {
    fn from(given: Gitops) -> Self {
        match given {
            Gitops::Hold => Self::Hold,
            Gitops::Ignore => Self::Ignore,
        }
    }
}

/// Tell an open deployment to go back now
#[derive(Debug, Group)]
#[command(
    before_help = "\
Examples:
  belay abort                               the one that is open
  belay abort dep_01k2 --plan               show where that leads; change nothing
  belay abort --to 7 --reason 'the one before is no better'",
    after_help = "
What waits behind it keeps its place; `belay rollback` ends that, too."
)]
pub(crate) struct Abort {
    /// Its id, or a part that only it has [default: the one that is open]
    pub(crate) deployment: Option<String>,
    #[command(flatten)]
    pub(crate) how: How,
}

/// How someone wants to go back.
#[derive(Debug, Group)]
pub(crate) struct How {
    /// To this release and no other; with a URI to this revision
    #[arg(long, value_name = "RELEASE")]
    pub(crate) to: Option<u32>,
    /// Take that risk; needs a reason
    #[arg(long, value_enum, value_name = "RISK", requires = "reason")]
    pub(crate) accept: Vec<Risk>,
    /// Only show where it leads
    #[arg(long)]
    pub(crate) plan: bool,
    /// Show the plan as a script of plain commands, which works without Belay
    #[arg(long = "as", value_enum, value_name = "SHELL", requires = "plan")]
    pub(crate) shell: Option<Shell>,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// What is wrong with what is gone back from, for the history
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) trigger: Option<Trigger>,
    /// Come back at once, when it is written down and a worker is at it
    #[arg(long)]
    pub(crate) detach: bool,
}

/// What a plan can be written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    /// A POSIX shell
    Sh,
}

/// What a rollback is refused for, or avoids, unless someone accepts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Risk {
    /// The release of --to was never verified in this environment
    Unproven,
    /// Changes that someone made by hand are lost: the record is restored, not what was there
    Drift,
}

impl From<Risk> for back::Risk {
    fn from(risk: Risk) -> Self {
        match risk {
            Risk::Unproven => Self::Unproven,
            Risk::Drift => Self::Drift,
        }
    }
}

/// What made someone go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Trigger {
    /// It crashes, or does not start
    Crash,
    /// Something does not work any more
    BrokenFunction,
    /// It is slow
    Slow,
    /// A migration of data
    Migration,
    /// A cache
    Cache,
    /// A stream or a queue
    Streaming,
    /// Users see errors
    UserErrors,
    /// Something else
    Other,
}

impl From<Trigger> for back::Trigger {
    fn from(trigger: Trigger) -> Self {
        match trigger {
            Trigger::Crash => Self::Crash,
            Trigger::BrokenFunction => Self::BrokenFunction,
            Trigger::Slow => Self::Slow,
            Trigger::Migration => Self::Migration,
            Trigger::Cache => Self::Cache,
            Trigger::Streaming => Self::Streaming,
            Trigger::UserErrors => Self::UserErrors,
            Trigger::Other => Self::Other,
        }
    }
}

/// Say whether going back would work right now, to what, and how fast; exits 6 if it is less than required
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay ready -e production
  belay ready -e production --to 7
  belay ready -e production -q --require ready && ./risky-migration")]
pub(crate) struct Ready {
    #[command(flatten)]
    pub(crate) place: Place,
    /// To this release
    #[arg(long, value_name = "RELEASE")]
    pub(crate) to: Option<u32>,
    /// With less it exits 6
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub(crate) require: Require,
}

/// What `ready` has to find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Require {
    /// Green: it stands ready, and nothing is to be said against it
    Ready,
    /// Yellow: it would work
    #[default]
    Possible,
}
