//! Keys and values that the types refuse.

use expect_test::expect;

use super::{check, with};

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    check(
        with("").replace("environments:", "enviroments:"),
        expect![[r#"
            error[E0102]: unknown key `enviroments`
              --> belay.yaml:3:1
               |
             3 | enviroments:
               | ^^^^^^^^^^^ did you mean `environments`?
        "#]],
    );
    check(
        with("    stategy: rolling\n    owner: ada\n"),
        expect![[r#"
            error[E0102]: unknown key `stategy`
              --> belay.yaml:6:5
               |
             6 |     stategy: rolling
               |     ^^^^^^^ did you mean `strategy`?

            error[E0102]: unknown key `owner`
              --> belay.yaml:7:5
               |
             7 |     owner: ada
               |     ^^^^^
               = note: known here: `config`, `secrets`, `from`, `from_standing`, `target`, `targets`, `parallel`, `phases`, `rollback`, `on_failure`, `strategy`, `approve`, `queue`, `hotfix`, `verify`, `keep`, `on_first_failure`, `inconclusive`
        "#]],
    );
    check(
        with("verify:\n- traffic: { analysis: {} }\n"),
        expect![[r#"
            error[E0102]: unknown key `analysis`
              --> belay.yaml:7:14
               |
             7 | - traffic: { analysis: {} }
               |              ^^^^^^^^
               = note: known here: `max_errors`, `max_slower`, `min_requests`, `within`
        "#]],
    );
    check(
        with("").replace("process:", "proccess:"),
        expect![[r#"
        error[E0102]: unknown key `proccess`
          --> belay.yaml:5:15
           |
         5 |     target: { proccess: { run: ./server, listen: "127.0.0.1:8080" } }
           |               ^^^^^^^^ did you mean `process`?
    "#]],
    );
}

#[test]
fn wrong_values() {
    check(
        with("    strategy: canray\n"),
        expect![[r#"
        error[E0103]: unknown word `canray`
          --> belay.yaml:6:15
           |
         6 |     strategy: canray
           |               ^^^^^^ did you mean `canary`?
    "#]],
    );
    check(
        with("    strategy: canary\n"),
        expect![[r#"
        error[E0103]: `canary` needs a value: write `{ canary: ... }`
          --> belay.yaml:6:15
           |
         6 |     strategy: canary
           |               ^^^^^^
    "#]],
    );
    check(
        with("    strategy: { rolling: 3 }\n"),
        expect![[r#"
        error[E0103]: `rolling` takes no value
          --> belay.yaml:6:26
           |
         6 |     strategy: { rolling: 3 }
           |                          ^
    "#]],
    );
    check(
        with("    strategy: [rolling]\n"),
        expect![[r#"
        error[E0103]: expected exactly one of `basic`, `rolling`, `blue_green`, `canary`
          --> belay.yaml:6:15
           |
         6 |     strategy: [rolling]
           |               ^^^^^^^^^
    "#]],
    );
    check(
        with("    strategy: { canary: [{ to: 10, for: 5 }] }\n"),
        expect![[r#"
            error[E0103]: a percentage needs its sign
              --> belay.yaml:6:32
               |
             6 |     strategy: { canary: [{ to: 10, for: 5 }] }
               |                                ^^ did you mean `10%`?

            error[E0103]: a duration needs a unit (ms, s, m, h, d)
              --> belay.yaml:6:41
               |
             6 |     strategy: { canary: [{ to: 10, for: 5 }] }
               |                                         ^ did you mean `5s`?
        "#]],
    );
    check(
        with("    keep: { bake: 10 minutes, good: many }\n"),
        expect![[r#"
            error[E0103]: a duration is a whole number and a unit (ms, s, m, h, d), such as `30s`
              --> belay.yaml:6:19
               |
             6 |     keep: { bake: 10 minutes, good: many }
               |                   ^^^^^^^^^^

            error[E0103]: expected a whole number that is not negative, found the text `many`
              --> belay.yaml:6:37
               |
             6 |     keep: { bake: 10 minutes, good: many }
               |                                     ^^^^
        "#]],
    );
    check(
        with("").replace("service: shop", "service: 123"),
        expect![[r#"
            error[E0103]: expected a text, found the number `123`
              --> belay.yaml:1:10
               |
             1 | service: 123
               |          ^^^ did you mean `"123"`?
        "#]],
    );
    check(
        with("").replace("service: shop", "service: My_Shop"),
        expect![[r#"
            error[E0103]: a service's name is 1 to 63 characters of a-z, 0-9 and `-`
              --> belay.yaml:1:10
               |
             1 | service: My_Shop
               |          ^^^^^^^ did you mean `my-shop`?
        "#]],
    );
    check(
        with("").replace("run:", "instances: \"2\", run:"),
        expect![[r#"
            error[E0103]: expected a whole number that is not negative, found the text `2`
              --> belay.yaml:5:37
               |
             5 |     target: { process: { instances: "2", run: ./server, listen: "127.0.0.1:8080" } }
               |                                     ^^^ did you mean `2`, without quotes?
        "#]],
    );
    check(
        with("").replace("run:", "instances: 0, run:"),
        expect![[r#"
            error[E0103]: a service needs at least one instance
              --> belay.yaml:5:37
               |
             5 |     target: { process: { instances: 0, run: ./server, listen: "127.0.0.1:8080" } }
               |                                     ^ did you mean `1`?
        "#]],
    );
    check(
        with("").replace("\"127.0.0.1:8080\"", "localhost:8080"),
        expect![[r#"
            error[E0103]: expected an address such as `127.0.0.1:8080`
              --> belay.yaml:5:49
               |
             5 |     target: { process: { run: ./server, listen: localhost:8080 } }
               |                                                 ^^^^^^^^^^^^^^ did you mean `127.0.0.1:8080`?
        "#]],
    );
    check(
        with("").replace("\"127.0.0.1:8080\"", "8080"),
        expect![[r#"
            error[E0103]: expected an address such as `127.0.0.1:8080`
              --> belay.yaml:5:49
               |
             5 |     target: { process: { run: ./server, listen: 8080 } }
               |                                                 ^^^^ did you mean `127.0.0.1:8080`?
        "#]],
    );
    check(
        with("").replace("./server", "\"./server 'a\""),
        expect![[r#"
            error[E0103]: a quote in the command line is not closed
              --> belay.yaml:5:31
               |
             5 |     target: { process: { run: "./server 'a", listen: "127.0.0.1:8080" } }
               |                               ^^^^^^^^^^^^^
        "#]],
    );
    check(
        with("config: { EMPTY: , LIST: [a] }\n"),
        expect![[r#"
            error[E0103]: expected a text, a number or a boolean, found nothing
              --> belay.yaml:6:11
               |
             6 | config: { EMPTY: , LIST: [a] }
               |           ^^^^^

            error[E0103]: expected a text, a number or a boolean, found a list
              --> belay.yaml:6:26
               |
             6 | config: { EMPTY: , LIST: [a] }
               |                          ^^^
        "#]],
    );
    check(
        with("verify:\n"),
        expect![[r#"
            error[E0103]: expected a list, found nothing
              --> belay.yaml:6:1
               |
             6 | verify:
               | ^^^^^^
        "#]],
    );
}

#[test]
fn missing_keys() {
    check(
        "service: shop\n",
        expect![[r#"
        error[E0104]: missing key `release`
          --> belay.yaml:1:1
           |
         1 | service: shop
           | ^^^^^^^^^^^^^ add `release:`
    "#]],
    );
    check(
        with("").replace("run: ./server", "instances: 2"),
        expect![[r#"
            error[E0104]: missing key `run` in `environments.production.target.process`
              --> belay.yaml:5:15
               |
             5 |     target: { process: { instances: 2, listen: "127.0.0.1:8080" } }
               |               ^^^^^^^ add `run:`
        "#]],
    );
    check(
        "service: shop\nrelease: { artifact: dist }\nenvironments: {}\n",
        expect![[r#"
            error[E0104]: there is no environment
              --> belay.yaml:3:1
               |
             3 | environments: {}
               | ^^^^^^^^^^^^
        "#]],
    );
}

#[test]
fn many_mistakes_are_told_at_once_and_each_once() {
    check(
        "servce: shop\nrelease: { artifact: ./dist, package: x }\nenvironments:\n  staging:\n    target: { process: { run: 1, \
         listen: here } }\n    stratgy: basic\n  production:\n    target: { nomad: {} }\nservice: 3\n",
        expect![[r#"
            error[E0102]: unknown key `servce`
              --> belay.yaml:1:1
               |
             1 | servce: shop
               | ^^^^^^ did you mean `service`?

            error[E0102]: unknown key `package`
              --> belay.yaml:2:30
               |
             2 | release: { artifact: ./dist, package: x }
               |                              ^^^^^^^
               = note: known here: `artifact`, `manifests`, `running`, `chart`, `version`, `values`, `values_from`, `image`, `images`

            error[E0103]: expected a command line, found the number `1`
              --> belay.yaml:5:31
               |
             5 |     target: { process: { run: 1, listen: here } }
               |                               ^

            error[E0103]: expected an address such as `127.0.0.1:8080`
              --> belay.yaml:5:42
               |
             5 |     target: { process: { run: 1, listen: here } }
               |                                          ^^^^

            error[E0102]: unknown key `stratgy`
              --> belay.yaml:6:5
               |
             6 |     stratgy: basic
               |     ^^^^^^^ did you mean `strategy`?

            error[E0102]: unknown key `nomad`
              --> belay.yaml:8:15
               |
             8 |     target: { nomad: {} }
               |               ^^^^^
               = note: known here: `process`, `kubernetes`, `helm`

            error[E0103]: expected a text, found the number `3`
              --> belay.yaml:9:10
               |
             9 | service: 3
               |          ^ did you mean `"3"`?
        "#]],
    );
}
