//! The driver trait.

use crate::context::Context;
use crate::error::Error;
use crate::remark::Remark;
use async_trait::async_trait;
use belay_model::id::RecordHash;
use belay_model::plan::Effect;
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, Goal, State};
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::sync::watch;

/// How traffic is shared while two releases serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// By weight: any share.
    Weights,
    /// By the number of instances that each has: a share is rounded up to whole ones, and to hold one the old release
    /// is made smaller.
    Instances,
    /// As the platform replaces one by the other, by itself: nobody can hold a share.
    Platform,
    /// There is none: what is there works. A share is one of the capacity, and of nothing else.
    None,
}

/// What a platform can do at a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How traffic is shared.
    pub split: Split,
    /// A release can be ready while all of the old one still serves, before any traffic goes to it. False: what is
    /// brought up is reached at once, or takes the place of what was there, so nothing can be checked at `staged`.
    pub staged: bool,
    /// The old release can stand ready without traffic after a switch. False: it is at work until it is removed, so every
    /// strategy ends with its removal.
    pub warm_standby: bool,
    /// What is asked for next takes the place of what was accepted and is still on its way, at once: who wants something else
    /// need not see that to its end. [`Driver::settle`] without a handle then waits for requests only.
    pub supersedes: bool,
    /// Copies that are replaced one by one, by a rolling strategy or by the platform. None: a release is replaced whole.
    pub units: u32,
}

/// How much is asked for in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Instances that are asked for, ready or not: of what is at work, and of the largest of several groups that are.
    pub desired: u32,
    /// The fewest and the most instances that an autoscaler may ask for here; absent: there is none, or nobody can tell.
    pub bounds: Option<(u32, u32)>,
}

/// What becomes of the old capacity in one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    /// It stays as it is; what cannot stand by goes once the goal has all of the traffic.
    Keep,
    /// It is reduced to the share of the traffic, or of the work, that it still has.
    Proportional,
    /// It is removed whole.
    Remove,
}

/// One stage of a strategy: how far one call of [`Driver::plan`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Share of the traffic that the goal has when the stage is done, per mille. What it has already is not taken away.
    pub share: u32,
    /// Share of the goal's capacity that is there and ready before traffic moves, per mille, rounded up. How many instances
    /// all of it are the goal says: one that needs more than its own is given as [`Driver::scaled`] makes it.
    pub capacity: u32,
    /// What becomes of the rest.
    pub old: Old,
    /// What others have changed by hand, and what they say is theirs, is taken from them where the goal wants it otherwise. Only
    /// a way back does that; forward it is a conflict (I10).
    pub overwrites: bool,
}

impl Stage {
    /// All at once, the rest removed: how one goes back.
    pub const BACK: Stage = Stage {
        share: 1000,
        capacity: 1000,
        old: Old::Remove,
        overwrites: true,
    };

    /// Whether it leads to the goal and leaves nothing else, whoever it takes things from.
    pub fn is_whole(self) -> bool {
        let overwrites = true;
        Stage { overwrites, ..self } == Self::BACK
    }
}

/// What a call did.
#[derive(Clone, Debug)]
pub enum Applied {
    /// It is done; times are Unix microseconds by name (`t0`, `t3`, `t4`) as far as the platform tells.
    Done {
        /// Times.
        times: BTreeMap<String, i64>,
    },
    /// The platform works on it; ask with the handle.
    Accepted {
        /// How to ask.
        handle: Value,
    },
}

/// What became of a call that we lost sight of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing of it can still happen: what is observed now is what it did.
    Quiet,
    /// It is known to have been done whole.
    Done,
}

/// Whether a goal can be reached right now.
#[derive(Clone, Debug, PartialEq)]
pub enum Restorability {
    /// Exactly; predicted time in milliseconds, if there is a base for one.
    Exact {
        /// Predicted time.
        millis: Option<u64>,
    },
    /// Except for these, one line each.
    Partial(Vec<String>),
    /// Not; one line each.
    No(Vec<String>),
}

/// One of the platform's own versions.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The platform's name for it.
    pub name: String,
    /// In words.
    pub title: String,
    /// Its number, where the platform counts them.
    pub number: Option<u64>,
    /// Since when, Unix microseconds, if the platform tells.
    pub since_us: Option<i64>,
    /// What it runs; empty: the platform does not tell.
    pub images: Vec<String>,
    /// Why it was made, where somebody said so.
    pub cause: Option<String>,
    /// It is what is asked for now.
    pub is_current: bool,
    /// Whether it ever served as it shall.
    pub availability: Availability,
}

/// Whether one of the platform's versions ever was available, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It was, or is.
    Yes(String),
    /// It was not, as far as was seen.
    No(String),
    /// Nobody can tell: why.
    Unknown(String),
}

impl Availability {
    /// How it is known, or why it is not.
    pub fn why(&self) -> &str {
        match self {
            Self::Yes(why) | Self::No(why) | Self::Unknown(why) => why,
        }
    }
}

/// The code for one platform.
#[async_trait]
pub trait Driver: Send + Sync {
    /// What the platform can do at `target`.
    fn capabilities(&self, target: &Target) -> Capabilities;

    /// The state of `target`, one of the record's, in which `record` alone serves. Pure.
    fn desired(&self, record: &Record, target: &Target) -> State;

    /// The steps of one stage from `from` towards what `goal` wants of `target`, waves in order (grow, switch, shrink), as few as possible:
    /// what is there already is no step. Pure.
    ///
    /// # Errors
    /// The goal or the stage is impossible on this platform.
    fn plan(
        &self,
        target: &Target,
        from: &State,
        goal: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error>;

    /// The step as commands of the platform's own client, for a shell: what works when Belay is gone. `from`: what was there
    /// before; `records`: those that the step may be about. None: there are no such commands for it. Reads artifacts, and asks
    /// no platform.
    async fn in_shell(
        &self,
        _target: &Target,
        _from: &State,
        _effect: &Effect,
        _records: &BTreeMap<RecordHash, Record>,
    ) -> Option<String> {
        None
    }

    /// What people should know before any of `effects`, planned from `from`, is done; changes nothing. What cannot be looked at for
    /// want of rights is left out. Without an effect: what is in the way of every change of the target.
    ///
    /// # Errors
    /// The platform does not answer.
    async fn remarks(
        &self,
        _cx: &Context,
        _target: &Target,
        _from: &State,
        _effects: &[Effect],
    ) -> Result<Vec<Remark>, Error> {
        Ok(Vec::new())
    }

    /// What `target` will look like after `effect`, for planning the next stage. Pure.
    fn after(&self, target: &Target, from: &State, effect: &Effect) -> State;

    /// How many instances `state` asks for. None: nothing is at work there, or the platform has no such number of the
    /// target's own (the plan that several sites share, an autoscaler that starts from nothing). Pure.
    fn capacity(&self, target: &Target, state: &State) -> Option<Capacity>;

    /// `state` with that many instances of what is at work there, and all else as it is, shares of the traffic too; the same
    /// state where there is no such number. From a state at work with more of them to one with fewer, [`Driver::plan`] has
    /// steps of the shrink wave only. Pure.
    fn scaled(&self, target: &Target, state: &State, instances: u32) -> State;

    /// What keeps `have` from being `want`. More instances than are wanted keep nobody from a goal: someone scaled them, and
    /// that is informational; fewer are `must`. Pure.
    fn diff(&self, want: &State, have: &State) -> Difference;

    /// What is there, read only.
    async fn observe(&self, cx: &Context, target: &Target) -> Result<State, Error>;

    /// Tells of changes: marked as changed each time that the health of what runs on `target` may be another, until the
    /// sender is gone. None: the platform tells nobody, and whoever wants to know looks from time to time.
    async fn changes(&self, _cx: &Context, _target: &Target) -> Option<watch::Receiver<()>> {
        None
    }

    /// Does one step. `seen` is what the caller believes is there: the platform's preconditions come from it.
    /// Must be safe to drop at any await: what it began goes on or not, and `settle` tells.
    async fn apply(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        seen: &State,
    ) -> Result<Applied, Error>;

    /// Finds out what became of a call that we lost sight of; returns when nothing of it can still happen.
    async fn settle(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        handle: Option<&Value>,
    ) -> Result<Settled, Error>;

    /// Whether `goal` can be reached right now; changes nothing.
    async fn restorable(
        &self,
        cx: &Context,
        target: &Target,
        goal: &Goal,
    ) -> Result<Restorability, Error>;

    /// The platform's own versions, newest first.
    async fn history(&self, cx: &Context, target: &Target) -> Result<Vec<Revision>, Error>;
}
