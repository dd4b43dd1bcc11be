//! Rights: what is asked about them, and what takes which.

use crate::place::{context, place, record};
use belay_driver_kubernetes::permissions::{Asked, Purpose, guessed};
use belay_driver_kubernetes::{Kubernetes, Settings, Side, parse_manifest};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const RELEASE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
      - name: app
        image: app:1
        envFrom: [{configMapRef: {name: theirs}}, {secretRef: {name: theirs}}]
";

/// Somebody else's ConfigMap and Secret are read, and no more is allowed.
#[tokio::test]
async fn what_pods_are_given_by_others_is_looked_at() {
    let place = place();
    place.kubectl(&["create", "configmap", "theirs", "--from-literal=A=b"]);
    place.kubectl(&[
        "create",
        "secret",
        "generic",
        "theirs",
        "--from-literal=B=c",
    ]);
    let (target, state) = place.deploy(RELEASE).await;
    for key in ["configmap/theirs", "secret/theirs"] {
        assert_eq!(state.resources[key].facts["belongs"], false, "{key}");
    }
    let may = |verb: &str, resource: &str| {
        let account = format!("--as=system:serviceaccount:{}:belay", place.namespace);
        let mut kubectl = place.plane.kubectl();
        let asked = kubectl.args([
            "-n",
            &place.namespace,
            "auth",
            "can-i",
            verb,
            resource,
            &account,
        ]);
        asked.output().expect("kubectl").status.success()
    };
    assert!(may("get", "secrets") && !may("list", "secrets") && !may("patch", "configmaps"));
    place.observe(&target).await;
}

/// Who may not even ask goes on: nothing is said to be missing.
#[tokio::test]
async fn who_may_not_ask_is_not_held_up() {
    let place = place();
    let objects = parse_manifest(RELEASE).expect("a manifest");
    let settings = Settings {
        namespace: place.namespace.clone(),
        kubeconfig: Some(
            place
                .plane
                .kubeconfig_as("system:anonymous")
                .expect("a kubeconfig"),
        ),
        context: Some(belay_testbed::ControlPlane::CONTEXT.to_owned()),
        objects,
        ..Settings::default()
    };
    let driver = Kubernetes::new(&[0; 32], "");
    let rights = driver
        .rights(&settings, Purpose::Deploy(Asked::default()))
        .await;
    let checked = driver
        .check(&context(), &settings, &rights)
        .await
        .expect("asked");
    assert_eq!(checked.missing, []);
    let why = checked.unknown.expect("a reason");
    assert!(why.contains("selfsubjectaccessreviews"), "{why}");
}

/// The server asks for the second when the connection is upgraded, and writes only the first down.
#[tokio::test]
async fn a_port_is_not_forwarded_without_both_of_its_rights() {
    let place = place();
    let given = "envFrom: [{configMapRef: {name: theirs}}, {secretRef: {name: theirs}}]";
    let release = RELEASE.replace(given, "ports: [{containerPort: 8080}]");
    let (target, _) = place.deploy(&release).await;
    let account = format!("--serviceaccount={}:belay", place.namespace);
    let why = async || {
        let record = record(&target);
        let reached = place.driver.reach(&target, &record, Side::Own).await;
        let reached = reached.unwrap_or_else(|error| panic!("{error:?}"));
        let forward = reached[0].forward.clone().expect("a forward");
        let mut connection = TcpStream::connect(reached[0].address).await.expect("here");
        // It ends one way or the other: nobody listens in the pod.
        let _ = connection.read(&mut [0]).await;
        forward.blocked().unwrap_or_default()
    };
    for verb in ["get", "create"] {
        assert!(why().await.contains("orbidden"), "{verb}");
        let name = format!("forward-{verb}");
        let (verb, role) = (format!("--verb={verb}"), format!("--role={name}"));
        let resource = "--resource=pods/portforward";
        place.kubectl(&["create", "role", &name, &verb, resource]);
        place.kubectl(&["create", "rolebinding", &name, &role, &account]);
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while why().await.contains("orbidden") {
        assert!(Instant::now() < deadline);
    }
}

/// What built-in kinds are called is not asked: the server says the same of all that it has.
#[test]
fn built_in_kinds_are_called_as_the_server_calls_them() {
    let place = place();
    let mut seen = 0;
    for is_namespaced in [true, false] {
        let scope = format!("--namespaced={is_namespaced}");
        let listed = place.kubectl(&[
            "api-resources",
            "--no-headers",
            &scope,
            "--verbs=create,delete,patch",
        ]);
        for line in listed.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, .., api_version, _, kind] = words.as_slice() else {
                panic!("{line}");
            };
            let object = json!({ "apiVersion": api_version, "kind": kind });
            let settings = Settings {
                namespace: "here".to_owned(),
                objects: vec![object],
                ..Settings::default()
            };
            let rights = guessed(&settings, Purpose::Deploy(Asked::default()));
            if !rights.guessed.is_empty() || *kind == "Node" || *kind == "CSINode" {
                continue;
            }
            let right = rights.all.iter().find(|it| it.verbs.contains(&"create"));
            let right = right.expect("a right");
            assert_eq!(right.resource, *name, "{line}");
            let is_home = right.namespace.is_some();
            // No release has those: they are made by the platform itself.
            let is_machinery = matches!(*kind, "IPAddress" | "VolumeAttachment");
            assert!(is_home == is_namespaced || is_machinery, "{line}");
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} kinds");
}
