//! A control plane takes pods, and is gone with the process that started it, however that ends.

use belay_testbed::ControlPlane;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Tells a process that plays the child in a test.
const CHILD: &str = "BELAY_TESTBED_CHILD";

/// Whether a process is there that was told of `dir`.
fn is_served(dir: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").expect("readable").flatten();
    let told = |path: &Path| std::fs::read(path.join("cmdline")).unwrap_or_default();
    let name = dir.to_string_lossy().into_owned();
    processes
        .map(|entry| told(&entry.path()))
        .any(|line| String::from_utf8_lossy(&line).contains(&name))
}

#[test]
fn a_control_plane_goes_with_its_process() {
    if std::env::var_os(CHILD).is_some() {
        let plane = ControlPlane::start().expect("a control plane");
        let namespace = plane.namespace().expect("a namespace");
        let mut kubectl = plane.kubectl();
        kubectl.args(["-n", &namespace, "run", "one", "--image=good"]);
        kubectl.stdout(Stdio::null());
        assert!(kubectl.status().expect("run").success());
        println!("\nkubeconfig {}", plane.kubeconfig().display());
        loop {
            std::thread::park();
        }
    }
    let mut child = Command::new(std::env::current_exe().expect("this file"))
        .args([
            "--exact",
            "a_control_plane_goes_with_its_process",
            "--nocapture",
        ])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let output = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let mut lines = std::io::BufRead::lines(output).map_while(Result::ok);
    let kubeconfig = lines.find_map(|line| Some(line.strip_prefix("kubeconfig ")?.to_owned()));
    let kubeconfig = kubeconfig.expect("a control plane that takes pods");
    let dir = Path::new(&kubeconfig).parent().expect("a directory");
    assert!(is_served(dir));
    child.kill().expect("killed");
    child.wait().expect("gone");
    let deadline = Instant::now() + Duration::from_secs(20);
    while is_served(dir) || dir.exists() {
        assert!(Instant::now() < deadline, "something is left of {dir:?}");
        std::thread::yield_now();
    }
}
