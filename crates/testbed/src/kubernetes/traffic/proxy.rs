//! In the place of kube-proxy: each connection to a Service's own address goes to a pod that is ready by its EndpointSlices.

use super::servers::Servers;
use super::{Place, place, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::copy;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

pub(super) struct Proxy {
    servers: Arc<Servers>,
    /// Pods by slice.
    slices: Mutex<BTreeMap<Place, Slice>>,
    listens: Mutex<BTreeSet<SocketAddr>>,
    /// Of each Service, how many connections came to it: each of its pods has its turn, whatever comes to others.
    turns: Mutex<BTreeMap<Place, usize>>,
}

struct Slice {
    service: Place,
    ready: Vec<Place>,
}

impl Proxy {
    pub(super) fn new(servers: Arc<Servers>) -> Self {
        Self {
            servers,
            slices: Mutex::default(),
            listens: Mutex::default(),
            turns: Mutex::default(),
        }
    }

    pub(super) fn heard(&self, event: &str, slice: &Value) {
        let at = place(slice);
        let mut slices = self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        if event == "DELETED" {
            slices.remove(&at);
            return;
        }
        let service = text(&slice["metadata"]["labels"]["kubernetes.io/service-name"]);
        let endpoints = slice["endpoints"].as_array().into_iter().flatten();
        let ready = endpoints.filter(|it| it["conditions"]["ready"] != false);
        let pods = ready.map(|it| (at.0.clone(), text(&it["targetRef"]["name"]).to_owned()));
        let slice = Slice {
            service: (at.0.clone(), service.to_owned()),
            ready: pods.collect(),
        };
        slices.insert(at, slice);
    }

    /// Takes what comes to a Service from now on.
    pub(super) fn listen(self: &Arc<Self>, service: &Value) {
        let at = place(service);
        let ip: Option<IpAddr> = text(&service["spec"]["clusterIP"]).parse().ok();
        let (Some(ip), false) = (ip, at.0 == "default") else {
            return;
        };
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        for port in ports.filter_map(|it| u16::try_from(it["port"].as_u64()?).ok()) {
            let address = SocketAddr::from((ip, port));
            let mut listens = self.listens.lock().unwrap_or_else(PoisonError::into_inner);
            if !listens.insert(address) {
                continue;
            }
            let listener = match TcpListener::bind(address) {
                Ok(listener) => listener,
                Err(error) => {
                    eprintln!(
                        "nothing takes what comes to service/{} at {address}: {error}",
                        at.1
                    );
                    continue;
                }
            };
            let (proxy, at) = (self.clone(), at.clone());
            std::thread::spawn(move || {
                for client in listener.incoming().map_while(Result::ok) {
                    let (proxy, at) = (proxy.clone(), at.clone());
                    std::thread::spawn(move || proxy.lead(&at, &client));
                }
            });
        }
    }

    /// Without a pod that is ready nobody answers.
    fn lead(&self, service: &Place, client: &TcpStream) -> Option<()> {
        let pod = TcpStream::connect(self.pod(service)?).ok()?;
        std::thread::scope(|both| {
            both.spawn(|| pass(client, &pod));
            pass(&pod, client);
        });
        Some(())
    }

    fn pod(&self, service: &Place) -> Option<SocketAddr> {
        let slices = self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        let own = slices.values().filter(|slice| slice.service == *service);
        let ready: Vec<&Place> = own.flat_map(|slice| &slice.ready).collect();
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(service.clone()).or_default();
        *turn += 1;
        let chosen = ready.get(*turn % ready.len().max(1))?;
        self.servers.address(chosen)
    }
}

fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
