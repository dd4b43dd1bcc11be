//! How an API server is spoken to: what is asked and changed goes over one connection (HTTP/2, where the server speaks it), so that
//! who goes back pays for one TLS handshake and not for one for each of the requests that are under way at once. What stays open for
//! long has connections of its own: a server takes only so many streams on one, and a port-forward is an upgrade of HTTP/1.1.

use crate::error::failed;
use belay_driver::Error;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt, RustlsTlsError};
use kube::{Client, Config};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tower::{BoxError, ServiceBuilder};

/// How long it may take to reach the server, so that a call with a long deadline does not hang on a dead address.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a connection that seems idle is tried, and how long an answer may take: one that broke without a word is left then.
const ALIVE: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(10)];

/// See the module.
pub(crate) struct Connection {
    asking: Client,
    /// Made when something is to stay open for the first time: credential plugins are run for each.
    staying: Mutex<Option<Client>>,
    config: Config,
}

impl Connection {
    pub(crate) fn new(mut config: Config) -> Result<Self, Error> {
        config.connect_timeout = Some(CONNECT);
        let asking = client(&config, true).map_err(|error| failed("use the kubeconfig", error))?;
        Ok(Self {
            asking,
            staying: Mutex::default(),
            config,
        })
    }

    /// For requests that are answered at once.
    pub(crate) fn asking(&self) -> Client {
        self.asking.clone()
    }

    /// For what stays open.
    pub(crate) fn staying(&self) -> kube::Result<Client> {
        let mut staying = self.staying.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*staying {
            return Ok(known.clone());
        }
        let client = client(&self.config, false)?;
        Ok(staying.insert(client).clone())
    }
}

/// As kube makes one; with HTTP/2 where requests share a connection, which it does not offer, and with small writes sent at once,
/// as it does not: the end of a handshake would wait 40 ms for the server to acknowledge it.
fn client(config: &Config, is_shared: bool) -> kube::Result<Client> {
    if config.proxy_url.is_some() {
        return Client::try_from(config.clone());
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let [interval, timeout] = ALIVE;
    tcp.set_keepalive(Some(interval));
    tcp.set_keepalive_interval(Some(timeout));
    let mut https = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = name
            .clone()
            .try_into()
            .map_err(|error| kube::Error::RustlsTls(RustlsTlsError::InvalidServerName(error)))?;
        https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let https = https.enable_http1();
    let https = match is_shared {
        true => https.enable_http2().wrap_connector(tcp),
        false => https.wrap_connector(tcp),
    };
    let mut connector = TimeoutConnector::new(https);
    connector.set_connect_timeout(config.connect_timeout);
    let client: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(interval)
        .http2_keep_alive_timeout(timeout)
        .http2_keep_alive_while_idle(true)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(Client::new(service, config.default_namespace.clone()))
}
