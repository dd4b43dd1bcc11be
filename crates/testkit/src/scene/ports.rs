//! What the engine is given here: worlds as drivers, no secrets, and all is kept.

use crate::World;
use async_trait::async_trait;
use belay_driver::{Driver, Material};
use belay_engine::ports::{Drivers, Retention, Secrets, StoreError};
use belay_model::release::Record;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A driver for each target, so that each has a world of its own.
pub(super) struct Worlds(pub(super) BTreeMap<String, Arc<World>>);

impl Drivers for Worlds {
    fn driver(&self, name: &str) -> Option<Arc<dyn Driver>> {
        let world = self.0.get(name)?;
        Some(world.clone())
    }
}

pub(crate) struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn material(&self, record: &Record) -> Result<Material, StoreError> {
        Ok(Material {
            record: record.clone(),
            secrets: BTreeMap::new(),
        })
    }
}

pub(crate) struct KeepAll;

#[async_trait]
impl Retention for KeepAll {
    async fn collect(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
