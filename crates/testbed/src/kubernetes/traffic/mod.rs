//! Traffic that is real although no pod runs: a server for each pod, and something that sends what comes to a Service's own
//! address to a pod that is ready, as kube-proxy does. All of it goes with the process.

mod proxy;
mod servers;

use super::ControlPlane;
use proxy::Proxy;
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::Value;
use servers::Servers;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

impl ControlPlane {
    pub(super) fn serve_traffic(&mut self) -> Result<(), String> {
        let servers = Arc::new(Servers::new(self.kubectl()));
        let proxy = Arc::new(Proxy::new(servers.clone()));
        self.follow("pods", "/api/v1/pods?watch=true", move |event, pod| {
            servers.heard(event, pod);
        })?;
        let slices = "/apis/discovery.k8s.io/v1/endpointslices?watch=true";
        let listens = proxy.clone();
        self.follow("slices", slices, move |event, slice| {
            proxy.heard(event, slice)
        })?;
        self.follow(
            "services",
            "/api/v1/services?watch=true",
            move |_, service| {
                listens.listen(service);
            },
        )
    }

    /// Tells of everything that is there, and then of what becomes of it.
    fn follow(
        &mut self,
        name: &str,
        path: &str,
        tell: impl Fn(&str, &Value) + Send + 'static,
    ) -> Result<(), String> {
        let pipe = self.dir.join(name);
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).map_err(|e| format!("a pipe: {e}"))?;
        let mut kubectl = self.kubectl();
        self.keeper()
            .start(kubectl.args(["get", "--raw", path]), &pipe)?;
        let read = move || {
            let Ok(lines) = File::open(&pipe) else { return };
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                let Ok(change) = serde_json::from_str::<Value>(&line) else {
                    continue;
                };
                tell(text(&change["type"]), &change["object"]);
            }
        };
        std::thread::spawn(read);
        Ok(())
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Namespace and name.
type Place = (String, String);

fn place(object: &Value) -> Place {
    let metadata = &object["metadata"];
    (
        text(&metadata["namespace"]).to_owned(),
        text(&metadata["name"]).to_owned(),
    )
}
