//! Several workers on one store, each with connections of its own: what one has done counts for all of them.

use crate::support::postgres::Database;
use crate::support::{LONG, deployment};
use belay_engine::lease::Owner;
use belay_engine::ports::{Ports, Store};
use belay_engine::worker::{Stop, Worker};
use belay_model::config::Strategy;
use belay_model::environment::{self, View};
use belay_model::event::{Event, Inputs, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::summary::Summary;
use belay_store::{PostgresOptions, PostgresStore};
use belay_testbed::Version;
use belay_testkit::Scene;
use std::sync::Arc;

/// A worker with a store of its own, that is busy with as many scopes of an environment as this.
async fn worker(database: &Database, scene: &Scene, name: &str, per_environment: usize) -> Worker {
    let options = PostgresOptions {
        leases_per_environment: per_environment,
        ..PostgresOptions::new(&database.url)
    };
    let store = PostgresStore::open(options).await.unwrap();
    let ports = Ports {
        store: Arc::new(store),
        ..scene.ports()
    };
    let (name, host) = (name.to_owned(), "here".to_owned());
    Worker::new(ports, Owner { name, host })
}

/// What a deployment of a release starts from.
async fn inputs(scene: &Scene, release: u32) -> Box<Inputs> {
    let id = scene.deploy(release).await;
    let Event::Created(mut inputs) = scene.store.journal(&id)[0].event.clone() else {
        panic!("a journal begins with Created");
    };
    // Nothing to be removed later, that a worker would wait for.
    inputs.warm_ms = 0;
    inputs
}

async fn create(store: &PostgresStore, scene: &Scene, id: &DeploymentId, inputs: Box<Inputs>) {
    let at_us = scene.now_ms() * 1_000;
    let record = Box::new(inputs.record.clone().expect("a release"));
    let recorded = environment::Event::Recorded { record };
    let created = Event::Created(inputs);
    let done = store.create(id, at_us, created, vec![(at_us, recorded)], 9);
    done.await.unwrap();
}

async fn summary(store: &PostgresStore, id: &DeploymentId) -> Summary {
    store.summary(id).await.unwrap().expect("it is there")
}

/// I9: the releases that went back are counted in the store, and not by whoever took them back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_that_went_back_under_three_workers_freeze_the_next() {
    let database = Database::new(Version::V15).await;
    let store = database.open().await;
    let mut scene = Scene::new(Strategy::BlueGreen, 1);
    scene.bake_ms = 50;
    let mut owners = Vec::new();
    for release in 1..=5 {
        if (2..=4).contains(&release) {
            scene.world.break_release(scene.record(release).hash());
        }
        let id = deployment(&release.to_string());
        create(&store, &scene, &id, inputs(&scene, release).await).await;
        let worker = worker(&database, &scene, &format!("w{release}"), 64).await;
        let done = tokio::time::timeout(LONG, worker.run()).await;
        assert_eq!(done.expect("in time").unwrap(), Stop::Idle);
        let view = View::of(&store.environment(&scene.scope(), 0).await.unwrap());
        let outcome = summary(&store, &id).await.outcome;
        let expected = match release {
            1 => Outcome::Succeeded,
            5 => Outcome::Failed {
                rollback: RollbackResult::None,
                residue: vec![
                    "shop/test is frozen by Belay: 3 releases went back by themselves within 24 hours"
                        .to_owned(),
                ],
            },
            _ => Outcome::Failed {
                rollback: RollbackResult::Complete,
                residue: Vec::new(),
            },
        };
        assert_eq!(outcome, Some(expected), "release {release}");
        assert_eq!(view.breaker.is_some(), release >= 4, "release {release}");
        let entries = store.events(&id, 0).await.unwrap();
        owners.extend(entries.into_iter().filter_map(|entry| match entry.event {
            Event::Claimed { owner, .. } => Some(owner),
            _ => None,
        }));
    }
    assert_eq!(owners, ["w1", "w2", "w3", "w4", "w5"]);
}
