//! The `belay` command: reads the command line, calls the runtime, prints, exits. It decides nothing itself.

mod args;
mod cx;
mod exit;
mod output;
mod verbs;

use crate::args::{Args, Verb};
use crate::cx::Cx;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use anyhow::Context;
use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(bug));
    let run = catch_unwind(AssertUnwindSafe(
        || match args::parse(std::env::args_os()) {
            Ok(args) => run(args),
            Err(error) => Ok(refuse(&error)),
        },
    ));
    match run {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            output::warn(&format!("error[E0302]: failed to {error:#}"));
            ExitCode::from(Exit::Unusable.number())
        }
        // The hook has spoken.
        Err(_) => ExitCode::from(Exit::Bug.number()),
    }
}

/// Only tells: a worker catches the panic of one deployment and goes on with the others.
fn bug(panic: &std::panic::PanicHookInfo<'_>) {
    output::warn(&format!(
        "error[E0300]: {panic}\n  this is a bug in Belay; what was begun is in the journal and can go on\n  \
         -> belay status\n  see docs/errors/E0300.md"
    ));
}

fn run(args: Args) -> anyhow::Result<ExitCode> {
    trace(&args.verb);
    let output = Output {
        format: args.global.output,
        quiet: args.global.quiet,
        colour: !args.global.no_color
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::io::stderr().is_terminal(),
    };
    if let Verb::Supervise(supervise) = &args.verb {
        // It builds a smaller runtime of its own.
        return Ok(verbs::supervise::run(supervise));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the async runtime")?;
    let cx = Cx::new(&args.global, output);
    let result = runtime.block_on(verbs::run(&cx, args.verb));
    // What only watches must not keep the command.
    runtime.shutdown_background();
    Ok(ExitCode::from(output.finish(result).number()))
}

/// A command line that cannot be read; also `--help` and `--version`.
fn refuse(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let message = text.trim_start_matches("error: ").lines().next();
    if wants_json() {
        let failure = Failure::usage(message.unwrap_or_default()).next("belay --help");
        let json = serde_json::json!({ "error": failure.json(), "exit": failure.exit.number() });
        output::print(&json.to_string());
    }
    ExitCode::from(Exit::Usage.number())
}

/// The command line could not be read, so what it says about the output is looked for by eye.
fn wants_json() -> bool {
    let line: Vec<_> = std::env::args().collect();
    line.iter()
        .any(|arg| arg == "--output=json" || arg == "-ojson" || arg == "-o=json")
        || line
            .windows(2)
            .any(|pair| matches!(pair[0].as_str(), "-o" | "--output") && pair[1] == "json")
}

/// Traces go to stderr; a worker's stderr is its log, which should say what it did.
fn trace(verb: &Verb) {
    // The client of clusters traces what it answers as well, and the answer is what people are told.
    let default = match verb {
        Verb::Worker(_) | Verb::Proxy(args::Proxy::Run) => "info,kube_client=off",
        _ => "warn,kube_client=off",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("BELAY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    // Only fails when one is set already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A line that cannot be written (on a full disk) is lost; to complain of that on the same stderr would panic.
        .log_internal_errors(false)
        // Colours are not compiled in; asking for them panics.
        .with_ansi(false)
        .try_init();
}
