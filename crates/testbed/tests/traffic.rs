//! Traffic reaches real servers: by a Service's own address, and through the API server.

use belay_testbed::ControlPlane;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const MANIFEST: &str = r#"
{ "apiVersion": "v1", "kind": "List", "items": [
  { "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "one", "labels": { "app": "shop" } },
    "spec": { "containers": [{ "name": "api", "image": "shop/api:1", "ports": [{ "containerPort": 8080 }] }] } },
  { "apiVersion": "v1", "kind": "Service", "metadata": { "name": "shop" },
    "spec": { "selector": { "app": "shop" }, "ports": [{ "port": 8080 }] } } ] }"#;

fn said(command: &mut Command) -> String {
    let done = command.output().expect("run");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// The body of an answer; none: nobody answers.
fn get(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        .ok()?;
    // Through the API server a connection is not ended by its other side.
    let mut answer = BufReader::new(stream);
    let mut lines = answer.by_ref().lines().map_while(Result::ok);
    let length = lines.find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok())?;
    lines.find(String::is_empty)?;
    let mut body = vec![0; length];
    answer.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}

fn until<T>(look: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it does not come");
        std::thread::yield_now();
    }
}

#[test]
fn pods_answer_and_have_written() {
    let plane = ControlPlane::serving().expect("a control plane");
    let namespace = plane.namespace().expect("a namespace");
    let kubectl = || {
        let mut kubectl = plane.kubectl();
        kubectl.args(["-n", &namespace]);
        kubectl
    };
    let mut apply = kubectl()
        .args(["apply", "-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("run");
    apply
        .stdin
        .take()
        .expect("piped")
        .write_all(MANIFEST.as_bytes())
        .expect("read");
    assert!(apply.wait().expect("ended").success());
    let body = r#"{"pod":"one","release":"shop/api:1"}"#;

    let ip = said(kubectl().args(["get", "service", "shop", "-o", "jsonpath={.spec.clusterIP}"]));
    assert_eq!(until(|| get(&format!("{ip}:8080"))), body);

    let mut forward = kubectl()
        .args(["port-forward", "pod/one", "--address", "127.0.0.1", ":8080"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("run");
    let mut lines = BufReader::new(forward.stdout.take().expect("piped")).lines();
    let line = lines.next().expect("an address").expect("readable");
    let address = line.split(' ').nth(2).expect("an address").to_owned();
    assert_eq!(until(|| get(&address)), body);
    forward.kill().expect("killed");
    forward.wait().expect("gone");

    assert!(said(kubectl().args(["logs", "one"])).contains("cannot reach the database"));
    assert!(said(kubectl().args(["logs", "one", "--previous"])).contains("starting"));
}
