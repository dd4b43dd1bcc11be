//! What is said: to deployments, and of an environment.

use super::Scene;
use belay_engine::ports::{Clock, Store};
use belay_engine::queue;
use belay_model::back::{Back, Risk, Trigger};
use belay_model::environment::{self, Standing};
use belay_model::event::{Ask, Event};
use belay_model::id::{BlobId, DeploymentId, Scope};
use belay_model::release::Record;

impl Scene {
    /// Sends a signal.
    pub async fn signal(&self, id: &DeploymentId, ask: Ask) {
        self.signal_of("test", id, ask).await;
    }

    /// Somebody sends a signal.
    pub async fn signal_of(&self, actor: &str, id: &DeploymentId, ask: Ask) {
        self.signal_with(actor, id, ask, Back::default()).await;
    }

    /// Somebody tells a deployment to go back, to a release of their choice.
    pub async fn abort_to(&self, id: &DeploymentId, release: u32, accept: &[Risk]) {
        let back = Back {
            to: Some(self.record(release).hash()),
            accept: accept.to_vec(),
            trigger: Some(Trigger::Slow),
        };
        self.signal_with("test", id, Ask::Abort, back).await;
    }

    async fn signal_with(&self, actor: &str, id: &DeploymentId, ask: Ask, back: Back) {
        let event = Event::Signal {
            actor: actor.to_owned(),
            ask,
            reason: Some("because".to_owned()),
            back,
        };
        let told = queue::tell(&*self.store, id, self.clock.now_us(), &event).await;
        told.expect("signalled");
    }

    /// Something is said of an environment.
    pub async fn say(&self, scope: &Scope, event: environment::Event) {
        let events = vec![(self.clock.now_us(), event)];
        let kept = self.store.append_environment(scope, None, events).await;
        kept.expect("memory");
    }

    /// The quarantine of a release is lifted by hand.
    pub async fn lift(&self, release: u32) {
        let known = self.view().records.remove(&self.record(release).hash());
        let known = known.filter(|known| known.standing == Standing::Quarantined);
        for event in known.expect("it is quarantined").lift(None, "test", None) {
            self.say(&self.scope(), event).await;
        }
    }

    /// Newer values of a release's secrets are sealed under that name.
    pub async fn reseal(&self, release: u32, blob: &str) -> BlobId {
        let blob = BlobId::new(blob);
        let record = Box::new(Record {
            sealed: Some(blob.clone()),
            ..self.record(release)
        });
        let recorded = environment::Event::Recorded { record };
        self.say(&self.scope(), recorded).await;
        blob
    }
}
