//! Following a deployment: `watch`, and the options of the verbs that follow what they asked for.

use clap::Args as Group;

/// Follow a deployment until it ends
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay watch
  belay watch dep_01k2 --until promoted")]
pub(crate) struct Watch {
    /// Its id, or a part that only it has [default: the one that is open]
    pub(crate) deployment: Option<String>,
    /// How long to follow
    #[arg(long, value_enum, default_value_t)]
    pub(crate) until: Until,
}

/// Whether and how far a deployment is followed.
#[derive(Clone, Copy, Debug, Group)]
pub(crate) struct Following {
    /// How long to follow
    #[arg(long, value_enum, default_value_t)]
    pub(crate) until: Until,
    /// Come back at once, when it is written down and a worker is at it
    #[arg(long)]
    pub(crate) detach: bool,
}

/// When following a deployment ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Until {
    /// The release has all traffic and its verifications passed; the bake goes on without us
    Promoted,
    /// The deployment is over
    #[default]
    Baked,
}
