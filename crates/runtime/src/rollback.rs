//! Going back on request. What is open is told to go back; where nothing is, a new deployment leads to a record that was
//! good (*return*) or to what was there before a deployment (*undo*). The goal is settled here, before anything changes.

use crate::deploy::not_entered;
use crate::uri::Uri;
use crate::way::Way;
use crate::{Accepted, Belay, Error};
use belay_driver::Restorability;
use belay_driver_kubernetes::Gitops;
use belay_engine::queue::{self, Entrant};
use belay_model::back::{Back, Risk, Trigger};
use belay_model::config::{BackOrder, Check, FirstFailure, Inconclusive, Queue, Strategy};
use belay_model::event::{Ask, Event, Inputs, Kind, Outcome};
use belay_model::id::{DeploymentId, RecordHash, ReleaseNumber, Scope};
use belay_model::release::Record;
use belay_model::state::Goal;
use belay_model::summary::Phase;
use std::collections::BTreeMap;

/// How many deployments are looked through for the one that made a record good.
const HISTORY: usize = 1000;

/// A request to go back.
#[derive(Clone, Debug, Default)]
pub struct RollbackRequest {
    /// Of this, which Belay never deployed: `to` is one of the platform's own revisions. The scope is [`Uri::scope`].
    pub uri: Option<Uri>,
    /// To this release and no other; absent: the one before if it is good, else the newest good one.
    pub to: Option<ReleaseNumber>,
    /// With a reason: what is taken upon oneself. The journal says so.
    pub accept: Vec<Risk>,
    /// What was wrong with what is gone back from.
    pub trigger: Option<Trigger>,
    /// Only this open deployment is told; those that wait behind it keep their places.
    pub only: Option<DeploymentId>,
    /// To what was there before that deployment: how a rollback is taken back.
    pub undo: Option<DeploymentId>,
    /// With a URI: what is done about those that would undo it; absent: it is refused then.
    pub gitops: Option<Gitops>,
    /// Why.
    pub reason: Option<String>,
    /// The caller's environment variables: where a secret of the form `env:NAME` has another value now, it is used.
    pub env: BTreeMap<String, String>,
}

impl Belay {
    /// Goes back: a signal to what is open, else a new deployment. A worker does it.
    ///
    /// # Errors
    /// There is nothing good to go back to; its artifact is missing or altered; an undo that is none. Nothing was
    /// changed then.
    pub async fn rollback(
        &self,
        scope: &Scope,
        request: &RollbackRequest,
    ) -> Result<Accepted, Error> {
        self.require_key().await?;
        let way = self.way_back(scope, request).await?;
        let view = self.view(scope).await?;
        let resealed = match way.goal() {
            Some(goal) => self.seal_newest(&view, goal, &request.env).await?,
            None => Vec::new(),
        };
        if let Way::Signal {
            to: Some(_),
            goal: Some(goal),
            id,
            ..
        } = &way
        {
            self.require_restorable(goal, Some(id)).await?;
        }
        if request.uri.is_some() {
            self.require_unopposed(scope, &way).await?;
        }
        let mut reason = request.reason.clone();
        let mut keeps_hands = false;
        let mut found = None;
        let (goal, kind, record) = match way {
            Way::Signal { id, to, .. } => {
                let at_us = self.now_us();
                let resealed: Vec<_> = resealed.into_iter().map(|event| (at_us, event)).collect();
                if !resealed.is_empty() {
                    self.store()
                        .append_environment(scope, None, resealed)
                        .await?;
                }
                let ended = self.tell_to_go_back(scope, &id, to, request).await?;
                return Ok(Accepted::Signal { id, ended });
            }
            Way::Return {
                record,
                goal,
                accepts,
                keeps_hands: keeps,
                undeployed,
                ..
            } => {
                found = undeployed;
                if let Some(risk) = accepts {
                    reason = Some(accepted(risk, reason));
                }
                let leaves = view.serving_since().cloned();
                keeps_hands = keeps;
                (goal, Kind::Return { leaves }, Some(*record))
            }
            Way::Undo { goal, of, .. } => {
                let record = goal.record.as_ref();
                let record = record.and_then(|hash| goal.records.get(hash)).cloned();
                (goal, Kind::Undo { of }, record)
            }
        };
        let undone = match &kind {
            Kind::Undo { of } => Some(of),
            Kind::Deploy | Kind::Return { .. } => None,
        };
        let serving = view.serving().map(|known| &known.record);
        let records = goal.records.values().chain(serving);
        let allowed = self.require_rights(scope, records, &[]);
        let restorable = self.require_restorable(&goal, undone);
        // Side by side: who goes back is in a hurry.
        let (allowed, ()) = tokio::try_join!(allowed, restorable)?;
        let id = self.new_id();
        let (mut record, mut more) = (record, resealed);
        if let (Some(found), Some(record)) = (found, &mut record) {
            more.extend(self.keep_undeployed(*found, record, &id).await?);
        }
        let release = record.as_ref().map(|record| record.release);
        let (checks, parallel, back_order) = match &record {
            Some(record) => self.verified_by(scope, record).await?,
            None => (Vec::new(), 1, BackOrder::default()),
        };
        let is_undo = matches!(kind, Kind::Undo { .. });
        let inputs = Inputs {
            kind,
            scope: scope.clone(),
            record,
            goal: (is_undo || keeps_hands).then_some(goal),
            strategy: Strategy::Basic,
            parallel,
            phases: Vec::new(),
            back_order,
            approve: None,
            on_failure: Vec::new(),
            checks,
            bake_ms: 0,
            warm_ms: 0,
            // What the last deployment said counts; nothing new is said here.
            keep_good: 0,
            // There is nothing to go back to from a rollback: a person decides (I9).
            inconclusive: Inconclusive::Ask,
            on_first_failure: FirstFailure::Leave,
            hotfix: None,
            promotion: None,
            actor: self.actor().to_owned(),
            reason,
            back: Back {
                to: None,
                accept: request.accepted(),
                trigger: request.trigger,
            },
        };
        let new = Entrant {
            id,
            ..self.entrant(inputs, more)
        };
        let entered = queue::enter(&*self.store(), &new, Queue::All).await;
        entered.map_err(|error| not_entered(scope, error))?;
        Ok(Accepted::New {
            replaces: Vec::new(),
            supersedes: None,
            id: new.id,
            release,
            behind: Vec::new(),
            remarks: allowed.remarks(),
        })
    }

    /// Tells what is open to go back. Those that wait go first, so that none of them begins in between; answers which.
    async fn tell_to_go_back(
        &self,
        scope: &Scope,
        first: &DeploymentId,
        to: Option<RecordHash>,
        request: &RollbackRequest,
    ) -> Result<Vec<DeploymentId>, Error> {
        let mut ended = Vec::new();
        let back = Back {
            to,
            accept: request.accepted(),
            trigger: request.trigger,
        };
        if request.only.is_some() {
            self.append_abort(first, request.reason.clone(), back)
                .await?;
            return Ok(ended);
        }
        for summary in self.open_in(scope).await?.into_iter().rev() {
            if summary.id != *first {
                let why = request.reason.as_deref();
                let why = why.map_or_else(String::new, |why| format!(": {why}"));
                let reason = format!("it waited behind {first}, which was told to go back{why}");
                self.append_signal(&summary.id, Ask::Abort, Some(reason))
                    .await?;
                ended.insert(0, summary.id);
                continue;
            }
            let is_undone = request.undo.as_ref() == Some(&summary.id);
            let goes_back = summary.phase == Phase::RollingBack
                || (summary.kind != "deploy" && summary.phase != Phase::NeedsOperator);
            // Asked twice is asked once: a signal to a rollback would turn it round.
            if !goes_back || is_undone {
                self.append_abort(first, request.reason.clone(), back.clone())
                    .await?;
            }
        }
        Ok(ended)
    }

    async fn append_abort(
        &self,
        id: &DeploymentId,
        reason: Option<String>,
        back: Back,
    ) -> Result<(), Error> {
        let reason = match (&back.to, back.accept.first()) {
            (Some(_), Some(risk)) => Some(accepted(*risk, reason)),
            _ => reason,
        };
        self.append_said(id, Ask::Abort, reason, back).await
    }

    /// The goal must be there to be built again; otherwise nothing is changed.
    async fn require_restorable(
        &self,
        goal: &Goal,
        gone: Option<&DeploymentId>,
    ) -> Result<(), Error> {
        let targets = self.targets_of(goal, gone).await?;
        match self.restorable(&targets, goal).await? {
            Restorability::No(lines) => Err(not_restorable(goal, lines)),
            Restorability::Exact { .. } | Restorability::Partial(_) => Ok(()),
        }
    }

    /// What a deployment started from.
    pub(crate) async fn inputs_of(&self, id: &DeploymentId) -> Result<Option<Inputs>, Error> {
        let entries = self.store().events(id, 0).await?;
        Ok(entries.into_iter().find_map(|entry| match entry.event {
            Event::Created(inputs) => Some(*inputs),
            _ => None,
        }))
    }

    /// The checks that made a record good (I7), how many targets were served side by side then, and how much of its capacity
    /// is needed: as the last deployment had it that put it out and succeeded, else the last that tried.
    pub(crate) async fn verified_by(
        &self,
        scope: &Scope,
        record: &Record,
    ) -> Result<(Vec<Check>, u16, BackOrder), Error> {
        let hash = record.hash();
        let mut tries = self.store().history(scope, HISTORY).await?;
        tries.retain(|summary| summary.kind == "deploy" && summary.record.as_ref() == Some(&hash));
        let good = tries
            .iter()
            .find(|summary| summary.outcome == Some(Outcome::Succeeded));
        let Some(chosen) = good.or(tries.first()) else {
            return Ok((Vec::new(), 1, BackOrder::default()));
        };
        let inputs = self.inputs_of(&chosen.id).await?;
        Ok(
            inputs.map_or((Vec::new(), 1, BackOrder::default()), |inputs| {
                // The order is that of phases, and going back to a record has none.
                let order = BackOrder {
                    capacity: inputs.back_order.capacity,
                    ask_within: inputs.back_order.ask_within,
                    foreign_change: inputs.back_order.foreign_change,
                    ..BackOrder::default()
                };
                (inputs.checks, inputs.parallel, order)
            }),
        )
    }
}

impl RollbackRequest {
    /// Without a reason nothing is accepted: it would not be recorded.
    pub(crate) fn accepted(&self) -> Vec<Risk> {
        match self.reason {
            Some(_) => self.accept.clone(),
            None => Vec::new(),
        }
    }

    pub(crate) fn accepts(&self, risk: Risk) -> bool {
        self.reason.is_some() && self.accept.contains(&risk)
    }
}

fn accepted(risk: Risk, reason: Option<String>) -> String {
    let why = reason.unwrap_or_default();
    format!("{risk}, and accepted as such: {why}")
}

pub(crate) fn not_restorable(goal: &Goal, lines: Vec<String>) -> Error {
    let record = goal.record.as_ref();
    let record = record.and_then(|hash| goal.records.get(hash));
    let record = record.or_else(|| goal.records.values().next());
    Error::NotRestorable {
        goal: goal.title.clone(),
        artifact: record.map(|record| record.artifact.clone()),
        lines,
    }
}
