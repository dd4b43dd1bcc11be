//! Checks through where users come in from outside of the cluster. No controller runs: an edge of the test's own answers there, and the
//! test writes its address into the status, as a controller does, once the check waits for it.

use crate::helm;
use crate::shop::{Shop, until};
use belay_testbed::{ControlPlane, Edge, Helm};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::OnceLock;

const HOST: &str = "shop.example";
/// The Service of the shop's manifests, and its port.
const API: (&str, u16) = ("api", 8080);

/// A shop that users reach by an edge.
struct Edged {
    shop: Shop,
    edge: Edge,
}

impl Edged {
    /// With these checks, and this object, which is somebody else's.
    fn new(shop: Shop, checks: &str, object: &Value) -> Self {
        shop.configure("info", &format!("    verify: [{checks}]\n"));
        Self::of(shop, object)
    }

    /// The same of a shop that has its configuration.
    fn of(mut shop: Shop, object: &Value) -> Self {
        let edge = Edge::start(HOST).expect("an edge");
        let trusted = edge.authority().display().to_string();
        let variable = ("SSL_CERT_FILE".to_owned(), trusted);
        shop.project.env.push(variable);
        shop.make(object);
        Self { shop, edge }
    }

    /// Deploys, and opens the way in when the check waits for it.
    fn comes_in(&self, entrance: &str, behind: (&str, u16), open: impl FnOnce(&Edge)) -> String {
        let deploy = self.shop.project.beside(&["deploy"]);
        deploy.until_it_says(&format!("looks where {entrance} is reached"));
        let service = self.shop.get(&["service", behind.0]);
        let ip = service["spec"]["clusterIP"].as_str().expect("an address");
        let address = SocketAddr::new(ip.parse().expect("an address"), behind.1);
        self.edge.leads_to(address);
        open(&self.edge);
        deploy.succeeds()
    }

    /// Writes a part of the status of something, as a controller does.
    fn says(&self, what: [&str; 2], status: &Value) {
        let patch = json!({ "status": status }).to_string();
        let [kind, name] = what;
        let merge = ["--subresource=status", "--type=merge", "-p", &patch];
        let arguments = [&["patch", kind, name][..], &merge].concat();
        self.shop.kubectl(&arguments);
    }

    fn balanced(edge: &Edge) -> Value {
        json!({ "loadBalancer": { "ingress": [{ "ip": edge.address().to_string() }] } })
    }

    /// A release that answers badly goes back, and says how users saw it.
    fn sick_goes_back(&self, place: &str) {
        let deploy = ["deploy", "--image", "shop/api:2-sick"];
        let bad = self.shop.project.json(3, &deploy).to_string();
        let said = "it answered with status 503 instead of 200";
        assert!(bad.contains(said) && bad.contains(place), "{bad}");
        assert_eq!(self.shop.image(), "shop/api:1");
    }
}

fn ingress(spec: &Value) -> Value {
    json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "api" }, "spec": spec })
}

fn balancer() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "edge" },
        "spec": { "type": "LoadBalancer", "selector": { "app": "api" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    })
}

fn rule(host: &str) -> Value {
    let backend = json!({ "service": { "name": "api", "port": { "number": 8080 } } });
    let path = json!({ "path": "/", "pathType": "Prefix", "backend": backend });
    json!({ "host": host, "http": { "paths": [path] } })
}

#[test]
fn an_ingress_is_asked_as_its_users_do() {
    let tls = json!([{ "hosts": [HOST], "secretName": "certificate" }]);
    let object = ingress(&json!({ "rules": [rule(HOST)], "tls": tls }));
    let check = "{ http: /health, through: ingress/api }, { tcp: true, through: ingress/api }";
    let edged = Edged::new(Shop::new(), check, &object);
    let said = edged.comes_in("ingress/api", API, |edge| {
        edged.says(["ingress", "api"], &Edged::balanced(edge));
    });
    let ip = edged.edge.address();
    let place = format!("ingress/api (https://{HOST} at {ip}:443)");
    assert!(said.contains(&place), "{said}");
    edged.sick_goes_back(&place);
}

/// Who it is has to be vouched for by somebody whom this machine trusts.
#[test]
fn who_is_not_trusted_is_not_believed() {
    let tls = json!([{ "hosts": [HOST] }]);
    let object = ingress(&json!({ "rules": [rule(HOST)], "tls": tls }));
    let mut edged = Edged::new(
        Shop::new(),
        "{ http: /health, through: ingress/api }",
        &object,
    );
    edged.shop.apply();
    edged.says(["ingress", "api"], &Edged::balanced(&edged.edge));
    let env = &mut edged.shop.project.env;
    env.retain(|(name, _)| name != "SSL_CERT_FILE");
    edged.edge.leads_to(([127, 0, 0, 1], 9).into());
    let failed = edged
        .shop
        .project
        .json(3, &["deploy", "--image", "shop/api:2"])
        .to_string();
    assert!(failed.contains("invalid peer certificate"), "{failed}");
    until("the pods are as they were", || {
        let api = edged.shop.get(&["deployment", "api"]);
        api["spec"]["template"]["spec"]["containers"][0]["image"] == "shop/api:1"
    });
}

#[test]
fn of_several_hosts_one_has_to_be_named() {
    let object = ingress(&json!({ "rules": [rule("shop.test"), rule("*.example")] }));
    let check = "{ http: /health, through: ingress/api }";
    let edged = Edged::new(Shop::new(), check, &object);
    let said = edged.shop.project.belay(&["deploy"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let why = "ingress/api takes several hosts (*.example, shop.test): name one of them in `host`";
    assert!(said.contains(why), "{said}");
    let check = format!("    verify: [{{ http: /health, through: ingress/api, host: {HOST} }}]\n");
    edged.shop.configure("info", &check);
    let said = edged.comes_in("ingress/api", API, |edge| {
        edged.says(["ingress", "api"], &Edged::balanced(edge));
    });
    let ip = edged.edge.address();
    let place = format!("ingress/api (http://{HOST} at {ip}:80)");
    assert!(said.contains(&place), "{said}");
}

#[test]
fn a_route_is_asked_at_its_gateway() {
    // One of its own: a Gateway is in a namespace of others.
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    let plane = PLANE.get_or_init(|| {
        let plane = ControlPlane::serving().expect("a control plane");
        plane.know_routes().expect("routes");
        plane
    });
    let namespace = plane.namespace().expect("a namespace");
    let api = "gateway.networking.k8s.io/v1";
    let backend = json!({ "name": "api", "port": 8080 });
    let route = json!({
        "apiVersion": api, "kind": "HTTPRoute", "metadata": { "name": "api" },
        "spec": { "parentRefs": [{ "name": "web", "namespace": namespace }], "hostnames": [HOST],
                  "rules": [{ "backendRefs": [backend] }] },
    });
    let check = "{ http: /health, through: httproute/api }";
    let edged = Edged::new(Shop::on(plane), check, &route);
    let all = json!({ "namespaces": { "from": "All" } });
    let listener = |name: &str, protocol: &str, port: u16| json!({ "name": name, "protocol": protocol, "port": port, "allowedRoutes": all });
    let mut secure = listener("secure", "HTTPS", 443);
    secure["tls"] = json!({ "certificateRefs": [{ "name": "certificate" }] });
    let gateway = json!({
        "apiVersion": api, "kind": "Gateway", "metadata": { "name": "web", "namespace": namespace },
        "spec": { "gatewayClassName": "none", "listeners": [listener("plain", "HTTP", 80), secure] },
    });
    edged
        .shop
        .project
        .write("gateway.json", &gateway.to_string());
    let file = edged.shop.project.path().join("gateway.json");
    let kubectl = |arguments: &[&str]| {
        let mut kubectl = plane.kubectl();
        let done = kubectl.args(["-n", &namespace]).args(arguments).output();
        let done = done.expect("kubectl");
        assert!(done.status.success(), "{done:?}");
    };
    kubectl(&["apply", "-f", &file.display().to_string()]);
    let said = edged.comes_in("httproute/api", API, |edge| {
        let address = json!({ "type": "IPAddress", "value": edge.address().to_string() });
        let patch = json!({ "status": { "addresses": [address] } }).to_string();
        let patch = ["--subresource=status", "--type=merge", "-p", &patch];
        kubectl(&[&["patch", "gateway", "web"][..], &patch].concat());
    });
    let ip = edged.edge.address();
    let place = format!("httproute/api (https://{HOST} at {ip}:443)");
    assert!(said.contains(&place), "{said}");
    edged.sick_goes_back(&place);
}

#[test]
fn a_helm_release_is_asked_as_its_users_do() {
    let shop = helm::shop(Helm::V4);
    let check = format!(
        "keep: {{ bake: 0s }}\n    verify: [{{ http: /health, through: service/edge, host: {HOST} }}]"
    );
    shop.edit("belay.yaml", "keep: { bake: 0s }", &check);
    let edged = Edged::of(shop, &balancer());
    let said = edged.comes_in("service/edge", ("edge", 80), |edge| {
        edged.says(["service", "edge"], &Edged::balanced(edge));
    });
    let place = format!(
        "service/edge (http://{HOST} at {}:80)",
        edged.edge.address()
    );
    assert!(said.contains(&place), "{said}");
    edged.sick_goes_back(&place);
}

#[test]
fn a_load_balancer_is_asked_where_it_is() {
    let check = format!("{{ http: /health, through: service/edge, host: {HOST} }}");
    let shop = Shop::new();
    // Its users reach it by nothing else.
    let own = "---\n{ apiVersion: v1, kind: Service, metadata: { name: api }, spec: { selector: { app: api }, ports: [{ port: 8080 }] } }\n";
    shop.edit("k8s/api.yaml", own, "");
    let edged = Edged::new(shop, &check, &balancer());
    let said = edged.comes_in("service/edge", ("edge", 80), |edge| {
        edged.says(["service", "edge"], &Edged::balanced(edge));
    });
    let ip = edged.edge.address();
    let place = format!("service/edge (http://{HOST} at {ip}:80)");
    assert!(said.contains(&place), "{said}");
    edged.sick_goes_back(&place);
}
