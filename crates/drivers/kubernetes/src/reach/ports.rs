//! Which port of a pod answers: what a Service sends to, else what the containers say. Pure.

use serde_json::Value;

/// What the port that takes plain HTTP is called where there are several.
const HTTP: &str = "http";

/// Of the ports of a Service the one that is asked.
pub(super) fn of_service(service: &Value) -> Result<&Value, String> {
    let name = service["metadata"]["name"].as_str().unwrap_or_default();
    let ports = service["spec"]["ports"].as_array();
    let ports = ports.map(Vec::as_slice).unwrap_or_default();
    the_one(ports).ok_or_else(|| match ports {
        [] => format!("service/{name} has no port"),
        _ => format!("service/{name} has several ports, and none of them is named `{HTTP}`"),
    })
}

/// The number of the port in a pod that such a port of a Service leads to.
pub(super) fn target(port: &Value, pod: &Value) -> Result<u16, String> {
    match &port["targetPort"] {
        Value::String(name) => {
            let mut named = declared(pod).into_iter().filter(|it| it["name"] == **name);
            let found = named.find_map(|it| number(&it["containerPort"]));
            found.ok_or_else(|| format!("no container of the pod has a port named `{name}`"))
        }
        Value::Null => number(&port["port"]).ok_or_else(|| "the Service names no port".to_owned()),
        written => number(written).ok_or_else(|| format!("{written} is no port")),
    }
}

/// The port that the containers of a pod say they answer at.
pub(super) fn of_pod(pod: &Value) -> Result<u16, String> {
    let ports: Vec<Value> = declared(pod).into_iter().cloned().collect();
    let port = the_one(&ports).and_then(|it| number(&it["containerPort"]));
    port.ok_or_else(|| match ports.as_slice() {
        [] => "its containers declare no port, and no Service leads to it".to_owned(),
        _ => format!("its containers declare several ports, and none of them is named `{HTTP}`"),
    })
}

pub(super) fn number(value: &Value) -> Option<u16> {
    u16::try_from(value.as_u64()?).ok().filter(|it| *it > 0)
}

fn the_one(ports: &[Value]) -> Option<&Value> {
    match ports {
        [only] => Some(only),
        several => several.iter().find(|it| it["name"] == HTTP),
    }
}

fn declared(pod: &Value) -> Vec<&Value> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let ports = containers.flat_map(|it| it["ports"].as_array().into_iter().flatten());
    ports
        .filter(|it| it["protocol"].as_str().unwrap_or("TCP") == "TCP")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(ports: Value) -> Value {
        json!({ "spec": { "containers": [{ "name": "sidecar" }, { "name": "api", "ports": ports }] } })
    }

    fn service(ports: Value) -> Value {
        json!({ "metadata": { "name": "api" }, "spec": { "ports": ports } })
    }

    #[test]
    fn a_services_port_is_the_only_one_or_the_one_named_http() {
        let check = |ports: Value, expected: Result<u64, &str>| {
            let service = service(ports);
            let found = of_service(&service).map(|it| it["port"].as_u64().unwrap());
            assert_eq!(found, expected.map_err(str::to_owned));
        };
        let (web, http) = (
            json!({ "name": "web", "port": 80 }),
            json!({ "name": "http", "port": 8080 }),
        );
        check(json!([web]), Ok(80));
        check(json!([web, http]), Ok(8080));
        check(json!([]), Err("service/api has no port"));
        let several = "service/api has several ports, and none of them is named `http`";
        check(json!([web, { "name": "admin", "port": 81 }]), Err(several));
    }

    #[test]
    fn it_leads_to_a_number_or_a_name() {
        let pod = pod(json!([{ "name": "web", "containerPort": 8000 }]));
        let check = |port: Value, expected: Result<u16, &str>| {
            assert_eq!(target(&port, &pod), expected.map_err(str::to_owned));
        };
        check(json!({ "port": 80 }), Ok(80));
        check(json!({ "port": 80, "targetPort": 9000 }), Ok(9000));
        check(json!({ "port": 80, "targetPort": "web" }), Ok(8000));
        let unknown = "no container of the pod has a port named `other`";
        check(json!({ "port": 80, "targetPort": "other" }), Err(unknown));
        check(
            json!({ "port": 80, "targetPort": 70000 }),
            Err("70000 is no port"),
        );
    }

    #[test]
    fn without_a_service_the_containers_tell() {
        let check = |ports: Value, expected: Result<u16, &str>| {
            assert_eq!(of_pod(&pod(ports)), expected.map_err(str::to_owned));
        };
        check(json!([{ "containerPort": 8000 }]), Ok(8000));
        let dns = json!({ "containerPort": 53, "protocol": "UDP" });
        check(json!([dns, { "containerPort": 8000 }]), Ok(8000));
        let two = json!([{ "containerPort": 1 }, { "name": "http", "containerPort": 2 }]);
        check(two, Ok(2));
        check(
            json!([dns]),
            Err("its containers declare no port, and no Service leads to it"),
        );
        let several = "its containers declare several ports, and none of them is named `http`";
        check(
            json!([{ "containerPort": 1 }, { "containerPort": 2 }]),
            Err(several),
        );
    }
}
