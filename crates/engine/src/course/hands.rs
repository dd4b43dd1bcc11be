//! What a course has in hand: calls and watches that run beside its loop, one per step. They tell the loop what came of
//! them; only the loop appends.

use super::rest::Quiet;
use super::run::Times;
use crate::ports::Clock;
use belay_model::error::Failure;
use belay_model::event::Finish;
use belay_model::id::StepId;
use belay_model::state::State;
use belay_model::verdict::Verdict;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

/// What came of a step that was in hand.
pub(super) enum Note {
    /// An attempt of an effect ended.
    Attempted {
        attempt: u32,
        outcome: Result<Times, Failure>,
        /// What is there now; none: it could not be observed.
        state: Option<State>,
    },
    /// What became of an attempt that was lost sight of.
    Settled {
        attempt: u32,
        finish: Finish,
        state: Option<State>,
    },
    /// A verification decided.
    Decided(Verdict),
    /// A verification only waits from now on.
    Rests(Quiet),
    /// One that only waited has to go on.
    Stirs(Quiet),
}

/// The platform took a call and works on it; its handle has to be durable before it is followed.
pub(super) struct Accepted {
    pub(super) step: StepId,
    pub(super) attempt: u32,
    pub(super) handle: Value,
    pub(super) go_on: oneshot::Sender<()>,
}

struct Hand {
    /// Tells this one from an earlier one of the same step.
    token: u64,
    task: AbortHandle,
    /// It may be changing the world, and can be cut off all the same.
    is_call: bool,
    /// It only waits: what for.
    quiet: Option<Quiet>,
}

/// See the module. Dropping it stops everything in it.
pub(super) struct Hands {
    tasks: JoinSet<(StepId, u64, Note)>,
    held: BTreeMap<StepId, Hand>,
    steps: BTreeSet<StepId>,
    next_token: u64,
    accepted: (
        mpsc::UnboundedSender<Accepted>,
        mpsc::UnboundedReceiver<Accepted>,
    ),
}

/// What a hand has to tell.
pub(super) enum Told {
    Note(StepId, Note),
    Accepted(Accepted),
}

impl Hands {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            held: BTreeMap::new(),
            steps: BTreeSet::new(),
            next_token: 0,
            accepted: mpsc::unbounded_channel(),
        }
    }

    /// Steps in hand.
    pub(super) fn steps(&self) -> &BTreeSet<StepId> {
        &self.steps
    }

    /// Where a call says that it was accepted.
    pub(super) fn acceptance(&self) -> mpsc::UnboundedSender<Accepted> {
        self.accepted.0.clone()
    }

    /// A call that changes the world.
    pub(super) fn call(&mut self, step: StepId, call: impl Future<Output = Note> + Send + 'static) {
        self.take(step, true, None, call);
    }

    /// Something that only looks.
    pub(super) fn look(&mut self, step: StepId, look: impl Future<Output = Note> + Send + 'static) {
        self.take(step, false, None, look);
    }

    /// A verification that only waits.
    pub(super) fn rest(&mut self, step: StepId, quiet: Quiet, clock: Arc<dyn Clock>) {
        let waited = quiet.clone();
        self.take(step, false, Some(quiet), async move {
            waited.clone().stirs(clock.as_ref()).await;
            Note::Stirs(waited)
        });
    }

    /// What is waited for, where nothing else is in hand and none of it has to go on.
    pub(super) fn at_rest(&self, now_us: i64) -> Option<BTreeMap<StepId, Quiet>> {
        let quiet = |hand: &Hand| hand.quiet.clone().filter(|it| it.is_quiet(now_us));
        let bakes = self.held.iter();
        let bakes = bakes.map(|(step, hand)| Some((*step, quiet(hand)?)));
        let bakes: Option<BTreeMap<_, _>> = bakes.collect();
        bakes.filter(|bakes| !bakes.is_empty())
    }

    fn take(
        &mut self,
        step: StepId,
        is_call: bool,
        quiet: Option<Quiet>,
        work: impl Future<Output = Note> + Send + 'static,
    ) {
        let token = self.next_token;
        self.next_token += 1;
        let task = self.tasks.spawn(async move { (step, token, work.await) });
        let hand = Hand {
            token,
            task,
            is_call,
            quiet,
        };
        self.held.insert(step, hand);
        self.steps.insert(step);
    }

    /// Stops it. What a call had begun goes on or not: it was lost sight of.
    pub(super) fn drop(&mut self, step: StepId) {
        if let Some(hand) = self.held.remove(&step) {
            hand.task.abort();
        }
        self.steps.remove(&step);
    }

    /// Whether calls are in hand.
    pub(super) fn has_calls(&self) -> bool {
        self.held.values().any(|hand| hand.is_call)
    }

    /// The steps whose calls are in hand.
    pub(super) fn calls(&self) -> impl Iterator<Item = StepId> {
        let calls = self.held.iter().filter(|(_, hand)| hand.is_call);
        calls.map(|(step, _)| *step)
    }

    /// Stops all calls.
    pub(super) fn drop_calls(&mut self) {
        for step in self.calls().collect::<Vec<_>>() {
            self.drop(step);
        }
    }

    /// The next thing that one of them tells; never, while there is none.
    ///
    /// # Panics
    /// With the panic of what was in hand.
    pub(super) async fn told(&mut self) -> Told {
        loop {
            tokio::select! {
                biased;
                Some(accepted) = self.accepted.1.recv() => return Told::Accepted(accepted),
                Some(done) = self.tasks.join_next() => {
                    let (step, token, note) = match done {
                        Ok(done) => done,
                        Err(error) if error.is_cancelled() => continue,
                        Err(error) => std::panic::resume_unwind(error.into_panic()),
                    };
                    // Of one that was dropped just as it ended nobody wants to know.
                    if self.held.get(&step).is_some_and(|hand| hand.token == token) {
                        self.held.remove(&step);
                        self.steps.remove(&step);
                        return Told::Note(step, note);
                    }
                }
                else => std::future::pending().await,
            }
        }
    }
}
