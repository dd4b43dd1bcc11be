//! Statements on SQLite.

use super::error::fault;
use crate::error::Fault;
use crate::sql::{Cell, Dialect, Row, Value};
use crate::statements::statements;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Row as _, SqliteConnection, TypeInfo, ValueRef};

statements!(
    Dialect::Sqlite,
    SqliteConnection,
    SqliteArguments,
    SqliteRow
);

fn cell(row: &SqliteRow, n: usize) -> Result<Cell, sqlx::Error> {
    let value = row.try_get_raw(n)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let name = value.type_info().name().to_owned();
    match name.as_str() {
        "TEXT" => row.try_get_unchecked(n).map(Cell::Text),
        "BLOB" => row.try_get_unchecked(n).map(Cell::Bytes),
        _ => row.try_get_unchecked(n).map(Cell::Int),
    }
}
