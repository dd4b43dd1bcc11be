use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use belay_proxy::{Error, Options};
use belay_proxy_api::Client;

use crate::support::{Backend, Proxy, ROUTE, Raw, free_address, route, until};

const CHILD_DIR: &str = "BELAY_TEST_PROXY_DIR";

/// A proxy as a process of its own, to be killed: this executable with the first of these tests, which plays it.
fn start_child(dir: &std::path::Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "restart::a_killed_proxy_comes_back_with_its_table",
        ])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_killed_proxy_comes_back_with_its_table() {
    if let Some(dir) = std::env::var_os(CHILD_DIR) {
        let stop = belay_proxy::signalled().unwrap();
        return belay_proxy::run(Options::new(PathBuf::from(dir)), stop)
            .await
            .unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let client = Client::for_dir(dir.path());
    let mut child = start_child(dir.path());
    until("the child answers", || async {
        client.status().await.is_ok()
    })
    .await;
    let front = route(free_address().await, &[("blue", 1000, &[&blue])]);
    let expect = belay_proxy_api::Expect::Any;
    let put = belay_proxy_api::PutRoute {
        name: ROUTE.into(),
        route: front.clone(),
        expect,
    };
    client.put_route(&put).await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(client.status().await.is_err());

    // The dead proxy's socket is still there, and in nobody's way.
    let mut child = start_child(dir.path());
    until("the child answers", || async {
        client.status().await.is_ok()
    })
    .await;
    let status = client.status().await.unwrap();
    assert_eq!((status.pid, status.number), (child.id(), 1));
    assert!(!status.holding && status.warnings.is_empty());
    until("it is bound", || async {
        client.status().await.unwrap().listeners[0].bound
    })
    .await;
    assert_eq!(
        Raw::connect(front.listen)
            .await
            .get("/")
            .await
            .unwrap()
            .body,
        "blue"
    );

    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success(), "SIGTERM is a clean end");
}

#[tokio::test]
async fn a_damaged_table_waits_for_a_controller_with_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    let at = free_address().await;
    let proxy = Proxy::start(dir.path()).await;
    let first = route(at, &[("blue", 1000, &[&blue])]);
    proxy.put(&first).await;
    proxy.put(&route(at, &[("green", 1000, &[&green])])).await;
    proxy.abort().await;
    let table = dir.path().join("table.json");
    let whole = std::fs::read(&table).unwrap();
    std::fs::write(&table, &whole[..whole.len() / 2]).unwrap();

    let mut options = Options::new(dir.path());
    options.fallback_grace = Duration::from_secs(3600);
    let proxy = Proxy::start_with(options).await;
    let status = proxy.client.status().await.unwrap();
    assert!(status.holding);
    assert!(
        status.warnings[0].starts_with("table.json is damaged"),
        "{:?}",
        status.warnings
    );
    assert_eq!(
        status.number, 4,
        "above 2, which was seen, and 3, which may have been"
    );
    assert_eq!(proxy.client.table().await.unwrap().routes[ROUTE], first);

    until("it is bound", || async {
        proxy.client.status().await.unwrap().listeners[0].bound
    })
    .await;
    let mut raw = Raw::connect(at).await;
    let early = tokio::time::timeout(Duration::from_millis(100), raw.get("/")).await;
    assert!(early.is_err(), "served before it was confirmed");
    let error = proxy.client.confirm(2).await.unwrap_err();
    assert_eq!(
        error.refusal().unwrap().code,
        belay_proxy_api::Code::Conflict
    );
    let status = proxy.client.confirm(4).await.unwrap();
    assert_eq!((status.holding, status.persisted_number), (false, 4));
    // The connection that waited is served, not cut.
    assert_eq!(raw.answer().await.unwrap().body, "blue");
}

#[tokio::test]
async fn a_fallback_serves_when_no_controller_comes() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let at = free_address().await;
    let proxy = Proxy::start(dir.path()).await;
    proxy.put(&route(at, &[("blue", 0, &[&blue])])).await;
    proxy.put(&route(at, &[("blue", 1000, &[&blue])])).await;
    proxy.abort().await;
    std::fs::remove_file(dir.path().join("table.json")).unwrap();
    let mut options = Options::new(dir.path());
    options.fallback_grace = Duration::from_millis(50);
    let proxy = Proxy::start_with(options).await;
    until("the grace is over", || async {
        !proxy.client.status().await.unwrap().holding
    })
    .await;
    assert_eq!(Raw::connect(at).await.get("/").await.unwrap().status, 503);
    assert_eq!(proxy.client.status().await.unwrap().warnings.len(), 2);
}

#[tokio::test]
async fn a_second_proxy_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(dir.path()).await;
    let second = belay_proxy::run(Options::new(dir.path()), std::future::pending()).await;
    assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
    assert!(proxy.client.status().await.is_ok(), "the first one lives");
}

#[tokio::test]
async fn a_directory_may_be_deeper_than_a_socket_path_is_long() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("d".repeat(100)).join("e".repeat(100));
    let proxy = Proxy::start(&deep).await;
    assert_eq!(proxy.client.status().await.unwrap().number, 0);
    let mode = std::fs::metadata(deep.join("admin.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_change_that_cannot_be_written_is_in_force_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let proxy = Proxy::start(dir.path()).await;
    let at = free_address().await;
    // A directory in the way fails the write, also for root.
    let in_the_way = dir.path().join("table.json.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let front = route(at, &[("blue", 1000, &[&blue])]);
    let put = |route: &belay_proxy_api::Route| belay_proxy_api::PutRoute {
        name: ROUTE.into(),
        route: route.clone(),
        expect: belay_proxy_api::Expect::Any,
    };
    let error = proxy.client.put_route(&put(&front)).await.unwrap_err();
    assert_eq!(
        error.refusal().unwrap().code,
        belay_proxy_api::Code::NotPersisted
    );
    assert_eq!(Raw::connect(at).await.get("/").await.unwrap().body, "blue");
    // Nothing else is taken until it is written.
    let mut next = front.clone();
    next.owner = Some("me".into());
    proxy.client.put_route(&put(&next)).await.unwrap_err();
    assert_eq!(proxy.client.table().await.unwrap().routes[ROUTE], front);
    std::fs::remove_dir(&in_the_way).unwrap();
    let again = proxy.client.put_route(&put(&front)).await.unwrap();
    assert_eq!((again.number, again.changed), (1, false));
    assert_eq!(proxy.client.status().await.unwrap().persisted_number, 1);
}
