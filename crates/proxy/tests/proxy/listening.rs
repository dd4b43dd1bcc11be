use belay_proxy_api::{Code, DeleteRoute, Expect, PutRoute};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Backend, Proxy, ROUTE, Raw, free_address, route, until};

#[tokio::test]
async fn a_route_whose_address_is_taken_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let proxy = Proxy::start(dir.path()).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = taken.local_addr().unwrap();
    let front = route(at, &[("blue", 1000, &[&blue])]);
    let put = PutRoute {
        name: ROUTE.into(),
        route: front.clone(),
        expect: Expect::Any,
    };
    let error = proxy.client.put_route(&put).await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(
        (refusal.code, refusal.field.as_deref()),
        (Code::NotBound, Some("listen"))
    );
    assert_eq!(refusal.message, format!("{at} not bound: address in use"));
    assert_eq!(proxy.client.table().await.unwrap().number, 0);
    drop(taken);
    assert_eq!(proxy.put(&front).await.number, 1);
}

#[tokio::test]
async fn after_a_restart_a_taken_address_is_tried_until_it_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let at = free_address().await;
    let mut proxy = Proxy::start(dir.path()).await;
    proxy.put(&route(at, &[("blue", 1000, &[&blue])])).await;
    proxy.begin_stop();
    proxy.ended().await.unwrap();

    let taken = TcpListener::bind(at).await.unwrap();
    let proxy = Proxy::start(dir.path()).await;
    let listener = async || proxy.client.status().await.unwrap().listeners.remove(0);
    until("the try has failed", async || {
        listener().await.error.as_deref() == Some("address in use")
    })
    .await;
    assert!(!listener().await.bound);
    drop(taken);
    until("it is bound", async || listener().await.bound).await;
    assert_eq!(Raw::connect(at).await.get("/").await.unwrap().body, "blue");
}

#[tokio::test]
async fn a_route_that_goes_frees_its_address_and_closes_idle_connections() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let proxy = Proxy::start(dir.path()).await;
    let (at, elsewhere) = (free_address().await, free_address().await);
    proxy.put(&route(at, &[("blue", 1000, &[&blue])])).await;
    let mut idle = Raw::connect(at).await;
    idle.get("/").await.unwrap();
    let mut busy = Raw::connect(at).await;
    busy.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await;
    proxy.in_flight_is("blue", 1).await;

    proxy
        .put(&route(elsewhere, &[("blue", 1000, &[&blue])]))
        .await;
    assert!(idle.is_closed().await);
    assert!(TcpStream::connect(at).await.is_err());
    TcpListener::bind(at).await.unwrap();
    assert_eq!(
        Raw::connect(elsewhere).await.get("/").await.unwrap().body,
        "blue"
    );
    blue.state.release.notify_one();
    assert_eq!(busy.answer().await.unwrap().body, "released");
    assert!(busy.is_closed().await);

    let delete = DeleteRoute {
        name: ROUTE.into(),
        expect: Expect::Any,
    };
    proxy.client.delete_route(&delete).await.unwrap();
    assert!(TcpStream::connect(elsewhere).await.is_err());
}
