//! A verifier that says what the test wants of each release, however often it is asked.

use async_trait::async_trait;
use belay_engine::ports::{Clock, Ledger, Question, Verifier};
use belay_model::id::{DeploymentId, StepId};
use belay_model::plan::Look;
use belay_model::verdict::{Outcome, Verdict};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What it says, by release number and look; everything else passes.
pub struct Script {
    said: Mutex<BTreeMap<(u32, &'static str), Outcome>>,
    clock: Arc<dyn Clock>,
    at_work: AtomicUsize,
    /// When what has no answer yet was asked first, by a clock that nobody sets: each worker has its own of the other kind.
    asked_ms: Mutex<BTreeMap<(DeploymentId, StepId, i64), u64>>,
}

/// A verification that goes on.
struct AtWork<'a>(&'a AtomicUsize);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Script {
    /// Everything passes.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            said: Mutex::default(),
            clock,
            at_work: AtomicUsize::new(0),
            asked_ms: Mutex::default(),
        }
    }

    /// How many verifications go on at this moment.
    pub fn at_work(&self) -> usize {
        self.at_work.load(Ordering::Relaxed)
    }

    /// From now on it says this of a release at a look.
    pub fn say(&self, release: u32, look: Look, outcome: Outcome) {
        self.said
            .lock()
            .expect("no panic while held")
            .insert((release, name(look)), outcome);
    }
}

impl Script {
    /// Until it was watched for long enough, however often that was broken off.
    async fn hold(&self, question: &Question) {
        let asked = || self.asked_ms.lock().expect("no panic while held");
        let key = (
            question.deployment.clone(),
            question.step,
            question.since_us,
        );
        let now_ms = self.clock.monotonic_ms();
        let first_ms = *asked().entry(key.clone()).or_insert(now_ms);
        let left_ms = (first_ms + question.hold_ms).saturating_sub(now_ms);
        self.clock.sleep_ms(left_ms).await;
        asked().remove(&key);
    }
}

fn name(look: Look) -> &'static str {
    match look {
        Look::Staged => "staged",
        Look::Live => "live",
        Look::Bake => "bake",
    }
}

#[async_trait]
impl Verifier for Script {
    async fn verify(
        &self,
        question: &Question,
        _: &dyn Ledger,
        _: Arc<dyn belay_driver::Progress>,
    ) -> Verdict {
        self.at_work.fetch_add(1, Ordering::Relaxed);
        let _at_work = AtWork(&self.at_work);
        let release = question.record.release.0;
        let key = (release, name(question.look));
        let outcome = self
            .said
            .lock()
            .expect("no panic while held")
            .get(&key)
            .copied();
        let outcome = outcome.unwrap_or(Outcome::Pass);
        if outcome != Outcome::Fail {
            self.hold(question).await;
        }
        Verdict {
            outcome,
            check: "script".to_owned(),
            sentence: format!(
                "release {release} was said to {outcome:?} at {}",
                name(question.look)
            ),
            evidence: serde_json::Value::Null,
            first_bad_us: None,
        }
    }

    /// What it says is said at once or when the time is over.
    fn only_waits(&self, _: &Question) -> bool {
        true
    }
}
