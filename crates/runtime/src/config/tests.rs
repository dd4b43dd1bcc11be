//! What people write, and what they are told: through [`check`], which runs a text through everything but the ports. The
//! expected reports are rewritten by `UPDATE_EXPECT=1 cargo test`.

use std::fs;
use std::path::Path;

use belay_model::config::{Config, Duration, FirstFailure, Percent, ReadyKind, Strategy, Target};
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{Code, Diagnostic, Loaded, load, parse};

/// A world in which [`GOOD`] is right: beside `belay.yaml` there is `dist` with the program `server` and the text `notes`.
fn world(text: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let dist = directory.path().join("dist");
    fs::create_dir(&dist).unwrap();
    fs::write(directory.path().join("belay.yaml"), text).unwrap();
    fs::write(dist.join("server"), "#!/bin/sh\n").unwrap();
    fs::write(dist.join("notes"), "").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(dist.join("server"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory
}

fn complaints(text: &[u8], env: Option<&str>) -> (Vec<Diagnostic>, String) {
    let world = world(text);
    let found = match load(&world.path().join("belay.yaml")) {
        Ok(loaded) => loaded.check(env),
        Err(found) => found,
    };
    let rendered: Vec<_> = found.iter().map(Diagnostic::to_string).collect();
    let rendered = rendered
        .join("\n")
        .replace(&format!("{}/", world.path().display()), "");
    (found, rendered)
}

fn check(text: impl AsRef<[u8]>, expect: Expect) {
    expect.assert_eq(&complaints(text.as_ref(), None).1);
}

fn good(text: &str) -> Loaded {
    parse(Path::new("belay.yaml"), text.as_bytes()).unwrap_or_else(|found| panic!("{}", found[0]))
}

const GOOD: &str = r#"service: bookstore-api
release: { artifact: ./dist }
config: { LOG_LEVEL: info, WORKERS: 4, RATIO: 1.10, DEBUG: false }
secrets: { DATABASE_URL: "env:DATABASE_URL" }
verify:
  - { http: /health, status: 204, contains: ok, header: { X-Ready: "1" }, json: { checks.db: true }, at: staged }
  - { tcp: true, timeout: 3s }
  - { command: "./server --self-test 'a b'" }
  - { traffic: { max_errors: 1%, max_slower: 1.5, min_requests: 50, within: 30s }, at: live }
environments:
  staging:
    target: { process: { run: ./server, listen: 127.0.0.1:8080 } }
  production:
    config: { LOG_LEVEL: warn }
    target:
      process:
        run: ./server --port 1
        listen: "127.0.0.1:8081"
        instances: 4
        ready: { http: /ready, within: 5s }
        stop_timeout: 500ms
    strategy: { canary: [{ to: 10%, for: 5m }, { to: 50%, for: 5m }, { to: 100% }] }
    keep: { bake: 20m, warm: 1h, good: 3 }
    on_first_failure: leave
    inconclusive: roll_back
"#;

/// The least that is a configuration, with something below it.
fn with(more: &str) -> String {
    format!(
        "service: shop\nrelease: {{ artifact: ./dist }}\nenvironments:\n  production:\n    \
         target: {{ process: {{ run: ./server, listen: \"127.0.0.1:8080\" }} }}\n{more}"
    )
}

#[test]
fn a_good_file_has_no_complaints() {
    check(GOOD, expect![[""]]);
    check(with(""), expect![[""]]);
}

#[test]
fn a_configuration_survives_the_round_trip() {
    let config = good(GOOD).config;
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    // JSON is YAML, and the spans do not depend on the style.
    assert_eq!(good(&json).config, config);
}

#[test]
fn settings_keep_the_text_they_were_written_as() {
    let config = good(GOOD).config;
    let text = |name: &str| config.config[name].as_str();
    assert_eq!(
        [text("WORKERS"), text("RATIO"), text("DEBUG")],
        ["4", "1.10", "false"]
    );
    let production = config.config_in(&config.environments["production"]);
    assert_eq!(
        (
            production["LOG_LEVEL"].as_str(),
            production["WORKERS"].as_str()
        ),
        ("warn", "4")
    );
}

#[test]
fn every_documented_default() {
    let config = good(&with("")).config;
    let environment = &config.environments["production"];
    let Target::Process(process) = &environment.target;
    assert_eq!(process.instances, 1);
    assert_eq!(process.stop_timeout, Duration::from_secs(10));
    assert_eq!(process.ready().kind(), Ok(ReadyKind::Tcp));
    assert_eq!(process.ready().within, Duration::from_secs(30));
    assert_eq!(environment.strategy(), Strategy::Basic);
    assert_eq!(environment.keep.bake, Duration::from_mins(10));
    assert_eq!(environment.keep.warm(), Duration::from_mins(40));
    assert_eq!(environment.keep.good, 5);
    assert_eq!(environment.on_first_failure, FirstFailure::Remove);
    assert_eq!(environment.inconclusive, None);

    let several = with("").replace("run:", "instances: 2, run:");
    assert_eq!(
        good(&several).config.environments["production"].strategy(),
        Strategy::Rolling
    );

    let checks = good(&with(
        "verify: [{ http: / }, { traffic: { max_errors: 1% } }]",
    ))
    .config
    .verify;
    assert_eq!(
        format!("{:?} {:?}", checks[0].at(), checks[1].at()),
        "Staged Live"
    );
    assert_eq!(checks[0].timeout(), Duration::from_secs(10));
    expect![[
        r#"Http(HttpCheck { path: "/", status: 200, contains: None, header: {}, json: {} })"#
    ]]
    .assert_eq(&format!("{:?}", checks[0].kind().unwrap()));
    let traffic = checks[1].traffic.unwrap();
    assert_eq!(
        (traffic.min_requests, traffic.within),
        (50, Duration::from_secs(30))
    );
    assert_eq!(
        (traffic.max_errors, traffic.max_slower),
        (Some(Percent::from_percent(1)), None)
    );
}

#[test]
fn paths_lead_to_places() {
    let loaded = good(GOOD);
    let place = loaded
        .spans
        .get("environments.production.strategy.canary[1].to")
        .unwrap();
    let text: Vec<char> = loaded.text.chars().collect();
    let cut = |span: super::Span| text[span.start..span.end].iter().collect::<String>();
    assert_eq!(
        (cut(place.key.unwrap()).as_str(), cut(place.value).as_str()),
        ("to", "50%")
    );
    assert_eq!((place.value.line, place.value.column), (22, 54));
    assert_eq!(
        loaded
            .spans
            .get("environments.production.strategy.canary[7]"),
        None
    );
}

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
        with("    stategy: rolling\n    from: staging\n"),
        expect![[r#"
            error[E0102]: unknown key `stategy`
              --> belay.yaml:6:5
               |
             6 |     stategy: rolling
               |     ^^^^^^^ did you mean `strategy`?

            error[E0102]: unknown key `from`
              --> belay.yaml:7:5
               |
             7 |     from: staging
               |     ^^^^
               = note: known here: `config`, `secrets`, `target`, `strategy`, `verify`, `keep`, `on_first_failure`, `inconclusive`
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
        with("").replace("listen: \"127.0.0.1:8080\"", "instances: 2"),
        expect![[r#"
            error[E0104]: missing key `listen` in `environments.production.target.process`
              --> belay.yaml:5:15
               |
             5 |     target: { process: { run: ./server, instances: 2 } }
               |               ^^^^^^^ add `listen:`
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
        "servce: shop\nrelease: { artifact: ./dist, image: x }\nenvironments:\n  staging:\n    target: { process: { run: 1, \
         listen: here } }\n    stratgy: basic\n  production:\n    target: { kubernetes: {} }\nservice: 3\n",
        expect![[r#"
            error[E0102]: unknown key `servce`
              --> belay.yaml:1:1
               |
             1 | servce: shop
               | ^^^^^^ did you mean `service`?

            error[E0102]: unknown key `image`
              --> belay.yaml:2:30
               |
             2 | release: { artifact: ./dist, image: x }
               |                              ^^^^^
               = note: known here: `artifact`

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

            error[E0102]: unknown key `kubernetes`
              --> belay.yaml:8:15
               |
             8 |     target: { kubernetes: {} }
               |               ^^^^^^^^^^
               = note: known here: `process`

            error[E0103]: expected a text, found the number `3`
              --> belay.yaml:9:10
               |
             9 | service: 3
               |          ^ did you mean `"3"`?
        "#]],
    );
}

#[test]
fn yaml_that_is_refused() {
    check(
        "",
        expect![[r#"
        error[E0105]: the file is empty
          --> belay.yaml:1:1
           |
         1 | 
           | ^ start with `service: NAME`
    "#]],
    );
    check(
        "# only a comment\n",
        expect![[r#"
        error[E0105]: the file is empty
          --> belay.yaml:1:1
           |
         1 | # only a comment
           | ^ start with `service: NAME`
    "#]],
    );
    check(
        "just text\n",
        expect![[r#"
        error[E0103]: expected a mapping, found the text `just text`
          --> belay.yaml:1:1
           |
         1 | just text
           | ^^^^^^^^^
    "#]],
    );
    check(
        "service: [a\n",
        expect![[r#"
        error[E0105]: not valid YAML: while parsing a flow sequence, expected ',' or ']'
          --> belay.yaml:2:1
           |
         2 | 
           | ^
    "#]],
    );
    check(
        "service: shop\nrelease:\n\tartifact: dist\n",
        expect![[r#"
        error[E0105]: a tab cannot indent YAML
          --> belay.yaml:3:2
           |
         3 | 	artifact: dist
           | 	^ use spaces
    "#]],
    );
    check(
        with("service: other\n"),
        expect![[r#"
        error[E0106]: key `service` is there twice, first on line 1
          --> belay.yaml:6:1
           |
         6 | service: other
           | ^^^^^^^ remove one of the two
    "#]],
    );
    check(
        with("---\nservice: other\n"),
        expect![[r#"
        error[E0105]: a second document; `belay.yaml` is one
          --> belay.yaml:6:1
           |
         6 | ---
           | ^^^ write one file for each service
    "#]],
    );
    check(
        with("config: { A: !secret x }\n"),
        expect![[r#"
        error[E0105]: tags such as `!x` have no meaning here
          --> belay.yaml:6:14
           |
         6 | config: { A: !secret x }
           |              ^^^^^^^^^ leave the tag out
    "#]],
    );
    check(
        with("config:\n  <<: { A: b }\n"),
        expect![[r#"
        error[E0105]: merge keys (`<<`) are not part of YAML 1.2
          --> belay.yaml:7:3
           |
         7 |   <<: { A: b }
           |   ^^ write the keys out, or name a whole value with `&name` and `*name`
    "#]],
    );
    check(
        with("config: { [a]: b }\n"),
        expect![[r#"
        error[E0105]: a key must be a word, not a list or a mapping
          --> belay.yaml:6:11
           |
         6 | config: { [a]: b }
           |           ^^^
    "#]],
    );
    check(
        with("config: &a { A: *a }\n"),
        expect![[r#"
        error[E0105]: this alias stands inside what it names
          --> belay.yaml:6:17
           |
         6 | config: &a { A: *a }
           |                 ^^
    "#]],
    );
    check(
        with("config: { A: *nothing }\n"),
        expect![[r#"
        error[E0105]: not valid YAML: while parsing node, found unknown anchor
          --> belay.yaml:6:14
           |
         6 | config: { A: *nothing }
           |              ^
    "#]],
    );
    check(
        b"service: caf\xe9\n",
        expect![[r#"
        error[E0101]: the file is not UTF-8 text
          --> belay.yaml:1:13
           |
         1 | service: caf�
           |             ^ save it as UTF-8
    "#]],
    );
}

#[test]
fn nesting_and_aliases_are_bounded() {
    let (found, _) = complaints(format!("config: {}", "[".repeat(100)).as_bytes(), None);
    assert_eq!(found[0].message, "nested deeper than 64 levels");
    // Ten levels of ten aliases each would be ten thousand million values.
    let mut bomb = "a0: &a0 x\n".to_owned();
    for level in 1..=10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    let (found, _) = complaints(bomb.as_bytes(), None);
    assert_eq!(found[0].message, "more than 20000 values, aliases included");
}

#[test]
fn large_and_unreadable_files() {
    let (_, rendered) = complaints("#".repeat(1024 * 1024 + 1).as_bytes(), None);
    expect![[r#"
        error[E0101]: the file is larger than 1 MiB
          --> belay.yaml
    "#]]
    .assert_eq(&rendered);
    let found = load(Path::new("does-not-exist/belay.yaml")).unwrap_err();
    expect![[r#"
        error[E0101]: cannot read the file: No such file or directory (os error 2)
          --> does-not-exist/belay.yaml
    "#]]
    .assert_eq(&found[0].to_string());
}

#[test]
fn line_ends_and_byte_order_mark_do_not_shift_columns() {
    let text = with("    stategy: rolling\n");
    let (plain, rendered) = complaints(text.as_bytes(), None);
    for other in [text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
        assert_eq!(complaints(other.as_bytes(), None).1, rendered);
    }
    assert_eq!((plain[0].line, plain[0].column, plain[0].length), (6, 5, 7));
    // Columns are characters: the underline stands under the key in any script.
    check(
        with("config: { größe: {}, Größe: 1 }\n"),
        expect![[r#"
        error[E0103]: expected a text, a number or a boolean, found a mapping
          --> belay.yaml:6:18
           |
         6 | config: { größe: {}, Größe: 1 }
           |                  ^^
    "#]],
    );
}

#[test]
fn aliases_are_followed() {
    let text = with(
        "  staging: &more\n    target: { process: { run: ./server, listen: \"127.0.0.1:1\" } }\n    keep: { good: 7 }\n  canary: *more\n",
    );
    assert_eq!(good(&text).config.environments["canary"].keep.good, 7);
}

#[test]
fn impossible_strategies() {
    check(
        with("    strategy: { canary: [] }\n"),
        expect![[r#"
        error[E0110]: a canary needs at least one step
          --> belay.yaml:6:17
           |
         6 |     strategy: { canary: [] }
           |                 ^^^^^^ add `- { to: 10%, for: 5m }`
    "#]],
    );
    check(
        with(
            "    strategy:\n      canary:\n        - { to: 20%, for: 1m }\n        - { to: 20%, for: 1m }\n        - { to: 0%, for: 1m }\n        - { to: 30% }\n        - { to: 40%, for: 0s }\n        - { to: 120%, for: 1m }\n",
        ),
        expect![[r#"
            error[E0110]: the share must grow: the step before has 20% already
              --> belay.yaml:9:17
               |
             9 |         - { to: 20%, for: 1m }
               |                 ^^^

            error[E0110]: a step without traffic shows nothing
               --> belay.yaml:10:17
                |
             10 |         - { to: 0%, for: 1m }
                |                 ^^

            error[E0104]: a step needs `for`, the time its share is watched
               --> belay.yaml:11:11
                |
             11 |         - { to: 30% }
                |           ^^^^^^^^^^^ add `for: 5m`

            error[E0110]: a share that is watched for no time shows nothing
               --> belay.yaml:12:27
                |
             12 |         - { to: 40%, for: 0s }
                |                           ^^

            error[E0110]: 120% is more than all of the traffic
               --> belay.yaml:13:17
                |
             13 |         - { to: 120%, for: 1m }
                |                 ^^^^
        "#]],
    );
}

#[test]
fn checks_say_one_thing() {
    check(
        with(
            "verify:\n  - {}\n  - { http: /, tcp: true }\n  - { tcp: false }\n  - { http: health }\n  - { tcp: true, status: 200 }\n  - { http: /, status: 20, timeout: 0s }\n  - { command: \"\" }\n",
        ),
        expect![[r#"
            error[E0103]: a command line needs a program
               --> belay.yaml:13:16
                |
             13 |   - { command: "" }
                |                ^^
        "#]],
    );
    check(
        with(
            "verify:\n  - { http: /, tcp: true }\n  - { tcp: false }\n  - { http: health }\n  - { tcp: true, status: 200 }\n  - { http: /, status: 20, timeout: 0s }\n",
        ),
        expect![[r#"
            error[E0114]: a check needs exactly one of `http`, `tcp`, `command`, `traffic`
              --> belay.yaml:7:5
               |
             7 |   - { http: /, tcp: true }
               |     ^^^^^^^^^^^^^^^^^^^^^^

            error[E0103]: `tcp` can only be `true`
              --> belay.yaml:8:12
               |
             8 |   - { tcp: false }
               |            ^^^^^

            error[E0103]: the path of an HTTP check starts with `/`
              --> belay.yaml:9:13
               |
             9 |   - { http: health }
               |             ^^^^^^ did you mean `/health`?

            error[E0114]: `status` belongs to an `http` check
               --> belay.yaml:10:18
                |
             10 |   - { tcp: true, status: 200 }
                |                  ^^^^^^

            error[E0103]: an HTTP status is between 100 and 599
               --> belay.yaml:11:24
                |
             11 |   - { http: /, status: 20, timeout: 0s }
                |                        ^^

            error[E0103]: no check ends within no time
               --> belay.yaml:11:37
                |
             11 |   - { http: /, status: 20, timeout: 0s }
                |                                     ^^
        "#]],
    );
    check(
        with(
            "verify:\n  - { traffic: { max_errors: 1% }, at: staged }\n  - { traffic: {} }\n  - { traffic: { max_errors: 100%, max_slower: .nan, min_requests: 0, within: 0s }, timeout: 1s }\n",
        ),
        expect![[r#"
            error[E0114]: a staged release has no traffic to look at
              --> belay.yaml:7:40
               |
             7 |   - { traffic: { max_errors: 1% }, at: staged }
               |                                        ^^^^^^ did you mean `live`?

            error[E0104]: `traffic` needs at least one of `max_errors` and `max_slower`
              --> belay.yaml:8:7
               |
             8 |   - { traffic: {} }
               |       ^^^^^^^

            error[E0103]: no release fails more than all of its requests, so this never fails
              --> belay.yaml:9:30
               |
             9 |   - { traffic: { max_errors: 100%, max_slower: .nan, min_requests: 0, within: 0s }, timeout: 1s }
               |                              ^^^^

            error[E0103]: `max_slower` is how many times as long a request may take, at least 1
              --> belay.yaml:9:48
               |
             9 |   - { traffic: { max_errors: 100%, max_slower: .nan, min_requests: 0, within: 0s }, timeout: 1s }
               |                                                ^^^^

            error[E0103]: a verdict needs at least one request: no data is never a pass
              --> belay.yaml:9:68
               |
             9 |   - { traffic: { max_errors: 100%, max_slower: .nan, min_requests: 0, within: 0s }, timeout: 1s }
               |                                                                    ^

            error[E0114]: 0 requests never arrive within no time
              --> belay.yaml:9:79
               |
             9 |   - { traffic: { max_errors: 100%, max_slower: .nan, min_requests: 0, within: 0s }, timeout: 1s }
               |                                                                               ^^

            error[E0114]: a `traffic` check has no `timeout`; how long it watches is `within`
              --> belay.yaml:9:85
               |
             9 |   - { traffic: { max_errors: 100%, max_slower: .nan, min_requests: 0, within: 0s }, timeout: 1s }
               |                                                                                     ^^^^^^^
        "#]],
    );
}

#[test]
fn contradictions() {
    check(
        with("    keep: { bake: 1h, warm: 30m, good: 0 }\n"),
        expect![[r#"
            error[E0114]: the release before is kept for 30m, but the new one is watched for 1h
              --> belay.yaml:6:29
               |
             6 |     keep: { bake: 1h, warm: 30m, good: 0 }
               |                             ^^^ make it at least `1h`

            error[E0103]: at least one good record is kept: without one there is nothing to go back to
              --> belay.yaml:6:40
               |
             6 |     keep: { bake: 1h, warm: 30m, good: 0 }
               |                                        ^ did you mean `1`?
        "#]],
    );
    check(
        with(
            "    config: { TOKEN: abc }\n  staging:\n    target: { process: { run: ./server, listen: \"0.0.0.0:8080\", ready: { http: /, tcp: true } } }\nsecrets: { TOKEN: \"env:TOKEN\" }\n",
        ),
        expect![[r#"
            error[E0114]: environment `production` listens on 127.0.0.1:8080 already
              --> belay.yaml:8:49
               |
             8 |     target: { process: { run: ./server, listen: "0.0.0.0:8080", ready: { http: /, tcp: true } } }
               |                                                 ^^^^^^^^^^^^^^ give each environment its own port

            error[E0114]: `ready` needs exactly one of `http` and `tcp`
              --> belay.yaml:8:65
               |
             8 |     target: { process: { run: ./server, listen: "0.0.0.0:8080", ready: { http: /, tcp: true } } }
               |                                                                 ^^^^^

            error[E0114]: `TOKEN` is both a setting and a secret
              --> belay.yaml:9:12
               |
             9 | secrets: { TOKEN: "env:TOKEN" }
               |            ^^^^^ keep one of the two
        "#]],
    );
    check(
        with("").replace("run: ./server", "run: ../server"),
        expect![[r#"
            error[E0114]: `../server` is outside of the artifact, so it would not be part of a release
              --> belay.yaml:5:31
               |
             5 |     target: { process: { run: ../server, listen: "127.0.0.1:8080" } }
               |                               ^^^^^^^^^
        "#]],
    );
}

#[test]
fn secrets_are_references_and_values_are_not_shown() {
    let (found, rendered) = complaints(
        with("secrets: { A: hunter2, B: \"env:1X\", C: 12345, D: \"valt:x\", E: [hunter2] }\n")
            .as_bytes(),
        None,
    );
    assert!(
        found
            .iter()
            .all(|complaint| complaint.code == Code::MalformedSecret),
        "{rendered}"
    );
    assert!(
        !rendered.contains("hunter2") && !rendered.contains("12345"),
        "{rendered}"
    );
    expect![[r#"
        error[E0115]: a secret is a reference, `env:NAME` or `file:PATH`, never a value
          --> belay.yaml:6:15
           |
         6 | secrets: { A: *******, B: ********, C: *****, D: ********, E: [*******] }
           |               ^^^^^^^ write `env:A` and set it where Belay runs

        error[E0115]: the name after `env:` must be letters, digits and underscores and not start with a digit
          --> belay.yaml:6:27
           |
         6 | secrets: { A: *******, B: ********, C: *****, D: ********, E: [*******] }
           |                           ^^^^^^^^ write `env:B` and set it where Belay runs

        error[E0115]: a secret is a reference, `env:NAME` or `file:PATH`, never a value
          --> belay.yaml:6:40
           |
         6 | secrets: { A: *******, B: ********, C: *****, D: ********, E: [*******] }
           |                                        ^^^^^ write `env:C` and set it where Belay runs

        error[E0115]: `valt:` is not a source of secrets; known are `env:` and `file:`
          --> belay.yaml:6:50
           |
         6 | secrets: { A: *******, B: ********, C: *****, D: ********, E: [*******] }
           |                                                  ^^^^^^^^ write `env:D` and set it where Belay runs

        error[E0115]: a secret is a reference, `env:NAME` or `file:PATH`, never a value
          --> belay.yaml:6:63
           |
         6 | secrets: { A: *******, B: ********, C: *****, D: ********, E: [*******] }
           |                                                               ^^^^^^^^^ write `env:E` and set it where Belay runs
    "#]].assert_eq(&rendered);
}

#[test]
fn missing_files() {
    check(
        with("").replace("./dist", "./dits"),
        expect![[r#"
        error[E0111]: there is no file or directory `./dits`
          --> belay.yaml:2:22
           |
         2 | release: { artifact: ./dits }
           |                      ^^^^^^ did you mean `dist`?
    "#]],
    );
    check(
        with("").replace("./server", "./serve"),
        expect![[r#"
        error[E0111]: there is no program `./serve` in `./dist`
          --> belay.yaml:5:31
           |
         5 |     target: { process: { run: ./serve, listen: "127.0.0.1:8080" } }
           |                               ^^^^^^^ did you mean `server`?
    "#]],
    );
    check(
        with("").replace("./server", "server --port 1"),
        expect![[r#"
            error[E0111]: there is no program `server` on the PATH
              --> belay.yaml:5:31
               |
             5 |     target: { process: { run: server --port 1, listen: "127.0.0.1:8080" } }
               |                               ^^^^^^^^^^^^^^^ did you mean `./server`?
        "#]],
    );
    check(
        with("").replace("./server", "./notes"),
        expect![[r#"
        error[E0111]: `./dist/./notes` is not executable
          --> belay.yaml:5:31
           |
         5 |     target: { process: { run: ./notes, listen: "127.0.0.1:8080" } }
           |                               ^^^^^^^ chmod +x ./dist/./notes
    "#]],
    );
    check(with("").replace("./dist", "./dist/server"), expect![[""]]);
    check(
        with("").replace("./dist", "./dist/notes"),
        expect![[r#"
        error[E0111]: there is no program `./server` in `./dist/notes`
          --> belay.yaml:5:31
           |
         5 |     target: { process: { run: ./server, listen: "127.0.0.1:8080" } }
           |                               ^^^^^^^^ did you mean `server`?
    "#]],
    );
    check(
        with("secrets: { A: \"file:./tokn\" }\nverify: [{ command: ./probe }]\n"),
        expect![[r#"
            error[E0111]: there is no file `./tokn`
              --> belay.yaml:6:15
               |
             6 | secrets: { A: "file:./tokn" }
               |               ^^^^^^^^^^^^^

            error[E0111]: there is no program `./probe` in `./dist`
              --> belay.yaml:7:21
               |
             7 | verify: [{ command: ./probe }]
               |                     ^^^^^^^
        "#]],
    );
}

#[test]
fn unknown_environments() {
    let text = with("");
    expect![[r#"
        error[E0113]: unknown environment `prodution`
          --> belay.yaml:3:1
           |
         3 | environments:
           | ^^^^^^^^^^^^ did you mean `production`?
    "#]]
    .assert_eq(&complaints(text.as_bytes(), Some("prodution")).1);
    expect![[r#"
        error[E0113]: unknown environment `x`
          --> belay.yaml:3:1
           |
         3 | environments:
           | ^^^^^^^^^^^^
           = note: known environments: `production`
    "#]]
    .assert_eq(&complaints(text.as_bytes(), Some("x")).1);
}

#[test]
fn a_port_in_use_is_underlined() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let text = with("").replace("8080", &port.to_string());
    let found = good(&text).check_ports(Some("production"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].length, format!("\"127.0.0.1:{port}\"").len());
    // The port has four or five digits, and the underline follows it.
    let rendered = found[0]
        .to_string()
        .replace(&port.to_string(), "PORT")
        .replace(&"^".repeat(found[0].length), "^");
    expect![[r#"
        error[E0112]: port PORT is in use
          --> belay.yaml:5:49
           |
         5 |     target: { process: { run: ./server, listen: "127.0.0.1:PORT" } }
           |                                                 ^ stop what listens there, or choose another port
    "#]].assert_eq(&rendered);
    drop(holder);
    assert_eq!(good(&text).check_ports(None), []);
    let elsewhere = good(&with("").replace("127.0.0.1", "192.0.2.1")).check_ports(None);
    assert_eq!(
        elsewhere[0].message,
        "192.0.2.1 is no address of this machine"
    );
}

#[test]
fn control_characters_and_long_lines_do_not_reach_the_terminal() {
    let text = format!("service: \"\u{1b}[31m{}\"\nx\u{7}y: 1\n", "a".repeat(5000));
    let (_, rendered) = complaints(text.as_bytes(), None);
    assert!(!rendered.contains('\u{1b}'), "{rendered}");
    assert!(
        rendered.lines().all(|line| line.chars().count() < 400),
        "{rendered}"
    );
}

#[test]
fn every_code_has_a_page() {
    for code in Code::ALL {
        let page =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/errors/{code}.md"));
        let text =
            fs::read_to_string(&page).unwrap_or_else(|error| panic!("{code} has no page: {error}"));
        assert!(text.starts_with(&format!("# {code}: ")), "{code}");
    }
}

/// Parses, checks what is pure, renders: none of it may panic, and every complaint points into the text.
fn survives(bytes: &[u8]) {
    let found = match parse(Path::new("belay.yaml"), bytes) {
        Ok(loaded) => loaded.check(None),
        Err(found) => {
            assert!(!found.is_empty(), "refused without a reason");
            found
        }
    };
    for complaint in found {
        let length = complaint.source_line.chars().count();
        assert!(
            complaint.line >= 1
                && complaint.column >= 1
                && complaint.column + complaint.length <= length + 2
        );
        assert!(!complaint.to_string().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_survive(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes);
    }

    #[test]
    fn any_yaml_like_text_survives(text in "[-a-z:{}\\[\\],&*!|>'\"%#?~<0-9. \t\n\r\u{feff}é]{0,200}") {
        survives(text.as_bytes());
    }

    #[test]
    fn a_good_file_with_one_stretch_replaced_survives(
        start in 0..GOOD.len(), length in 0..40_usize, new in "[-a-z:{}\\[\\],&*'\"%#~0-9 \t\n]{0,12}",
    ) {
        let end = (start + length).min(GOOD.len());
        survives(format!("{}{new}{}", &GOOD[..start], &GOOD[end..]).as_bytes());
    }

    #[test]
    fn durations_round_trip(ms in 0..1_000_000_000_u64) {
        let duration = Duration::from_ms(ms);
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
    }

    #[test]
    fn percentages_round_trip(basis_points in 0..2_000_000_u32) {
        let share = Percent::from_basis_points(basis_points);
        prop_assert_eq!(share.to_string().parse(), Ok(share));
    }
}
