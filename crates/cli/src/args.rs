//! The command line as types. What each verb does is in `verbs`; here is only what can be written and how help reads.

mod back;
mod promote;

pub(crate) use back::{Abort, How, Ready, Require, Rollback};
pub(crate) use promote::Promote;

use crate::exit;
use crate::output::Format;
use clap::{Args as Group, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::path::PathBuf;

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

/// The verbs. None is listed that does not work.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Check(Check),
    Plan(Plan),
    Deploy(Deploy),
    Promote(Promote),
    Status(Status),
    Watch(Watch),
    History(History),
    Rollback(Rollback),
    Abort(Abort),
    Ready(Ready),
    Retry(Retry),
    Skip(Give),
    #[command(
        about = "End a deployment that waits for a person as it is, and free its lock",
        before_help = "\
Examples:
  belay abandon --reason 'replaced by hand'"
    )]
    Abandon(Give),
    #[command(
        about = "Say yes to a deployment that waits for an approval",
        before_help = "\
Examples:
  belay approve
  belay approve dep_01k2 --reason 'looked at the numbers'"
    )]
    Approve(Say),
    #[command(
        about = "Say no to a deployment that waits for an approval: it goes back",
        before_help = "\
Examples:
  belay reject --reason 'not on a Friday'"
    )]
    Reject(Say),
    #[command(
        about = "Let a deployment begin no further step for now",
        before_help = "\
Examples:
  belay pause --reason 'looking at something'"
    )]
    Pause(Say),
    #[command(
        about = "Let a paused deployment go on",
        before_help = "\
Examples:
  belay resume"
    )]
    Resume(Say),
    #[command(
        about = "Do not wait any longer for the end of a stage, a bake or a wait",
        before_help = "\
Examples:
  belay advance --reason 'watched it by hand'",
        after_help = "
What is cut short proves nothing: the release becomes good when a later verification has passed the same checks."
    )]
    Advance(Say),
    #[command(
        about = "End a deployment, and leave what was done as it is; to go back: rollback",
        before_help = "\
Examples:
  belay stop --reason 'I take over by hand'"
    )]
    Stop(Say),
    Freeze(Freeze),
    Logs(Logs),
    #[command(subcommand)]
    Release(Release),
    #[command(subcommand)]
    Proxy(Proxy),
    #[command(subcommand)]
    Store(Store),
    #[command(
        about = "Say whether the store, its server, its key and its disk are as they should be; exits 8 if not",
        before_help = "\
Examples:
  belay doctor
  belay doctor -o json"
    )]
    Doctor,
    Demo(Demo),
    Worker(Worker),
    #[command(hide = true)]
    Supervise(Supervise),
}

/// Which service and environment is meant.
#[derive(Clone, Debug, Group)]
pub(crate) struct Place {
    /// The service [default: that of belay.yaml, or the only one in the store]
    pub(crate) service: Option<String>,
    /// The environment; needed when there are several
    #[arg(short, long, value_name = "ENV")]
    pub(crate) env: Option<String>,
}

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
    /// The commit it was built from, for the history
    #[arg(long, value_name = "COMMIT")]
    pub(crate) commit: Option<String>,
}

/// Show what deploy would do, and the way back; change nothing
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay plan -e production
  belay plan -e staging --artifact build/out")]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) what: What,
    /// As a hotfix: the short way that the environment allows
    #[arg(long)]
    pub(crate) hotfix: bool,
}

/// Put a release out, watch it, and go back by itself if it is bad
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay deploy -e production
  belay deploy -e staging --artifact build/out --commit 1a2b3c4
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

/// Whether and how far a deployment is followed.
#[derive(Clone, Copy, Debug, Group)]
pub(crate) struct Following {
    /// How long to follow
    #[arg(long, value_enum, default_value_t)]
    pub(crate) until: Until,
    /// Come back at once, when it is written down and a worker is at it
    #[arg(long)]
    pub(crate) detach: bool,
}

/// When following a deployment ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Until {
    /// The release has all traffic and its verifications passed; the bake goes on without us
    Promoted,
    /// The deployment is over
    #[default]
    Baked,
}

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

/// Follow a deployment until it ends
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay watch
  belay watch dep_01k2 --until promoted")]
pub(crate) struct Watch {
    /// Its id, or a part that only it has [default: the one that is open]
    pub(crate) deployment: Option<String>,
    /// How long to follow
    #[arg(long, value_enum, default_value_t)]
    pub(crate) until: Until,
}

/// List deployments, newest first
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay history -e production
  belay history --events dep_01k2")]
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

/// Try the step again that a deployment is stuck at
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay retry
  belay retry dep_01k2 --detach")]
pub(crate) struct Retry {
    /// Its id, or a part that only it has [default: the one that waits for a person]
    pub(crate) deployment: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Do not follow
    #[arg(long)]
    pub(crate) detach: bool,
}

/// Go on without the step that a deployment is stuck at
#[derive(Debug, Group)]
#[command(before_help = "\
Examples:
  belay skip --reason 'removed by hand'")]
pub(crate) struct Give {
    /// Its id, or a part that only it has [default: the one that waits for a person]
    pub(crate) deployment: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Do not follow
    #[arg(long)]
    pub(crate) detach: bool,
}

/// What is said to a deployment.
#[derive(Debug, Group)]
pub(crate) struct Say {
    /// Its id, or a part that only it has [default: the one it can be said to]
    pub(crate) deployment: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Hold up releases for a while; rollbacks are never held up
#[derive(Debug, Group)]
#[command(
    before_help = "\
Examples:
  belay freeze -e production --reason 'the big day' --for 8h
  belay freeze -e production --all-services --reason 'moving house'
  belay freeze -e production --lift --reason 'all is well'",
    after_help = "
Belay freezes a service in an environment by itself when three of its releases went back by themselves within 24 hours."
)]
pub(crate) struct Freeze {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Every service in the environment
    #[arg(long, requires = "env", conflicts_with_all = ["service", "all_environments"])]
    pub(crate) all_services: bool,
    /// Every environment of the service
    #[arg(long, conflicts_with = "env")]
    pub(crate) all_environments: bool,
    /// Why; needed unless it is lifted
    #[arg(long, value_name = "TEXT", required_unless_present = "lift")]
    pub(crate) reason: Option<String>,
    /// How long, such as `8h` [default: until it is lifted]
    #[arg(long = "for", value_name = "TIME", conflicts_with = "lift")]
    pub(crate) hold: Option<belay_model::config::Duration>,
    /// Let releases go out again
    #[arg(long)]
    pub(crate) lift: bool,
}

/// Print what the instances wrote
#[derive(Debug, Group)]
#[command(
    before_help = "\
Examples:
  belay logs -e production
  belay logs -f -e production --instance r2
  belay logs --lines 500 | grep ERROR",
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
}

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

/// The command with its help in the house's order.
pub(crate) fn command() -> clap::Command {
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
