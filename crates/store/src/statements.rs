//! The seam of `sql.rs` on a connection of sqlx: the same text for each database, as sqlx has a type of its own for
//! everything in it.

/// Makes `On`, anything that is a connection (one of a pool, a transaction, a writer's own), and `Sql` for it. The module
/// brings `fault` and `cell`: what an error means there, and what a column holds.
macro_rules! statements {
    ($dialect:expr, $connection:ty, $arguments:ty, $row:ty) => {
        /// Anything that is a connection: one of a pool, a transaction, a writer's own.
        pub(super) struct On<C>(pub(super) C);

        #[async_trait::async_trait]
        impl<C> crate::sql::Sql for On<C>
        where
            C: std::ops::DerefMut<Target = $connection> + Send,
        {
            fn dialect(&self) -> crate::sql::Dialect {
                $dialect
            }

            async fn rows(
                &mut self,
                sql: &'static str,
                values: &[Value<'_>],
            ) -> Result<Vec<Row>, Fault> {
                let rows = sqlx::query_with(sql, bound(values)?)
                    .fetch_all(&mut *self.0)
                    .await;
                let rows = rows.map_err(|e| fault(&e))?;
                rows.iter().map(row).collect()
            }

            async fn execute(
                &mut self,
                sql: &'static str,
                values: &[Value<'_>],
            ) -> Result<u64, Fault> {
                let done = sqlx::query_with(sql, bound(values)?)
                    .execute(&mut *self.0)
                    .await;
                Ok(done.map_err(|e| fault(&e))?.rows_affected())
            }
        }

        fn bound(values: &[Value<'_>]) -> Result<$arguments, Fault> {
            let mut bound = <$arguments>::default();
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

        fn row(row: &$row) -> Result<Row, Fault> {
            (0..row.len())
                .map(|n| cell(row, n).map_err(|e| fault(&e)))
                .collect()
        }
    };
}
pub(crate) use statements;
