//! What SQLite's errors mean, in the words of the port: what happened, what was kept, what to do.

use crate::error::{Fault, Kind, closed};
use belay_engine::ports::StoreError;

/// Never worth trying again: SQLite has waited for others already, and there is no connection to lose.
pub(super) fn fault(error: &sqlx::Error) -> Fault {
    Fault::new(Kind::Final, store_error(error))
}

/// Translates. The primary result codes are at <https://www.sqlite.org/rescode.html>.
pub(super) fn store_error(error: &sqlx::Error) -> StoreError {
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

/// An input or output error beside the database.
pub(super) fn io_error(what: &std::path::Path, error: &std::io::Error) -> StoreError {
    StoreError::Unwritable(format!("{}: {error}; nothing was changed", what.display()))
}
