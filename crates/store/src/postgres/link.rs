//! One connection that writes: made when it is needed, made again after it was lost, and able to find out whether a
//! commit happened whose answer was lost.
//!
//! Each link has a row in `writers`. The last statement of each transaction sets it to the commit's number; it becomes
//! durable with the rest or not at all. When the answer to a COMMIT is lost, a new connection locks that row, which
//! waits for the end of the old transaction if it is still about, and reads the number: the commit happened or it did
//! not, and nobody has to guess from what the journal looks like. Two signals may well be equal to the last bit.

use super::connection::connect;
use super::error::{fault, lost};
use super::options::{Purpose, Server};
use crate::error::{Fault, Kind, again};
use belay_engine::ports::StoreError;
use sqlx::PgConnection;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pauses between attempts to connect: they double from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// How long we try to find out what became of a commit: longer than a server keeps a transaction whose client is gone.
const FIND_OUT: Duration = Duration::from_secs(30);

pub(super) struct Link {
    server: Server,
    /// Its row in `writers`.
    id: String,
    /// Whether it appends.
    journal: bool,
    /// The number of the last commit that was tried.
    commits: i64,
    connection: Option<PgConnection>,
    pause: Duration,
    /// Not before then, and why the last attempt failed.
    refused: Option<(Instant, StoreError)>,
}

impl Link {
    pub(super) fn new(server: Server, journal: bool) -> Self {
        Self {
            server,
            id: format!("{:032x}", rand::random::<u128>()),
            journal,
            commits: 0,
            connection: None,
            pause: FIRST_PAUSE,
            refused: None,
        }
    }

    /// The connection, made if there is none. While the server is away most callers are answered without asking it.
    pub(super) async fn get(&mut self) -> Result<&mut PgConnection, StoreError> {
        if self.connection.is_none() {
            if let Some((until, error)) = &self.refused
                && Instant::now() < *until
            {
                return Err(again(error));
            }
            match self.connected().await {
                Ok(connection) => {
                    self.connection = Some(connection);
                    self.refused = None;
                    self.pause = FIRST_PAUSE;
                }
                Err(error) => {
                    self.refused = Some((Instant::now() + self.pause, again(&error)));
                    self.pause = (self.pause * 2).min(LAST_PAUSE);
                    return Err(error);
                }
            }
        }
        self.connection
            .as_mut()
            .ok_or_else(|| lost("there is no connection").error)
    }

    /// Forgets a connection that cannot be trusted any more.
    pub(super) fn cut(&mut self) {
        self.connection = None;
    }

    pub(super) async fn close(&mut self) {
        use sqlx::Connection;
        if let Some(connection) = self.connection.take() {
            let _ = connection.close().await;
        }
    }

    /// Runs a statement without parameters or answer.
    pub(super) async fn run(&mut self, sql: &'static str) -> Result<(), Fault> {
        let connection = self.get().await.map_err(|e| Fault::new(Kind::Lost, e))?;
        let run = sqlx::raw_sql(sql).execute(connection).await;
        run.map(drop).map_err(|e| fault(&e))
    }

    /// Puts the number of the commit that follows into the transaction.
    pub(super) async fn mark(&mut self) -> Result<(), Fault> {
        self.commits += 1;
        let (id, commits) = (self.id.clone(), self.commits);
        let connection = self.get().await.map_err(|e| Fault::new(Kind::Lost, e))?;
        let marked =
            sqlx::query("UPDATE writers SET commits = $2, at = clock_timestamp() WHERE id = $1")
                .bind(id)
                .bind(commits)
                .execute(connection)
                .await
                .map_err(|e| fault(&e))?;
        if marked.rows_affected() == 1 {
            return Ok(());
        }
        // Somebody tidied up. It is made anew with the connection.
        self.cut();
        Err(lost("its row of writers was removed"))
    }

    /// Whether the commit happened that was tried last; `None`: it could not be found out in time.
    pub(super) async fn has_committed(&mut self) -> Option<bool> {
        self.cut();
        let deadline = Instant::now() + FIND_OUT;
        let mut pause = FIRST_PAUSE;
        loop {
            self.refused = None;
            match self.last_commit().await {
                Ok(last) => return Some(last == Some(self.commits)),
                Err(error) => tracing::warn!(%error, "a commit's answer was lost; asking again"),
            }
            self.cut();
            if Instant::now() + pause >= deadline {
                return None;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn last_commit(&mut self) -> Result<Option<i64>, StoreError> {
        let id = self.id.clone();
        let connection = self.get().await?;
        let row: Option<(i64,)> =
            sqlx::query_as("SELECT commits FROM writers WHERE id = $1 FOR UPDATE")
                .bind(id)
                .fetch_optional(connection)
                .await
                .map_err(|e| fault(&e).error)?;
        Ok(row.map(|(commits,)| commits))
    }

    async fn connected(&self) -> Result<PgConnection, StoreError> {
        let mut connection = connect(&self.server, Purpose::Write).await?;
        // Committed before it is needed: a row that only the lost transaction made could not be waited for.
        sqlx::query(
            "INSERT INTO writers (id, journal, commits, at) VALUES ($1, $2, 0, clock_timestamp())
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(&self.id)
        .bind(self.journal)
        .execute(&mut connection)
        .await
        .map_err(|e| fault(&e).error)?;
        Ok(connection)
    }
}
