//! What people write, and what they are told: through [`check`], which runs a text through everything but the ports. The
//! expected reports are rewritten by `UPDATE_EXPECT=1 cargo test`.

use std::fs;
use std::path::Path;

use belay_model::config::{Config, Duration, FirstFailure, Percent, ReadyKind, Strategy, Target};
use expect_test::{Expect, expect};

use super::{Code, Diagnostic, Loaded, load, parse};

mod any;
mod from;
mod helm;
mod kubernetes;
mod no_traffic;
mod phases;
mod plan;
mod structure;
mod syntax;

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
    let Some(Target::Process(process)) = environment.target.as_ref() else {
        panic!("a target of processes");
    };
    assert_eq!(process.instances, 1);
    assert_eq!(process.stop_timeout, Duration::from_secs(10));
    let ready = process.ready().expect("it has an address");
    assert_eq!(ready.kind(), Ok(ReadyKind::Tcp));
    assert_eq!(ready.within, Duration::from_secs(30));
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
fn every_code_has_a_page() {
    for code in Code::ALL {
        let page =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/errors/{code}.md"));
        let text =
            fs::read_to_string(&page).unwrap_or_else(|error| panic!("{code} has no page: {error}"));
        assert!(text.starts_with(&format!("# {code}: ")), "{code}");
    }
}
