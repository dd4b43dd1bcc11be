//! Where a check asks: every new instance while they are staged, the address of the service afterwards. What takes no
//! traffic has no such address: its instances stay the place.

use belay_engine::ports::Question;
use belay_model::plan::Look;
use belay_model::verdict::Outcome;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One address to ask.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    /// For people: `instance a of release 2 (127.0.0.1:4001)`.
    pub(crate) title: String,
}

/// Where to ask, or what it means that nobody knows.
pub(crate) fn places(question: &Question) -> Result<Vec<Place>, (Outcome, String)> {
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
    Ok(Place { address, title })
}

fn instances(question: &Question) -> Result<Vec<Place>, (Outcome, String)> {
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
        Some(Place { address, title })
    };
    let places: Option<Vec<Place>> = instances.iter().map(place).collect();
    places.ok_or_else(unreadable)
}
