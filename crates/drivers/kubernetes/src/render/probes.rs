//! Which containers nobody asks whether they are well, and what could be asked. Pure.

use super::pods;
use serde_json::Value;

/// Delay and period of each probe, seconds.
const PROBES: [(&str, u32, u32); 2] = [("livenessProbe", 30, 10), ("readinessProbe", 5, 5)];

/// A container of a Deployment without probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unprobed {
    /// `deployment/api`.
    pub workload: String,
    /// The container.
    pub container: String,
    /// What it lacks, as YAML to be pasted below the container; no line is indented more than it has to be.
    pub template: String,
}

/// Of all Deployments among these objects the containers that lack a probe; sidecars without a port of their own do not count.
pub fn unprobed(objects: &[Value]) -> Vec<Unprobed> {
    let deployments = objects
        .iter()
        .filter(|it| pods::is_workload(it) && it["kind"] == "Deployment");
    let mut found = Vec::new();
    for object in deployments {
        let containers = object["spec"]["template"]["spec"]["containers"].as_array();
        let containers = containers.map(Vec::as_slice).unwrap_or_default();
        for container in containers {
            let is_sidecar =
                containers.len() > 1 && container["ports"].as_array().is_none_or(Vec::is_empty);
            let template = template(container);
            if !is_sidecar && !template.is_empty() {
                found.push(Unprobed {
                    workload: pods::title(object),
                    container: container["name"].as_str().unwrap_or_default().to_owned(),
                    template,
                });
            }
        }
    }
    found
}

fn template(container: &Value) -> String {
    let ports = container["ports"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let named = ports.iter().find(|it| it["name"] == "http");
    let port = named
        .or(ports.first())
        .and_then(|it| it["containerPort"].as_u64());
    let port = port.unwrap_or(80);
    let lacks = PROBES.iter().filter(|(name, ..)| container[name].is_null());
    let probes = lacks.map(|(name, delay, period)| {
        format!(
            "{name}:\n  httpGet:\n    path: /health\n    port: {port}\n  initialDelaySeconds: {delay}\n  periodSeconds: {period}\n"
        )
    });
    probes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(containers: Value) -> Vec<Value> {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "api" },
            "spec": { "template": { "spec": { "containers": containers } } },
        });
        vec![object]
    }

    #[test]
    fn what_lacks_a_probe_is_offered_one() {
        let probe = json!({ "httpGet": { "path": "/", "port": 1 } });
        let all = "livenessProbe:\n  httpGet:\n    path: /health\n    port: 80\n  initialDelaySeconds: 30\n  periodSeconds: 10\n\
                   readinessProbe:\n  httpGet:\n    path: /health\n    port: 80\n  initialDelaySeconds: 5\n  periodSeconds: 5\n";
        let check = |containers: Value, expected: Option<&str>| {
            let found = unprobed(&deployment(containers));
            let found: Vec<&str> = found.iter().map(|it| it.template.as_str()).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        };
        check(json!([{ "name": "api" }]), Some(all));
        let sidecar = json!({ "name": "log" });
        let port = json!([{ "containerPort": 80 }]);
        check(
            json!([{ "name": "api", "ports": port }, sidecar]),
            Some(all),
        );
        let half = all.split_once("readinessProbe").unwrap().0;
        check(
            json!([{ "name": "api", "readinessProbe": probe }]),
            Some(half),
        );
        check(
            json!([{ "name": "api", "readinessProbe": probe, "livenessProbe": probe }]),
            None,
        );
    }
}
