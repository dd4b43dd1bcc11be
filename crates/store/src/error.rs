//! Why something was not done, before it is said in the words of the port. What a database's own errors mean is said
//! beside that database.

use belay_engine::ports::StoreError;

/// A failure of the storage, and what can be done about it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: StoreError,
    pub(crate) kind: Kind,
}

/// What a fault means for the transaction that it befell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Rolled back because of others at the same time: making it again may work.
    Again,
    /// The connection is gone, and what it was at with it.
    Lost,
    /// Trying again would change nothing.
    Final,
}

impl Fault {
    pub(crate) fn new(kind: Kind, error: StoreError) -> Self {
        Self { error, kind }
    }

    pub(crate) fn damaged(why: String) -> Self {
        Self::new(Kind::Final, StoreError::Damaged(why))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

/// Why a change inside a transaction was not made.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// This change only: the others of the transaction go on.
    Change(StoreError),
    /// The storage itself: the whole transaction may be gone already.
    Storage(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Refusal::Storage(fault)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Refusal::Change(error)
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
        StoreError::Stale(scope) => StoreError::Stale(scope.clone()),
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
