//! The tables in the database: whether they are there, made, or brought up to date.

use super::connection::dial;
use super::error::{migration_error, store_error};
use super::options::{Purpose, Server};
use super::tls;
use belay_engine::ports::StoreError;
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/postgres");

/// The oldest server that is supported, as `server_version_num`: 15.
const OLDEST: u32 = 150_000;

/// What is done about tables that are missing or old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// Nothing: who only looks changes nothing.
    Found,
    /// Missing ones are made. Old ones are left alone: others may still use them.
    Made,
    /// All is brought up to date. An older Belay refuses the store from then on.
    Migrated,
}

/// Why a store on PostgreSQL was not opened. Says neither the URL nor the password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none, or asks for something unknown.
    #[error("the URL of the store cannot be used: {0}")]
    Url(String),
    /// Nobody answers there, or we are not let in.
    #[error("PostgreSQL cannot be reached, or does not let us in: {0}")]
    Unreachable(String),
    /// The server cannot secure connections, and that is asked for.
    #[error("the server does not offer TLS, and sslmode asks for it")]
    NoTls,
    /// The server's certificate is not one that sslmode accepts.
    #[error("the server's certificate is not trusted: {0}")]
    Untrusted(String),
    /// A file with certificates or a key cannot be used, or the server does not take what is in it.
    #[error("the certificates for the connection cannot be used: {0}")]
    Certificates(String),
    /// The server is too old.
    #[error("the server is PostgreSQL {}, and 15 is the oldest that is supported", .0 / 10_000)]
    TooOld(u32),
    /// It is a database without our tables.
    #[error("there is no store in that database")]
    NoTables,
    /// Its tables are those of an older Belay.
    #[error(
        "its tables are those of an older Belay (migration {found}, and {known} is known here)"
    )]
    OldTables {
        /// The last migration that was applied.
        found: i64,
        /// The last that we have.
        known: i64,
    },
    /// Anything else.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error,
            other => StoreError::Unwritable(other.to_string()),
        }
    }
}

/// Looks at the tables, and makes or changes them as far as that is wanted. Many processes may do it at once: sqlx takes
/// an advisory lock.
pub(super) async fn prepare(server: &Server, wanted: Tables) -> Result<(), OpenError> {
    let mut connection = match dial(server, Purpose::Migrate).await {
        Ok(connection) => connection,
        Err(error) => return Err(unreachable(&error)),
    };
    match connection.server_version_num() {
        Some(version) if version < OLDEST => return Err(OpenError::TooOld(version)),
        _ => {}
    }
    let known = MIGRATIONS.iter().map(|migration| migration.version).max();
    let known = known.unwrap_or(0);
    match (newest(&mut connection).await?, wanted) {
        (Some(found), _) if found > known => {
            return Err(OpenError::Store(StoreError::Newer(format!(
                "its migration {found} is not known here; use that version"
            ))));
        }
        // So that who may only use the tables can do so.
        (Some(found), _) if found == known => {}
        (Some(found), Tables::Found | Tables::Made) => {
            return Err(OpenError::OldTables { found, known });
        }
        (None, Tables::Found) => return Err(OpenError::NoTables),
        (None | Some(_), Tables::Made | Tables::Migrated) => {
            // Not `run`: its future cannot be proved `Send` in here (rust-lang/rust#102211).
            let migrated = MIGRATIONS.run_direct(None, &mut connection, false).await;
            migrated.map_err(|e| migration_error(&e))?;
        }
    }
    let _ = connection.close().await;
    Ok(())
}

/// Why we were not let in.
fn unreachable(error: &sqlx::Error) -> OpenError {
    if let Some(refused) = tls::refused(error) {
        return refused;
    }
    match store_error(error) {
        StoreError::Unwritable(why) => {
            let kept = "; nothing of this change was kept";
            OpenError::Unreachable(why.strip_suffix(kept).unwrap_or(&why).to_owned())
        }
        other => OpenError::Store(other),
    }
}

/// The last migration that was applied; absent: none ever was.
async fn newest(connection: &mut PgConnection) -> Result<Option<i64>, StoreError> {
    let there: (bool,) = sqlx::query_as("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(|e| store_error(&e))?;
    if !there.0 {
        return Ok(None);
    }
    let newest: (Option<i64>,) =
        sqlx::query_as("SELECT MAX(version) FROM _sqlx_migrations WHERE success")
            .fetch_one(&mut *connection)
            .await
            .map_err(|e| store_error(&e))?;
    Ok(newest.0)
}
