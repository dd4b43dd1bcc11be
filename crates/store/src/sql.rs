//! The seam between what is written once and the databases below: statements that read the same on both (`$1`, TEXT,
//! BIGINT, bytes), with values and rows of three plain kinds. Not sqlx's `Any`: that has no NULLs without a type, and
//! hides which database an error came from.

use crate::error::Fault;
use async_trait::async_trait;

/// Which database is below, for the few statements that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// One writer at a time, for the whole file.
    Sqlite,
    /// Many writers: what is read to be changed is locked.
    Postgres,
}

/// A connection, or a transaction on one.
#[async_trait]
pub(crate) trait Sql: Send {
    /// What is below.
    fn dialect(&self) -> Dialect;
    /// All rows of a statement.
    async fn rows(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Fault>;
    /// How many rows a statement changed.
    async fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, Fault>;
}

/// The statement, with `FOR UPDATE` where others may write at the same time.
macro_rules! locking {
    ($tx:expr, $sql:literal) => {
        match $tx.dialect() {
            crate::sql::Dialect::Sqlite => $sql,
            crate::sql::Dialect::Postgres => concat!($sql, " FOR UPDATE"),
        }
    };
}
pub(crate) use locking;

/// What a statement is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Int(i64),
    Text(&'a str),
    /// Text or NULL.
    Maybe(Option<&'a str>),
    Bytes(&'a [u8]),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Value::Text(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Value::Text(value)
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(value: Option<&'a str>) -> Self {
        Value::Maybe(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Value::Bytes(value)
    }
}

/// `values![a, b]`: the values of `$1`, `$2`.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$(crate::sql::Value::from($value)),*] };
}
pub(crate) use values;

/// One column of a row.
#[derive(Debug)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// One row.
pub(crate) type Row = Vec<Cell>;

/// What a column is read as.
pub(crate) trait Column: Sized {
    fn of(cell: Cell) -> Option<Self>;
}

impl Column for i64 {
    fn of(cell: Cell) -> Option<Self> {
        match cell {
            Cell::Int(value) => Some(value),
            _ => None,
        }
    }
}

impl Column for String {
    fn of(cell: Cell) -> Option<Self> {
        match cell {
            Cell::Text(value) => Some(value),
            _ => None,
        }
    }
}

impl Column for Vec<u8> {
    fn of(cell: Cell) -> Option<Self> {
        match cell {
            Cell::Bytes(value) => Some(value),
            _ => None,
        }
    }
}

impl<T: Column> Column for Option<T> {
    fn of(cell: Cell) -> Option<Self> {
        match cell {
            Cell::Null => Some(None),
            cell => T::of(cell).map(Some),
        }
    }
}

/// What a row is read as: tuples of columns.
pub(crate) trait Columns: Sized {
    fn of(row: Row) -> Option<Self>;
}

macro_rules! columns {
    ($($name:ident)*) => {
        impl<$($name: Column),*> Columns for ($($name,)*) {
            fn of(row: Row) -> Option<Self> {
                let mut cells = row.into_iter();
                let columns = ($($name::of(cells.next()?)?,)*);
                cells.next().is_none().then_some(columns)
            }
        }
    };
}
columns!(A);
columns!(A B);
columns!(A B C);
columns!(A B C D);
columns!(A B C D E);
columns!(A B C D E F);
columns!(A B C D E F G);
columns!(A B C D E F G H);
columns!(A B C D E F G H I);
columns!(A B C D E F G H I J);

/// All rows, as tuples.
pub(crate) async fn query<T: Columns>(
    tx: &mut dyn Sql,
    sql: &'static str,
    values: &[Value<'_>],
) -> Result<Vec<T>, Fault> {
    let rows = tx.rows(sql, values).await?;
    let rows = rows.into_iter().map(|row| {
        T::of(row).ok_or_else(|| Fault::damaged(format!("a row has unexpected columns: {sql}")))
    });
    rows.collect()
}

/// The first row, if there is one.
pub(crate) async fn optional<T: Columns>(
    tx: &mut dyn Sql,
    sql: &'static str,
    values: &[Value<'_>],
) -> Result<Option<T>, Fault> {
    Ok(query(tx, sql, values).await?.into_iter().next())
}

/// The first row of a statement that always has one.
pub(crate) async fn one<T: Columns>(
    tx: &mut dyn Sql,
    sql: &'static str,
    values: &[Value<'_>],
) -> Result<T, Fault> {
    let row = optional(tx, sql, values).await?;
    row.ok_or_else(|| Fault::damaged(format!("a statement answered no row: {sql}")))
}
