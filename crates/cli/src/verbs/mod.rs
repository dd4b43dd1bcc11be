//! The verbs, one file each: they parse nothing and print nothing, but call the runtime and say what came of it.

mod abort;
mod adopt;
mod ask;
mod check;
mod demo;
mod deploy;
mod doctor;
mod follow;
mod freeze;
mod history;
mod logs;
mod outcome;
mod plan;
mod promote;
mod proxy;
mod ready;
mod release;
mod revisions;
mod rights;
mod rollback;
mod say;
mod script;
mod status;
mod store;
mod stuck;
pub(crate) mod supervise;
mod watch;
mod worker;

use crate::args::Verb;
use crate::cx::Cx;
use crate::exit::Failure;
use crate::output::Report;
use belay_model::event::Ask;
use std::process::ExitCode;

pub(crate) async fn run(cx: &Cx, verb: Verb) -> Result<Report, Failure> {
    match verb {
        Verb::Check(args) => check::run(cx, &args).await,
        Verb::Plan(args) => plan::run(cx, args).await,
        Verb::Deploy(args) => deploy::run(cx, args).await,
        Verb::Promote(args) => promote::run(cx, args).await,
        Verb::Status(args) => status::run(cx, &args).await,
        Verb::Watch(args) => watch::run(cx, &args).await,
        Verb::History(args) => history::run(cx, &args).await,
        Verb::Rollback(args) => rollback::run(cx, args).await,
        Verb::Abort(args) => abort::run(cx, args).await,
        Verb::Ready(args) => ready::run(cx, &args).await,
        Verb::Adopt(args) => adopt::run(cx, args).await,
        Verb::Retry(args) => stuck::run(cx, Ask::Retry, stuck::Args::from(args)).await,
        Verb::Skip(args) => stuck::run(cx, Ask::Skip, stuck::Args::from(args)).await,
        Verb::Abandon(args) => stuck::run(cx, Ask::Abandon, stuck::Args::from(args)).await,
        Verb::Approve(args) => say::run(cx, Ask::Approve, args).await,
        Verb::Reject(args) => say::run(cx, Ask::Reject, args).await,
        Verb::Pause(args) => say::run(cx, Ask::Pause, args).await,
        Verb::Resume(args) => say::run(cx, Ask::Resume, args).await,
        Verb::Advance(args) => say::run(cx, Ask::Advance, args).await,
        Verb::Stop(args) => say::run(cx, Ask::Stop, args).await,
        Verb::Freeze(args) => freeze::run(cx, args).await,
        Verb::Logs(args) => logs::run(cx, &args).await,
        Verb::Release(args) => release::run(cx, args).await,
        Verb::Proxy(args) => proxy::run(cx, &args).await,
        Verb::Store(args) => store::run(cx, args).await,
        Verb::Doctor(args) => doctor::run(cx, &args).await,
        Verb::Demo(args) => demo::run(cx, args).await,
        Verb::Worker(args) => worker::run(cx, &args).await,
        // Run before there is an async runtime; see main.
        Verb::Supervise(args) => {
            let _: ExitCode = supervise::run(&args);
            Ok(Report::silent())
        }
    }
}
