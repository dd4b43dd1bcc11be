//! Leases in memory: of one worker at a time, each new one taking over at once; or living by a clock.

use super::data::Data;
use belay_engine::lease::{Lease, Owner};
use belay_engine::ports::{Clock, StoreError};
use belay_model::id::{DeploymentId, Scope};
use belay_model::summary::Phase;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// By which clock leases live, and how long.
#[derive(Clone)]
pub(super) struct Lives {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lease_ms: u64,
}

/// What is known of a scope's lease.
#[derive(Clone, Default)]
pub(super) struct Hold {
    pub(super) epoch: u64,
    owner: Option<String>,
    /// The how-manieth claim it was, over all scopes.
    served: u64,
}

pub(super) struct Wanted<'a> {
    pub(super) owner: &'a Owner,
    pub(super) held: &'a [Lease],
    pub(super) now_us: i64,
    pub(super) at_most: usize,
}

impl Data {
    pub(super) fn claim(
        &mut self,
        wanted: &Wanted<'_>,
        lives: Option<&Lives>,
    ) -> Result<Vec<Lease>, StoreError> {
        let name = &wanted.owner.name;
        match lives {
            None => self.take_over(name)?,
            Some(lives) => {
                let now_ms = lives.clock.monotonic_ms();
                self.alive.retain(|_, until_ms| *until_ms > now_ms);
                let until_ms = now_ms + lives.lease_ms;
                let until = self.alive.entry(name.clone()).or_insert(until_ms);
                if wanted.held.is_empty() {
                    *until = until_ms;
                }
            }
        }
        for (scope, hold) in &mut self.holds {
            let named = |lease: &Lease| lease.scope == *scope && lease.epoch == hold.epoch;
            let is_ours = hold.owner.as_ref() == Some(name);
            if is_ours && !wanted.held.iter().any(named) {
                hold.owner = None;
            }
        }
        let mut free: Vec<Scope> = self
            .with_work(wanted, lives.is_some())
            .into_iter()
            .filter(|scope| !self.is_held(scope))
            .collect();
        free.sort_by_key(|scope| self.turn(scope));
        free.truncate(wanted.at_most);
        let mut leases = Vec::new();
        for scope in free {
            self.claimed += 1;
            let hold = self.holds.entry(scope.clone()).or_default();
            hold.epoch += 1;
            hold.owner = Some(name.clone());
            hold.served = self.claimed;
            let epoch = hold.epoch;
            leases.push(Lease { scope, epoch });
        }
        Ok(leases)
    }

    /// What comes first is served first: services that were not for longest, and of each the scope that was not.
    fn turn(&self, scope: &Scope) -> (u64, u64, Scope) {
        let same = |one: &&Scope| one.service == scope.service;
        let served = |one: &Scope| self.holds.get(one).map_or(0, |hold| hold.served);
        let of_service = self.holds.keys().filter(same).map(served).max();
        (of_service.unwrap_or(0), served(scope), scope.clone())
    }

    /// One worker at a time: whoever comes new is the one.
    fn take_over(&mut self, name: &str) -> Result<(), StoreError> {
        match self.owners.iter().position(|owner| owner == name) {
            None => {
                self.owners.push(name.to_owned());
                self.holds.values_mut().for_each(|hold| hold.owner = None);
                Ok(())
            }
            Some(nth) if nth + 1 == self.owners.len() => Ok(()),
            Some(_) => Err(StoreError::Fenced(format!("the work of {name}"))),
        }
    }

    fn with_work(&self, wanted: &Wanted<'_>, on_hosts: bool) -> BTreeSet<Scope> {
        let is_here = |id: &DeploymentId| {
            let host = self.hosts.get(id).and_then(Option::as_ref);
            !on_hosts || host.is_none_or(|host| *host == wanted.owner.host)
        };
        let mut scopes = BTreeSet::new();
        let open: BTreeSet<&Scope> = self.open().map(|summary| &summary.scope).collect();
        for scope in open {
            let head = self.oldest_open(scope);
            if head.is_some_and(|one| one.phase != Phase::NeedsOperator && is_here(&one.id)) {
                scopes.insert(scope.clone());
            }
        }
        for scope in self.streams.keys() {
            let view = self.view(scope);
            let due = view.cleanups.values().any(|cleanup| {
                cleanup.due_ms <= wanted.now_us / 1000 && is_here(&cleanup.deployment)
            });
            if due && self.oldest_open(scope).is_none() {
                scopes.insert(scope.clone());
            }
        }
        scopes
    }

    fn is_held(&self, scope: &Scope) -> bool {
        let owner = self.holds.get(scope).and_then(|hold| hold.owner.as_ref());
        owner.is_some_and(|owner| self.alive.contains_key(owner) || self.owners.contains(owner))
    }

    pub(super) fn renew(
        &mut self,
        owner: &Owner,
        held: &[Lease],
        lives: Option<&Lives>,
    ) -> Vec<Lease> {
        if let Some(lives) = lives
            && let Some(until_ms) = self.alive.get_mut(&owner.name)
        {
            *until_ms = lives.clock.monotonic_ms() + lives.lease_ms;
        }
        let is_alive = lives.is_none() || self.alive.contains_key(&owner.name);
        let is_ours = |lease: &&Lease| {
            let hold = self.holds.get(&lease.scope);
            let same = hold.is_some_and(|hold| {
                hold.epoch == lease.epoch && hold.owner.as_ref() == Some(&owner.name)
            });
            same && is_alive
        };
        let lost = held.iter().filter(|lease| !is_ours(lease));
        lost.cloned().collect()
    }

    pub(super) fn resign(&mut self, owner: &Owner) {
        self.alive.remove(&owner.name);
        for hold in self.holds.values_mut() {
            if hold.owner.as_ref() == Some(&owner.name) {
                hold.owner = None;
            }
        }
    }

    pub(super) fn usurp(&mut self, scope: &Scope, name: &str, lives: Option<&Lives>) {
        if let Some(lives) = lives {
            let until_ms = lives.clock.monotonic_ms() + lives.lease_ms;
            self.alive.insert(name.to_owned(), until_ms);
        }
        let hold = self.holds.entry(scope.clone()).or_default();
        hold.epoch += 1;
        hold.owner = Some(name.to_owned());
    }

    pub(super) fn is_held_by(&self, scope: &Scope, name: &str, lives: Option<&Lives>) -> bool {
        let owner = self.holds.get(scope).and_then(|hold| hold.owner.as_deref());
        let is_alive = |lives: &Lives| {
            let until_ms = self.alive.get(name).copied().unwrap_or(0);
            until_ms > lives.clock.monotonic_ms()
        };
        owner == Some(name) && lives.is_none_or(is_alive)
    }

    pub(super) fn holders(&self, lives: Option<&Lives>) -> BTreeMap<Scope, String> {
        let is_alive = |owner: &String| match lives {
            None => true,
            Some(lives) => {
                let until_ms = self.alive.get(owner).copied().unwrap_or(0);
                until_ms > lives.clock.monotonic_ms()
            }
        };
        let held = self.holds.iter().filter_map(|(scope, hold)| {
            let owner = hold.owner.clone().filter(is_alive)?;
            Some((scope.clone(), owner))
        });
        held.collect()
    }
}
