//! What was decided on environment streams is kept only while they end where they ended then.

use super::Factory;
use crate::support::{batch, claim, created, deployment, ended, lease, planned, recorded, scope};
use belay_engine::ports::{Batch, Store, StoreError, Writer};
use belay_model::environment;
use belay_model::id::{DeploymentId, EVERY, EnvironmentName, Scope, ServiceName};

/// What stands for all services in the environment of these tests.
fn every_service() -> Scope {
    Scope {
        service: ServiceName::new(EVERY),
        ..scope("shop")
    }
}

fn every_environment(service: &str) -> Scope {
    Scope {
        environment: EnvironmentName::new(EVERY),
        ..scope(service)
    }
}

fn frozen() -> (i64, environment::Event) {
    let frozen = environment::Event::Frozen {
        actor: Some("ada".to_owned()),
        reason: "the big day".to_owned(),
        until_ms: None,
    };
    (30, frozen)
}

async fn freeze(store: &dyn Store, scope: &Scope) {
    let said = store.append_environment(scope, None, vec![frozen()]).await;
    said.unwrap();
}

/// A plan of a deployment that was claimed, decided on these streams.
fn plan(id: &DeploymentId, epoch: u64, unmoved: Vec<(Scope, u64)>) -> Batch {
    let writer = Writer::Worker { epoch, after: 2 };
    Batch {
        unmoved,
        ..batch(id, writer, vec![planned(&["one"])])
    }
}

/// Deployments of services of these names, claimed; with their epochs.
async fn taken(store: &dyn Store, services: &[String]) -> Vec<(DeploymentId, u64)> {
    for service in services {
        let (id, said) = (deployment(service), vec![recorded(service, 1)]);
        let made = store.create(&id, 1, created(service), said, 9).await;
        made.unwrap();
    }
    let epochs = lease(store, "worker").await;
    let mut all = Vec::new();
    for service in services {
        let (id, epoch) = (deployment(service), epochs[service]);
        store.append(claim(&id, epoch, 1)).await.unwrap();
        all.push((id, epoch));
    }
    all
}

pub(crate) async fn what_was_decided_on_a_stream_needs_it_unmoved(factory: impl Factory) {
    let (own, store) = (factory.open().await, factory.open().await);
    let (id, epoch) = taken(&*own, &["shop".to_owned()]).await.remove(0);
    let staging = Scope {
        environment: EnvironmentName::new("staging"),
        ..scope("shop")
    };
    let all = [every_service(), every_environment("shop"), staging];
    // Those that nothing was said in end at 0; its own ends where the release was noted down.
    let decided = || {
        let others = all.iter().map(|other| (other.clone(), 0));
        [(scope("shop"), 1)].into_iter().chain(others)
    };
    let streams: Vec<_> = decided().collect();
    for (nth, (moved, seen)) in streams.iter().enumerate() {
        freeze(&*store, moved).await;
        let stale = own
            .append(plan(&id, epoch, vec![(moved.clone(), *seen)]))
            .await;
        assert!(
            matches!(&stale, Err(StoreError::Stale(scope)) if scope == moved),
            "{moved}: {stale:?}"
        );
        // All of it is refused, whichever moved.
        let stale = own.append(plan(&id, epoch, streams.clone())).await;
        assert!(matches!(stale, Err(StoreError::Stale(_))), "{nth}");
        let together = own
            .append_all(vec![plan(&id, epoch, streams.clone())])
            .await;
        assert!(matches!(together, Err(StoreError::Stale(_))), "{nth}");
    }
    assert_eq!(own.events(&id, 0).await.unwrap().len(), 2);
    // Whoever has looked again, at where they end now.
    let now = decided().map(|(scope, seen)| (scope, seen + 1)).collect();
    own.append(plan(&id, epoch, now)).await.unwrap();
    assert_eq!(own.events(&id, 0).await.unwrap().len(), 3);
    assert!(factory.check().await.is_empty());
}

/// However many plans are written down while someone says that nothing goes out: each comes before that, or not at all.
pub(crate) async fn no_plan_comes_behind_what_it_would_have_had_to_see(factory: impl Factory) {
    const PLANS: usize = 48;
    let stores = [
        factory.open().await,
        factory.open().await,
        factory.open().await,
    ];
    let other = factory.open().await;
    for round in 0..4 {
        let services = (0..PLANS).map(|n| format!("r{round}s{n}"));
        let services: Vec<_> = services.collect();
        let ids = taken(&*stores[0], &services).await;
        // What is said of all services has been said as often as this.
        let plan = |n: usize| {
            let ((id, epoch), own) = (&ids[n], &services[n]);
            let streams = vec![
                (scope(own), 1),
                (every_service(), round),
                (every_environment(own), 0),
            ];
            plan(id, *epoch, streams)
        };
        let plans = (0..PLANS).map(|n| {
            let (store, plan) = (stores[n % 3].clone(), plan(n));
            tokio::spawn(async move { store.append(plan).await.map(drop) })
        });
        let plans: Vec<_> = plans.collect();
        // In the same moment, and behind some of them.
        freeze(&*other, &every_service()).await;
        let kept = count_planned(&*other, &ids).await;
        let mut answered = 0;
        for plan in plans {
            match plan.await.unwrap() {
                Ok(()) => answered += 1,
                Err(StoreError::Stale(moved)) => assert_eq!(moved, every_service()),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(count_planned(&*stores[0], &ids).await, answered);
        assert_eq!(kept, answered, "none of them came behind it");
        for (id, _) in &ids {
            let end = batch(id, Writer::Anyone, vec![ended()]);
            stores[0].append(end).await.unwrap();
        }
    }
    assert!(factory.check().await.is_empty());
}

async fn count_planned(store: &dyn Store, ids: &[(DeploymentId, u64)]) -> usize {
    let mut planned = 0;
    for (id, _) in ids {
        planned += usize::from(store.events(id, 2).await.unwrap().len() == 1);
    }
    planned
}
