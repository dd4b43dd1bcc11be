//! Where a check asks: every new instance while they are staged, the address of the service afterwards. What takes no
//! traffic has no such address: its instances stay the place. Processes tell their addresses themselves; on other platforms
//! [`Addresses`] finds them.

use async_trait::async_trait;
use belay_engine::ports::Question;
use belay_model::config::Check;
use belay_model::plan::Look;
use belay_model::verdict::Outcome;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// One address to ask.
#[derive(Clone)]
pub struct Place {
    /// Where.
    pub address: SocketAddr,
    /// For people: `instance a of release 2 (127.0.0.1:4001)`.
    pub title: String,
    /// What leads there, held as long as anyone may ask; absent: it is reached as it is.
    pub through: Option<Arc<dyn Passage>>,
    /// As whom it is asked over HTTP; absent: as its address, without TLS.
    pub front: Option<Front>,
}

/// As whom an address is asked that many share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// The host in the request, and in its TLS.
    pub host: String,
    /// Whether it speaks TLS.
    pub is_secure: bool,
}

/// What stands between an address of ours and a place that cannot be reached from here, such as a port-forward. It takes every
/// connection. One that the place refused is reset; one that could not even be brought there, too, and then it is
/// [blocked](Passage::blocked).
pub trait Passage: Send + Sync {
    /// Why the last one who came did not get as far as the place, as a clause: nothing is known of the place then. None: they
    /// did.
    fn blocked(&self) -> Option<String>;
}

/// Where to ask, or what it means that nobody knows: an outcome, and why, as a sentence without a full stop.
pub type Found = Result<Vec<Place>, (Outcome, String)>;

/// Finds where a question is asked, where the platform has to be asked for it.
#[async_trait]
pub trait Addresses: Send + Sync {
    /// The places where a check asks; none: this is no such platform.
    async fn places(&self, question: &Question, check: &Check) -> Option<Found>;
}

/// For platforms whose state tells the addresses.
pub struct Told;

#[async_trait]
impl Addresses for Told {
    async fn places(&self, _: &Question, _: &Check) -> Option<Found> {
        None
    }
}

/// Where to ask, or what it means that nobody knows.
pub(crate) async fn places(addresses: &dyn Addresses, question: &Question, check: &Check) -> Found {
    match (addresses.places(question, check).await, &check.through) {
        (Some(found), _) => found,
        (None, None) => told(question),
        // Refused where it is written.
        (None, Some(entrance)) => {
            let scope = &question.record.scope;
            Err((
                Outcome::Inconclusive,
                format!("{scope} does not run where there is {entrance}"),
            ))
        }
    }
}

fn told(question: &Question) -> Found {
    match question.look {
        Look::Staged => instances(question),
        Look::Live | Look::Bake if !takes_traffic(question) => instances(question),
        Look::Live | Look::Bake => Ok(vec![live(question)?]),
    }
}

/// Whether the release in question works by taking traffic, as far as the platform tells.
pub(crate) fn takes_traffic(question: &Question) -> bool {
    let key = format!("group/{}", question.record.group());
    let group = question.state.resources.get(&key);
    group.is_none_or(|group| group.spec["traffic"].as_bool() != Some(false))
}

fn live(question: &Question) -> Result<Place, (Outcome, String)> {
    let listen = &question.target.settings["listen"];
    let address: Option<SocketAddr> = listen.as_str().and_then(|text| text.parse().ok());
    let Some(mut address) = address else {
        let sentence = format!(
            "{} has no address that could be asked",
            question.record.scope
        );
        return Err((Outcome::Inconclusive, sentence));
    };
    // Who listens everywhere is asked here.
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let title = format!("{} ({address})", question.record.scope);
    Ok(Place {
        address,
        title,
        through: None,
        front: None,
    })
}

fn instances(question: &Question) -> Found {
    let release = question.record.title();
    let key = format!("group/{}", question.record.group());
    let Some(group) = question.state.resources.get(&key) else {
        return Err((Outcome::Fail, format!("{release} has no instances to ask")));
    };
    let unreadable = || {
        let sentence = format!("the addresses of the instances of {release} are not known");
        (Outcome::Inconclusive, sentence)
    };
    let instances = group.facts["instances"].as_array().ok_or_else(unreadable)?;
    if instances.is_empty() {
        return Err((Outcome::Fail, format!("{release} has no instances to ask")));
    }
    let place = |instance: &serde_json::Value| {
        let port = u16::try_from(instance["port"].as_u64()?).ok()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let title = format!(
            "instance {} of {release} ({address})",
            instance["id"].as_str()?
        );
        Some(Place {
            address,
            title,
            through: None,
            front: None,
        })
    };
    let places: Option<Vec<Place>> = instances.iter().map(place).collect();
    places.ok_or_else(unreadable)
}
