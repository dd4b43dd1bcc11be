//! What PostgreSQL's errors mean, in the words of the port: what happened, what was kept, what to do. The codes are at
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use super::tls;
use crate::error::{Fault, Kind, closed};
use belay_engine::ports::StoreError;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

pub(super) fn store_error(error: &sqlx::Error) -> StoreError {
    fault(error).error
}

/// Translates.
pub(super) fn fault(error: &sqlx::Error) -> Fault {
    if let Some(refused) = tls::refused(error) {
        return lost(&refused.to_string());
    }
    match error {
        sqlx::Error::Database(database) => match database.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => from_code(error),
            None => Fault::damaged(database.message().to_owned()),
        },
        sqlx::Error::Io(error) => lost(&format!("the connection failed ({error})")),
        sqlx::Error::Protocol(why) => lost(&format!("the connection failed ({why})")),
        sqlx::Error::Tls(why) => lost(&format!("the connection cannot be secured ({why})")),
        sqlx::Error::Configuration(why) => Fault::new(
            Kind::Final,
            StoreError::Unwritable(format!("it cannot be connected to ({why}); check its URL")),
        ),
        sqlx::Error::PoolTimedOut => Fault::new(
            Kind::Final,
            StoreError::Unwritable(
                "no connection to it was to be had in time; try again".to_owned(),
            ),
        ),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Fault::new(Kind::Final, closed()),
        other => Fault::damaged(other.to_string()),
    }
}

/// The connection is gone, and it had not been told to commit.
pub(super) fn lost(why: &str) -> Fault {
    let why = format!("{why}; nothing of this change was kept");
    Fault::new(Kind::Lost, StoreError::Unwritable(why))
}

fn from_code(error: &PgDatabaseError) -> Fault {
    let message = error.message();
    let unwritable = |kind, why: &str| {
        let why = format!("{why} ({message}); nothing of this change was kept");
        Fault::new(kind, StoreError::Unwritable(why))
    };
    let code = error.code();
    let kind = match error.severity() {
        PgSeverity::Fatal | PgSeverity::Panic => Kind::Lost,
        _ => Kind::Final,
    };
    match code {
        // A unique row that someone else made at the same time: next time it is seen.
        "40001" | "40P01" | "23505" => unwritable(
            Kind::Again,
            "others changed the same at the same time, again and again; try again",
        ),
        "55P03" => unwritable(
            kind,
            "another process has kept it locked for too long; try again",
        ),
        "57014" => unwritable(kind, "it took too long; try again"),
        "25006" => unwritable(
            kind,
            "it can only be read: a replica, or set so; name the primary",
        ),
        "53100" => unwritable(
            kind,
            "there is no room left on its disk; free some and try again",
        ),
        "53200" | "53300" | "53400" => unwritable(kind, "it has too little of what it needs"),
        "42501" => unwritable(
            kind,
            "its user may not do that; grant the right and try again",
        ),
        "3D000" => unwritable(kind, "there is no such database; create it first"),
        "P0001" => Fault::new(kind, StoreError::Damaged(message.to_owned())),
        _ => match &code[..2] {
            "08" | "25" | "57" => unwritable(Kind::Lost, "the connection was ended"),
            "28" => unwritable(kind, "it refuses the user or the password"),
            "54" => Fault::new(kind, StoreError::TooLarge(message.to_owned())),
            "58" => unwritable(kind, "its disk reports an error; look at the server's log"),
            _ => Fault::new(kind, StoreError::Damaged(format!("{message} ({code})"))),
        },
    }
}

pub(super) fn migration_error(error: &MigrateError) -> StoreError {
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
