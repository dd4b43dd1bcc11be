//! A port-forward through the API server, as `kubectl port-forward` makes one: an address of ours, each connection to which is
//! one to a port of a pod. It is there as long as its value is.

use crate::cluster::Cluster;
use crate::error::failed;
use belay_driver::Error;
use belay_model::error::Class;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// See the module. A connection that the pod refuses is reset.
pub struct Forward {
    address: SocketAddr,
    blocked: Blocked,
    // Ends with it, and with it all its connections.
    _connections: JoinSet<()>,
}

type Blocked = Arc<Mutex<Option<String>>>;

impl Forward {
    pub(super) async fn open(
        cluster: &Cluster,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<Self, Error> {
        let unable = |error: std::io::Error| {
            let message = format!("forward a port to pod {pod}: {error}");
            Error::not_applied(Class::Connectivity, message)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(unable)?;
        let address = listener.local_addr().map_err(unable)?;
        let blocked = Blocked::default();
        let way = Way {
            pods: cluster.pods_apart(namespace)?,
            pod: pod.to_owned(),
            port,
            blocked: blocked.clone(),
        };
        let mut connections = JoinSet::new();
        connections.spawn(serve(listener, Arc::new(way)));
        Ok(Self {
            address,
            blocked,
            _connections: connections,
        })
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Why the last connection did not get as far as the pod; none: it did.
    pub fn blocked(&self) -> Option<String> {
        let blocked = self.blocked.lock();
        blocked.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Way {
    pods: Api<Pod>,
    pod: String,
    port: u16,
    blocked: Blocked,
}

async fn serve(listener: TcpListener, way: Arc<Way>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let way = way.clone();
        connections.spawn(async move { way.lead(client).await });
    }
}

impl Way {
    async fn lead(&self, mut client: TcpStream) {
        let opened = self.pods.portforward(&self.pod, &[self.port]).await;
        let mut forwarder = match opened {
            Ok(forwarder) => {
                self.is_blocked(None);
                forwarder
            }
            Err(error) => {
                let what = format!("forward a port to pod {}", self.pod);
                self.is_blocked(Some(failed(&what, error).message));
                return reset(&client);
            }
        };
        let refused = forwarder.take_error(self.port);
        let stream = forwarder.take_stream(self.port);
        if let (Some(mut stream), Some(refused)) = (stream, refused) {
            let refused = async {
                match refused.await {
                    Some(_) => {}
                    // It is over without a word: what was sent counts.
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = refused => reset(&client),
                _ = copy_bidirectional(&mut client, &mut stream) => {}
            }
        }
        forwarder.abort();
    }

    fn is_blocked(&self, why: Option<String>) {
        *self.blocked.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

/// Tells the client so when it is dropped.
fn reset(client: &TcpStream) {
    // Where it does not work the client sees an end: nothing better is to be had.
    let _ = client.set_zero_linger();
}
