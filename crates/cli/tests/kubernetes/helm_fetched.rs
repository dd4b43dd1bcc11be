//! Charts that are fetched: from a repository, from a place of their own, and from a registry.

use crate::helm::shop;
use crate::shop::Shop;
use belay_testbed::{Helm, Registry};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;

/// Serves the files of a folder until this process ends; answers its address.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut line = String::new();
            let mut reader = BufReader::new(&connection);
            let _ = reader.read_line(&mut line);
            let mut rest = String::new();
            while reader.read_line(&mut rest).is_ok_and(|count| count > 2) {
                rest.clear();
            }
            let name = line.split(' ').nth(1).unwrap_or("/");
            let file = std::fs::read(folder.join(name.trim_start_matches('/')));
            let (status, body) = match file {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = (&connection).write_all(&[head.as_bytes(), &body].concat());
        }
    });
    format!("http://{address}")
}

impl Shop {
    fn helms(&self, arguments: &[&str]) {
        let done = self.helm(arguments).output().expect("helm");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{arguments:?}: {said}");
    }

    /// The chart of that version, in the folder of a repository.
    fn package(&self, version: &str) -> String {
        let package = ["package", "chart", "-d", "charts", "--version", version];
        self.helms(&package);
        format!("charts/shop-{version}.tgz")
    }

    /// What the release is made of from now on.
    fn fetches(&self, name: &str, version: &str) {
        let path = self.project.path().join("belay.yaml");
        let text = std::fs::read_to_string(path).expect("read");
        let own = |line: &&str| !line.starts_with("  chart:") && !line.starts_with("  version:");
        let lines: Vec<&str> = text.lines().filter(own).collect();
        let fetched = format!("release:\n  chart: {name}\n  version: {version}");
        let text = lines.join("\n").replace("release:", &fetched);
        self.project.write("belay.yaml", &(text + "\n"));
    }

    fn chart(&self) -> String {
        let newest = self.releases().pop().expect("a revision");
        newest["chart"].as_str().expect("a chart").to_owned()
    }

    fn refused(&self, words: &str) {
        let refused = self.project.json(2, &["deploy"]);
        assert_eq!(refused["error"]["code"], "E0354", "{refused:#}");
        assert!(refused.to_string().contains(words), "{refused:#}");
    }

    /// What was fetched is part of the release: it is gone where it came from.
    fn goes_back_without_its_source(&self) {
        std::fs::remove_dir_all(self.project.path().join("charts")).expect("removed");
        std::fs::remove_dir_all(self.project.path().join("chart")).expect("removed");
        self.project.json(0, &["rollback", "--yes"]);
        assert_eq!(self.chart(), "shop-1.2.3");
        let script = self.script(&["rollback", "--undo"]);
        assert!(script.contains("helm rollback"), "{script}");
    }
}

fn with_files_of_its_own(version: Helm) -> Shop {
    let mut shop = shop(version);
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        let dir = shop.project.path().join("helm").display().to_string();
        shop.project.env.push((name.to_owned(), dir));
    }
    shop
}

#[test]
fn a_chart_comes_from_a_repository() {
    for version in [Helm::V3, Helm::V4] {
        let shop = with_files_of_its_own(version);
        let url = serve(shop.project.path().join("charts"));
        for version in ["1.2.3", "1.3.0"] {
            shop.package(version);
        }
        shop.helms(&["repo", "index", "charts", "--url", &url]);
        shop.helms(&["repo", "add", "local", &url]);
        shop.fetches("local/shop", "1.2.3");
        shop.project.json(0, &["deploy"]);
        assert_eq!(
            (shop.image(), shop.chart()),
            ("shop/api:1".to_owned(), "shop-1.2.3".to_owned())
        );
        shop.fetches("local/shop", "9.9.9");
        shop.refused("9.9.9");
        shop.fetches("local/nothing", "1.2.3");
        shop.refused("nothing");
        // A place of its own has one version.
        let place = format!("{url}/shop-1.3.0.tgz");
        shop.fetches(&place, "1.2.9");
        shop.refused("its version is 1.3.0");
        shop.fetches(&place, "1.3.0");
        shop.project.json(0, &["deploy"]);
        assert_eq!(shop.chart(), "shop-1.3.0");
        shop.goes_back_without_its_source();
    }
}

/// Over plain HTTP only helm 3 asks by itself.
#[test]
fn a_chart_comes_from_a_registry() {
    let shop = with_files_of_its_own(Helm::V3);
    let registry = Registry::start().expect("a registry");
    let place = format!("oci://{}/charts", registry.address);
    for version in ["1.2.3", "1.3.0"] {
        let package = shop.package(version);
        shop.helms(&["push", &package, &place, "--plain-http"]);
    }
    let name = format!("{place}/shop");
    shop.fetches(&name, "1.2.3");
    shop.project.json(0, &["deploy"]);
    assert_eq!(shop.chart(), "shop-1.2.3");
    shop.fetches(&name, "9.9.9");
    shop.refused("9.9.9");
    shop.fetches(&name, "1.3.0");
    shop.project.json(0, &["deploy"]);
    assert_eq!(shop.chart(), "shop-1.3.0");
    drop(registry);
    shop.goes_back_without_its_source();
}

/// What helm leaves behind is said in the plan, and is so.
#[test]
fn definitions_and_what_is_to_be_kept_stay() {
    for version in [Helm::V3, Helm::V4] {
        let shop = shop(version);
        let definition = format!("mottos.{}.example.com", shop.namespace);
        let group = format!("{}.example.com", shop.namespace);
        shop.project.write(
            "chart/crds/motto.yaml",
            &format!(
                "{{ apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {{ name: {definition} }}, spec: {{ group: \
                 {group}, names: {{ kind: Motto, plural: mottos }}, scope: Namespaced, versions: [{{ name: v1, served: true, storage: true, \
                 schema: {{ openAPIV3Schema: {{ type: object }} }} }}] }} }}\n"
            ),
        );
        shop.project.write(
            "chart/templates/kept.yaml",
            "{ apiVersion: v1, kind: ConfigMap, metadata: { name: kept, annotations: { helm.sh/resource-policy: keep } }, data: { a: b } }\n",
        );
        // The first one cannot be pulled, so that it is uninstalled again.
        let plan = shop.project.json(0, &["plan", "--image", "shop/bad:1"]);
        let residue = plan["plan"]["residue"].to_string();
        let words = "the custom resource definitions of its folder crds; what is to be kept when it goes (configmap/kept)";
        assert!(residue.contains(words), "{plan:#}");
        let failed = shop.project.json(3, &["deploy", "--image", "shop/bad:1"]);
        let kept = shop.get(&["secrets", "-l", "owner=helm"]);
        assert_eq!(kept["items"], serde_json::json!([]), "{failed:#}");
        let deployments = shop.get(&["deployments"]);
        assert_eq!(deployments["items"], serde_json::json!([]));
        shop.get(&["configmap", "kept"]);
        shop.get(&["customresourcedefinition", &definition]);
        // The next one takes them as they are.
        shop.project.json(0, &["deploy"]);
        assert_eq!(shop.image(), "shop/api:1");
    }
}
