//! The simulated world keeps the promises that real platforms have to keep: what the engine is proved on is a driver.

use async_trait::async_trait;
use belay_driver::Driver;
use belay_driver::conformance::Platform;
use belay_model::config::Strategy;
use belay_model::error::Class;
use belay_model::release::Record;
use belay_testkit::{Fault, Scene};
use std::collections::BTreeMap;
use std::sync::Arc;

struct World(Scene);

#[async_trait]
impl Platform for World {
    fn driver(&self) -> Arc<dyn Driver> {
        self.0.world.clone()
    }

    fn record(&self, number: u32) -> Record {
        self.0.record(number)
    }

    fn broken(&self) -> Option<Record> {
        None
    }

    fn takes_traffic(&self) -> bool {
        self.0.world.takes_traffic()
    }

    async fn meddle(&self) {
        let stranger = BTreeMap::from([("stranger".to_owned(), 1000)]);
        self.0.world.set_weights(stranger);
    }

    fn throttle(&self, retry_after_ms: u64) -> bool {
        self.0
            .world
            .faults([Some(Fault::Throttled(retry_after_ms))]);
        true
    }

    fn lock_out(&self) -> bool {
        self.0.world.lock_out(Class::Authentication);
        true
    }
}

async fn world() -> World {
    World(Scene::default())
}

async fn workers() -> World {
    World(Scene::workers(Strategy::Basic, 2))
}

mod traffic {
    belay_driver::conformance!(super::world);
}

mod no_traffic {
    belay_driver::conformance!(super::workers);
}
