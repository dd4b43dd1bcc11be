//! Where checks ask what runs on Kubernetes.

use super::Late;
use async_trait::async_trait;
use belay_driver_kubernetes::{Forward, Reached, Side, Unreached};
use belay_engine::ports::Question;
use belay_model::config::Check;
use belay_model::plan::Look;
use belay_model::verdict::Outcome;
use belay_sources::{Addresses, Found, Front, Passage, Place};
use std::sync::Arc;
use std::time::Duration;

/// How long it may take to find the pods.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct OnKubernetes(pub(crate) Arc<Late>);

#[async_trait]
impl Addresses for OnKubernetes {
    async fn places(&self, question: &Question, check: &Check) -> Option<Found> {
        if question.target.driver != "kubernetes" {
            return None;
        }
        let found = match &check.through {
            // How long that takes is known where it is done.
            Some(entrance) => {
                let host = check.host.as_deref();
                self.0.enter(&question.target, entrance, host).await
            }
            None => self.pods(question).await,
        };
        Some(match found {
            Ok(reached) => Ok(reached.into_iter().map(place).collect()),
            Err(Unreached::Nothing(why)) => Err((Outcome::Fail, why)),
            Err(Unreached::Unknown(why)) => Err((Outcome::Inconclusive, why)),
        })
    }
}

impl OnKubernetes {
    async fn pods(&self, question: &Question) -> Result<Vec<Reached>, Unreached> {
        let side = match question.look {
            Look::Staged => Side::Own,
            Look::Live | Look::Bake => Side::Users,
        };
        let reach = self.0.reach(&question.target, &question.record, side);
        let found = tokio::time::timeout(PATIENCE, reach).await;
        found.unwrap_or_else(|_| {
            let seconds = PATIENCE.as_secs();
            let why = format!("the cluster did not say where within {seconds} s");
            Err(Unreached::Unknown(why))
        })
    }
}

fn place(reached: Reached) -> Place {
    let through = |forward| Arc::new(Through(forward)) as Arc<dyn Passage>;
    Place {
        address: reached.address,
        title: reached.title,
        through: reached.forward.map(through),
        front: reached.front.map(|it| Front {
            host: it.host,
            is_secure: it.is_secure,
        }),
    }
}

struct Through(Arc<Forward>);

impl Passage for Through {
    fn blocked(&self) -> Option<String> {
        self.0.blocked()
    }
}
