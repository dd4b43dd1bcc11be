//! What SQLite's errors mean, in the words of the port: what happened, what was kept, what to do.

use belay_engine::ports::StoreError;

/// Why a change inside a transaction was not made.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// This change only: the others of the transaction go on.
    Change(StoreError),
    /// The storage itself: SQLite may have rolled back the whole transaction already.
    Storage(StoreError),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Refusal::Storage(store_error(&error))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Refusal::Change(error)
    }
}

/// Translates. The primary result codes are at <https://www.sqlite.org/rescode.html>.
pub(crate) fn store_error(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().and_then(|code| code.parse::<i64>().ok());
            from_code(code.unwrap_or(0) & 0xff, database.message())
        }
        sqlx::Error::Io(error) => {
            StoreError::Unwritable(format!("{error}; nothing of this change was kept"))
        }
        sqlx::Error::PoolTimedOut => StoreError::Unwritable(
            "all its connections were busy for too long; try again".to_owned(),
        ),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => closed(),
        other => StoreError::Damaged(other.to_string()),
    }
}

fn from_code(code: i64, message: &str) -> StoreError {
    let unwritable = |why: &str| {
        StoreError::Unwritable(format!(
            "{why} ({message}); nothing of this change was kept"
        ))
    };
    match code {
        5 | 6 => unwritable("another process has kept it locked for too long; try again"),
        8 => unwritable("it is read-only; make `.belay` writable and try again"),
        10 => unwritable("the disk reports an error; look at the system's log"),
        13 => unwritable("there is no room left on its disk; free some and try again"),
        14 => unwritable(
            "its files cannot be opened; check that `.belay` is there, writable and has room",
        ),
        18 => StoreError::TooLarge(message.to_owned()),
        11 | 26 => StoreError::Damaged(format!(
            "{message}; nothing was changed: keep a copy of `.belay`, and restore `belay.db` from a backup"
        )),
        _ => StoreError::Damaged(message.to_owned()),
    }
}

/// The writer is gone: the store was closed, or it failed.
pub(crate) fn closed() -> StoreError {
    StoreError::Unwritable("it was closed".to_owned())
}

/// The same error for everyone in a transaction that failed.
pub(crate) fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Moved(id) => StoreError::Moved(id.clone()),
        StoreError::Fenced(id) => StoreError::Fenced(id.clone()),
        StoreError::Missing(what) => StoreError::Missing(what.clone()),
        StoreError::Unwritable(why) => StoreError::Unwritable(why.clone()),
        StoreError::Damaged(why) => StoreError::Damaged(why.clone()),
        StoreError::TooLarge(why) => StoreError::TooLarge(why.clone()),
        StoreError::Newer(why) => StoreError::Newer(why.clone()),
    }
}

/// Text that does not parse where we wrote it.
pub(crate) fn unreadable(what: impl std::fmt::Display, error: &serde_json::Error) -> StoreError {
    StoreError::Damaged(format!("{what} cannot be read: {error}"))
}

/// An input or output error beside the database.
pub(crate) fn io_error(what: &std::path::Path, error: &std::io::Error) -> StoreError {
    StoreError::Unwritable(format!("{}: {error}; nothing was changed", what.display()))
}
