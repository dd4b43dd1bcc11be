//! Processes that take no traffic: what goes with them, and what cannot.

use belay_model::config::{Config, Strategy, Target};
use expect_test::{Expect, expect};

use super::{check, good, with};

/// A target without `listen`, with something below it.
fn worker(more: &str) -> String {
    with(more).replace(", listen: \"127.0.0.1:8080\"", "")
}

fn refused(more: &str, expect: Expect) {
    check(worker(more), expect);
}

#[test]
fn a_worker_is_a_process_without_an_address() {
    let text = worker(
        "verify:\n  - { http: /health }\n  - { tcp: true }\n  - { command: \"./server --check\", at: live }\n",
    );
    check(&text, expect![[""]]);
    let config = good(&text).config;
    let environment = &config.environments["production"];
    let Some(Target::Process(process)) = environment.target.as_ref() else {
        panic!("a target of processes");
    };
    assert_eq!(process.listen, None);
    assert_eq!(process.ready(), None, "it is ready when it keeps running");
    assert_eq!(environment.strategy(), Strategy::Basic);
    let json = serde_json::to_string(&config).unwrap();
    assert!(!json.contains("listen"), "{json}");
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    for strategy in ["basic", "rolling"] {
        check(
            worker(&format!("    strategy: {strategy}\n")),
            expect![[""]],
        );
    }
}

/// Whoever forgot the address must not lose the route.
#[test]
fn an_address_without_a_value_is_none_that_was_left_out() {
    check(
        with("").replace("\"127.0.0.1:8080\"", ""),
        expect![[r#"
            error[E0103]: `listen` has no address; processes that take no traffic leave the key out
              --> belay.yaml:5:41
               |
             5 |     target: { process: { run: ./server, listen:  } }
               |                                         ^^^^^^ write `listen: 127.0.0.1:8080`
        "#]],
    );
}

#[test]
fn two_workers_share_no_address() {
    let two =
        worker("  staging:\n    target: { process: { run: ./server, ready: { tcp: true } } }\n");
    check(&two, expect![[""]]);
    assert!(good(&two).check_ports(None).is_empty());
}

#[test]
fn what_needs_traffic_is_no_strategy_for_workers() {
    refused(
        "    strategy: { canary: [ { to: 10%, for: 5m } ] }\n",
        expect![[r#"
        error[E0110]: a canary needs a share of the traffic, and processes without `listen` get none
          --> belay.yaml:6:17
           |
         6 |     strategy: { canary: [ { to: 10%, for: 5m } ] }
           |                 ^^^^^^ add `listen: 127.0.0.1:8080` or use `basic` or `rolling`
    "#]],
    );
    refused(
        "    strategy: blue_green\n",
        expect![[r#"
        error[E0110]: blue/green keeps the release before ready for a switch of the traffic, and processes without `listen` get none
          --> belay.yaml:6:15
           |
         6 |     strategy: blue_green
           |               ^^^^^^^^^^ add `listen: 127.0.0.1:8080` or use `basic` or `rolling`
    "#]],
    );
}

#[test]
fn what_needs_traffic_is_no_check_of_workers() {
    refused(
        "    verify:\n      - { traffic: { max_errors: 1% } }\n",
        expect![[r#"
        error[E0114]: a `traffic` check counts requests, and `production` has no `listen` where they would come
          --> belay.yaml:7:11
           |
         7 |       - { traffic: { max_errors: 1% } }
           |           ^^^^^^^ use `command`, or add `listen: 127.0.0.1:8080`
    "#]],
    );
    refused(
        "    verify:\n      - { http: /health, at: live }\n      - { tcp: true, at: live }\n",
        expect![[r#"
        error[E0114]: a `live` check asks the address of the service, and `production` has no `listen`
          --> belay.yaml:7:30
           |
         7 |       - { http: /health, at: live }
           |                              ^^^^ did you mean `staged`?

        error[E0114]: a `live` check asks the address of the service, and `production` has no `listen`
          --> belay.yaml:8:26
           |
         8 |       - { tcp: true, at: live }
           |                          ^^^^ did you mean `staged`?
    "#]],
    );
    // The service's own checks are for every environment.
    refused(
        "  staging:\n    target: { process: { run: ./server, listen: \"127.0.0.1:8081\" } }\nverify:\n  - { traffic: { max_errors: 1% } }\n",
        expect![[r#"
            error[E0114]: a `traffic` check counts requests, and `production` has no `listen` where they would come
              --> belay.yaml:9:7
               |
             9 |   - { traffic: { max_errors: 1% } }
               |       ^^^^^^^ use `command`, or add `listen: 127.0.0.1:8080`
        "#]],
    );
}

#[test]
fn what_is_on_kubernetes_is_no_way_to_processes() {
    refused(
        "    verify:\n      - { http: /health, through: ingress/api }\n",
        expect![[r#"
            error[E0114]: `ingress/api` is an object of Kubernetes, and `production` runs processes
              --> belay.yaml:7:35
               |
             7 |       - { http: /health, through: ingress/api }
               |                                   ^^^^^^^^^^^ write it below the environments that are on Kubernetes
        "#]],
    );
}

/// Nobody can be moved in proportion where nobody is.
#[test]
fn going_back_in_proportion_needs_traffic() {
    refused(
        "    rollback: { capacity: proportional }\n",
        expect![[r#"
        error[E0114]: capacity in proportion needs a share of the traffic to move, and processes without `listen` get none
          --> belay.yaml:6:27
           |
         6 |     rollback: { capacity: proportional }
           |                           ^^^^^^^^^^^^ use `full` or `ask`
    "#]],
    );
    check(
        with("    rollback: { capacity: proportional }\n"),
        expect![[""]],
    );
    // And `ask_within` somebody who is asked.
    check(
        with("    rollback: { ask_within: 10m }\n"),
        expect![[r#"
        error[E0114]: nobody is asked for capacity
          --> belay.yaml:6:17
           |
         6 |     rollback: { ask_within: 10m }
           |                 ^^^^^^^^^^ add `capacity: ask`
    "#]],
    );
    check(
        with("    rollback: { capacity: ask, ask_within: 0s }\n"),
        expect![[r#"
            error[E0103]: nobody answers within no time
              --> belay.yaml:6:44
               |
             6 |     rollback: { capacity: ask, ask_within: 0s }
               |                                            ^^
        "#]],
    );
}
