//! Statements on PostgreSQL.

use super::error::fault;
use crate::error::Fault;
use crate::sql::{Cell, Dialect, Row, Sql, Value};
use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, PgConnection, Row as _, TypeInfo, ValueRef};
use std::ops::DerefMut;

/// Anything that is a connection: one of the pool, a transaction, the writer's own.
pub(super) struct On<C>(pub(super) C);

#[async_trait]
impl<C: DerefMut<Target = PgConnection> + Send> Sql for On<C> {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
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

fn bound(values: &[Value<'_>]) -> Result<PgArguments, Fault> {
    let mut bound = PgArguments::default();
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

fn row(row: &PgRow) -> Result<Row, Fault> {
    (0..row.len())
        .map(|n| cell(row, n).map_err(|e| fault(&e)))
        .collect()
}

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
