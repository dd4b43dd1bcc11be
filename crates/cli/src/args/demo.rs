//! All of it on a service of its own: `demo`.

use clap::Args as Group;
use std::path::PathBuf;

/// Show all of it on a service of its own: real processes, real traffic, a bad release
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay demo
  belay demo --keep              leave all of it running, to try `belay rollback` by hand
  belay demo --stop DIR          end and remove what --keep left
  belay demo -q -o json          only the numbers")]
pub(crate) struct Demo {
    /// Leave all of it running
    #[arg(long)]
    pub(crate) keep: bool,
    /// End and remove what `--keep` left in this directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["keep", "bookstore"])]
    pub(crate) stop: Option<PathBuf>,
    /// The service to deploy [default: `bookstore` beside this executable]
    #[arg(long, value_name = "PATH")]
    pub(crate) bookstore: Option<PathBuf>,
}
