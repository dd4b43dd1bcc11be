use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Backend, Proxy, Raw, free_address, route};

struct Scene {
    _dir: tempfile::TempDir,
    blue: Backend,
    _green: Backend,
    proxy: Proxy,
    raw: Raw,
    away: belay_proxy_api::Route,
}

async fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    let proxy = Proxy::start(dir.path()).await;
    let at = free_address().await;
    proxy
        .put(&route(
            at,
            &[("blue", 1000, &[&blue]), ("green", 0, &[&green])],
        ))
        .await;
    let away = route(at, &[("green", 1000, &[&green])]);
    let raw = Raw::connect(at).await;
    Scene {
        _dir: dir,
        blue,
        _green: green,
        proxy,
        raw,
        away,
    }
}

/// One is in flight, also when the group has left the table, and a drain says so.
async fn still_there(scene: &Scene) {
    scene.proxy.in_flight_is("blue", 1).await;
    scene.proxy.put(&scene.away).await;
    let drained = scene.proxy.drain("blue", 30).await;
    assert_eq!(drained.in_flight, 1);
    assert_eq!(drained.upstreams["u0"], 1);
    assert!(drained.waited_ms >= 30);
}

async fn all_gone(scene: &Scene) {
    let drained = scene.proxy.drain("blue", 10_000).await;
    assert_eq!(drained.in_flight, 0);
    assert!(drained.upstreams.is_empty());
    assert!(drained.waited_ms < 10_000);
}

#[tokio::test]
async fn an_upload_is_in_flight_until_its_last_byte() {
    let mut scene = scene().await;
    let head = "POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345";
    scene.raw.send(head).await;
    still_there(&scene).await;
    scene.raw.send("67890").await;
    assert_eq!(scene.raw.answer().await.unwrap().body, "10");
    all_gone(&scene).await;
}

#[tokio::test]
async fn server_sent_events_are_in_flight_until_they_end() {
    let mut scene = scene().await;
    scene
        .raw
        .send("GET /events HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert_eq!(scene.raw.head().await.unwrap().0, 200);
    assert_eq!(scene.raw.chunk().await.unwrap().unwrap(), "data: 1\n\n");
    still_there(&scene).await;
    scene.blue.state.release.notify_one();
    assert_eq!(scene.raw.chunk().await.unwrap(), None);
    all_gone(&scene).await;
}

#[tokio::test]
async fn a_drain_under_way_ends_with_the_last_request() {
    let mut scene = scene().await;
    scene
        .raw
        .send("GET /events HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    still_there(&scene).await;
    let (drained, ()) = tokio::join!(scene.proxy.drain("blue", 10_000), async {
        scene.blue.state.release.notify_one();
    });
    assert_eq!(drained.in_flight, 0);
}

#[tokio::test]
async fn a_client_that_leaves_is_not_in_flight() {
    let mut scene = scene().await;
    scene
        .raw
        .send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    still_there(&scene).await;
    drop(std::mem::replace(
        &mut scene.raw,
        Raw::connect(scene.away.listen).await,
    ));
    all_gone(&scene).await;
    let group = scene.proxy.group("blue").await;
    assert_eq!(group.seconds[0].client_gone, 1);
    assert_eq!(group.seconds[0].errors.total(), 0);
}

#[tokio::test]
async fn an_upgraded_connection_is_in_flight_until_the_tunnel_ends() {
    let mut scene = scene().await;
    let upgrade = "connection: upgrade\r\nupgrade: echo\r\n";
    let answer = scene.raw.get_with("/echo", upgrade).await.unwrap();
    assert_eq!(answer.status, 101);
    assert!(answer.head.contains("upgrade: echo"), "{}", answer.head);
    still_there(&scene).await;
    scene.raw.send("hello").await;
    assert_eq!(scene.raw.exactly(5).await.unwrap(), "hello");
    scene.raw.stream.get_mut().shutdown().await.unwrap();
    assert_eq!(scene.raw.stream.read(&mut [0; 8]).await.unwrap(), 0);
    all_gone(&scene).await;
}

#[tokio::test]
async fn shutdown_waits_for_what_is_in_flight() {
    let mut scene = scene().await;
    let mut idle = Raw::connect(scene.away.listen).await;
    assert_eq!(idle.get("/").await.unwrap().status, 200);
    scene
        .raw
        .send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    scene.proxy.in_flight_is("blue", 1).await;
    scene.proxy.begin_stop();
    assert!(idle.is_closed().await);
    scene.blue.state.release.notify_one();
    let answer = scene.raw.answer().await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "released"));
    scene.proxy.ended().await.unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let mut options = belay_proxy::Options::new(dir.path());
    options.shutdown_deadline = std::time::Duration::from_millis(50);
    let mut proxy = Proxy::start_with(options).await;
    let at = free_address().await;
    proxy.put(&route(at, &[("blue", 1000, &[&blue])])).await;
    let mut raw = Raw::connect(at).await;
    let upgrade = "connection: upgrade\r\nupgrade: echo\r\n";
    assert_eq!(raw.get_with("/echo", upgrade).await.unwrap().status, 101);
    proxy.begin_stop();
    proxy.ended().await.unwrap();
    assert!(raw.is_closed().await);
}
