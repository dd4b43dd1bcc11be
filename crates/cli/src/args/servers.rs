//! What runs on: `proxy`, `worker`, `supervise`.

use clap::{Args as Group, Subcommand};
use std::path::PathBuf;

/// The proxy that splits the traffic
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  belay proxy status
  belay proxy run               in the foreground; usually a supervisor starts it")]
pub(crate) enum Proxy {
    /// Run the proxy of the store in the foreground until SIGTERM or SIGINT
    Run,
    /// Show routes, weights, requests in flight, listeners and warnings
    Status,
}

/// Perform what is written in the store, in the foreground; usually a command starts it
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay worker                   until nothing was open for 3 s
  BELAY_LOG=debug belay worker   to see what it does")]
pub(crate) struct Worker {
    /// Leave the terminal and the session of whoever started it
    #[arg(long)]
    pub(crate) detached: bool,
    /// How long nothing must be open, in milliseconds, before it leaves
    #[arg(long, value_name = "MS", default_value_t = 3000)]
    pub(crate) idle_ms: u64,
    /// Stay until it is told to end: on a machine whose deployments other machines ask for
    #[arg(long)]
    pub(crate) stay: bool,
    /// How long, on a shared store, what this worker is at stays its own without a sign of life, in milliseconds
    #[arg(
        long,
        value_name = "MS",
        env = "BELAY_LEASE_MS",
        hide_env_values = true,
        default_value_t = 5000,
        value_parser = clap::value_parser!(u64).range(1000..=300_000)
    )]
    pub(crate) lease_ms: u64,
}

/// Keep the command of a directory running
#[derive(Debug, Group)]
pub(crate) struct Supervise {
    /// The supervised directory
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,
}
