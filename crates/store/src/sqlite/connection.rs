//! Connections to the files in `.belay/`: how they are opened, migrated and probed.

use super::error::{io_error, store_error};
use belay_engine::ports::StoreError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sqlite");

/// How long a process waits for another one's transaction.
const BUSY: Duration = Duration::from_secs(10);

/// Where the database is.
pub(super) fn file(dir: &Path) -> PathBuf {
    dir.join("belay.db")
}

/// Bytes that are free on the store's disk.
pub(super) fn free_bytes(dir: &Path) -> Result<u64, StoreError> {
    let disk = rustix::fs::statvfs(dir).map_err(|e| io_error(dir, &e.into()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Settings of every connection to `belay.db`.
fn settings(dir: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file(dir))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .pragma("journal_size_limit", "67108864")
        // What a savepoint may have to undo stays out of /tmp, which may be full.
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}

/// Makes `.belay/`, readable by its owner only, and hidden from git: the key lies in it.
pub(super) fn make_directory(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(dir);
    made.map_err(|e| io_error(dir, &e))?;
    let ignore = dir.join(".gitignore");
    std::fs::write(&ignore, "*\n").map_err(|e| io_error(&ignore, &e))
}

/// The writer's connection, on a migrated database.
pub(super) async fn writer(dir: &Path) -> Result<SqliteConnection, StoreError> {
    // Two processes that start together must not both create the tables.
    let _lock = lock(dir).await?;
    let mut connection = settings(dir).connect().await.map_err(|e| store_error(&e))?;
    // Not `run`: its future cannot be proved `Send` in here (rust-lang/rust#102211).
    MIGRATIONS
        .run_direct(None, &mut connection, false)
        .await
        .map_err(|e| migration_error(&e))?;
    Ok(connection)
}

/// Whether there is a database here with all of our migrations, as far as it can be read.
pub(super) async fn is_current(dir: &Path) -> Result<bool, StoreError> {
    if !file(dir).exists() {
        return Ok(false);
    }
    let newest = match newest(reading(dir)).await {
        // Where nothing can be written, what processes share beside the file cannot be made.
        Err(sqlx::Error::Database(error)) if is_io(error.as_ref()) => newest(frozen(dir)).await,
        newest => newest,
    };
    let known = MIGRATIONS.iter().map(|migration| migration.version).max();
    match newest {
        Ok(newest) if newest > known => Err(StoreError::Newer(format!(
            "its migration {} is not known here; use that version",
            newest.unwrap_or(0)
        ))),
        Ok(newest) => Ok(newest == known),
        // No such table: a file that was only just made.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("1") => Ok(false),
        Err(error) => Err(store_error(&error)),
    }
}

async fn newest(options: SqliteConnectOptions) -> Result<Option<i64>, sqlx::Error> {
    let mut connection = options.connect().await?;
    let row: (Option<i64>,) = sqlx::query_as("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(&mut connection)
        .await?;
    Ok(row.0)
}

/// The disk is full, read-only or broken, or the file cannot be opened.
fn is_io(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code().and_then(|code| code.parse::<i64>().ok());
    matches!(code.unwrap_or(0) & 0xff, 8 | 10 | 13 | 14)
}

/// Connections that only read, and whether they took the file as it is at this moment: on a disk where nothing can be
/// written.
pub(super) async fn readers(dir: &Path) -> Result<(SqlitePool, bool), StoreError> {
    match pool(reading(dir)).await {
        Err(sqlx::Error::Database(error)) if is_io(error.as_ref()) => {
            let frozen = pool(frozen(dir)).await;
            Ok((frozen.map_err(|e| store_error(&e))?, true))
        }
        pool => Ok((pool.map_err(|e| store_error(&e))?, false)),
    }
}

/// With one connection that has read something.
async fn pool(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let pool = lasting().max_connections(5).connect_with(options).await?;
    sqlx::query("SELECT 1 FROM sqlite_master LIMIT 1")
        .fetch_optional(&pool)
        .await?;
    Ok(pool)
}

fn reading(dir: &Path) -> SqliteConnectOptions {
    settings(dir)
        .create_if_missing(false)
        .pragma("query_only", "ON")
}

/// On a disk that is read-only nobody writes: the file is taken as it is.
fn frozen(dir: &Path) -> SqliteConnectOptions {
    let wal = std::fs::metadata(dir.join("belay.db-wal"));
    SqliteConnectOptions::new()
        .filename(file(dir))
        .read_only(true)
        .immutable(wal.map_or(true, |wal| wal.len() == 0))
        .disable_statement_logging()
}

/// The progress lines' connection: a file of its own that is not synced, so that lines cost no commit of the journal.
pub(super) async fn progress(dir: &Path) -> Result<SqlitePool, StoreError> {
    let settings = SqliteConnectOptions::new()
        .filename(dir.join("progress.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Off)
        .busy_timeout(BUSY)
        .disable_statement_logging();
    let pool = lasting().max_connections(1);
    pool.connect_with(settings)
        .await
        .map_err(|e| store_error(&e))
}

/// Connections that are kept: opening one again could fail just when the disk is full.
fn lasting() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_lifetime(None)
        .idle_timeout(None)
        .test_before_acquire(false)
}

async fn lock(dir: &Path) -> Result<std::fs::File, StoreError> {
    let path = dir.join("open.lock");
    let locked = tokio::task::spawn_blocking(move || {
        let file = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| io_error(&path, &e))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|e| io_error(&path, &e.into()))?;
        Ok(file)
    });
    locked
        .await
        .unwrap_or_else(|e| Err(StoreError::Unwritable(e.to_string())))
}

/// A small committed transaction: a disk that is full or read-only is found before anything depends on it.
pub(super) async fn probe(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ('opened', '1')
         ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(meta.value AS BIGINT) + 1 AS TEXT)",
    )
    .execute(connection)
    .await
    .map(drop)
    .map_err(|e| store_error(&e))
}

fn migration_error(error: &MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
            StoreError::Newer(format!(
                "its migration {version} is not known here; use that version"
            ))
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            store_error(error)
        }
        other => StoreError::Damaged(other.to_string()),
    }
}
