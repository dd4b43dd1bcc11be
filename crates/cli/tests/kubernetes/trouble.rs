//! What there is to know in trouble: what is said of it, and how long a way back would take.

use crate::shop::{Shop, until};
use serde_json::{Value, json};

#[test]
fn what_there_is_to_say_of_trouble() {
    let shop = Shop::new();
    shop.project.json(0, &["deploy"]);
    shop.kubectl(&["set", "image", "deployment/api", "api=shop/crash:2"]);
    until("it ends again and again", || {
        let pods = shop.get(&["pods"]);
        let pods = pods["items"].as_array().expect("pods").clone();
        pods.iter()
            .any(|it| it["status"]["containerStatuses"][0]["restartCount"].as_i64() > Some(0))
    });
    let check = |arguments: &[&str], folder: &str| {
        let done = shop.project.json(
            0,
            &[&["logs"][..], arguments, &["--bundle", folder]].concat(),
        );
        let files = done["files"].as_array().expect("files").clone();
        let read = |end: &str| {
            let name = files
                .iter()
                .filter_map(Value::as_str)
                .find(|it| it.ends_with(end));
            let name = name.unwrap_or_else(|| panic!("{end} is not in {files:?}"));
            std::fs::read_to_string(shop.project.path().join(name)).expect("read")
        };
        let events = read("events.txt");
        // Some times are whole seconds.
        let times: Vec<&str> = events.lines().filter_map(|line| line.get(..19)).collect();
        assert!(
            times.is_sorted() && events.contains("replicaset/api-"),
            "{events}"
        );
        assert!(read("workloads/deployment-api.json").contains("\"conditions\""));
        assert!(read("pod.json").contains("\"phase\""));
        // Simulated pods write nothing; that is said in its place.
        assert!(!read("api.previous.log").is_empty());
        for file in files.iter().filter_map(Value::as_str) {
            let text = std::fs::read_to_string(shop.project.path().join(file)).expect("read");
            assert!(!text.contains(crate::shop::KEY), "{file}");
        }
    };
    check(&["-e", "test"], "first");
    check(&[&shop.uri("deployment/api")], "second");
    let refused = shop
        .project
        .json(2, &["logs", "-e", "test", "--bundle", "first"])
        .to_string();
    assert!(refused.contains("E0324"), "{refused}");
}

#[test]
fn a_way_back_has_a_time_once_something_was_rolled_out() {
    let shop = Shop::new();
    shop.project.json(0, &["deploy"]);
    shop.project.json(0, &["deploy", "--image", "shop/api:2"]);
    let ready = shop.project.json(0, &["ready"])["ready"].clone();
    assert_eq!(
        (&ready["goal"], &ready["measured_by"]),
        (&json!("release 1"), &json!("rollout")),
        "{ready:#}"
    );
    assert!(ready["predicted_ms"].as_u64() > Some(0), "{ready:#}");
    let words = shop.project.belay(&["ready"]).stdout;
    let words = String::from_utf8_lossy(&words).into_owned();
    assert!(words.contains("as its pods took going forward"), "{words}");
    shop.project.json(0, &["rollback", "--yes"]);
    shop.project.json(0, &["deploy", "--image", "shop/api:3"]);
    let ready = shop.project.json(0, &["ready"])["ready"].clone();
    assert_eq!(ready["measured_by"], "way_back", "{ready:#}");
}
