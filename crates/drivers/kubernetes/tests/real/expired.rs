//! A watch that asks from a version which the API server does not have any more: it says 410, and is asked anew.

use crate::place::{Place, alone};
use crate::way::{FORWARD, shop};
use belay_driver_kubernetes::{Settings, parse_manifest};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Between us and the API server: what we ask is passed on, but the first watches ask from the beginning of time.
struct Between {
    proxy: Child,
    address: SocketAddr,
    expired: Arc<AtomicUsize>,
}

impl Between {
    fn of(place: &Place) -> Self {
        let mut kubectl = place.plane.kubectl();
        let kubectl = kubectl.args(["proxy", "--port=0"]).stdout(Stdio::piped());
        let mut proxy = kubectl.spawn().expect("kubectl");
        let said = proxy.stdout.take().expect("piped");
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line).expect("read");
        let there = line.rsplit(' ').next().unwrap_or_default().trim();
        let there: SocketAddr = there.parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let expired = Arc::new(AtomicUsize::new(0));
        let counts = expired.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counts = counts.clone();
                std::thread::spawn(move || pass(stream, there, &counts));
            }
        });
        Self {
            proxy,
            address,
            expired,
        }
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

/// How many watches ask for what is not there any more: that of the object, that of its pods, and that of the object again.
const OLD: usize = 3;

/// One request and its answer.
fn pass(stream: TcpStream, there: SocketAddr, expired: &AtomicUsize) -> Option<()> {
    let mut from = BufReader::new(stream.try_clone().ok()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let name = line.to_ascii_lowercase();
        if let Some(number) = name.strip_prefix("content-length:") {
            length = number.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
        if !name.starts_with("connection:") {
            head += &line;
        }
    }
    let version = "resourceVersion=";
    let line = head.lines().next()?.to_owned();
    let is_meant = line.contains("watch=true") && !line.contains("/events");
    if let Some(at) = head.find(version).filter(|_| is_meant)
        && expired.load(Ordering::SeqCst) < OLD
    {
        let at = at + version.len();
        let end = at + head[at..].find(['&', ' '])?;
        head.replace_range(at..end, "1");
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    let mut to = TcpStream::connect(there).ok()?;
    to.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())
        .ok()?;
    to.write_all(&body).ok()?;
    let (mut said, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let length = to.read(&mut part).ok().filter(|it| *it > 0);
        let Some(length) = length else { break };
        said.extend_from_slice(&part[..length]);
        (&stream).write_all(&part[..length]).ok()?;
    }
    if is_meant && String::from_utf8_lossy(&said).contains(r#""reason":"Expired","code":410"#) {
        expired.fetch_add(1, Ordering::SeqCst);
    }
    stream.shutdown(std::net::Shutdown::Both).ok()
}

#[tokio::test]
async fn a_watch_that_has_expired_is_begun_anew() {
    let place = alone();
    // One that has just started knows nothing of what was before.
    place.plane.kill_api_server().expect("killed");
    place.plane.start_api_server().expect("started");
    place.plane.answers().expect("it is there");
    let between = Between::of(&place);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("kubeconfig");
    let context = belay_testbed::ControlPlane::CONTEXT;
    let kubeconfig = serde_json::json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{ "name": "test", "cluster": { "server": format!("http://{}", between.address) } }],
        "contexts": [{ "name": context, "context": { "cluster": "test", "user": "" } }],
        "current-context": context,
    });
    std::fs::write(&path, kubeconfig.to_string()).expect("written");
    let target = |manifest: &str| {
        place.target_with(Settings {
            kubeconfig: Some(path.clone()),
            objects: parse_manifest(manifest).expect("a manifest"),
            ..Settings::default()
        })
    };
    let release = target(&shop("app:1", 1));
    let done = place.go(&release, &place.goal(&release), FORWARD).await;
    done.expect("rolled out");
    assert_eq!(between.expired.load(Ordering::SeqCst), OLD);
    let lines = place.differences(&place.desired(&release), &place.observe(&release).await);
    assert_eq!(lines, "");
}
