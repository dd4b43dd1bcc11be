//! Composition root: configuration, store, drivers, sources, router, worker
