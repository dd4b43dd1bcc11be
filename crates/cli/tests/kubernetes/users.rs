//! Users who never stop asking: at the Service's own address, one connection for each request, and what they were answered.

use crate::shop::Shop;
use belay_load::{Came, Keep, Load, Seen, Shape};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::Runtime;

/// They ask until it is dropped.
pub(crate) struct Users {
    runtime: Runtime,
    load: Load,
}

impl Users {
    /// Those of the Service `api`; they begin with the first good answer.
    pub(crate) fn of(shop: &Shop) -> Self {
        let service = shop.get(&["service", "api"]);
        let ip = service["spec"]["clusterIP"].as_str().expect("an address");
        let address = SocketAddr::new(ip.parse().expect("an address"), 8080);
        let shape = Shape {
            clients: 2,
            // Slow enough to leave the machine to what is tested.
            pace: Some(Duration::from_millis(10)),
            patience: Duration::from_secs(20),
            reuse: 1,
            paths: &["/"],
            keep: Keep::All,
        };
        let runtime = Runtime::new().expect("a runtime");
        let load = runtime.block_on(async { Load::start(address, &shape) });
        Self { runtime, load }
    }

    /// Waits until the last answers, as many as that, came from this image alone.
    pub(crate) fn are_served_by(&self, image: &str) {
        const LAST: usize = 30;
        let from_it = |one: &Seen| one.release.as_deref() == Some(image);
        let all = |seen: &[Seen]| seen.len() > LAST && seen.iter().rev().take(LAST).all(from_it);
        self.until(&format!("all users are served by {image}"), all);
    }

    /// Waits until something is true of all that they saw.
    pub(crate) fn until(&self, what: &str, is: impl Fn(&[Seen]) -> bool) {
        let waited = self.runtime.block_on(self.load.until(what, is));
        waited.expect("it is so in time");
    }

    /// Of the next answers, as many as that, how many came from this image.
    pub(crate) fn from(&self, image: &str, count: usize) -> usize {
        let before = self.load.seen().len();
        self.until("they go on", |seen| seen.len() >= before + count);
        let seen = self.load.seen();
        let next = seen[before..before + count].iter();
        next.filter(|one| one.release.as_deref() == Some(image))
            .count()
    }

    /// Whether anybody was ever answered by this image.
    pub(crate) fn saw(&self, image: &str) -> bool {
        let seen = self.load.seen();
        seen.iter().any(|one| one.release.as_deref() == Some(image))
    }

    /// Requests without a good answer.
    pub(crate) fn lost(&self) -> Vec<Seen> {
        let all = self.load.seen();
        all.into_iter()
            .filter(|one| one.came != Came::Answer(200))
            .collect()
    }
}
