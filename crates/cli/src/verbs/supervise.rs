//! `belay supervise DIRECTORY`: keeps one command running. Started by Belay for itself.

use crate::args::Supervise;
use std::process::ExitCode;

pub(crate) fn run(args: &Supervise) -> ExitCode {
    belay_runtime::supervise(&args.directory)
}
