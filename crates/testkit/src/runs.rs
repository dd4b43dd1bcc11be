//! What users bring, simulated: commands are noted, and fail where a test says so.

use crate::crash::Crashes;
use async_trait::async_trait;
use belay_driver::{Error, Progress};
use belay_engine::ports::{Runner, Running};
use belay_model::error::{Class, Failure};
use belay_model::plan::Call;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// See the module.
pub struct Runs {
    crashes: Arc<Crashes>,
    log: Mutex<Vec<String>>,
    failing: Mutex<BTreeMap<String, (u32, Class)>>,
}

impl Runs {
    /// Nothing fails.
    pub fn new(crashes: Arc<Crashes>) -> Self {
        Self {
            crashes,
            log: Mutex::default(),
            failing: Mutex::default(),
        }
    }

    /// Commands that were run to their end, in order.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("no panic while held").clone()
    }

    /// That command fails so often, and changes nothing.
    pub fn fails(&self, command: &str, times: u32, class: Class) {
        let mut failing = self.failing.lock().expect("no panic while held");
        failing.insert(command.to_owned(), (times, class));
    }
}

#[async_trait]
impl Runner for Runs {
    async fn run(&self, running: &Running, _: Arc<dyn Progress>) -> Result<(), Failure> {
        self.crashes.pass("run", "before").await;
        let text = match &running.call {
            Call::Command(line) => line.as_str().to_owned(),
            Call::Http { method, url, .. } => format!("{method} {url}"),
        };
        if let Some((times, class)) = self
            .failing
            .lock()
            .expect("no panic while held")
            .get_mut(&text)
            && *times > 0
        {
            *times -= 1;
            return Err(Error::not_applied(*class, format!("{text} failed")).into());
        }
        self.log.lock().expect("no panic while held").push(text);
        self.crashes.pass("run", "after").await;
        Ok(())
    }
}
