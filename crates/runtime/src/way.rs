//! Which way back there is: a signal, a return or an undo, and its goal. Rollback, preview and readiness ask the same.

use crate::uri::{self, Undeployed};
use crate::{Belay, Error, RollbackRequest};
use belay_engine::fold::Deployment;
use belay_engine::goal::{self, Choice, Skipped};
use belay_model::back::Risk;
use belay_model::environment::{Known, Standing, View};
use belay_model::event::{Kind, Outcome, RollbackResult};
use belay_model::id::{DeploymentId, RecordHash, Scope};
use belay_model::release::Record;
use belay_model::state::Goal;
use belay_model::summary::{Phase, Summary};

/// How many deployments are looked through for the last one that changed something.
const LOOKED_THROUGH: usize = 64;

/// A way back.
pub(crate) enum Way {
    /// A deployment is open: it goes back itself (I12). No goal: nothing was changed by it yet, or a person has to say.
    Signal {
        id: DeploymentId,
        goal: Option<Goal>,
        /// The record that someone wants instead of what was there before.
        to: Option<RecordHash>,
        remarks: Vec<String>,
        skipped: Vec<Skipped>,
        /// Those that wait behind it. They end, too: going back would be undone by the next one at once.
        ends: Vec<Summary>,
    },
    /// To a record that was good, or that someone wants all the same.
    Return {
        record: Box<Record>,
        goal: Goal,
        /// What is taken upon oneself by going there.
        accepts: Option<Risk>,
        /// How what was there before differed from the record, one line each: someone had changed it by hand.
        hands: Vec<String>,
        /// The goal is what was really there; otherwise those changes are lost.
        keeps_hands: bool,
        skipped: Vec<Skipped>,
        /// Belay never deployed what is there.
        undeployed: Option<Box<Undeployed>>,
    },
    /// To what was there before a deployment; what is quarantined there is lifted to that standing.
    Undo {
        goal: Goal,
        of: DeploymentId,
        lifts: Option<Standing>,
    },
}

impl Way {
    pub(crate) fn goal(&self) -> Option<&Goal> {
        match self {
            Self::Signal { goal, .. } => goal.as_ref(),
            Self::Return { goal, .. } | Self::Undo { goal, .. } => Some(goal),
        }
    }

    /// The deployment that is taken back: its release may be on targets that the goal knows nothing of.
    pub(crate) fn takes_back(&self) -> Option<&DeploymentId> {
        match self {
            Self::Signal { id, .. } | Self::Undo { of: id, .. } => Some(id),
            Self::Return { .. } => None,
        }
    }
}

impl Belay {
    pub(crate) async fn way_back(
        &self,
        scope: &Scope,
        request: &RollbackRequest,
    ) -> Result<Way, Error> {
        let view = self.view(scope).await?;
        let mut open = self.open_in(scope).await?.into_iter();
        if let Some(only) = &request.only {
            let found = open.find(|summary| summary.id == *only);
            let summary = found.ok_or_else(|| Error::NotAsked {
                id: only.clone(),
                ask: "go back",
                why: "it has ended".to_owned(),
                has_ended: true,
            })?;
            if summary.phase == Phase::RollingBack {
                return Err(Error::NotAsked {
                    id: summary.id,
                    ask: "go back",
                    why: "it goes back already".to_owned(),
                    has_ended: false,
                });
            }
            return self
                .through_open(&view, &summary, Vec::new(), request)
                .await;
        }
        if let Some(first) = open.next() {
            if request.undo.as_ref().is_some_and(|of| *of != first.id) {
                return Err(no_undo(request, "another one is open", Some(first.id)));
            }
            if let (Some(uri), Some(_)) = (&request.uri, request.to) {
                return Err(is_open(uri, &first.id).into());
            }
            return self
                .through_open(&view, &first, open.collect(), request)
                .await;
        }
        match (&request.undo, &request.uri) {
            (Some(of), _) => self.undo(scope, &view, of, request).await,
            (None, Some(uri)) => self.way_of_uri(uri, &view, request).await,
            (None, None) => self.to_good(scope, &view, request).await,
        }
    }

    pub(crate) async fn fold(&self, id: &DeploymentId) -> Result<Deployment, Error> {
        let entries = self.store().events(id, 0).await?;
        Ok(Deployment::of(id.clone(), &entries))
    }

    async fn through_open(
        &self,
        view: &View,
        open: &Summary,
        ends: Vec<Summary>,
        request: &RollbackRequest,
    ) -> Result<Way, Error> {
        let id = open.id.clone();
        let deployment = self.fold(&id).await?;
        let planned = deployment.baseline_goal.is_some();
        let (mut goal, mut remarks) = if planned {
            let inputs = deployment.inputs.iter();
            let goals = inputs.clone().flat_map(|inputs| &inputs.goal);
            let goals = goals.chain(&deployment.baseline_goal);
            let records = goals.flat_map(|goal| goal.records.values());
            let own = inputs.flat_map(|inputs| &inputs.record);
            let targets = self.targets(own.chain(records))?;
            goal::undo(&targets, view, &deployment)
        } else {
            (None, vec!["it has changed nothing yet".to_owned()])
        };
        let back = deployment.plans.last();
        let back = back.filter(|_| deployment.is_turned_round());
        let release = |goal: &Goal| Some(goal.records.get(goal.record.as_ref()?)?.release);
        let (mut to, mut skipped) = (None, Vec::new());
        let leads_there = request.to.is_none_or(|wanted| {
            let goal = back.map_or(goal.as_ref(), |back| back.goal.as_ref());
            goal.and_then(release) == Some(wanted) && !request.accepts(Risk::Drift)
        });
        if let Some(wanted) = request.to.filter(|_| !leads_there) {
            let is_stuck = open.phase == Phase::NeedsOperator;
            if !planned || (deployment.goes_back() && !is_stuck) {
                let leads_to =
                    goal.map_or_else(|| "what is there now".to_owned(), |goal| goal.title);
                return Err(Error::Open {
                    to: wanted,
                    open: id,
                    leads_to,
                });
            }
            let unproven = request.accepts(Risk::Unproven);
            let choice = goal::choose_from(view, &deployment, wanted, unproven);
            skipped = choice.skipped;
            let Some(record) = choice.record else {
                return Err(Error::NothingGood {
                    scope: open.scope.clone(),
                    to: request.to,
                    skipped,
                });
            };
            let own = deployment.inputs.iter();
            let own = own.flat_map(|inputs| &inputs.record);
            let targets = self.targets(own.chain([&record]))?;
            to = Some(record.hash());
            (goal, remarks) = goal::elsewhere(&targets, view, &deployment, &record.hash());
        } else if let Some(back) = back {
            remarks = vec!["it goes back already".to_owned()];
            goal.clone_from(&back.goal);
        }
        Ok(Way::Signal {
            id,
            goal,
            to,
            remarks,
            skipped,
            ends,
        })
    }

    async fn to_good(
        &self,
        scope: &Scope,
        view: &View,
        request: &RollbackRequest,
    ) -> Result<Way, Error> {
        let choice = match request.to {
            Some(to) if request.accepts(Risk::Unproven) => goal::choose_unproven(view, to),
            to => goal::choose(view, to),
        };
        let is_unproven = choice.standing == Some(Standing::Candidate);
        let Choice {
            record, skipped, ..
        } = choice;
        let Some(record) = record else {
            return Err(Error::NothingGood {
                scope: scope.clone(),
                to: request.to,
                skipped,
            });
        };
        let serving = view.serving().map(|known| &known.record);
        let targets = self.targets(std::iter::once(&record).chain(serving))?;
        let mut goal = goal::of_record(&targets, &record);
        let mut accepts = is_unproven.then_some(Risk::Unproven);
        let (mut hands, mut keeps_hands) = (Vec::new(), false);
        // Where it is what was there before the deployment that serves, going back is undoing that one.
        if let Some(before) = self.before_serving(view, &record).await? {
            let before = goal::by_hand(&targets, view, &record, &before);
            hands = before.hands;
            if !hands.is_empty() && request.accepts(Risk::Drift) {
                accepts = Some(Risk::Drift);
            } else if !hands.is_empty() && !before.is_broken {
                goal = before.goal;
                keeps_hands = true;
            }
        }
        Ok(Way::Return {
            record: Box::new(record),
            goal,
            accepts,
            hands,
            keeps_hands,
            skipped,
            undeployed: None,
        })
    }

    /// What was there before the deployment that brought what serves, if it ran that record.
    async fn before_serving(&self, view: &View, record: &Record) -> Result<Option<Goal>, Error> {
        let Some(since) = view.serving_since() else {
            return Ok(None);
        };
        let before = self.fold(since).await?.baseline_goal;
        Ok(before.filter(|before| before.record.as_ref() == Some(&record.hash())))
    }

    async fn undo(
        &self,
        scope: &Scope,
        view: &View,
        of: &DeploymentId,
        request: &RollbackRequest,
    ) -> Result<Way, Error> {
        // What was replaced in the queue had changed nothing.
        let history = self.store().history(scope, LOOKED_THROUGH).await?;
        let mut begun = history.into_iter().filter(has_begun);
        let last = begun.next();
        let Some(last) = last.clone().filter(|last| last.id == *of) else {
            let known = self.store().summary(of).await?;
            let why = match known {
                Some(known) if known.scope == *scope => "it is not the last one".to_owned(),
                Some(known) => format!("it is one of {}", known.scope),
                None => "there is no such deployment".to_owned(),
            };
            return Err(no_undo(request, &why, last.map(|last| last.id)));
        };
        let deployment = self.fold(of).await?;
        let captured = deployment.baseline_goal.clone();
        let Some(mut goal) = captured else {
            return Err(no_undo(request, "it captured nothing", None));
        };
        let is_back = matches!(
            last.outcome,
            Some(Outcome::Failed {
                rollback: RollbackResult::Complete | RollbackResult::None,
                ..
            })
        );
        if is_back
            && deployment
                .inputs
                .as_ref()
                .is_some_and(|inputs| inputs.kind == Kind::Deploy)
        {
            return Err(no_undo(
                request,
                "it went back already, so what was there before is there now",
                None,
            ));
        }
        // The target is named by a record; where nothing was before, the one that was brought names it.
        if goal.records.is_empty() {
            let inputs = deployment.inputs.as_ref();
            if let Some(record) = inputs.and_then(|inputs| inputs.record.clone()) {
                goal.records.insert(record.hash(), record);
            }
        }
        let known = goal.record.as_ref().and_then(|hash| view.records.get(hash));
        let lifts = known
            .filter(|known| known.standing == Standing::Quarantined)
            .map(Known::lifted);
        Ok(Way::Undo {
            goal,
            of: of.clone(),
            lifts,
        })
    }
}

/// A number is one of the platform's there, and an open one goes to what was there before it.
fn is_open(uri: &uri::Uri, id: &DeploymentId) -> uri::Error {
    uri::Error::NoRevision {
        title: uri.title(),
        why: format!("{id} is open, and goes back to what was there before it"),
        passed_over: Vec::new(),
        next: format!("leave `--to` out, or wait for it: `belay watch {id}`"),
    }
}

/// It was not replaced before its turn came.
fn has_begun(summary: &Summary) -> bool {
    !matches!(summary.outcome, Some(Outcome::Replaced { .. }))
}

fn no_undo(request: &RollbackRequest, why: &str, instead: Option<DeploymentId>) -> Error {
    Error::NoUndo {
        of: request
            .undo
            .clone()
            .unwrap_or_else(|| DeploymentId::new("it")),
        why: why.to_owned(),
        instead,
    }
}
