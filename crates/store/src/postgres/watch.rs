//! Whether someone committed: told by LISTEN and NOTIFY as a hint, found by asking again and again as the truth.

use super::error::fault;
use super::options::{Purpose, Server};
use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// Where commits are told.
pub(super) const CHANNEL: &str = "belay";

/// Pauses before listening again: they double from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Counts changes, whoever made them.
#[derive(Clone)]
pub(super) struct Pulse(Arc<watch::Sender<u64>>);

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    pub(super) fn beat(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    pub(super) fn count(&self) -> u64 {
        *self.0.borrow()
    }

    pub(super) async fn wait(&self, since: u64) {
        let mut pulse = self.0.subscribe();
        let _ = pulse.wait_for(|count| *count != since).await;
    }
}

/// Looks for ever, at least once in `every`.
pub(super) async fn watch(server: Server, readers: PgPool, pulse: Pulse, every: Duration) {
    tokio::join!(poll(readers, pulse.clone(), every), listen(server, pulse));
}

/// Every commit changes the sum; rows come and go with connections.
async fn poll(readers: PgPool, pulse: Pulse, every: Duration) {
    let mut last = None;
    loop {
        let version: Result<(i64, i64), _> = sqlx::query_as(
            "SELECT COALESCE(SUM(commits), 0)::BIGINT, COUNT(*) FROM writers WHERE journal",
        )
        .fetch_one(&readers)
        .await;
        match version {
            Ok(version) if last != Some(version) => {
                last = Some(version);
                pulse.beat();
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(error = %fault(&error).error, "cannot look for changes")
            }
        }
        sleep(every).await;
    }
}

async fn listen(server: Server, pulse: Pulse) {
    let mut pause = FIRST_PAUSE;
    loop {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(server.settings(Purpose::Read));
        let ended = hear(&pool, &pulse, &mut pause).await;
        tracing::debug!(error = %fault(&ended).error, "not listening; polling alone");
        pool.close().await;
        sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Listens until the connection ends; answers why.
async fn hear(pool: &PgPool, pulse: &Pulse, pause: &mut Duration) -> sqlx::Error {
    let mut listener = match PgListener::connect_with(pool).await {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    listener.eager_reconnect(false);
    if let Err(error) = listener.listen(CHANNEL).await {
        return error;
    }
    *pause = FIRST_PAUSE;
    loop {
        // What was told before we listened, or while nobody did.
        pulse.beat();
        match listener.try_recv().await {
            Ok(Some(_)) => while listener.next_buffered().is_some() {},
            Ok(None) => return sqlx::Error::Protocol("the connection ended".to_owned()),
            Err(error) => return error,
        }
    }
}
