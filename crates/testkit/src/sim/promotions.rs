//! Promotion: a release goes out because it is good in another place of its service. Who asks for it looks, and the engine looks
//! once more when it has the lock.

use super::audit::Audit;
use super::people::{create, queue_of};
use super::stage::{Ground, Stage};
use super::story::Order;
use belay_model::config::FromStanding;
use belay_model::event::Inputs;
use belay_model::id::Scope;
use belay_model::promotion::Promotion;

/// As the commands do: what is not good there is refused.
pub(super) async fn promote(stage: &Stage, ground: &Ground, order: &Order, from: usize) {
    let from = stage.grounds.get(from);
    let Some(from) = from.filter(|from| from.scope.service == ground.scope.service) else {
        return;
    };
    let release = from.record(order.release).release;
    let view = stage.store.view(&from.scope);
    let environment = &from.scope.environment;
    let is_it = |record: &belay_model::release::Record| record.release == release;
    let Ok(promotion) = Promotion::of(environment, &view, is_it, FromStanding::Good) else {
        return stage.audit.count("promotions: refused");
    };
    stage.audit.count("promotions");
    let with = |inputs| Inputs {
        record: Some(ground.record(order.release)),
        promotion: Some(promotion),
        ..inputs
    };
    create(stage, ground, order, queue_of(order), with).await;
}

impl Audit {
    /// P5: what goes out because it is good elsewhere is good there when it has its lock.
    pub(super) fn is_good_there(&self, inputs: &Inputs) {
        let Some(promotion) = &inputs.promotion else {
            return;
        };
        let from = &promotion.from;
        let there = Scope {
            service: inputs.scope.service.clone(),
            environment: from.clone(),
        };
        let view = self.store().view(&there);
        let known = view.records.get(&promotion.record);
        if known.is_none_or(|known| !known.standing.is_good()) {
            self.breach(format!(
                "P5: it goes out because it is good in {from}, and it is not"
            ));
        }
    }

    /// It did not go out, as it is not good there any more.
    pub(super) fn is_withdrawn(&self, inputs: &Inputs, residue: &[String]) {
        let mut why = residue.iter().filter(|_| inputs.promotion.is_some());
        if why.any(|line| line.contains("quarantined in") || line.contains("not good in")) {
            self.count("promotions: withdrawn");
        }
    }
}
