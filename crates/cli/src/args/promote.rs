//! Going on: `promote`.

use super::Following;
use clap::Args as Group;

/// Move a release from one environment, where it is good, to another one
#[derive(Debug, Group)]
#[command(
    before_help = "\
Examples:
  belay promote staging production
  belay promote staging production --plan      show what that would do, and the way back
  belay promote staging production --release 7 --reason 'tried for a week'",
    after_help = "
The same release goes there: its number, its artifact, its settings. Nothing is built or read anew but the environment TO in
belay.yaml, with the `secrets` and `verify` that hold for all of them. On a terminal it shows the plan and asks."
)]
pub(crate) struct Promote {
    /// The environment where it is good
    pub(crate) from: String,
    /// The environment where it goes
    pub(crate) to: String,
    /// The service [default: that of belay.yaml]
    pub(crate) service: Option<String>,
    /// This release [default: the one that serves in FROM]
    #[arg(long, value_name = "RELEASE")]
    pub(crate) release: Option<u32>,
    /// Only show what it would do
    #[arg(long)]
    pub(crate) plan: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Wait for nobody: take over from what runs, waits or bakes, the short way that the environment allows
    #[arg(long, requires = "reason")]
    pub(crate) hotfix: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) following: Following,
}
