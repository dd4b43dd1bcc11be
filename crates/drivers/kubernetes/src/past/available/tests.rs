use super::*;
use crate::kinds;
use serde_json::json;

/// A ReplicaSet of that number, made and left by its pods at that second.
fn version(number: i64, made: u32, gone: Option<u32>) -> Value {
    let time = |second: u32| format!("2026-01-01T00:00:{second:02}Z");
    let left = gone.map(time);
    json!({
        "metadata": {
            "uid": number.to_string(), "name": format!("api-{number}"), "creationTimestamp": time(made),
            "labels": { "pod-template-hash": number.to_string() },
            "annotations": { "deployment.kubernetes.io/revision": number.to_string(), DESIRED: "2" },
            "managedFields": [{ "subresource": "status", "time": left }],
        },
        "spec": { "replicas": if gone.is_some() { 0 } else { 2 } },
        "status": { "replicas": if gone.is_some() { 0 } else { 2 } },
    })
}

fn deployment(since: u32) -> Value {
    let since = format!("2026-01-01T00:00:{since:02}Z");
    json!({
        "spec": { "strategy": { "rollingUpdate": { "maxUnavailable": "25%" } } },
        "status": { "conditions": [{ "type": "Available", "status": "True", "lastTransitionTime": since }] },
    })
}

/// Whether the version of that number is known to have been available.
fn check(object: &Value, all: &[Value], number: i64, expect: bool) {
    let kind = kinds::named("deployment").expect("a kind");
    let it = all
        .iter()
        .find(|it| kind.number(it) == Some(number))
        .expect("it is there");
    let found = availability(kind, object, it, all, &[]);
    assert_eq!(
        matches!(found, Availability::Yes(_)),
        expect,
        "{number}: {found:?}"
    );
}

#[test]
fn who_alone_had_pods_while_all_was_well_was_available() {
    let all = [
        version(3, 30, None),
        version(2, 10, Some(33)),
        version(1, 1, Some(15)),
    ];
    check(&deployment(2), &all, 2, true);
    check(&deployment(2), &all, 1, true);
    // It was not available all the while.
    check(&deployment(31), &all, 2, false);
}

#[test]
fn who_had_pods_beside_those_of_another_is_not_known_to_have_been() {
    // The first one served until the third was there: the second may never have got ready.
    let all = [
        version(3, 30, None),
        version(2, 10, Some(31)),
        version(1, 1, Some(33)),
    ];
    check(&deployment(2), &all, 2, false);
    check(&deployment(2), &all, 1, true);
    // It serves still.
    let all = [
        version(3, 30, None),
        version(2, 10, Some(31)),
        version(1, 1, None),
    ];
    check(&deployment(2), &all, 2, false);
}

#[test]
fn who_may_have_served_and_is_forgotten_proves_nothing() {
    let all = [
        version(4, 30, None),
        version(3, 10, Some(33)),
        version(2, 1, Some(9)),
    ];
    check(&deployment(2), &all, 3, false);
    let mut reused = version(2, 1, Some(9));
    reused["metadata"]["annotations"][EARLIER] = json!("1");
    let all = [version(4, 30, None), version(3, 10, Some(33)), reused];
    check(&deployment(2), &all, 3, true);
}

#[test]
fn where_nobody_is_needed_nothing_is_proved() {
    let all = |desired: &str| {
        let mut first = version(1, 1, Some(15));
        first["metadata"]["annotations"][DESIRED] = json!(desired);
        [version(2, 10, None), first]
    };
    check(&deployment(2), &all("2"), 1, true);
    check(&deployment(2), &all("0"), 1, false);
    let mut careless = deployment(2);
    careless["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] = json!("100%");
    check(&careless, &all("2"), 1, false);
}

#[test]
fn pods_tell_first() {
    let kind = kinds::named("statefulset").expect("a kind");
    let it = json!({ "metadata": { "name": "db-1" }, "revision": 1 });
    let pod = |ready: &str, message: &str| {
        json!({
            "metadata": { "name": "db-0", "labels": { "controller-revision-hash": "db-1" } },
            "status": {
                "conditions": [{ "type": "Ready", "status": ready }],
                "containerStatuses": [{ "state": { "waiting": { "reason": "ImagePullBackOff", "message": message } } }],
            },
        })
    };
    let of = |pods: &[Value]| availability(kind, &json!({}), &it, std::slice::from_ref(&it), pods);
    assert_eq!(
        of(&[pod("True", "")]),
        Availability::Yes("1 of its pods are ready".to_owned())
    );
    let broken = of(&[pod("False", "no such image")]);
    assert!(
        matches!(&broken, Availability::No(why) if why.contains("no such image")),
        "{broken:?}"
    );
    assert!(matches!(of(&[]), Availability::Unknown(_)));
}
