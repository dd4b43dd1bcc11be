//! `belay demo`: the main job shown with real processes and real traffic, in a directory of its own that is gone afterwards.
//!
//! It runs this very executable as a person would and believes only what the load and the store say. It may not look
//! inside: what it shows has to be what anyone gets.

mod processes;
mod report;
mod stage;
mod story;

use crate::args::Demo;
use crate::cx::Cx;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Report};
use serde_json::json;
use stage::{ENVIRONMENT, Stage};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) async fn run(cx: &Cx, args: Demo) -> Result<Report, Failure> {
    if let Some(dir) = &args.stop {
        stage::strike(dir).await?;
        let text = format!("{} is gone, and all that ran in it", dir.display());
        return Ok(Report::new(text, json!({ "stopped": dir })));
    }
    let output = cx.output;
    // Listened for before there is anything to clean up.
    let mut interrupted = Interrupted::listen()?;
    let stage = Arc::new(Stage::set(args.bookstore)?);
    let on_stage = Arc::clone(&stage);
    // A task, so that a bug in it does not skip the cleaning.
    let mut story = tokio::spawn(async move { story::tell(&on_stage, output).await });
    let told = tokio::select! {
        told = &mut story => told,
        () = interrupted.wait() => {
            story.abort();
            // Ends its commands with it.
            let _ = story.await;
            output.say("\n   interrupted: everything is ended and removed");
            stage.strike().await?;
            let json = json!({ "interrupted": true });
            return Ok(Report { exit: Exit::Interrupted, ..Report::new("", json) });
        }
    };
    let told = told.unwrap_or_else(|_| Err(unheld("the demo itself broke")));
    let mut report = told.map(|told| report::report(&told));
    let ending = end(&stage, args.keep, &mut report, output).await;
    // What went wrong first is what matters.
    let report = report?;
    ending?;
    Ok(report)
}

/// Cleans up, or says what is left.
async fn end(
    stage: &Stage,
    keep: bool,
    report: &mut Result<Report, Failure>,
    output: Output,
) -> Result<(), Failure> {
    let dir = stage.dir().display();
    if !keep {
        stage.strike().await?;
        if let Ok(report) = report {
            report.text += "\n\n== What to type next\
                \n   belay demo --keep    the same, and it stays: to go back by hand\
                \n   belay --help         for a service of your own";
        }
        return Ok(());
    }
    let address = stage.address;
    let text = format!(
        "== All of it still runs. What to type next\
         \n   cd {dir}\
         \n   curl http://{address}/api/books\
         \n   belay status\
         \n   belay ready -e {ENVIRONMENT}\
         \n   belay rollback -e {ENVIRONMENT}\
         \n   belay history -e {ENVIRONMENT}\
         \n   belay demo --stop {dir}    ends and removes it"
    );
    match report {
        Ok(report) => {
            report.text += &format!("\n\n{text}");
            report.json["dir"] = json!(stage.dir());
            report.json["url"] = json!(format!("http://{address}"));
        }
        Err(_) => output.say(&format!("\n{text}")),
    }
    Ok(())
}

/// What asks us to end.
struct Interrupted {
    signals: [tokio::signal::unix::Signal; 3],
}

impl Interrupted {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                let message = format!("failed to listen for signals: {error}");
                Failure::new(Exit::Unusable, "E0302", message)
            })
        };
        let signals = [
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ];
        Ok(Self { signals })
    }

    async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Something did not come about that the demo is there to show.
fn unheld(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Bug, "E0314", message)
        .next("belay demo --keep    leaves everything in place, to see why")
}
