//! Who is woken, and by what: a course waits for what is appended to its own scope's journals. The worker looks once for all
//! of them where they end, so that thousands that bake or wait for people cost one query for each commit, not one each.

use crate::ports::Head;
use belay_model::id::Scope;
use std::collections::BTreeMap;
use tokio::sync::watch;

/// Of one scope.
pub(super) struct Bell(watch::Sender<u64>);

impl Bell {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(super) fn ring(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// How often it rang.
    pub(super) fn count(&self) -> u64 {
        *self.0.borrow()
    }

    /// Resolves when it has rung since it had rung `since` times.
    pub(super) async fn rung(&self, since: u64) {
        // It cannot be gone while we have it.
        let _ = self.0.subscribe().wait_for(|count| *count != since).await;
    }
}

/// Where the journals ended when the worker looked last.
#[derive(Default)]
pub(super) struct Heads(BTreeMap<Scope, Vec<Head>>);

impl Heads {
    /// Takes in a look; answers whose journals are not as they were.
    pub(super) fn moved(&mut self, heads: Vec<Head>) -> Vec<Scope> {
        let mut now: BTreeMap<Scope, Vec<Head>> = BTreeMap::new();
        for head in heads {
            now.entry(head.scope.clone()).or_default().push(head);
        }
        let before = std::mem::replace(&mut self.0, now);
        let gone = before.keys().filter(|scope| !self.0.contains_key(scope));
        let moved = self
            .0
            .iter()
            .filter(|(scope, heads)| before.get(scope) != Some(heads));
        gone.chain(moved.map(|(scope, _)| scope)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_model::id::{DeploymentId, EnvironmentName, ServiceName};

    fn head(service: &str, deployment: &str, seq: u64) -> Head {
        Head {
            scope: Scope {
                service: ServiceName::new(service),
                environment: EnvironmentName::new("live"),
            },
            deployment: DeploymentId::new(deployment),
            seq,
        }
    }

    #[test]
    fn only_those_are_woken_whose_journals_moved() {
        let mut heads = Heads::default();
        let mut moved = |now: &[Head]| -> Vec<String> {
            let moved = heads.moved(now.to_vec());
            moved
                .iter()
                .map(|scope| scope.service.to_string())
                .collect()
        };
        let two = [head("cart", "a", 3), head("shop", "b", 5)];
        assert_eq!(moved(&two), ["cart", "shop"]);
        assert!(moved(&two).is_empty());
        let appended = [head("cart", "a", 3), head("shop", "b", 6)];
        assert_eq!(moved(&appended), ["shop"]);
        let queued = [
            appended[0].clone(),
            appended[1].clone(),
            head("cart", "c", 1),
        ];
        assert_eq!(moved(&queued), ["cart"]);
        // One ended, and the next one has as long a journal.
        assert_eq!(
            moved(&[appended[1].clone(), head("cart", "c", 3)]),
            ["cart"]
        );
        assert_eq!(moved(&[head("cart", "c", 3)]), ["shop"]);
    }
}
