use belay_proxy_api::{
    Code, DeleteRoute, Drain, Expect, HealthCheck, PutRoute, Refusal, Route, SplitBy,
};

use crate::support::{Backend, Proxy, ROUTE, Raw, free_address, route};

async fn refused(proxy: &Proxy, name: &str, route: &Route, expect: Expect) -> Refusal {
    let put = PutRoute {
        name: name.into(),
        route: route.clone(),
        expect,
    };
    let error = proxy
        .client
        .put_route(&put)
        .await
        .expect_err("the route was taken");
    error.refusal().unwrap_or_else(|| panic!("{error}")).clone()
}

#[tokio::test]
async fn a_wrong_route_is_refused_whole_and_the_old_one_lives() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let proxy = Proxy::start(dir.path()).await;
    let at = free_address().await;
    let good = route(at, &[("blue", 1000, &[&blue])]);
    proxy.put(&good).await;

    type Break = fn(&mut Route);
    let cases: [(Break, &str, &str); 9] = [
        (
            |r| r.groups.get_mut("blue").unwrap().weight = 999,
            "routes.front.groups",
            "the weights add up to 999, not to 1000 (or all 0)",
        ),
        (
            |r| r.groups.get_mut("blue").unwrap().upstreams.clear(),
            "routes.front.groups.blue.upstreams",
            "weight 1000 but no upstream to take it",
        ),
        (
            |r| r.listen.set_port(0),
            "routes.front.listen",
            "port 0 names no address",
        ),
        (
            |r| {
                r.groups.get_mut("blue").unwrap().upstreams[0]
                    .address
                    .set_port(0)
            },
            "routes.front.groups.blue.upstreams.0.address",
            "port 0 names no address",
        ),
        (
            |r| {
                let upstreams = &mut r.groups.get_mut("blue").unwrap().upstreams;
                upstreams.push(upstreams[0].clone());
            },
            "routes.front.groups.blue.upstreams.1.id",
            "\"u0\" is empty or taken in this group",
        ),
        (
            |r| r.split_by = SplitBy::Cookie { name: "a b".into() },
            "routes.front.split_by.cookie.name",
            "\"a b\" names no cookie",
        ),
        (
            |r| r.groups.get_mut("blue").unwrap().health = Some(health("healthz", 1)),
            "routes.front.groups.blue.health.path",
            "\"healthz\" is no path such as /healthz",
        ),
        (
            |r| r.groups.get_mut("blue").unwrap().health = Some(health("/", 0)),
            "routes.front.groups.blue.health.interval_ms",
            "must be more than 0",
        ),
        (
            |r| {
                let group = r.groups["blue"].clone();
                r.groups.insert(String::new(), group);
                r.groups.get_mut("blue").unwrap().weight = 0;
            },
            "routes.front.groups..name",
            "a name has 1 to 200 bytes",
        ),
    ];
    for (make_wrong, field, message) in cases {
        let mut wrong = good.clone();
        make_wrong(&mut wrong);
        let refusal = refused(&proxy, ROUTE, &wrong, Expect::Any).await;
        assert_eq!(refusal.code, Code::Invalid);
        assert_eq!(
            (refusal.field.as_deref(), refusal.message.as_str()),
            (Some(field), message)
        );
    }
    let refusal = refused(&proxy, "other", &good, Expect::Any).await;
    assert_eq!(refusal.field.as_deref(), Some("routes.other.listen"));
    assert_eq!(
        refusal.message,
        format!("{at} is the address of route front, too")
    );

    let table = proxy.client.table().await.unwrap();
    assert_eq!((table.number, &table.routes[ROUTE]), (1, &good));
    assert_eq!(Raw::connect(at).await.get("/").await.unwrap().body, "blue");
}

fn health(path: &str, interval_ms: u64) -> HealthCheck {
    HealthCheck {
        path: path.into(),
        interval_ms,
        timeout_ms: 1,
        unhealthy_after: 1,
        healthy_after: 1,
    }
}

#[test]
fn unknown_keys_are_named() {
    let text = r#"{"listen":"127.0.0.1:1","groups":{"a":{"weigth":1,"upstreams":[]}}}"#;
    let error = serde_json::from_str::<Route>(text).unwrap_err().to_string();
    assert!(
        error.starts_with("unknown field `weigth`, expected one of `weight`"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_as_expected_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let proxy = Proxy::start(dir.path()).await;
    let old = route(free_address().await, &[("blue", 1000, &[&blue])]);
    let mut new = old.clone();
    new.owner = Some("me".into());

    let refusal = refused(&proxy, ROUTE, &old, Expect::Number(7)).await;
    assert_eq!((refusal.code, refusal.number), (Code::Conflict, Some(0)));
    refused(&proxy, ROUTE, &old, Expect::RouteHash(old.hash())).await;
    let put = |expect| PutRoute {
        name: ROUTE.into(),
        route: old.clone(),
        expect,
    };
    proxy
        .client
        .put_route(&put(Expect::RouteAbsent))
        .await
        .unwrap();
    // The answer may have been lost: the same again is no conflict and no change.
    let again = proxy
        .client
        .put_route(&put(Expect::RouteAbsent))
        .await
        .unwrap();
    assert_eq!((again.number, again.changed), (1, false));

    let refusal = refused(&proxy, ROUTE, &new, Expect::RouteAbsent).await;
    assert_eq!(refusal.route.as_deref(), Some(&old));
    let refusal = refused(&proxy, ROUTE, &new, Expect::RouteHash(new.hash())).await;
    assert_eq!(
        (refusal.code, refusal.route.as_deref()),
        (Code::Conflict, Some(&old))
    );
    refused(&proxy, ROUTE, &new, Expect::Number(0)).await;

    // Another route's change moves the number; a writer who knows its own route goes on.
    let other = route(free_address().await, &[("blue", 1000, &[&blue])]);
    let put = PutRoute {
        name: "other".into(),
        route: other,
        expect: Expect::Number(1),
    };
    proxy.client.put_route(&put).await.unwrap();
    refused(&proxy, ROUTE, &new, Expect::Number(1)).await;
    let expect = Expect::RouteHash(old.hash());
    let put = PutRoute {
        name: ROUTE.into(),
        route: new.clone(),
        expect,
    };
    let applied = proxy.client.put_route(&put).await.unwrap();
    assert_eq!((applied.number, applied.previous), (3, Some(old.clone())));

    let delete = |expect| DeleteRoute {
        name: ROUTE.into(),
        expect,
    };
    let error = proxy
        .client
        .delete_route(&delete(Expect::Number(1)))
        .await
        .unwrap_err();
    assert_eq!(error.refusal().unwrap().code, Code::Conflict);
    let gone = proxy
        .client
        .delete_route(&delete(Expect::Number(3)))
        .await
        .unwrap();
    assert_eq!((gone.number, gone.changed), (4, true));
    let again = proxy
        .client
        .delete_route(&delete(Expect::Any))
        .await
        .unwrap();
    assert_eq!((again.number, again.changed), (4, false));
}

#[tokio::test]
async fn a_drain_of_nothing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(dir.path()).await;
    let drain = Drain {
        route: "no".into(),
        group: "no".into(),
        deadline_ms: 1,
    };
    let error = proxy.client.drain(&drain).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().code, Code::NotFound);
}
