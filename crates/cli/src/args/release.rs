//! Releases: `release list`, `show`, `lift`.

use clap::Subcommand;

/// Releases: what they are, where they serve, and lifting a quarantine
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  belay release list
  belay release show 2
  belay release lift 2 -e production --reason 'the database was down, not the release'")]
pub(crate) enum Release {
    /// List the releases of a service, newest first
    List {
        /// The service [default: that of belay.yaml, or the only one in the store]
        service: Option<String>,
    },
    /// Show one release and its standing in every environment
    Show {
        /// Its number
        release: u32,
        /// The service [default: that of belay.yaml, or the only one in the store]
        service: Option<String>,
    },
    /// Lift a quarantine, so that the release may be deployed again
    Lift {
        /// Its number
        release: u32,
        /// The service [default: that of belay.yaml, or the only one in the store]
        service: Option<String>,
        /// Only in this environment [default: wherever it is quarantined]
        #[arg(short, long, value_name = "ENV")]
        env: Option<String>,
        /// Why, for the history
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}
