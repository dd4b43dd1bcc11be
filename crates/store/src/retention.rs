//! What is kept. The rule is pure; who collects asks the store what the rule means for all scopes at once.

use crate::change::{Answer, Change};
use crate::database::Database;
use crate::reader;
use crate::store::SqlStore;
use belay_engine::goal;
use belay_engine::ports::{Store, StoreError};
use belay_model::environment::View;
use belay_model::event::{Event, records_of};
use belay_model::id::{ArtifactDigest, BlobId, DeploymentId, RecordHash, Scope};
use belay_model::release::Record;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Microseconds of a day.
pub(crate) const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;
/// How many deployments are looked through for the last that said what is kept.
const RECENT: usize = 100;

/// Records of one scope that are kept: the `good` newest good ones, all that changed within `days`, what serves, where
/// a rollback would lead, and what waits for its clean-up. `now_us`: Unix microseconds.
pub fn retention(view: &View, good: usize, now_us: i64, days: u32) -> BTreeSet<RecordHash> {
    let since_us = now_us.saturating_sub(DAY_US.saturating_mul(i64::from(days)));
    let young = view
        .records
        .iter()
        .filter(|(_, known)| known.since_us >= since_us)
        .map(|(hash, _)| hash);
    let mut proven: Vec<_> = view
        .records
        .iter()
        .filter(|(_, known)| known.standing.is_good())
        .collect();
    proven.sort_by_key(|(_, known)| Reverse(known.good_at_us));
    let newest = proven.into_iter().take(good).map(|(hash, _)| hash);
    let serving = view.served.last().and_then(|(record, _)| record.as_ref());
    let owed = view.cleanups.keys();
    // The record before this one may be older than all of them.
    let back = goal::choose(view, None).record.map(|record| record.hash());
    young
        .chain(newest)
        .chain(serving)
        .chain(owed)
        .cloned()
        .chain(back)
        .collect()
}

/// What must not be collected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Artifacts that a kept record, an open deployment or a young release names.
    pub artifacts: BTreeSet<ArtifactDigest>,
    /// Blobs that a kept record or an open deployment names.
    pub blobs: BTreeSet<BlobId>,
}

impl Kept {
    fn keep(&mut self, record: &Record) {
        self.artifacts.insert(record.artifact.clone());
        self.blobs.extend(record.sealed.clone());
    }
}

#[allow(
    private_bounds,
    reason = "there are two databases, and both are made here"
)]
impl<D: Database + ?Sized> SqlStore<D> {
    /// Applies the rule to everything in the store: all scopes, as many good records as the last deployment of each
    /// said, all open deployments, releases of the last `days`.
    ///
    /// # Errors
    /// When the store cannot be read; then nothing may be collected.
    pub async fn kept(&self, now_us: i64, days: u32) -> Result<Kept, StoreError> {
        let mut kept = Kept::default();
        let mut wanted = BTreeSet::new();
        // Open deployments first: one that ends meanwhile has left its record in the stream that is read after it.
        for summary in Store::open(self).await? {
            for entry in self.events(&summary.id, 0).await? {
                records_in(&entry.event).for_each(|record| kept.keep(record));
                if let Event::Signal { back, .. } = entry.event {
                    wanted.extend(back.to);
                }
            }
        }
        let since_ms = now_us.saturating_sub(DAY_US.saturating_mul(i64::from(days))) / 1_000;
        for scope in self.scopes().await? {
            let view = View::of(&self.environment(&scope, 0).await?);
            let good = self.good_kept(&scope).await?;
            let rule = retention(&view, good, now_us, days);
            for hash in rule.iter().chain(&wanted) {
                // A clean-up may name a record that the stream does not hold; then there is nothing to keep of it.
                if let Some(known) = view.records.get(hash) {
                    kept.keep(&known.record);
                }
            }
        }
        for release in reader::all_releases(self.read().await?.as_mut()).await? {
            if release.created_at_ms >= since_ms {
                kept.artifacts.insert(release.artifact);
            }
        }
        Ok(kept)
    }

    /// How many good records the last deployment of a scope wants kept.
    pub(crate) async fn good_kept(&self, scope: &Scope) -> Result<usize, StoreError> {
        for summary in self.history(scope, RECENT).await? {
            if summary.kind != "deploy" {
                continue;
            }
            if let Some(Event::Created(inputs)) = self.created(&summary.id).await? {
                return Ok(usize::try_from(inputs.keep_good).unwrap_or(usize::MAX));
            }
        }
        // Only rollbacks lately: they say nothing, and it is better to keep too much.
        Ok(usize::MAX)
    }

    async fn created(&self, id: &DeploymentId) -> Result<Option<Event>, StoreError> {
        let entries = self.events(id, 0).await?;
        Ok(entries.into_iter().next().map(|entry| entry.event))
    }

    /// Removes all sealed blobs that are not in `keep` and were sealed before `before_us` (Unix microseconds; leave an
    /// hour, for deployments that are being created); answers which. Needs no key.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn collect_blobs(
        &self,
        keep: &BTreeSet<BlobId>,
        before_us: i64,
    ) -> Result<Vec<BlobId>, StoreError> {
        let change = Change::CollectBlobs {
            keep: keep.clone(),
            before_us,
        };
        match self.database.change(change).await? {
            Answer::Blobs(gone) => Ok(gone),
            other => Err(StoreError::Damaged(format!(
                "the writer answered {other:?}"
            ))),
        }
    }
}

/// The records that [`records_of`] names, themselves.
fn records_in(event: &Event) -> impl Iterator<Item = &Record> {
    let (own, goals) = match event {
        Event::Created(inputs) => (inputs.record.as_ref(), [inputs.goal.as_ref(), None]),
        Event::Planned {
            baseline_goal,
            goal,
            ..
        } => (None, [Some(&**baseline_goal), Some(&**goal)]),
        Event::RollbackPlanned { goal, .. } => (None, [goal.as_deref(), None]),
        _ => (None, [None, None]),
    };
    let records = own.into_iter().chain(
        goals
            .into_iter()
            .flatten()
            .flat_map(|goal| goal.records.values()),
    );
    debug_assert_eq!(
        records.clone().map(Record::hash).collect::<BTreeSet<_>>(),
        records_of(event).into_iter().collect(),
        "an event kind names records that retention does not see"
    );
    records
}
