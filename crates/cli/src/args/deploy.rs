//! Putting a release out: `check`, `plan`, `deploy`.

use super::{Following, Place, Shell};
use clap::Args as Group;
use std::path::PathBuf;

/// Say what is wrong with belay.yaml
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay check
  belay check -e production
  belay check -f other/belay.yaml -o json")]
pub(crate) struct Check {
    /// Only this environment
    #[arg(short, long, value_name = "ENV")]
    pub(crate) env: Option<String>,
}

/// What is released.
#[derive(Clone, Debug, Group)]
pub(crate) struct What {
    /// Release this directory or file instead of `release.artifact`
    #[arg(long, value_name = "PATH")]
    pub(crate) artifact: Option<PathBuf>,
    /// Release manifests with this image: of their only container, or of one by name. May be repeated
    #[arg(long, value_name = "[CONTAINER=]IMAGE", conflicts_with = "artifact")]
    pub(crate) image: Vec<String>,
    /// The commit it was built from, for the history
    #[arg(long, value_name = "COMMIT")]
    pub(crate) commit: Option<String>,
}

/// Show what deploy would do, and the way back; change nothing
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay plan -e production
  belay plan -e staging --artifact build/out
  belay plan -e production --as sh          the steps as plain commands")]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) what: What,
    /// As a hotfix: the short way that the environment allows
    #[arg(long)]
    pub(crate) hotfix: bool,
    /// Show the steps as a script of plain commands
    #[arg(long = "as", value_enum, value_name = "SHELL")]
    pub(crate) shell: Option<Shell>,
}

/// Put a release out, watch it, and go back by itself if it is bad
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay deploy -e production
  belay deploy -e staging --artifact build/out --commit 1a2b3c4
  belay deploy -e staging --image ghcr.io/shop/api:1.2
  belay deploy -e staging --image api=ghcr.io/shop/api:1.2 --image web=ghcr.io/shop/web:1.2
  belay deploy -e production --until promoted     do not wait for the end of the bake
  belay deploy -e production --detach             only ask for it; `belay watch` follows
  belay deploy -e production --hotfix --reason 'orders fail'")]
pub(crate) struct Deploy {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) what: What,
    /// Wait for nobody: take over from what runs, waits or bakes, the short way that the environment allows
    #[arg(long, requires = "reason")]
    pub(crate) hotfix: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) following: Following,
}
