//! What users bring, simulated: commands that take a while. Their text says how often they fail.

use crate::crash::Crashes;
use crate::sim::audit::Audit;
use async_trait::async_trait;
use belay_driver::{Error, Progress};
use belay_engine::ports::{Runner, Running};
use belay_model::error::{Class, Failure};
use belay_model::plan::Call;
use std::sync::Arc;
use std::time::Duration;

/// How long a command takes.
const TAKES: Duration = Duration::from_millis(12);

/// The text of a command that fails that often.
pub(super) fn text(name: &str, fails: u32) -> String {
    format!("{name} --fails {fails}")
}

/// A worker's way to run commands.
pub(super) struct Commands {
    pub(super) crashes: Arc<Crashes>,
    pub(super) audit: Arc<Audit>,
}

#[async_trait]
impl Runner for Commands {
    async fn run(&self, running: &Running, _: Arc<dyn Progress>) -> Result<(), Failure> {
        self.crashes.pass("run", "before").await;
        let Call::Command(line) = &running.call else {
            unreachable!("stories have commands only");
        };
        let text = line.as_str();
        let earlier = self.audit.ran(running, text);
        tokio::time::sleep(TAKES).await;
        self.crashes.pass("run", "after").await;
        let fails = text.rsplit(' ').next().and_then(|n| n.parse().ok());
        if earlier < fails.unwrap_or(0) {
            let message = format!("run `{text}`: it was said to fail");
            return Err(Error::not_applied(Class::Application, message).into());
        }
        Ok(())
    }
}
