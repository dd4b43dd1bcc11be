//! Simulated platforms, one of each kind that the driver's contract has to serve.
//!
//! What a kind of platform does is in a file of its own, as [`rules::Rules`]: pure, and no more than the real ones
//! offer. What all of them share is here once: requests under way and work that goes on by itself (`work`), faults,
//! kills (`driver`), foreign changes and the record of what users met (`world`).

mod driver;
mod in_place;
mod listed;
mod resized;
mod revisions;
mod rules;
mod side_by_side;
mod swap;
mod work;
mod world;

pub(crate) use rules::instances;
pub use work::{LATENCY_MS, LONGEST_MS};
pub use world::{Fault, World};

/// A kind of platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Groups beside each other, traffic by weight: local processes, hosts behind a router, Kubernetes with a mesh.
    SideBySide,
    /// The same without traffic: they work as soon as they are there, nothing is switched, and nothing stands by. Queue
    /// workers.
    Workers,
    /// Two named places whose contents are exchanged by a swap that goes on by itself: slots of Azure Web Apps.
    Swap,
    /// One object whose content the platform replaces instance by instance: a Deployment of Kubernetes.
    InPlace,
    /// Every deploy makes a new revision, and going back makes another one: Container Apps, Logic Apps.
    Revisions,
    /// Groups of instances behind one balancer, resized against each other: scaling groups, services of ECS.
    Resized,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 6] = [
        Kind::SideBySide,
        Kind::Workers,
        Kind::Swap,
        Kind::InPlace,
        Kind::Revisions,
        Kind::Resized,
    ];

    /// Those with a number of instances.
    pub const SCALED: [Kind; 4] = [
        Kind::SideBySide,
        Kind::Workers,
        Kind::InPlace,
        Kind::Resized,
    ];

    fn rules(self, instances: u32) -> Box<dyn rules::Rules> {
        match self {
            Kind::SideBySide => Box::new(side_by_side::SideBySide {
                instances,
                takes_traffic: true,
            }),
            Kind::Workers => Box::new(side_by_side::SideBySide {
                instances,
                takes_traffic: false,
            }),
            Kind::Swap => Box::new(swap::Swap),
            Kind::InPlace => Box::new(in_place::InPlace { instances }),
            Kind::Revisions => Box::new(revisions::Revisions),
            Kind::Resized => Box::new(resized::Resized { instances }),
        }
    }
}
