//! What objects say of where users come in from outside the cluster: at which address and port, by which host, with TLS or not. Pure.

use super::ports;
use serde_json::Value;
use std::collections::BTreeSet;

/// Where users come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Door {
    /// An IP address, or a name that leads to one.
    pub(super) address: String,
    pub(super) port: u16,
    /// Whom they ask for; absent: whoever is at the address.
    pub(super) host: Option<String>,
    pub(super) is_secure: bool,
}

/// Why nobody knows of a door; sentences without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// It will be known when somebody has made it.
    NotYet(String),
    /// It is not said, or not clear.
    Unclear(String),
}

type Doors = Result<Vec<Door>, Closed>;

fn unclear<T>(why: String) -> Result<T, Closed> {
    Err(Closed::Unclear(why))
}

/// By a Service of type LoadBalancer.
pub(super) fn of_service(service: &Value, host: Option<&str>) -> Doors {
    let title = format!("service/{}", name(service));
    if service["spec"]["type"] != "LoadBalancer" {
        return unclear(format!(
            "{title} is of type {}, and nobody comes in by it from outside the cluster",
            service["spec"]["type"].as_str().unwrap_or("ClusterIP")
        ));
    }
    let port = ports::of_service(service).map_err(Closed::Unclear)?;
    let number = ports::number(&port["port"]);
    let number = number.ok_or_else(|| Closed::Unclear(format!("{title} has no port")))?;
    let is_secure = port["appProtocol"] == "https" || port["name"] == "https" || number == 443;
    let door = |address| Door {
        address,
        port: number,
        host: host.map(str::to_owned),
        is_secure,
    };
    let addresses = balanced(service, &title)?;
    Ok(addresses.into_iter().map(door).collect())
}

/// By the controller of an Ingress, at the usual ports.
pub(super) fn of_ingress(ingress: &Value, host: Option<&str>) -> Doors {
    let title = format!("ingress/{}", name(ingress));
    let rules = list(&ingress["spec"]["rules"]);
    let named: Vec<&str> = rules.filter_map(|it| it["host"].as_str()).collect();
    let for_all = list(&ingress["spec"]["rules"]).any(|it| it["host"].is_null())
        || !ingress["spec"]["defaultBackend"].is_null();
    let host = chosen(&title, &named, for_all, host)?;
    let is_of_it = |it: &&Value| match &host {
        Some(host) => {
            let mut hosts = list(&it["hosts"]).filter_map(Value::as_str).peekable();
            hosts.peek().is_none() || hosts.any(|pattern| covers(pattern, host))
        }
        None => list(&it["hosts"]).next().is_none(),
    };
    let is_secure = list(&ingress["spec"]["tls"]).any(|it| is_of_it(&it));
    let door = |address| Door {
        address,
        port: if is_secure { 443 } else { 80 },
        host: host.clone(),
        is_secure,
    };
    let addresses = balanced(ingress, &title)?;
    Ok(addresses.into_iter().map(door).collect())
}

/// A Gateway that is a parent of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) namespace: String,
    pub(super) name: String,
    section: Option<String>,
    port: Option<u64>,
}

/// The Gateways of a route in that namespace.
pub(super) fn parents(route: &Value, home: &str) -> Result<Vec<Parent>, Closed> {
    const GROUP: &str = "gateway.networking.k8s.io";
    let all: Vec<&Value> = list(&route["spec"]["parentRefs"]).collect();
    let is_gateway = |it: &&&Value| {
        it["kind"].as_str().unwrap_or("Gateway") == "Gateway"
            && it["group"].as_str().unwrap_or(GROUP) == GROUP
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let gateways = all.iter().filter(is_gateway).map(|it| Parent {
        namespace: text(&it["namespace"]).unwrap_or_else(|| home.to_owned()),
        name: text(&it["name"]).unwrap_or_default(),
        section: text(&it["sectionName"]),
        port: it["port"].as_u64(),
    });
    let gateways: Vec<Parent> = gateways.collect();
    match gateways.is_empty() {
        true => unclear(format!(
            "no parent of httproute/{} is a Gateway, and nobody comes in by it from outside the cluster",
            name(route)
        )),
        false => Ok(gateways),
    }
}

/// By a Gateway to a route: with TLS where a listener of it has some, and without only where none has.
pub(super) fn of_gateway(
    gateway: &Value,
    parent: &Parent,
    route: &Value,
    host: Option<&str>,
) -> Doors {
    let (title, by) = (
        format!("httproute/{}", name(route)),
        format!("gateway/{}", parent.name),
    );
    let is_meant = |it: &&Value| {
        let is_section = parent
            .section
            .as_ref()
            .is_none_or(|it_| it["name"] == **it_);
        is_section && parent.port.is_none_or(|port| it["port"] == port)
    };
    let speaks = |it: &&Value| it["protocol"] == "HTTP" || it["protocol"] == "HTTPS";
    let listeners = list(&gateway["spec"]["listeners"]);
    let listeners: Vec<&Value> = listeners.filter(is_meant).filter(speaks).collect();
    let own: Vec<&str> = list(&route["spec"]["hostnames"])
        .filter_map(Value::as_str)
        .collect();
    let host = if own.is_empty() {
        let for_all = listeners.iter().any(|it| it["hostname"].is_null());
        let named = listeners.iter().filter_map(|it| it["hostname"].as_str());
        let named: Vec<&str> = named.collect();
        chosen(&format!("{title} at {by}"), &named, for_all, host)?
    } else {
        chosen(&title, &own, false, host)?
    };
    let takes = |it: &&&Value| match (it["hostname"].as_str(), &host) {
        (Some(pattern), Some(host)) => covers(pattern, host),
        (pattern, _) => pattern.is_none(),
    };
    let taking: Vec<&Value> = listeners.iter().filter(takes).copied().collect();
    let is_secure = taking.iter().any(|it| it["protocol"] == "HTTPS");
    let scheme = if is_secure { "HTTPS" } else { "HTTP" };
    let ports = taking.iter().filter(|it| it["protocol"] == scheme);
    let ports: BTreeSet<u16> = ports.filter_map(|it| ports::number(&it["port"])).collect();
    if ports.is_empty() {
        let asked = host.as_deref().unwrap_or("every host");
        return unclear(format!(
            "no listener of {by} takes HTTP or HTTPS for {title} and {asked}"
        ));
    }
    let addresses: Vec<String> = list(&gateway["status"]["addresses"])
        .filter(|it| {
            let kind = it["type"].as_str().unwrap_or("IPAddress");
            kind == "IPAddress" || kind == "Hostname"
        })
        .filter_map(|it| it["value"].as_str().map(str::to_owned))
        .collect();
    if addresses.is_empty() {
        return Err(Closed::NotYet(format!("{by} has no address yet")));
    }
    let each = addresses.iter().flat_map(|address| {
        ports.iter().map(|port| Door {
            address: address.clone(),
            port: *port,
            host: host.clone(),
            is_secure,
        })
    });
    Ok(each.collect())
}

/// Whom users ask for at something that names these hosts; `for_all`: it takes others, too.
fn chosen(
    title: &str,
    named: &[&str],
    for_all: bool,
    said: Option<&str>,
) -> Result<Option<String>, Closed> {
    let all: BTreeSet<&str> = named.iter().copied().collect();
    let in_words = || all.iter().copied().collect::<Vec<_>>().join(", ");
    if let Some(said) = said {
        let is_taken = for_all || all.is_empty() || all.iter().any(|pattern| covers(pattern, said));
        return match is_taken {
            true => Ok(Some(said.to_owned())),
            false => unclear(format!(
                "{title} takes {}, and not the host {said}",
                in_words()
            )),
        };
    }
    match all.iter().collect::<Vec<_>>().as_slice() {
        [] => Ok(None),
        [only] if !only.starts_with('*') => Ok(Some((**only).to_owned())),
        _ => unclear(format!(
            "{title} takes several hosts ({}): name one of them in `host`",
            in_words()
        )),
    }
}

/// Whether a host is one that a pattern means: itself, or with `*.` in front any below it.
fn covers(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.to_ascii_lowercase());
    match pattern.strip_prefix('*') {
        Some(domain) => host.len() > domain.len() && host.ends_with(domain),
        None => pattern == host,
    }
}

/// The addresses that somebody gave a Service or an Ingress.
fn balanced(object: &Value, title: &str) -> Result<Vec<String>, Closed> {
    let given = list(&object["status"]["loadBalancer"]["ingress"]);
    let address = |it: &Value| {
        it["ip"]
            .as_str()
            .or(it["hostname"].as_str())
            .map(str::to_owned)
    };
    let given: Vec<String> = given.filter_map(address).collect();
    match given.is_empty() {
        true => Err(Closed::NotYet(format!("{title} has no address yet"))),
        false => Ok(given),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As `http(s)://HOST at ADDRESS:PORT`, or what is wrong.
    fn said(doors: Doors) -> String {
        match doors {
            Ok(doors) => {
                let one = |it: &Door| {
                    let scheme = if it.is_secure { "https" } else { "http" };
                    let host = it.host.as_deref().unwrap_or("-");
                    format!("{scheme}://{host} at {}:{}", it.address, it.port)
                };
                doors.iter().map(one).collect::<Vec<_>>().join(", ")
            }
            Err(Closed::NotYet(why)) => format!("not yet: {why}"),
            Err(Closed::Unclear(why)) => why,
        }
    }

    fn service(spec: Value, ingress: Value) -> Value {
        json!({ "metadata": { "name": "api" }, "spec": spec, "status": { "loadBalancer": { "ingress": ingress } } })
    }

    #[test]
    fn a_load_balancer_is_asked_at_each_of_its_addresses() {
        let check = |spec: Value, ingress: Value, host, expected: &str| {
            assert_eq!(said(of_service(&service(spec, ingress), host)), expected);
        };
        let of = |ports: Value| json!({ "type": "LoadBalancer", "ports": ports });
        let both = json!([{ "ip": "10.0.0.1" }, { "hostname": "lb.example" }]);
        check(
            of(json!([{ "port": 8080 }])),
            both.clone(),
            None,
            "http://- at 10.0.0.1:8080, http://- at lb.example:8080",
        );
        let one = json!([{ "ip": "10.0.0.1" }]);
        let shop = Some("shop.example");
        for port in [
            json!({ "port": 443 }),
            json!({ "port": 8443, "name": "https" }),
            json!({ "port": 8443, "appProtocol": "https" }),
        ] {
            let number = port["port"].clone();
            let expected = format!("https://shop.example at 10.0.0.1:{number}");
            check(of(json!([port])), one.clone(), shop, &expected);
        }
        check(
            of(json!([{ "port": 80 }])),
            json!([]),
            None,
            "not yet: service/api has no address yet",
        );
        check(
            of(json!([{ "port": 80 }, { "port": 443 }])),
            one.clone(),
            None,
            "service/api has several ports, and none of them is named `http`",
        );
        check(
            json!({ "ports": [{ "port": 80 }] }),
            one,
            None,
            "service/api is of type ClusterIP, and nobody comes in by it from outside the cluster",
        );
    }

    fn ingress(spec: Value) -> Value {
        service(spec, json!([{ "ip": "10.0.0.1" }]))
    }

    #[test]
    fn an_ingress_is_asked_by_its_host_and_with_its_tls() {
        let check = |spec: Value, host, expected: &str| {
            assert_eq!(said(of_ingress(&ingress(spec), host)), expected);
        };
        let rule = |host: &str| json!({ "host": host });
        check(
            json!({ "rules": [rule("shop.example"), rule("shop.example")] }),
            None,
            "http://shop.example at 10.0.0.1:80",
        );
        check(
            json!({ "rules": [{ "http": {} }] }),
            None,
            "http://- at 10.0.0.1:80",
        );
        let two = json!([rule("a.example"), rule("*.b.example")]);
        check(
            json!({ "rules": two }),
            None,
            "ingress/api takes several hosts (*.b.example, a.example): name one of them in `host`",
        );
        check(
            json!({ "rules": two }),
            Some("x.b.example"),
            "http://x.b.example at 10.0.0.1:80",
        );
        let other = "ingress/api takes *.b.example, a.example, and not the host b.example";
        check(json!({ "rules": two }), Some("b.example"), other);
        check(
            json!({ "rules": two, "defaultBackend": {} }),
            Some("b.example"),
            "http://b.example at 10.0.0.1:80",
        );
        // TLS is that of the host.
        let secure = "https://a.example at 10.0.0.1:443";
        for (tls, expected) in [
            (json!([{ "hosts": ["a.example"] }]), secure),
            (json!([{ "hosts": ["*.example"] }]), secure),
            (json!([{ "secretName": "cert" }]), secure),
            (
                json!([{ "hosts": ["c.example"] }]),
                "http://a.example at 10.0.0.1:80",
            ),
        ] {
            check(
                json!({ "rules": [rule("a.example")], "tls": tls }),
                None,
                expected,
            );
        }
        let named_alone = json!({ "rules": [{}], "tls": [{ "hosts": ["a.example"] }] });
        check(named_alone, None, "http://- at 10.0.0.1:80");
    }

    fn listener(name: &str, protocol: &str, port: u16, hostname: Option<&str>) -> Value {
        json!({ "name": name, "protocol": protocol, "port": port, "hostname": hostname })
    }

    fn by_gateway(listeners: Value, route: Value, host: Option<&str>) -> String {
        let gateway = json!({
            "metadata": { "name": "web" },
            "spec": { "listeners": listeners },
            "status": { "addresses": [{ "value": "10.0.0.1" }, { "type": "Internal", "value": "x" }] },
        });
        let route = json!({ "metadata": { "name": "api" }, "spec": route });
        let parents = parents(&route, "shop").expect("a Gateway");
        said(of_gateway(&gateway, &parents[0], &route, host))
    }

    #[test]
    fn a_route_is_asked_at_the_listeners_of_its_gateway() {
        let route =
            |parent: Value, hosts: Value| json!({ "parentRefs": [parent], "hostnames": hosts });
        let web = || json!({ "name": "web" });
        let both = json!([
            listener("plain", "HTTP", 80, None),
            listener("secure", "HTTPS", 8443, Some("*.example")),
            listener("raw", "TCP", 5432, None),
        ]);
        let check = |route: Value, host, expected: &str| {
            assert_eq!(by_gateway(both.clone(), route, host), expected);
        };
        check(
            route(web(), json!(["shop.example"])),
            None,
            "https://shop.example at 10.0.0.1:8443",
        );
        check(
            route(web(), json!(["shop.test"])),
            None,
            "http://shop.test at 10.0.0.1:80",
        );
        let plain = json!({ "name": "web", "sectionName": "plain" });
        check(
            route(plain.clone(), json!(["shop.example"])),
            None,
            "http://shop.example at 10.0.0.1:80",
        );
        check(route(plain, json!([])), None, "http://- at 10.0.0.1:80");
        let at_80 = json!({ "name": "web", "port": 80 });
        check(
            route(at_80, json!(["a.example", "b.example"])),
            Some("b.example"),
            "http://b.example at 10.0.0.1:80",
        );
        let secure = json!({ "name": "web", "sectionName": "secure" });
        check(
            route(secure.clone(), json!([])),
            None,
            "httproute/api at gateway/web takes several hosts (*.example): name one of them in `host`",
        );
        check(
            route(secure, json!(["shop.test"])),
            None,
            "no listener of gateway/web takes HTTP or HTTPS for httproute/api and shop.test",
        );
    }

    #[test]
    fn parents_are_gateways_or_nobody_comes_in() {
        let of = |parents_: Value| {
            let route =
                json!({ "metadata": { "name": "api" }, "spec": { "parentRefs": parents_ } });
            parents(&route, "shop")
        };
        let mesh = json!({ "group": "", "kind": "Service", "name": "api" });
        let found = of(json!([mesh, { "name": "web", "namespace": "edge" }])).expect("one");
        let names: Vec<_> = found.iter().map(|it| (&*it.namespace, &*it.name)).collect();
        assert_eq!(names, [("edge", "web")]);
        assert_eq!(
            of(json!([{ "name": "web" }])).expect("one")[0].namespace,
            "shop"
        );
        assert!(
            matches!(of(json!([mesh])), Err(Closed::Unclear(why)) if why.contains("no parent"))
        );
    }

    #[test]
    fn a_gateway_without_an_address_is_waited_for() {
        let gateway = json!({ "spec": { "listeners": [listener("plain", "HTTP", 80, None)] } });
        let route =
            json!({ "metadata": { "name": "api" }, "spec": { "parentRefs": [{ "name": "web" }] } });
        let parents = parents(&route, "shop").expect("a Gateway");
        assert_eq!(
            said(of_gateway(&gateway, &parents[0], &route, None)),
            "not yet: gateway/web has no address yet"
        );
    }
}
