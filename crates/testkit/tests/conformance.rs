//! The simulated worlds keep the promises that real platforms have to keep: what the engine is proved on is a driver.

use async_trait::async_trait;
use belay_driver::Driver;
use belay_driver::conformance::Platform;
use belay_model::config::Strategy;
use belay_model::error::Class;
use belay_model::release::Record;
use belay_testkit::{Fault, Kind, Scene};
use std::sync::Arc;

/// The number of the release that never becomes ready.
const BROKEN: u32 = 9;

struct World(Scene);

impl World {
    fn new(kind: Kind) -> Self {
        let scene = Scene::of(kind, Strategy::Basic, 4);
        scene.world.break_release(scene.record(BROKEN).hash());
        Self(scene)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What a world saw and must not see is a failure of every case that it comes up in.
        if !std::thread::panicking() {
            let breaches = self.0.world.breaches();
            assert!(breaches.is_empty(), "{breaches:#?}");
        }
    }
}

#[async_trait]
impl Platform for World {
    fn driver(&self) -> Arc<dyn Driver> {
        self.0.world.clone()
    }

    fn record(&self, number: u32) -> Record {
        self.0.record(number)
    }

    fn broken(&self) -> Option<Record> {
        Some(self.0.record(BROKEN))
    }

    fn takes_traffic(&self) -> bool {
        self.0.world.takes_traffic()
    }

    async fn meddle(&self) {
        self.0.world.meddle();
    }

    fn throttle(&self, retry_after_ms: u64) -> bool {
        let fault = Fault::Throttled(retry_after_ms);
        self.0.world.faults([Some(fault)]);
        true
    }

    fn lock_out(&self) -> bool {
        self.0.world.lock_out(Class::Authentication);
        true
    }

    fn break_off(&self) -> bool {
        let fault = Fault::Half(Class::Connectivity);
        self.0.world.faults([Some(fault)]);
        true
    }

    fn fences(&self) -> bool {
        matches!(
            self.0.world.kind(),
            Kind::SideBySide | Kind::Workers | Kind::InPlace
        )
    }
}

macro_rules! worlds {
    ($($name:ident: $kind:ident),* $(,)?) => {
        $(
            mod $name {
                async fn world() -> super::World {
                    super::World::new(super::Kind::$kind)
                }

                belay_driver::conformance!(world);
            }
        )*
    };
}

worlds! {
    side_by_side: SideBySide,
    no_traffic: Workers,
    swap: Swap,
    in_place: InPlace,
    revisions: Revisions,
    resized: Resized,
}
