//! `tcp: true`: whether the port accepts connections. Nothing is sent.

use crate::place::Place;
use crate::probe::Sight;
use crate::watch::Watch;
use belay_model::verdict::Outcome;
use serde_json::Map;
use std::io::ErrorKind;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What leads to a place takes every connection and is not told when the place has taken it, only when it has not: after this
/// long without a word it has, milliseconds.
const SILENCE_MS: u64 = 1000;

/// One try.
pub(crate) async fn connect(watch: &Watch<'_>, place: &Place) -> Sight {
    let connected = match TcpStream::connect(place.address).await {
        Ok(stream) if place.through.is_some() => stays(watch, stream).await,
        Ok(_) => Ok(()),
        Err(why) => Err(why.to_string()),
    };
    let (outcome, said) = match connected {
        Ok(()) => (Outcome::Pass, "it accepts connections".to_owned()),
        Err(why) => (Outcome::Fail, format!("it accepts no connections ({why})")),
    };
    Sight {
        outcome,
        said,
        seen: Map::new(),
    }
}

async fn stays(watch: &Watch<'_>, mut stream: TcpStream) -> Result<(), String> {
    let mut first = [0];
    match watch.within(SILENCE_MS, stream.read(&mut first)).await {
        Some(Err(why)) if why.kind() == ErrorKind::ConnectionReset => Err(why.to_string()),
        // It has said something, or has ended what it had accepted.
        Some(_) | None => Ok(()),
    }
}
