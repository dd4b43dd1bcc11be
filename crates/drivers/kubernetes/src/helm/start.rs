//! Helm, started: behind a gate, noted on our mark, and then let through.

use super::apply::Work;
use super::hold::{HELM, Started};
use super::process::{Ended, Process};
use super::program::Program;
use crate::mark::Marker;
use crate::write::Writer;
use belay_driver::{Context, Error};
use belay_model::error::Class;
use belay_model::release::Target;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{Read, Seek};
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::{RwLock, watch};

/// Reads one line before it becomes helm: without it nothing has happened.
const GATE: &str = r#"read -r line && [ "$line" = go ] && exec "$0" "$@""#;

impl Work<'_> {
    /// Starts helm in a task of its own, so that a call which is dropped leaves nothing half done.
    pub(super) async fn start(
        &self,
        program: &Program,
        arguments: Vec<OsString>,
        values: &Value,
        base: u32,
    ) -> Result<Process, Error> {
        let here = self.base.writer.under_way.clone().read_owned().await;
        let starting = Starting {
            cluster: self.base.writer.cluster.clone(),
            store: self.base.store.to_owned(),
            home: self.base.home.to_owned(),
            target: self.base.target.clone(),
            cx: self.base.cx.clone(),
            base,
        };
        let (child, errors) = spawn(program, arguments)?;
        let (tell, ended) = watch::channel(None);
        let process = child.id().and_then(Process::of);
        let process = process
            .ok_or_else(|| Error::not_applied(Class::Unknown, "start helm: it ended at once"))?;
        self.processes
            .add(&self.base.target.name, process.clone(), ended);
        let input = format!("go\n{values}");
        let noted = process.clone();
        let task = tokio::spawn(async move {
            let _here = here;
            let noted = starting.note(&noted).await;
            let (is_noted, child) = match noted {
                Ok(()) => (true, child),
                Err(_) => (false, child),
            };
            // Not all of it is read at once, and who asked waits for the beginning only.
            tokio::spawn(see(child, is_noted.then_some(input), errors, tell));
            noted
        });
        let noted = task.await;
        noted
            .map_err(|_| Error::maybe_applied(Class::Unknown, "start helm: this process ends"))??;
        Ok(process)
    }
}

struct Starting {
    cluster: Arc<crate::cluster::Cluster>,
    store: String,
    home: String,
    target: Target,
    cx: Context,
    base: u32,
}

impl Starting {
    /// Says on our mark which process it is; refused to a worker that was replaced.
    async fn note(&self, process: &Process) -> Result<(), Error> {
        let writer = Writer {
            cluster: self.cluster.clone(),
            // Who waits until nothing is under way waits for the task that this is part of.
            under_way: Arc::new(RwLock::new(())),
        };
        let marker = Marker {
            writer: &writer,
            store: &self.store,
            home: &self.home,
            target: &self.target,
        };
        let started = Started {
            process: process.clone(),
            deployment: self.cx.deployment.to_string(),
            base: self.base,
        };
        marker.note(&self.cx, HELM, &json!(started)).await
    }
}

/// Helm behind its gate. What it prints holds the values of secrets, and is read by nobody; what it says of trouble goes to a
/// file without a name, so that it can go on when this process ends.
fn spawn(program: &Program, arguments: Vec<OsString>) -> Result<(Child, std::fs::File), Error> {
    let failed =
        |error: std::io::Error| Error::not_applied(Class::Unknown, format!("start helm: {error}"));
    let errors = tempfile::tempfile().map_err(failed)?;
    let mut command = Command::new("sh");
    command
        .args(["-c", GATE])
        .arg(program.path())
        .args(arguments)
        // Where its records are: nowhere else are they looked for.
        .env("HELM_DRIVER", "secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(errors.try_clone().map_err(failed)?)
        .process_group(0);
    let child = command.spawn().map_err(failed)?;
    Ok((child, errors))
}

/// Gives helm what it reads, and sees it to its end. Without anything to read it does not begin.
async fn see(
    mut child: Child,
    input: Option<String>,
    mut errors: std::fs::File,
    tell: watch::Sender<Option<Ended>>,
) {
    let pipe = child.stdin.take();
    if let (Some(mut pipe), Some(input)) = (pipe, input) {
        // One that ends before it has read everything says why.
        let _ = pipe.write_all(input.as_bytes()).await;
    }
    let is_success = child.wait().await.is_ok_and(|it| it.success());
    let mut said = String::new();
    let read = errors
        .rewind()
        .and_then(|()| errors.read_to_string(&mut said));
    if read.is_err() {
        "what it said cannot be read".clone_into(&mut said);
    }
    let said = said.trim().to_owned();
    tell.send_replace(Some(Ended { is_success, said }));
}
