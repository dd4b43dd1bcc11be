//! What is stored, and the rules of appending.

use super::leases::Hold;
use belay_engine::lease::Work;
use belay_engine::ports::{Batch, Evidence, Head, StoreError, Writer, most_bytes};
use belay_model::environment::{self, View};
use belay_model::event::{Entry, Event, FORMAT};
use belay_model::id::{DeploymentId, Scope, ServiceName};
use belay_model::release::Release;
use belay_model::summary::{Phase, Summary};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The bounds of the real stores (I11): events of a deployment, and where signals stop.
const MAX_EVENTS: usize = 10_000;
const MAX_EVENTS_OF_SIGNALS: usize = 9_000;

#[derive(Clone, Default)]
pub(super) struct Data {
    pub(super) order: Vec<DeploymentId>,
    pub(super) journals: BTreeMap<DeploymentId, Vec<Entry>>,
    /// Epochs of the last claims of deployments.
    claims: BTreeMap<DeploymentId, u64>,
    pub(super) summaries: BTreeMap<DeploymentId, Summary>,
    pub(super) hosts: BTreeMap<DeploymentId, Option<String>>,
    pub(super) streams: BTreeMap<Scope, Vec<environment::Entry>>,
    /// The folds of the streams.
    views: BTreeMap<Scope, View>,
    pub(super) releases: BTreeMap<ServiceName, Vec<Release>>,
    pub(super) evidence: BTreeMap<DeploymentId, Vec<Evidence>>,
    pub(super) holds: BTreeMap<Scope, Hold>,
    /// Who claimed, each once, in order.
    pub(super) owners: Vec<String>,
    /// Living owners, and until when by the store's clock, milliseconds.
    pub(super) alive: BTreeMap<String, u64>,
    pub(super) claimed: u64,
    pub(super) appends: u64,
}

impl Data {
    pub(super) fn create(
        &mut self,
        id: &DeploymentId,
        at_us: i64,
        created: Event,
        environment: Vec<(i64, environment::Event)>,
        limit: usize,
    ) -> Result<(), StoreError> {
        let Event::Created(inputs) = &created else {
            return Err(StoreError::Damaged("not Created".to_owned()));
        };
        let scope = inputs.scope.clone();
        let open = self.open().filter(|summary| summary.scope == scope).count();
        if open >= limit {
            return Err(StoreError::TooLarge(format!(
                "{open} deployments are open in {scope}"
            )));
        }
        if self.journals.contains_key(id) {
            return Err(StoreError::Moved(id.clone()));
        }
        let host = inputs
            .record
            .as_ref()
            .and_then(|one| one.host().map(str::to_owned));
        self.hosts.insert(id.clone(), host);
        self.order.push(id.clone());
        self.stream(&scope, environment);
        self.add(id, vec![(at_us, created)]);
        Ok(())
    }

    pub(super) fn append_all(&mut self, batches: Vec<Batch>) -> Result<(), StoreError> {
        let before = self.clone();
        let kept = batches.into_iter().try_for_each(|batch| self.write(batch));
        if kept.is_err() {
            *self = before;
        }
        kept
    }

    fn write(&mut self, mut batch: Batch) -> Result<(), StoreError> {
        let Writer::New { limit } = batch.writer else {
            return self.append(batch).map(drop);
        };
        let (at_us, created) = batch.events.remove(0);
        self.create(&batch.deployment, at_us, created, batch.environment, limit)
    }

    pub(super) fn append(&mut self, batch: Batch) -> Result<Vec<Entry>, StoreError> {
        let id = &batch.deployment;
        let missing = |what: String| Err(StoreError::Missing(what));
        let Some(summary) = self.summaries.get(id) else {
            return missing(format!("deployment {id}"));
        };
        if summary.phase == Phase::Ended && !batch.events.is_empty() {
            return missing(format!("open deployment {id}: it has ended"));
        }
        let scope = summary.scope.clone();
        let head = self.journals.get(id).map_or(0, Vec::len);
        self.admit(&batch, &scope, head)?;
        for (other, seen) in &batch.unmoved {
            if self.streams.get(other).map_or(0, Vec::len) as u64 != *seen {
                return Err(StoreError::Stale(other.clone()));
            }
        }
        let size =
            |event: &Event| serde_json::to_string(event).map_or(usize::MAX, |text| text.len());
        if head + batch.events.len() > MAX_EVENTS
            || batch
                .events
                .iter()
                .any(|(_, event)| size(event) > most_bytes(event))
        {
            return Err(StoreError::TooLarge(format!("events of deployment {id}")));
        }
        if let Writer::Claim { epoch, .. } = batch.writer {
            self.claims.insert(id.clone(), epoch);
        }
        self.stream(&scope, batch.environment);
        Ok(self.add(id, batch.events))
    }

    /// Whether this writer may append now.
    fn admit(&self, batch: &Batch, scope: &Scope, head: usize) -> Result<(), StoreError> {
        let id = &batch.deployment;
        let leased = self.epoch_of(scope);
        let claimed = self.claims.get(id).copied().unwrap_or(0);
        let fenced = || Err(StoreError::Fenced(format!("deployment {id}")));
        let at_end = |after: u64| match after == head as u64 {
            true => Ok(()),
            false => Err(StoreError::Moved(id.clone())),
        };
        match batch.writer {
            Writer::Worker { epoch, .. } if epoch != leased || epoch != claimed => fenced(),
            Writer::Worker { after, .. } => at_end(after),
            Writer::Claim { epoch, .. } if epoch != leased || epoch <= claimed => fenced(),
            Writer::Claim { epoch, after } => {
                at_end(after)?;
                let own = |event: &Event| matches!(event, Event::Claimed { epoch: new, .. } if *new == epoch);
                if batch.events.iter().any(|(_, event)| own(event)) {
                    return Ok(());
                }
                let why = format!("a claim of {id} comes without its `claimed`");
                Err(StoreError::Damaged(why))
            }
            Writer::Anyone if head >= MAX_EVENTS_OF_SIGNALS => {
                Err(StoreError::TooLarge(format!("signals to deployment {id}")))
            }
            Writer::Anyone => Ok(()),
            Writer::Seen { after } => at_end(after),
            Writer::New { .. } => Err(StoreError::Moved(id.clone())),
        }
    }

    pub(super) fn append_environment(
        &mut self,
        scope: &Scope,
        epoch: Option<u64>,
        events: Vec<(i64, environment::Event)>,
    ) -> Result<(), StoreError> {
        if epoch.is_some_and(|epoch| epoch != self.epoch_of(scope)) {
            return Err(StoreError::Fenced(scope.to_string()));
        }
        self.stream(scope, events);
        Ok(())
    }

    fn add(&mut self, id: &DeploymentId, events: Vec<(i64, Event)>) -> Vec<Entry> {
        let journal = self.journals.entry(id.clone()).or_default();
        let mut added = Vec::new();
        for (at_us, event) in events {
            let entry = Entry {
                seq: journal.len() as u64 + 1,
                at_us,
                format: FORMAT,
                event,
            };
            match self.summaries.get_mut(id) {
                Some(summary) => summary.apply(&entry),
                None => {
                    let begun =
                        Summary::begin(id.clone(), &entry).expect("a journal begins with Created");
                    self.summaries.insert(id.clone(), begun);
                }
            }
            journal.push(entry.clone());
            added.push(entry);
        }
        self.appends += 1;
        added
    }

    fn stream(&mut self, scope: &Scope, events: Vec<(i64, environment::Event)>) {
        if events.is_empty() {
            return;
        }
        let stream = self.streams.entry(scope.clone()).or_default();
        let view = self.views.entry(scope.clone()).or_default();
        for (at_us, event) in events {
            let entry = environment::Entry {
                seq: stream.len() as u64 + 1,
                at_us,
                format: 1,
                event,
            };
            view.apply(&entry);
            stream.push(entry);
        }
    }

    /// Summaries of what has not ended, in the order of creation.
    pub(super) fn open(&self) -> impl Iterator<Item = &Summary> {
        let all = self.order.iter().filter_map(|id| self.summaries.get(id));
        all.filter(|summary| summary.phase != Phase::Ended)
    }

    pub(super) fn heads(&self) -> Vec<Head> {
        let head = |summary: &Summary| Head {
            scope: summary.scope.clone(),
            deployment: summary.id.clone(),
            seq: self.journals.get(&summary.id).map_or(0, Vec::len) as u64,
        };
        self.open().map(head).collect()
    }

    pub(super) fn oldest_open(&self, scope: &Scope) -> Option<&Summary> {
        self.open().find(|summary| summary.scope == *scope)
    }

    pub(super) fn view(&self, scope: &Scope) -> &View {
        static NOTHING: LazyLock<View> = LazyLock::new(View::default);
        self.views.get(scope).unwrap_or(&NOTHING)
    }

    pub(super) fn work(&self) -> Work {
        let next = |scope: &Scope| {
            let cleanups = &self.view(scope).cleanups;
            cleanups.values().map(|cleanup| cleanup.due_ms).min()
        };
        let resting = self
            .streams
            .keys()
            .filter(|scope| self.oldest_open(scope).is_none());
        Work {
            open: self.open().count() as u64,
            next_cleanup_ms: resting.filter_map(next).min(),
        }
    }

    pub(super) fn epoch_of(&self, scope: &Scope) -> u64 {
        self.holds.get(scope).map_or(0, |hold| hold.epoch)
    }

    pub(super) fn epoch(&self, id: &DeploymentId) -> Result<u64, StoreError> {
        let summary = self.summaries.get(id);
        let summary = summary.ok_or_else(|| StoreError::Missing(format!("deployment {id}")))?;
        Ok(self.epoch_of(&summary.scope))
    }
}
