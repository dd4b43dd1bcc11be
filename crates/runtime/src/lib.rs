//! Composition root: configuration, store, drivers, sources, router, worker

pub mod config;
