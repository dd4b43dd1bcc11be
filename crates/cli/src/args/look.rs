//! What stands, what was, and what it wrote: `status`, `history`, `logs`.

use super::Place;
use clap::Args as Group;
use std::path::PathBuf;

/// Show what serves where, and what is going on
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay status
  belay status -e production -o json")]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) place: Place,
}

/// List deployments, newest first
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay history -e production
  belay history --events dep_01k2
  belay history kubernetes://prod/shop/deployment/api     revisions of what Belay never deployed")]
pub(crate) struct History {
    #[command(flatten)]
    pub(crate) place: Place,
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
    /// The journal of one deployment instead
    #[arg(long, value_name = "DEPLOYMENT", conflicts_with_all = ["service", "env"])]
    pub(crate) events: Option<String>,
}

/// Print what the instances wrote
#[derive(Debug, Group)]
#[command(
    before_help = "\
Examples:
  belay logs -e production
  belay logs -f -e production --instance r2
  belay logs --lines 500 | grep ERROR
  belay logs -e production --bundle trouble           what there is to say of it on Kubernetes
  belay logs kubernetes://prod/shop/deployment/api --bundle trouble",
    after_help = "
With -o json every line is a document of its own: {\"group\", \"instance\", \"line\"}."
)]
pub(crate) struct Logs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Go on with what they write from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    // The global option without its short form, which everybody expects to mean `--follow` here.
    #[arg(
        long,
        id = "file",
        value_name = "FILE",
        env = "BELAY_FILE",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    /// The configuration [default: the nearest belay.yaml, upwards from here]
    pub(crate) _file: Option<PathBuf>,
    /// How many lines of each instance to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) lines: usize,
    /// Only instances whose GROUP/INSTANCE contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) instance: Option<String>,
    /// On Kubernetes: gather events, the last lines of each container and how workloads and pods are into a new folder; without
    /// values of secrets
    #[arg(long, value_name = "DIR", conflicts_with_all = ["follow", "instance"])]
    pub(crate) bundle: Option<PathBuf>,
}
