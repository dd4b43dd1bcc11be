//! One client: a connection that is used a number of times, then a new one.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::net::TcpStream;

const LARGEST_BODY: usize = 64 << 10;

type Unanswered = Box<dyn std::error::Error + Send + Sync>;

/// An answer: its status, and the release that gave it, by its own word.
pub(crate) type Answer = (u16, Option<String>);

pub(crate) struct Client {
    address: SocketAddr,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let sender = None;
        Self { address, sender }
    }

    /// The next request gets a new connection.
    pub(crate) fn forget(&mut self) {
        self.sender = None;
    }

    /// One request, on the connection that is there or a new one.
    pub(crate) async fn ask(&mut self, path: &str) -> Result<Answer, Unanswered> {
        // Closed while nobody used it: a client that looks before it sends has lost nothing.
        let is_usable = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !is_usable {
            self.sender = Some(connect(self.address).await?);
        }
        let sender = self.sender.as_mut().ok_or("no connection")?;
        let request = Request::get(path)
            .header("host", self.address.to_string())
            .body(Empty::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LARGEST_BODY);
        let body = body.collect().await?.to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        Ok((status, body["release"].as_str().map(str::to_owned)))
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Empty<Bytes>>, Unanswered> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends when the sender is gone; what went wrong is what the sender says.
    tokio::spawn(connection);
    Ok(sender)
}
