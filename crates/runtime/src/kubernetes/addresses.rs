//! Where checks ask what runs on Kubernetes.

use super::Late;
use async_trait::async_trait;
use belay_driver_kubernetes::{Forward, Reached, Side, Unreached};
use belay_engine::ports::Question;
use belay_model::plan::Look;
use belay_model::verdict::Outcome;
use belay_sources::{Addresses, Found, Passage, Place};
use std::sync::Arc;
use std::time::Duration;

/// How long it may take to find out.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct OnKubernetes(pub(crate) Arc<Late>);

#[async_trait]
impl Addresses for OnKubernetes {
    async fn places(&self, question: &Question) -> Option<Found> {
        if question.target.driver != "kubernetes" {
            return None;
        }
        let side = match question.look {
            Look::Staged => Side::Own,
            Look::Live | Look::Bake => Side::Users,
        };
        let reach = self.0.reach(&question.target, &question.record, side);
        let found = tokio::time::timeout(PATIENCE, reach).await;
        let found = found.unwrap_or_else(|_| {
            let why = format!(
                "the cluster did not say where within {} s",
                PATIENCE.as_secs()
            );
            Err(Unreached::Unknown(why))
        });
        Some(match found {
            Ok(reached) => Ok(reached.into_iter().map(place).collect()),
            Err(Unreached::Nothing(why)) => Err((Outcome::Fail, why)),
            Err(Unreached::Unknown(why)) => Err((Outcome::Inconclusive, why)),
        })
    }
}

fn place(reached: Reached) -> Place {
    let through = |forward| Arc::new(Through(forward)) as Arc<dyn Passage>;
    Place {
        address: reached.address,
        title: reached.title,
        through: reached.forward.map(through),
    }
}

struct Through(Arc<Forward>);

impl Passage for Through {
    fn blocked(&self) -> Option<String> {
        self.0.blocked()
    }
}
