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
    assert_eq!((place.value.line, place.value.column), (23, 51));
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
        expect![[""]],
    );
    check(
        with("    stategy: rolling\n    from: staging\n"),
        expect![[""]],
    );
    check(
        with("verify:\n- traffic: { analysis: {} }\n"),
        expect![[""]],
    );
    check(with("").replace("process:", "proccess:"), expect![[""]]);
}

#[test]
fn wrong_values() {
    check(with("    strategy: canray\n"), expect![[""]]);
    check(with("    strategy: canary\n"), expect![[""]]);
    check(with("    strategy: { rolling: 3 }\n"), expect![[""]]);
    check(with("    strategy: [rolling]\n"), expect![[""]]);
    check(
        with("    strategy: { canary: [{ to: 10, for: 5 }] }\n"),
        expect![[""]],
    );
    check(
        with("    keep: { bake: 10 minutes, good: many }\n"),
        expect![[""]],
    );
    check(
        with("").replace("service: shop", "service: 123"),
        expect![[""]],
    );
    check(
        with("").replace("service: shop", "service: My_Shop"),
        expect![[""]],
    );
    check(
        with("").replace("run:", "instances: \"2\", run:"),
        expect![[""]],
    );
    check(
        with("").replace("run:", "instances: 0, run:"),
        expect![[""]],
    );
    check(
        with("").replace("\"127.0.0.1:8080\"", "localhost:8080"),
        expect![[""]],
    );
    check(
        with("").replace("\"127.0.0.1:8080\"", "8080"),
        expect![[""]],
    );
    check(
        with("").replace("./server", "\"./server 'a\""),
        expect![[""]],
    );
    check(with("config: { EMPTY: , LIST: [a] }\n"), expect![[""]]);
    check(with("verify:\n"), expect![[""]]);
}

#[test]
fn missing_keys() {
    check("service: shop\n", expect![[""]]);
    check(
        with("").replace("listen: \"127.0.0.1:8080\"", "instances: 2"),
        expect![[""]],
    );
    check(
        "service: shop\nrelease: { artifact: dist }\nenvironments: {}\n",
        expect![[""]],
    );
}

#[test]
fn many_mistakes_are_told_at_once_and_each_once() {
    check(
        "servce: shop\nrelease: { artifact: ./dist, image: x }\nenvironments:\n  staging:\n    target: { process: { run: 1, \
         listen: here } }\n    stratgy: basic\n  production:\n    target: { kubernetes: {} }\nservice: 3\n",
        expect![[""]],
    );
}

#[test]
fn yaml_that_is_refused() {
    check("", expect![[""]]);
    check("# only a comment\n", expect![[""]]);
    check("just text\n", expect![[""]]);
    check("service: [a\n", expect![[""]]);
    check("service: shop\nrelease:\n\tartifact: dist\n", expect![[""]]);
    check(with("service: other\n"), expect![[""]]);
    check(with("---\nservice: other\n"), expect![[""]]);
    check(with("config: { A: !secret x }\n"), expect![[""]]);
    check(with("config:\n  <<: { A: b }\n"), expect![[""]]);
    check(with("config: { [a]: b }\n"), expect![[""]]);
    check(with("config: &a { A: *a }\n"), expect![[""]]);
    check(with("config: { A: *nothing }\n"), expect![[""]]);
    check(b"service: caf\xe9\n", expect![[""]]);
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
    expect![[""]].assert_eq(&rendered);
    let found = load(Path::new("does-not-exist/belay.yaml")).unwrap_err();
    expect![[""]].assert_eq(&found[0].to_string());
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
    check(with("config: { größe: {}, Größe: 1 }\n"), expect![[""]]);
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
    check(with("    strategy: { canary: [] }\n"), expect![[""]]);
    check(
        with(
            "    strategy:\n      canary:\n        - { to: 20%, for: 1m }\n        - { to: 20%, for: 1m }\n        - { to: 0%, for: 1m }\n        - { to: 30% }\n        - { to: 40%, for: 0s }\n        - { to: 120%, for: 1m }\n",
        ),
        expect![[""]],
    );
}

#[test]
fn checks_say_one_thing() {
    check(
        with(
            "verify:\n  - {}\n  - { http: /, tcp: true }\n  - { tcp: false }\n  - { http: health }\n  - { tcp: true, status: 200 }\n  - { http: /, status: 20, timeout: 0s }\n  - { command: \"\" }\n",
        ),
        expect![[""]],
    );
    check(
        with(
            "verify:\n  - { http: /, tcp: true }\n  - { tcp: false }\n  - { http: health }\n  - { tcp: true, status: 200 }\n  - { http: /, status: 20, timeout: 0s }\n",
        ),
        expect![[""]],
    );
    check(
        with(
            "verify:\n  - { traffic: { max_errors: 1% }, at: staged }\n  - { traffic: {} }\n  - { traffic: { max_errors: 100%, max_slower: .nan, min_requests: 0, within: 0s }, timeout: 1s }\n",
        ),
        expect![[""]],
    );
}

#[test]
fn contradictions() {
    check(
        with("    keep: { bake: 1h, warm: 30m, good: 0 }\n"),
        expect![[""]],
    );
    check(
        with(
            "    config: { TOKEN: abc }\n  staging:\n    target: { process: { run: ./server, listen: \"0.0.0.0:8080\", ready: { http: /, tcp: true } } }\nsecrets: { TOKEN: \"env:TOKEN\" }\n",
        ),
        expect![[""]],
    );
    check(
        with("").replace("run: ./server", "run: ../server"),
        expect![[""]],
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
    expect![[""]].assert_eq(&rendered);
}

#[test]
fn missing_files() {
    check(with("").replace("./dist", "./dits"), expect![[""]]);
    check(with("").replace("./server", "./serve"), expect![[""]]);
    check(
        with("").replace("./server", "server --port 1"),
        expect![[""]],
    );
    check(with("").replace("./server", "./notes"), expect![[""]]);
    check(with("").replace("./dist", "./dist/server"), expect![[""]]);
    check(with("").replace("./dist", "./dist/notes"), expect![[""]]);
    check(
        with("secrets: { A: \"file:./tokn\" }\nverify: [{ command: ./probe }]\n"),
        expect![[""]],
    );
}

#[test]
fn unknown_environments() {
    let text = with("");
    expect![[""]].assert_eq(&complaints(text.as_bytes(), Some("prodution")).1);
    expect![[""]].assert_eq(&complaints(text.as_bytes(), Some("x")).1);
}

#[test]
fn a_port_in_use_is_underlined() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let text = with("").replace("8080", &port.to_string());
    let found = good(&text).check_ports(Some("production"));
    assert_eq!(found.len(), 1);
    let rendered = found[0].to_string().replace(&port.to_string(), "PORT");
    // The port has four or five digits, and the underline follows it.
    expect![[""]].assert_eq(
        &rendered
            .replace("^^^ ", "^^ ")
            .replace("^^^^^^^^^^^^^^^^", "^"),
    );
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
