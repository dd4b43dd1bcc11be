//! Which store, file, service and environment is meant, and how much is printed.

use crate::output::Format;
use clap::Args as Group;
use std::path::PathBuf;

/// Options of every verb.
#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The directory of the store, or with --store of what is this machine's own [default: .belay beside the nearest belay.yaml, upwards from here; else ./.belay]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "BELAY_DIR",
        hide_env_values = true
    )]
    pub(crate) dir: Option<PathBuf>,
    /// A store that several machines share, on PostgreSQL: postgres://USER@HOST/DATABASE. With a password set the variable BELAY_STORE instead: others may see command lines
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "BELAY_STORE",
        hide_env_values = true
    )]
    pub(crate) store: Option<StoreUrl>,
    /// The configuration [default: the nearest belay.yaml, upwards from here]
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "BELAY_FILE",
        hide_env_values = true
    )]
    pub(crate) file: Option<PathBuf>,
    /// What is printed on stdout
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t
    )]
    pub(crate) output: Format,
    /// No progress, only the result and what went wrong
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// No colours; the environment variable NO_COLOR does the same
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

/// May hold a password, so it is never shown; what is wrong with it is said when it is used.
#[derive(Clone)]
pub(crate) struct StoreUrl(pub(crate) String);

impl From<String> for StoreUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl std::fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(not shown)")
    }
}

/// Which service and environment is meant.
#[derive(Clone, Debug, Group)]
pub(crate) struct Place {
    /// The service, or the URI of what Belay never deployed [default: that of belay.yaml, or the only one in the store]
    pub(crate) service: Option<String>,
    /// The environment; needed when there are several
    #[arg(short, long, value_name = "ENV")]
    pub(crate) env: Option<String>,
}
