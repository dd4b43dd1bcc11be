//! Leases: what is the same on all databases. How one is claimed, and when it ends, differs: on SQLite there is one worker
//! at a time, on PostgreSQL many that live by the server's clock.

use crate::error::{Fault, Refusal};
use crate::sql::{Dialect, Sql, one, query, values};
use crate::{postgres, sqlite};
use belay_engine::lease::{Lease, Owner, Work};
use belay_model::id::{EnvironmentName, Scope, ServiceName};

/// A worker wants scopes.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) owner: Owner,
    /// What it has; the rest that is in its name is handed back.
    pub(crate) held: Vec<Lease>,
    pub(crate) now_us: i64,
    pub(crate) at_most: usize,
    /// How long leases live, microseconds, where they end by themselves.
    pub(crate) lives_us: i64,
    /// Living leases per environment name at most, where there are many workers.
    pub(crate) per_environment: usize,
}

impl Claim {
    /// Whether a claim would change anything: looking costs no commit.
    pub(crate) async fn is_worth_it(&self, tx: &mut dyn Sql) -> Result<bool, Fault> {
        match tx.dialect() {
            Dialect::Sqlite => sqlite::leases::is_worth_it(tx, self).await,
            Dialect::Postgres => postgres::leases::is_worth_it(tx, self).await,
        }
    }

    pub(crate) async fn make(&self, tx: &mut dyn Sql) -> Result<Vec<Lease>, Refusal> {
        match tx.dialect() {
            Dialect::Sqlite => sqlite::leases::claim(tx, self).await,
            Dialect::Postgres => Ok(postgres::leases::claim(tx, self).await?),
        }
    }

    /// Whether a scope is one of those that it has, by that epoch.
    pub(crate) fn holds(&self, lease: &Lease) -> bool {
        self.held.contains(lease)
    }
}

/// Leases as rows have them: service, environment, epoch.
pub(crate) fn leases(rows: Vec<(String, String, i64)>) -> Vec<Lease> {
    let lease = |(service, environment, epoch): (String, String, i64)| Lease {
        scope: Scope {
            service: ServiceName::new(service),
            environment: EnvironmentName::new(environment),
        },
        epoch: epoch.unsigned_abs(),
    };
    rows.into_iter().map(lease).collect()
}

/// All that are in an owner's name.
pub(crate) async fn of_owner(tx: &mut dyn Sql, name: &str) -> Result<Vec<Lease>, Fault> {
    let rows = query(
        tx,
        "SELECT service, environment, epoch FROM environments WHERE owner = $1
         ORDER BY service, environment",
        values![name],
    )
    .await?;
    Ok(leases(rows))
}

/// What is left to do. Clean-ups count where nothing is open. On SQLite everything is for the one worker: a machine that
/// was given another name is the same machine.
pub(crate) async fn work(tx: &mut dyn Sql, host: &str) -> Result<Work, Fault> {
    let (open, next_cleanup_ms): (i64, Option<i64>) = match tx.dialect() {
        Dialect::Sqlite => {
            one(
                tx,
                "SELECT (SELECT COUNT(*) FROM deployments WHERE ended = 0),
                   (SELECT MIN(due_ms) FROM cleanups c WHERE NOT EXISTS
                     (SELECT 1 FROM deployments d WHERE d.ended = 0
                        AND d.service = c.service AND d.environment = c.environment))",
                values![],
            )
            .await?
        }
        Dialect::Postgres => {
            one(
                tx,
                "SELECT (SELECT COUNT(*) FROM deployments
                    WHERE ended = 0 AND COALESCE(host, $1) = $1),
                   (SELECT MIN(due_ms) FROM cleanups c LEFT JOIN deployments l ON l.id = c.deployment
                    WHERE COALESCE(l.host, $1) = $1 AND NOT EXISTS
                     (SELECT 1 FROM deployments d WHERE d.ended = 0
                        AND d.service = c.service AND d.environment = c.environment))",
                values![host],
            )
            .await?
        }
    };
    Ok(Work {
        open: open.unsigned_abs(),
        next_cleanup_ms,
    })
}
