//! The store: `store check`, `migrate`, `backup`, `restore`, `export`. `doctor` has no options.

use super::StoreUrl;
use clap::Subcommand;
use std::path::PathBuf;

/// The store as a whole: check it, back it up, move it to where machines share it
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  belay store check
  belay store backup belay-2026-11-21.backup
  belay store restore belay-2026-11-21.backup
  belay store migrate --to postgres://belay@db/belay
  belay store export | jq -c 'select(.table == \"events\")'")]
pub(crate) enum Store {
    /// Look at every hash chain and bound, and name the first broken link of each; exits 8 if there is one
    Check,
    /// Bring the tables up to date; with --to move the whole store to a database that machines share
    Migrate {
        /// An empty database: postgres://USER@HOST/DATABASE; a password is better in PGPASSWORD
        #[arg(long, value_name = "URL")]
        to: Option<StoreUrl>,
    },
    /// Write all of the store, as it is at one moment, to a new file; the key is not in it
    Backup {
        /// A file that is not there yet
        #[arg(value_name = "FILE")]
        path: PathBuf,
    },
    /// Restore a backup into an empty store, on either database
    Restore {
        /// The backup
        #[arg(value_name = "FILE")]
        path: PathBuf,
    },
    /// Write everything that can be read as lines of JSON, for other programs
    Export {
        /// A file that is not there yet [default: stdout]
        #[arg(value_name = "FILE")]
        path: Option<PathBuf>,
    },
}
