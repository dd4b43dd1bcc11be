//! Statements on PostgreSQL.

use super::error::fault;
use crate::error::Fault;
use crate::sql::{Cell, Dialect, Row, Value};
use crate::statements::statements;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, PgConnection, Row as _, TypeInfo, ValueRef};

statements!(Dialect::Postgres, PgConnection, PgArguments, PgRow);

fn cell(row: &PgRow, n: usize) -> Result<Cell, sqlx::Error> {
    let value = row.try_get_raw(n)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let name = value.type_info().name().to_owned();
    match name.as_str() {
        "INT8" => row.try_get(n).map(Cell::Int),
        "BYTEA" => row.try_get(n).map(Cell::Bytes),
        // What a function answers that has nothing to say.
        "VOID" => Ok(Cell::Null),
        _ => row.try_get(n).map(Cell::Text),
    }
}
