//! What begins: the journal knows before anything is done (I1, P1), and it is done with the record as it was (I7).

use super::audit::Audit;
use belay_driver::Context;
use belay_engine::ports::Running;
use belay_model::event::Event;
use belay_model::id::{DeploymentId, StepId};
use belay_model::plan::Effect;

impl Audit {
    /// A command begins; answers how often it had before.
    pub(super) fn ran(&self, running: &Running, text: &str) -> u32 {
        self.is_durable(&running.deployment, running.step, running.attempt, text);
        let mut seen = self.seen();
        seen.counters.count("runs of commands");
        let key = (running.deployment.clone(), text.to_owned());
        seen.ran.push(key.clone());
        let runs = seen.runs.entry(key).or_default();
        *runs += 1;
        *runs - 1
    }

    /// A call on an effect begins.
    pub(super) fn applies(&self, cx: &Context, effect: &Effect) {
        if let Some(step) = cx.step {
            self.is_durable(&cx.deployment, step, cx.attempt, &effect.title);
        }
        for record in &effect.records {
            let material = cx.material.get(record);
            if material.is_none_or(|material| material.record.hash() != *record) {
                let title = &effect.title;
                self.breach(format!("I7: \"{title}\" goes without the record as it was"));
            }
        }
    }

    /// I1, P1: that an attempt begins is in the journal before it does anything.
    fn is_durable(&self, id: &DeploymentId, step: StepId, attempt: u32, what: &str) {
        let is_it = |event: &Event| matches!(event, Event::Started { step: it, attempt: nth, .. } if *it == step && *nth == attempt);
        if !self.store().any_event(id, is_it) {
            self.breach(format!(
                "I1: \"{what}\" begins, and the journal does not know"
            ));
        }
    }
}
