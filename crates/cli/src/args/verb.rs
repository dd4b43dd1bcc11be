//! The verbs, in the order in which help lists them.

use super::{
    Abort, Adopt, Check, Demo, Deploy, Doctor, Freeze, Give, History, Logs, Plan, Promote, Proxy,
    Ready, Release, Retry, Rollback, Say, Status, Store, Supervise, Watch, Worker,
};
use clap::Subcommand;

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
    Adopt(Adopt),
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
    Doctor(Doctor),
    Demo(Demo),
    Worker(Worker),
    #[command(hide = true)]
    Supervise(Supervise),
}
