//! The whole command: what follows its name, and in which order its help reads.

use super::{Global, Verb};
use crate::exit;
use clap::{CommandFactory, FromArgMatches, Parser};

/// Examples come before options: most people look for those.
const TEMPLATE: &str = "{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

/// Belay deploys, watches, and goes back to what worked.
#[derive(Debug, Parser)]
#[command(
    name = "belay",
    version,
    disable_help_subcommand = true,
    before_help = "\
Examples:
  belay check                     is belay.yaml right?
  belay deploy -e production      put the release out, watch it, go back by itself if it is bad
  belay status                    what serves where
  belay rollback -e production    go back to the release that worked before
  belay ready -e production       could I go back right now, to what, in how long?"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The command with its help in the house's order.
fn command() -> clap::Command {
    let codes = format!(
        "\nExit codes:\n{}\n\nMore: docs/cli.md, and docs/errors for every error code.",
        exit::table()
    );
    let command = Args::command().after_help(codes);
    shape(command)
}

fn shape(command: clap::Command) -> clap::Command {
    command
        .help_template(TEMPLATE)
        .max_term_width(100)
        .mut_subcommands(shape)
}

/// Reads a command line.
pub(crate) fn parse<I, T>(line: I) -> Result<Args, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    Args::from_arg_matches(&command().try_get_matches_from(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn undo_takes_a_deployment_or_none() {
        for (line, expect) in [
            (&["belay", "rollback", "--undo"][..], Some("")),
            (&["belay", "rollback", "--undo", "dep_1"], Some("dep_1")),
            (&["belay", "rollback"], None),
        ] {
            let args = parse(line).expect("it parses");
            let Verb::Rollback(rollback) = args.verb else {
                panic!("another verb")
            };
            assert_eq!(rollback.undo.as_deref(), expect);
        }
    }
}
