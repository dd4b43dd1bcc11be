//! What only PostgreSQL can do to a store: connections that end anywhere, deadlocks, servers that crash, secrets in URLs.

#[path = "../support/mod.rs"]
mod support;

mod artifacts;
mod hints;
mod leases;
mod lost;
mod others;
mod pooler;
mod proxy;
mod restart;
mod schema;
mod secret;
mod tls;
mod unmoved;
mod workers;
mod writers;
