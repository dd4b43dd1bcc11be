//! Watching a deployment.

use crate::{Belay, Error};
use belay_engine::ports::{Store, StoreError};
use belay_model::event::{Entry, Event};
use belay_model::id::DeploymentId;
use belay_model::summary::Summary;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How often lines of progress are asked for: adding one wakes nobody.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// How long the server of a shared store may be away before watching ends: restarted, or another one in its place.
const AWAY: Duration = Duration::from_secs(60);
const AFTER_TROUBLE: Duration = Duration::from_millis(500);

/// A line of progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// When, Unix microseconds.
    pub at_us: i64,
    /// It.
    pub text: String,
}

/// What is new.
#[derive(Clone, Debug)]
pub struct Update {
    /// Where the deployment stands now.
    pub summary: Summary,
    /// New entries of its journal, in order.
    pub entries: Vec<Entry>,
    /// New lines of progress, in order.
    pub lines: Vec<Line>,
}

/// Watches one deployment; dropping it only stops watching.
pub struct Follow {
    store: Arc<dyn Store>,
    id: DeploymentId,
    entries: u64,
    lines: i64,
    rests: bool,
    is_shared: bool,
    /// Since when the store could not be read.
    away: Option<Instant>,
}

impl Follow {
    /// Waits for news; absent: the deployment ended, or waits for a person, and everything was told.
    ///
    /// # Errors
    /// There is no such deployment, or the store cannot be read.
    pub async fn next(&mut self) -> Result<Option<Update>, Error> {
        loop {
            let generation = self.store.generation();
            let rested = self.rests;
            match self.news().await {
                Ok(Some(update)) => {
                    self.away = None;
                    return Ok(Some(update));
                }
                Ok(None) => self.away = None,
                Err(Error::Store(StoreError::Unwritable(why))) if self.may_come_back() => {
                    tracing::warn!(why, "the store cannot be read; trying again");
                    sleep(AFTER_TROUBLE).await;
                    continue;
                }
                Err(error) => return Err(error),
            }
            if rested {
                return Ok(None);
            }
            // Over or changed: the next turn tells.
            let _ = timeout(PROGRESS_EVERY, self.store.changed(generation)).await;
        }
    }

    /// What is watched goes on without us; to end would say that something is wrong with it.
    fn may_come_back(&mut self) -> bool {
        let since = *self.away.get_or_insert_with(Instant::now);
        self.is_shared && since.elapsed() < AWAY
    }

    async fn news(&mut self) -> Result<Option<Update>, Error> {
        let entries = self.store.events(&self.id, self.entries).await?;
        let lines = self.store.progress_of(&self.id, self.lines).await?;
        if entries.is_empty() && lines.is_empty() {
            return Ok(None);
        }
        for entry in &entries {
            self.entries = entry.seq;
            match entry.event {
                // With a deadline it goes on by itself.
                Event::Parked { until_ms: None, .. } | Event::Ended { .. } => self.rests = true,
                // Taking it over moves nothing.
                Event::Claimed { .. } => {}
                _ => self.rests = false,
            }
        }
        if let Some((position, _, _)) = lines.last() {
            self.lines = *position;
        }
        let summary = self.store.summary(&self.id).await?;
        let summary = summary.ok_or_else(|| crate::scope::no_deployment(self.id.as_str()))?;
        let lines = lines
            .into_iter()
            .map(|(_, at_us, text)| Line { at_us, text })
            .collect();
        Ok(Some(Update {
            summary,
            entries,
            lines,
        }))
    }
}

impl Belay {
    /// Watches a deployment from its beginning.
    pub fn follow(&self, id: &DeploymentId) -> Follow {
        Follow {
            store: self.store(),
            id: id.clone(),
            entries: 0,
            lines: 0,
            rests: false,
            is_shared: self.is_shared(),
            away: None,
        }
    }
}
