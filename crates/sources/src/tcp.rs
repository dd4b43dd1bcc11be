//! `tcp: true`: whether the port accepts connections. Nothing is sent.

use crate::probe::Sight;
use belay_model::verdict::Outcome;
use serde_json::Map;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// One try.
pub(crate) async fn connect(address: SocketAddr) -> Sight {
    let (outcome, said) = match TcpStream::connect(address).await {
        Ok(_) => (Outcome::Pass, "it accepts connections".to_owned()),
        Err(why) => (Outcome::Fail, format!("it accepts no connections ({why})")),
    };
    Sight {
        outcome,
        said,
        seen: Map::new(),
    }
}
