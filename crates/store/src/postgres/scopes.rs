//! Who writes in a scope locks the scope's row first, and a transaction locks the rows of all its scopes at its start,
//! in one order. So there are no deadlocks between writers, the order of creation is the order of commits, and what
//! a change reads of its scope stays true until it commits.
//!
//! What a change only counts on ([`Batch::unmoved`](belay_engine::ports::Batch)) is locked, too. A row that stands for every
//! service or every environment is one that many releases count on at once and hardly anybody writes: it is shared. Such
//! rows come before all others in the order, and in one transaction they are shared or written, and not some of each: so the
//! order holds over both statements.

use super::error::fault;
use crate::change::Change;
use crate::error::{Fault, Kind};
use belay_engine::ports::StoreError;
use belay_model::event::Event;
use belay_model::id::{EnvironmentName, Scope, ServiceName};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Scopes whose rows are known to be there.
#[derive(Default)]
pub(super) struct Known(BTreeSet<Scope>);

/// How many are remembered; what is forgotten costs a statement.
const REMEMBERED: usize = 10_000;

/// Locks the scopes of all changes; makes the rows of new ones before, outside of the transaction.
pub(super) struct Scopes<'a> {
    /// Scopes that changes name.
    named: BTreeSet<Scope>,
    /// Scopes that stand for several, which changes count on and do not write in.
    shared: BTreeSet<Scope>,
    /// Deployments that changes name: their scopes are looked up.
    deployments: BTreeSet<&'a str>,
}

impl<'a> Scopes<'a> {
    pub(super) fn of(changes: impl IntoIterator<Item = &'a Change>) -> Self {
        let mut scopes = Self {
            named: BTreeSet::new(),
            shared: BTreeSet::new(),
            deployments: BTreeSet::new(),
        };
        for change in changes {
            scopes.add(change);
        }
        if scopes.named.iter().any(Scope::stands_for_several) {
            scopes.named.append(&mut scopes.shared);
        }
        scopes
    }

    fn add(&mut self, change: &'a Change) {
        match change {
            Change::Create { created, .. } => {
                if let Event::Created(inputs) = &**created {
                    self.named.insert(inputs.scope.clone());
                }
            }
            Change::All(changes) => changes.iter().for_each(|change| self.add(change)),
            Change::Environment(scope, ..) => {
                self.named.insert(scope.clone());
            }
            Change::Append(batch) => {
                self.deployments.insert(batch.deployment.as_str());
                for (scope, _) in &batch.unmoved {
                    let several = scope.stands_for_several();
                    let scopes = if several {
                        &mut self.shared
                    } else {
                        &mut self.named
                    };
                    scopes.insert(scope.clone());
                }
            }
            Change::Evidence(id, _) => {
                self.deployments.insert(id.as_str());
            }
            _ => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.deployments.is_empty()
    }

    /// Makes the rows that are missing. Each in a transaction of its own: nothing is locked while others are waited for.
    pub(super) async fn make(
        &self,
        connection: &mut PgConnection,
        known: &mut Known,
    ) -> Result<(), Fault> {
        for scope in self.named.iter().chain(&self.shared) {
            if known.0.contains(scope) {
                continue;
            }
            sqlx::query(
                "INSERT INTO environments (service, environment, head_seq, head_hash)
                 VALUES ($1, $2, 0, '') ON CONFLICT (service, environment) DO NOTHING",
            )
            .bind(scope.service.as_str())
            .bind(scope.environment.as_str())
            .execute(&mut *connection)
            .await
            .map_err(|e| fault(&e))?;
            if known.0.len() >= REMEMBERED {
                known.0.clear();
            }
            known.0.insert(scope.clone());
        }
        Ok(())
    }

    /// Inside the transaction, before anything else.
    pub(super) async fn lock(
        &self,
        connection: &mut PgConnection,
        known: &mut Known,
    ) -> Result<(), Fault> {
        if self.is_empty() {
            return Ok(());
        }
        let mut locked = BTreeSet::new();
        if !self.shared.is_empty() {
            let (services, environments) = columns(&self.shared);
            let rows = sqlx::query_as(
                "SELECT e.service, e.environment FROM environments e
                 WHERE (e.service, e.environment) IN (SELECT * FROM UNNEST($1::text[], $2::text[]))
                 ORDER BY e.service, e.environment FOR SHARE OF e",
            );
            let rows = rows.bind(services).bind(environments);
            let rows = rows.fetch_all(&mut *connection).await;
            locked.extend(rows.map_err(|e| fault(&e))?.into_iter().map(scope));
        }
        let deployments: Vec<&str> = self.deployments.iter().copied().collect();
        let (services, environments) = columns(&self.named);
        // Rows are locked in the order in which they come.
        let rows = sqlx::query_as(
            "SELECT e.service, e.environment FROM environments e
             WHERE (e.service, e.environment) IN (
               SELECT d.service, d.environment FROM deployments d WHERE d.id = ANY($1)
               UNION SELECT * FROM UNNEST($2::text[], $3::text[]))
             ORDER BY '*' IN (e.service, e.environment) DESC, e.service, e.environment
             FOR UPDATE OF e",
        );
        let rows = rows.bind(deployments).bind(services).bind(environments);
        let rows = rows.fetch_all(connection).await;
        locked.extend(rows.map_err(|e| fault(&e))?.into_iter().map(scope));
        if self
            .named
            .union(&self.shared)
            .all(|one| locked.contains(one))
        {
            return Ok(());
        }
        // The database is not the one that it was: restored, or another server took over.
        known.0.clear();
        let why = "a scope's row is gone; try again".to_owned();
        Err(Fault::new(Kind::Again, StoreError::Unwritable(why)))
    }
}

fn columns(scopes: &BTreeSet<Scope>) -> (Vec<&str>, Vec<&str>) {
    let columns = scopes.iter();
    let columns = columns.map(|scope| (scope.service.as_str(), scope.environment.as_str()));
    columns.unzip()
}

fn scope((service, environment): (String, String)) -> Scope {
    Scope {
        service: ServiceName::new(service),
        environment: EnvironmentName::new(environment),
    }
}
