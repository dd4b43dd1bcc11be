use belay_proxy_api::SplitBy;

use crate::support::{Backend, Proxy, Raw, field, free_address, route};

#[tokio::test]
async fn the_split_by_request_is_exact() {
    let dir = tempfile::tempdir().unwrap();
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    let proxy = Proxy::start(dir.path()).await;
    let at = free_address().await;
    proxy
        .put(&route(
            at,
            &[("blue", 950, &[&blue]), ("green", 50, &[&green])],
        ))
        .await;
    let mut raw = Raw::connect(at).await;
    let mut greens = 0;
    for _ in 0..1000 {
        let answer = raw.get("/").await.unwrap();
        assert_eq!(answer.status, 200);
        greens += u32::from(answer.body == "green");
    }
    assert_eq!(greens, 50);
}

#[tokio::test]
async fn all_weights_zero_answers_503() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let proxy = Proxy::start(dir.path()).await;
    let at = free_address().await;
    proxy.put(&route(at, &[("blue", 0, &[&blue])])).await;
    assert_eq!(Raw::connect(at).await.get("/").await.unwrap().status, 503);
}

#[tokio::test]
async fn a_cookie_keeps_its_group_until_that_has_no_weight() {
    let dir = tempfile::tempdir().unwrap();
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    let proxy = Proxy::start(dir.path()).await;
    let at = free_address().await;
    let sticky = |blue_weight: u32| {
        let mut route = route(
            at,
            &[
                ("blue", blue_weight, &[&blue]),
                ("green", 1000 - blue_weight, &[&green]),
            ],
        );
        route.split_by = SplitBy::Cookie {
            name: "seat".into(),
        };
        route
    };
    proxy.put(&sticky(500)).await;
    let mut raw = Raw::connect(at).await;
    let first = raw.get("/").await.unwrap();
    let cookie = field(&first.head, "set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    assert!(cookie.starts_with("seat="), "{cookie}");
    let header = format!("cookie: other=1; {cookie}\r\n");
    for _ in 0..50 {
        let answer = raw.get_with("/", &header).await.unwrap();
        assert_eq!(answer.body, first.body);
        assert_eq!(field(&answer.head, "set-cookie"), None);
    }
    // A smaller share moves nobody; none moves everybody, with a new cookie.
    let (little, none) = if first.body == "blue" {
        (1, 0)
    } else {
        (999, 1000)
    };
    proxy.put(&sticky(little)).await;
    assert_eq!(raw.get_with("/", &header).await.unwrap().body, first.body);
    proxy.put(&sticky(none)).await;
    let moved = raw.get_with("/", &header).await.unwrap();
    assert_ne!(moved.body, first.body);
    assert!(
        field(&moved.head, "set-cookie")
            .unwrap()
            .starts_with("seat=")
    );
}
