//! How a place is connected to over HTTP: always at its address, whatever the host in the URL would resolve to. Whom to trust is what
//! the machine trusts (or `SSL_CERT_FILE` names).

use crate::http::root;
use crate::place::Place;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::iter::{Once, once};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tower_service::Service;

/// Why there is no answer.
pub(crate) enum Unanswered {
    /// Nobody could be asked.
    Unasked(String),
    /// Nobody answered.
    Silent(String),
}

/// Asks a place, over a connection of its own: one that was kept could break for reasons of its own.
pub(crate) async fn send(
    place: &Place,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, Unanswered> {
    let mut tcp = HttpConnector::new_with_resolver(Always(place.address));
    let mut client = Client::builder(TokioExecutor::new());
    client.pool_max_idle_per_host(0);
    let answer = if place.front.as_ref().is_some_and(|it| it.is_secure) {
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider());
        let tls = tls
            .map_err(|error| Unanswered::Unasked(format!("whom to trust is not known: {error}")))?;
        let connector = tls.https_only().enable_http1().wrap_connector(tcp);
        client.build(connector).request(request).await
    } else {
        client.build(tcp).request(request).await
    };
    answer.map_err(|error| Unanswered::Silent(root(&error)))
}

/// Where a path of a place is, as its users would write it.
pub(crate) fn url(place: &Place, path: &str) -> String {
    let Some(front) = &place.front else {
        return format!("http://{}{path}", place.address);
    };
    let (scheme, usual) = match front.is_secure {
        true => ("https", 443),
        false => ("http", 80),
    };
    match place.address.port() {
        port if port == usual => format!("{scheme}://{}{path}", front.host),
        port => format!("{scheme}://{}:{port}{path}", front.host),
    }
}

/// Resolves every name to one address.
#[derive(Clone)]
struct Always(SocketAddr);

impl Service<Name> for Always {
    type Response = Once<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(once(self.0)))
    }
}
