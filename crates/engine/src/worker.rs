//! The worker: one task per scope, each running that scope's deployments in the order they were asked for, and its
//! clean-ups between them. The oldest open deployment of a scope holds its lock: there is no lock apart from the
//! journal that could be left behind.

use crate::cleanup;
use crate::course::{Course, Left};
use crate::ports::{Batch, Ports, StoreError, Writer};
use belay_model::environment::View;
use belay_model::event::Event;
use belay_model::id::{DeploymentId, Scope};
use futures_util::FutureExt;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use tokio::task::{JoinError, JoinSet};

/// Pause after the store could not be used, milliseconds.
const STORE_PAUSE_MS: u64 = 500;

/// See the module.
#[derive(Clone)]
pub struct Worker {
    ports: Ports,
    owner: String,
}

/// Why the worker stopped.
#[derive(Debug, PartialEq)]
pub enum Stop {
    /// Nothing is open and nothing will be due.
    Idle,
}

impl Worker {
    /// `owner` names this process in `Claimed`: host, pid and a random part.
    pub fn new(ports: Ports, owner: impl Into<String>) -> Self {
        Self {
            ports,
            owner: owner.into(),
        }
    }

    /// Works until nothing is open and no clean-up is owed. Dropping it stops everything it does.
    ///
    /// # Errors
    /// The store cannot be read at all, or another worker has taken over what this one was at: it has no say any more.
    pub async fn run(&self) -> Result<Stop, StoreError> {
        let mut tasks: JoinSet<(Scope, Result<(), StoreError>)> = JoinSet::new();
        let mut at_work = BTreeSet::new();
        loop {
            let generation = self.ports.store.generation();
            while let Some(done) = tasks.try_join_next() {
                let (scope, done) = ended(done);
                done?;
                at_work.remove(&scope);
            }
            for scope in self.ports.store.scopes().await? {
                if !at_work.contains(&scope) && self.has_work(&scope).await? {
                    at_work.insert(scope.clone());
                    let worker = self.clone();
                    tasks.spawn(async move {
                        let done = worker.scope(&scope).await;
                        (scope, done)
                    });
                }
            }
            if at_work.is_empty() {
                self.collect().await;
                return Ok(Stop::Idle);
            }
            tokio::select! {
                biased;
                Some(done) = tasks.join_next() => {
                    let (scope, done) = ended(done);
                    done?;
                    at_work.remove(&scope);
                }
                () = self.ports.store.changed(generation) => {}
            }
        }
    }

    /// What is not needed is only disk: failing to remove it stops nobody.
    async fn collect(&self) {
        if let Err(error) = self.ports.retention.collect().await {
            tracing::warn!(%error, "what is not needed any more could not be removed");
        }
    }

    async fn has_work(&self, scope: &Scope) -> Result<bool, StoreError> {
        if self
            .ports
            .store
            .open()
            .await?
            .iter()
            .any(|summary| summary.scope == *scope)
        {
            return Ok(true);
        }
        let view = View::of(&self.ports.store.environment(scope, 0).await?);
        Ok(!view.cleanups.is_empty())
    }

    async fn scope(&self, scope: &Scope) -> Result<(), StoreError> {
        loop {
            match self.next(scope).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(fenced @ StoreError::Fenced(_)) => return Err(fenced),
                Err(error) => {
                    tracing::error!(%scope, %error, "the store cannot be used; trying again");
                    self.ports.clock.sleep_ms(STORE_PAUSE_MS).await;
                }
            }
        }
    }

    /// One deployment to its end, or one clean-up; false: there is nothing to do here.
    async fn next(&self, scope: &Scope) -> Result<bool, StoreError> {
        let generation = self.ports.store.generation();
        let open = self.ports.store.open().await?;
        if let Some(first) = open.into_iter().find(|summary| summary.scope == *scope) {
            cleanup::settle_begun(&self.ports, scope).await?;
            let left = self.course(&first.id).await?;
            if left == Left::Parked {
                self.ports.store.changed(generation).await;
            }
            return Ok(true);
        }
        cleanup::next(&self.ports, scope).await
    }

    async fn course(&self, id: &DeploymentId) -> Result<Left, StoreError> {
        let running = async {
            let mut course = Course::take(self.ports.clone(), &self.owner, id).await?;
            course.run().await
        };
        match AssertUnwindSafe(running).catch_unwind().await {
            Ok(left) => left,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text =
                    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                self.park_after_panic(id, &text.unwrap_or_default()).await
            }
        }
    }

    /// A bug in Belay stops one deployment and no other; a person decides.
    async fn park_after_panic(&self, id: &DeploymentId, text: &str) -> Result<Left, StoreError> {
        tracing::error!(deployment = %id, text, "a bug in Belay");
        let now_us = self.ports.clock.now_us();
        let after = self
            .ports
            .store
            .events(id, 0)
            .await?
            .last()
            .map_or(0, |entry| entry.seq);
        let epoch = self.ports.store.epoch(id).await? + 1;
        let why = format!("a bug in Belay stopped it: {text}");
        let batch = Batch {
            deployment: id.clone(),
            writer: Writer::Claim { epoch, after },
            events: vec![
                (
                    now_us,
                    Event::Claimed {
                        owner: self.owner.clone(),
                        epoch,
                    },
                ),
                (now_us, Event::Parked { step: None, why }),
            ],
            environment: Vec::new(),
        };
        self.ports.store.append(batch).await?;
        Ok(Left::Parked)
    }
}

/// What became of a scope's task. A panic outside of a course is a bug that nobody else could answer.
fn ended<T>(done: Result<T, JoinError>) -> T {
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
