//! The archive: journals of deployments that ended long ago, in a table of their own, so that the one that everybody
//! writes to stays small. They are the same rows in the same chain; who reads a journal does not see where it lies. What
//! is kept out of it is a matter of speed alone. See docs/adr/0015-archive.md.

use crate::change::{Answer, Change};
use crate::database::Database;
use crate::error::Refusal;
use crate::retention::{DAY_US, retention};
use crate::sql::{Sql, locking, optional, query, values};
use crate::store::{SqlStore, unexpected};
use belay_engine::ports::{Store, StoreError};
use belay_model::environment::View;
use belay_model::id::{DeploymentId, EnvironmentName, RecordHash, Scope, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// Events that one transaction moves; a journal with more goes alone.
const AT_ONCE: i64 = 1_000;

/// Journals that could go, and how many events each has.
type Candidates = Vec<(DeploymentId, i64)>;

#[allow(
    private_bounds,
    reason = "there are two databases, and both are made here"
)]
impl<D: Database + ?Sized> SqlStore<D> {
    /// Moves journals into the archive: those of deployments that ended more than `days` before `now_us` (Unix
    /// microseconds), but for the `newest` of each scope, and those that a record which is kept, or a clean-up that is
    /// owed, comes from. Answers how many. May be cut off anywhere; each journal is wholly here or there.
    ///
    /// # Errors
    /// When the store cannot be read or written; what was moved before stays moved.
    pub async fn archive(&self, now_us: i64, days: u32, newest: usize) -> Result<u64, StoreError> {
        let since_us = now_us.saturating_sub(DAY_US.saturating_mul(i64::from(days)));
        let mut moved = 0;
        for (scope, mut journals) in ended_before(self.read().await?.as_mut(), since_us).await? {
            let needed = self.needed(&scope, now_us, days, newest).await?;
            journals.retain(|(id, _)| !needed.contains(id));
            for ids in portions(journals) {
                match self.database.change(Change::Archive(ids)).await? {
                    Answer::Count(count) => moved += count,
                    other => return Err(unexpected(&other)),
                }
            }
        }
        Ok(moved)
    }

    /// Deployments of a scope whose journals are likely to be read again.
    async fn needed(
        &self,
        scope: &Scope,
        now_us: i64,
        days: u32,
        newest: usize,
    ) -> Result<BTreeSet<DeploymentId>, StoreError> {
        let young = self.history(scope, newest).await?;
        let young = young.into_iter().map(|summary| summary.id);
        let view = View::of(&self.environment(scope, 0).await?);
        let good = self.good_kept(scope).await?;
        let kept = retention(&view, good, now_us, days);
        Ok(young.chain(sources(&view, &kept)).collect())
    }
}

/// Where records come from: who brought each to serve last, who said how it stands, and whose clean-ups are owed.
fn sources<'a>(
    view: &'a View,
    kept: &'a BTreeSet<RecordHash>,
) -> impl Iterator<Item = DeploymentId> + 'a {
    let served: BTreeMap<_, _> = view
        .served
        .iter()
        .filter_map(|(record, by)| Some((record.as_ref()?, by)))
        .filter(|(record, _)| kept.contains(*record))
        .collect();
    let judged = view.records.iter();
    let judged = judged.filter(|(record, _)| kept.contains(*record));
    let judged = judged.filter_map(|(_, known)| known.deployment.clone());
    let owed = view.cleanups.values().map(|owed| owed.deployment.clone());
    served.into_values().cloned().chain(judged).chain(owed)
}

/// By scope, in the order of their creation, without those that are in the archive.
async fn ended_before(
    tx: &mut dyn Sql,
    since_us: i64,
) -> Result<BTreeMap<Scope, Candidates>, StoreError> {
    let rows: Vec<(String, String, String, i64)> = query(
        tx,
        "SELECT d.service, d.environment, d.id, d.head_seq
         FROM events first
         JOIN deployments d ON d.id = first.deployment
         JOIN events last ON last.deployment = d.id AND last.seq = d.head_seq
         WHERE first.seq = 1 AND first.at_us < $1 AND last.at_us < $1 AND d.ended = 1
         ORDER BY d.created_seq",
        values![since_us],
    )
    .await?;
    let mut found: BTreeMap<Scope, Candidates> = BTreeMap::new();
    for (service, environment, id, events) in rows {
        let scope = Scope {
            service: ServiceName::new(service),
            environment: EnvironmentName::new(environment),
        };
        let journals = found.entry(scope).or_default();
        journals.push((DeploymentId::new(id), events));
    }
    Ok(found)
}

fn portions(journals: Candidates) -> Vec<Vec<DeploymentId>> {
    let mut portions = Vec::new();
    let mut room = 0;
    for (id, events) in journals {
        match portions.last_mut() {
            Some(last) if events <= room => Vec::push(last, id),
            _ => {
                portions.push(vec![id]);
                room = AT_ONCE;
            }
        }
        room -= events;
    }
    portions
}

/// Moves journals that are not in the archive yet; answers how many.
pub(crate) async fn put_away(tx: &mut dyn Sql, ids: &[DeploymentId]) -> Result<u64, Refusal> {
    let mut moved = 0;
    for id in ids {
        // Another worker may be at the same: it is waited for, and then there is nothing left.
        let sql = locking!(tx, "SELECT ended FROM deployments WHERE id = $1");
        let ended: Option<(i64,)> = optional(tx, sql, values![id.as_str()]).await?;
        if ended != Some((1,)) {
            continue;
        }
        let copied = tx
            .execute(
                "INSERT INTO archived_events (deployment, seq, at_us, format, body, hash)
                 SELECT deployment, seq, at_us, format, body, hash FROM events WHERE deployment = $1",
                values![id.as_str()],
            )
            .await?;
        let sql = "DELETE FROM events WHERE deployment = $1";
        let deleted = tx.execute(sql, values![id.as_str()]).await?;
        if copied != deleted {
            let why = format!("{copied} events of {id} were archived, and {deleted} removed");
            return Err(StoreError::Damaged(why).into());
        }
        moved += u64::from(copied > 0);
    }
    Ok(moved)
}
