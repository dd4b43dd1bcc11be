//! Statements on SQLite.

use super::error::fault;
use crate::error::Fault;
use crate::sql::{Cell, Dialect, Row, Sql, Value};
use async_trait::async_trait;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Row as _, SqliteConnection, TypeInfo, ValueRef};
use std::ops::DerefMut;

/// Anything that is a connection: one of the pool, a transaction, the writer's own.
pub(super) struct On<C>(pub(super) C);

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> Sql for On<C> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn rows(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Fault> {
        let rows = sqlx::query_with(sql, bound(values)?)
            .fetch_all(&mut *self.0)
            .await;
        let rows = rows.map_err(|e| fault(&e))?;
        rows.iter().map(row).collect()
    }

    async fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, Fault> {
        let done = sqlx::query_with(sql, bound(values)?)
            .execute(&mut *self.0)
            .await;
        Ok(done.map_err(|e| fault(&e))?.rows_affected())
    }
}

fn bound(values: &[Value<'_>]) -> Result<SqliteArguments, Fault> {
    let mut bound = SqliteArguments::default();
    for value in values {
        let added = match *value {
            Value::Int(value) => bound.add(value),
            Value::Text(value) => bound.add(value.to_owned()),
            Value::Maybe(value) => bound.add(value.map(str::to_owned)),
            Value::Bytes(value) => bound.add(value.to_vec()),
        };
        added.map_err(|e| fault(&sqlx::Error::Encode(e)))?;
    }
    Ok(bound)
}

fn row(row: &SqliteRow) -> Result<Row, Fault> {
    (0..row.len())
        .map(|n| cell(row, n).map_err(|e| fault(&e)))
        .collect()
}

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
