//! The server of each pod, and where port-forwards to it lead.

use super::{Place, place, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many requests a tired one answers well.
const UNTIL_TIRED: u32 = 20;

pub(super) struct Servers {
    all: Mutex<BTreeMap<Place, Arc<Server>>>,
    kubectl: Command,
}

struct Server {
    address: SocketAddr,
    is_gone: AtomicBool,
    image: String,
    pod: String,
    /// Requests but for `/health`.
    answered: AtomicU32,
}

impl Servers {
    /// `kubectl`: connected.
    pub(super) fn new(kubectl: Command) -> Self {
        let all = Mutex::default();
        Self { all, kubectl }
    }

    /// Where a pod answers.
    pub(super) fn address(&self, pod: &Place) -> Option<SocketAddr> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(pod).map(|server| server.address)
    }

    pub(super) fn heard(&self, event: &str, pod: &Value) {
        let at = place(pod);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            "DELETED" => {
                if let Some(server) = all.remove(&at) {
                    server.is_gone.store(true, Ordering::SeqCst);
                    // So that it looks.
                    let _ = TcpStream::connect(server.address);
                }
            }
            "ADDED" | "MODIFIED" if !all.contains_key(&at) => {
                let Ok(listener) = TcpListener::bind(("127.0.0.1", 0)) else {
                    return;
                };
                let Ok(address) = listener.local_addr() else {
                    return;
                };
                let server = Arc::new(Server {
                    address,
                    is_gone: AtomicBool::new(false),
                    image: text(&pod["spec"]["containers"][0]["image"]).to_owned(),
                    pod: at.1.clone(),
                    answered: AtomicU32::new(0),
                });
                all.insert(at.clone(), server.clone());
                std::thread::spawn(move || server.serve(&listener));
                self.forward(&at, pod, address);
            }
            _ => {}
        }
    }

    /// Tells kwok where connections to the pod lead: at the ports that its containers declare, all where they declare none.
    fn forward(&self, (namespace, name): &Place, pod: &Value, address: SocketAddr) {
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        let ports = containers.flat_map(|it| it["ports"].as_array().into_iter().flatten());
        let ports: Vec<&Value> = ports.map(|it| &it["containerPort"]).collect();
        let target = json!({ "address": "127.0.0.1", "port": address.port() });
        let mut leads = json!({ "target": target });
        if !ports.is_empty() {
            leads["ports"] = json!(ports);
        }
        let object = json!({
            "apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "PortForward",
            "metadata": { "namespace": namespace, "name": name },
            "spec": { "forwards": [leads] },
        });
        let mut create = Command::new(self.kubectl.get_program());
        create
            .args(self.kubectl.get_args())
            .args(["create", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Beside, as there are several at once, and each takes a moment.
        std::thread::spawn(move || {
            let Ok(mut child) = create.spawn() else {
                return;
            };
            if let Some(mut pipe) = child.stdin.take() {
                let _ = pipe.write_all(object.to_string().as_bytes());
            }
            let _ = child.wait();
        });
    }
}

impl Server {
    fn serve(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.is_gone.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let server = self.clone();
            std::thread::spawn(move || server.answer(stream));
        }
    }

    /// One request; nothing comes of one that breaks off.
    fn answer(&self, mut stream: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
        let first = lines.next()?.ok()?;
        lines
            .find(|line| line.as_ref().map_or(true, String::is_empty))?
            .ok()?;
        let path = first.split(' ').nth(1)?;
        let (status, word) = match self.status(path) {
            200 => (200, "OK"),
            status => (status, "Not well"),
        };
        let body = json!({ "release": self.image, "pod": self.pod }).to_string();
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status} {word}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .ok()
    }

    fn status(&self, path: &str) -> u16 {
        let is_health = path == "/health";
        let before = match is_health {
            true => self.answered.load(Ordering::SeqCst),
            false => self.answered.fetch_add(1, Ordering::SeqCst),
        };
        if self.image.contains("sick") && is_health {
            return 503;
        }
        match self.image.contains("tired") && before >= UNTIL_TIRED {
            true => 500,
            false => 200,
        }
    }
}
