//! Targets, phases, steps and rules.

use belay_model::config::{BackCapacity, BackPhases, Call, FailureAction, ForeignChange, StepKind};
use expect_test::expect;

use super::{check, good};

/// Two targets, and with phases below.
fn two(more: &str) -> String {
    format!(
        "service: shop\nrelease: {{ artifact: ./dist }}\nenvironments:\n  production:\n    targets:\n      \
         eu: {{ process: {{ run: ./server, listen: \"127.0.0.1:8080\" }} }}\n      \
         us: {{ process: {{ run: ./server, listen: \"127.0.0.1:8081\" }} }}\n{more}"
    )
}

const EVERYTHING: &str = r#"    parallel: 2
    phases:
      - name: network
        steps:
          - { run: ./server up, rollback: ./server down, on_unknown: retry, timeout: 30s }
          - run: { url: "https://example.org/drain", method: PUT, header: { X-Env: prod }, body: now }
            rollback: { url: "https://example.org/undrain" }
            residue: subscribers have had the mail
      - name: some
        targets: [eu]
        share: 25%
        after: [{ wait: 5m }, { verify: [{ http: / }], for: 1m }]
      - name: rest
        strategy: blue_green
        before:
          - { approve: { by: [ada, bob], count: 2, within: 2h }, name: to the rest }
          - group:
              steps: [{ run: ./server warm }, { wait: 1s }]
              on_failure: [{ do: { retry: { times: 3, pause: 10s } } }, { do: pass }]
        rollback: { before: [{ run: ./server drain }], after: [{ wait: 1s }] }
        on_failure: [{ class: [timeout, quota], do: roll_back_phase }]
    rollback: { phases: at_once, provisioning: first, provisioning_order: same, capacity: ask, ask_within: 10m, foreign_change: ask }
    on_failure:
      - { class: [verification], do: { ask: { within: 1h, then: ignore } } }
      - { do: stop }
"#;

#[test]
fn everything_together_is_right() {
    check(two(EVERYTHING), expect![[""]]);
    let config = good(&two(EVERYTHING)).config;
    let environment = &config.environments["production"];
    let names: Vec<_> = environment.targets.keys().collect();
    assert_eq!(names, ["eu", "us"]);
    assert_eq!(environment.rollback.phases, BackPhases::AtOnce);
    assert_eq!(environment.rollback.capacity, BackCapacity::Ask);
    let foreign = environment.rollback.foreign_change;
    assert_eq!(foreign, ForeignChange::Ask);
    let [network, _, rest] = environment.phases.as_slice() else {
        panic!("three phases");
    };
    let StepKind::Run(Call::Http(call)) = network.steps[1].kind().expect("a step") else {
        panic!("a request");
    };
    assert_eq!(
        (call.method.as_str(), call.body.as_deref()),
        ("PUT", Some("now"))
    );
    assert_eq!(rest.on_failure[0].action, FailureAction::RollBackPhase);
}

/// They are served as they are written, not as the alphabet has it.
#[test]
fn targets_keep_their_order() {
    let turned = two("").replace("      eu:", "      zz:");
    let config = good(&turned).config;
    let places = config.environments["production"].places();
    let names: Vec<_> = places.filter_map(|place| place.name).collect();
    assert_eq!(names, ["zz", "us"]);
}

#[test]
fn one_target_or_several() {
    let none = "service: shop\nrelease: { artifact: ./dist }\nenvironments:\n  production:\n    keep: { bake: 1m }\n";
    check(
        none,
        expect![[r#"
        error[E0104]: missing key `target` in `environments.production`
          --> belay.yaml:4:3
           |
         4 |   production:
           |   ^^^^^^^^^^ add `target:`
    "#]],
    );
    check(
        two("    target: { process: { run: ./server } }\n    parallel: 0\n"),
        expect![[r#"
            error[E0114]: one target is under `target`, several are under `targets`
              --> belay.yaml:5:5
               |
             5 |     targets:
               |     ^^^^^^^ keep one of the two

            error[E0103]: with no target at a time nothing goes on
              --> belay.yaml:9:15
               |
             9 |     parallel: 0
               |               ^ did you mean `1`?
        "#]],
    );
    check(
        two("").replace("8081", "8080").replace("us:", "U S:"),
        expect![[r#"
            error[E0103]: a target's name is 1 to 63 characters of a-z, 0-9 and `-`
              --> belay.yaml:7:7
               |
             7 |       U S: { process: { run: ./server, listen: "127.0.0.1:8080" } }
               |       ^^^ did you mean `u-s`?

            error[E0114]: target `eu` listens on 127.0.0.1:8080 already
              --> belay.yaml:7:48
               |
             7 |       U S: { process: { run: ./server, listen: "127.0.0.1:8080" } }
               |                                                ^^^^^^^^^^^^^^^^ give each target its own port
        "#]],
    );
}

#[test]
fn impossible_phases() {
    check(
        two(
            "    phases:\n      - { name: a, targets: [eu, uss] }\n      - { name: a, targets: [eu, eu] }\n",
        ),
        expect![[r#"
            error[E0116]: no phase is about `us`, so the release would never be there
              --> belay.yaml:7:7
               |
             7 |       us: { process: { run: ./server, listen: "127.0.0.1:8081" } }
               |       ^^

            error[E0116]: unknown target `uss`
              --> belay.yaml:9:34
               |
             9 |       - { name: a, targets: [eu, uss] }
               |                                  ^^^ did you mean `us`?

            error[E0114]: there is a phase `a` already
               --> belay.yaml:10:17
                |
             10 |       - { name: a, targets: [eu, eu] }
                |                 ^

            error[E0116]: an earlier phase goes all the way there already
               --> belay.yaml:10:29
                |
             10 |       - { name: a, targets: [eu, eu] }
                |                             ^^^^^^^^

            error[E0116]: `eu` is there twice
               --> belay.yaml:10:34
                |
             10 |       - { name: a, targets: [eu, eu] }
                |                                  ^^
        "#]],
    );
    check(
        two(
            "    phases:\n      - { name: a, share: 50% }\n      - { name: b, targets: [eu], share: 20%, strategy: basic }\n      - { name: c, targets: [us] }\n",
        ),
        expect![[r#"
            error[E0116]: the share must grow: an earlier phase has 50% there already
               --> belay.yaml:10:42
                |
             10 |       - { name: b, targets: [eu], share: 20%, strategy: basic }
                |                                          ^^^

            error[E0116]: the last phase on `eu` has to go all the way, not 20%
               --> belay.yaml:10:42
                |
             10 |       - { name: b, targets: [eu], share: 20%, strategy: basic }
                |                                          ^^^ leave `share` out

            error[E0114]: a phase that goes a part of the way has its `share` and no `strategy`
               --> belay.yaml:10:47
                |
             10 |       - { name: b, targets: [eu], share: 20%, strategy: basic }
                |                                               ^^^^^^^^ keep one of the two
        "#]],
    );
    check(
        two(
            "    phases:\n      - { name: a, steps: [{ wait: 1s }], targets: [eu], share: 10% }\n      - { name: B }\n",
        ),
        expect![[r#"
            error[E0114]: a phase with `steps` touches no target, and `targets` is for one that does
              --> belay.yaml:9:43
               |
             9 |       - { name: a, steps: [{ wait: 1s }], targets: [eu], share: 10% }
               |                                           ^^^^^^^ use `before` and `after`, or two phases

            error[E0114]: a phase with `steps` touches no target, and `share` is for one that does
              --> belay.yaml:9:58
               |
             9 |       - { name: a, steps: [{ wait: 1s }], targets: [eu], share: 10% }
               |                                                          ^^^^^ use `before` and `after`, or two phases

            error[E0103]: a phase's name is 1 to 63 characters of a-z, 0-9 and `-`
               --> belay.yaml:10:17
                |
             10 |       - { name: B }
                |                 ^ did you mean `b`?
        "#]],
    );
}

#[test]
fn impossible_steps() {
    check(
        two(
            "    phases:\n      - name: a\n        before:\n          - { run: ./server, wait: 1s }\n          - { wait: 0s, rollback: ./server }\n          - { wait: 0s }\n          - { run: { url: example.org, method: post } }\n          - { run: ./servr, timeout: 0s }\n          - { run: { urll: x } }\n",
        ),
        expect![[r#"
            error[E0102]: unknown key `urll`
               --> belay.yaml:16:22
                |
             16 |           - { run: { urll: x } }
                |                      ^^^^ did you mean `url`?
        "#]],
    );
    check(
        two(
            "    phases:\n      - name: a\n        before:\n          - { run: ./server, wait: 1s }\n          - { wait: 0s, rollback: ./server }\n          - { wait: 0s }\n          - { run: { url: example.org, method: post } }\n          - { run: ./servr, timeout: 0s, residue: ' ' }\n          - { group: { steps: [] } }\n",
        ),
        expect![[r#"
            error[E0114]: a step needs exactly one of `run`, `wait`, `approve`, `verify`, `group`
               --> belay.yaml:11:13
                |
             11 |           - { run: ./server, wait: 1s }
                |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^

            error[E0114]: `rollback` belongs to a `run` step
               --> belay.yaml:12:25
                |
             12 |           - { wait: 0s, rollback: ./server }
                |                         ^^^^^^^^

            error[E0103]: no time is nothing to wait for
               --> belay.yaml:13:21
                |
             13 |           - { wait: 0s }
                |                     ^^

            error[E0103]: a URL begins with `http://` or `https://`
               --> belay.yaml:14:27
                |
             14 |           - { run: { url: example.org, method: post } }
                |                           ^^^^^^^^^^^ did you mean `https://example.org`?

            error[E0103]: a method is a word in capitals, such as `POST`
               --> belay.yaml:14:48
                |
             14 |           - { run: { url: example.org, method: post } }
                |                                                ^^^^ did you mean `POST`?

            error[E0111]: there is no program `./servr` in `dist`
               --> belay.yaml:15:20
                |
             15 |           - { run: ./servr, timeout: 0s, residue: ' ' }
                |                    ^^^^^^^ did you mean `./server`?

            error[E0103]: nothing ends within no time
               --> belay.yaml:15:38
                |
             15 |           - { run: ./servr, timeout: 0s, residue: ' ' }
                |                                      ^^

            error[E0103]: `residue` says what stays behind, in a few words
               --> belay.yaml:15:51
                |
             15 |           - { run: ./servr, timeout: 0s, residue: ' ' }
                |                                                   ^^^

            error[E0104]: a group needs at least one step
               --> belay.yaml:16:24
                |
             16 |           - { group: { steps: [] } }
                |                        ^^^^^
        "#]],
    );
    check(
        two(
            "    phases:\n      - name: a\n        targets: [eu]\n        before: [{ verify: [{ http: / }] }]\n        after: [{ verify: [{ http: x, at: staged }], for: 0s }]\n        rollback:\n          before: [{ approve: {} }, { run: ./server, rollback: ./server, on_failure: [{ do: stop }] }]\n      - { name: b, targets: [us] }\n",
        ),
        expect![[r#"
            error[E0114]: checks need one target on which the release is by then
               --> belay.yaml:11:20
                |
             11 |         before: [{ verify: [{ http: / }] }]
                |                    ^^^^^^ put `verify` under `after` of a phase with one target

            error[E0103]: the path of an HTTP check starts with `/`
               --> belay.yaml:12:36
                |
             12 |         after: [{ verify: [{ http: x, at: staged }], for: 0s }]
                |                                    ^ did you mean `/x`?

            error[E0114]: by then the release is live
               --> belay.yaml:12:43
                |
             12 |         after: [{ verify: [{ http: x, at: staged }], for: 0s }]
                |                                           ^^^^^^ leave `at` out

            error[E0103]: what is watched for no time shows nothing
               --> belay.yaml:12:59
                |
             12 |         after: [{ verify: [{ http: x, at: staged }], for: 0s }]
                |                                                           ^^

            error[E0114]: a rollback waits for nobody
               --> belay.yaml:14:22
                |
             14 |           before: [{ approve: {} }, { run: ./server, rollback: ./server, on_failure: [{ do: stop }] }]
                |                      ^^^^^^^

            error[E0114]: a step of the way back is not taken back itself
               --> belay.yaml:14:54
                |
             14 |           before: [{ approve: {} }, { run: ./server, rollback: ./server, on_failure: [{ do: stop }] }]
                |                                                      ^^^^^^^^

            error[E0114]: on the way back every step is tried again, and then a person is asked
               --> belay.yaml:14:74
                |
             14 |           before: [{ approve: {} }, { run: ./server, rollback: ./server, on_failure: [{ do: stop }] }]
                |                                                                          ^^^^^^^^^^
        "#]],
    );
}

#[test]
fn impossible_rules() {
    check(
        two(
            "    on_failure:\n      - { do: { retry: { times: 0 } } }\n      - { do: { ask: { then: stop } } }\n      - { class: [timeout], do: stop }\n",
        ),
        expect![[r#"
            error[E0103]: a step that is tried again is so at least once
              --> belay.yaml:9:33
               |
             9 |       - { do: { retry: { times: 0 } } }
               |                                 ^ did you mean `1`?

            error[E0114]: without `within` people are asked as long as it takes
               --> belay.yaml:10:24
                |
             10 |       - { do: { ask: { then: stop } } }
                |                        ^^^^ add `within: 1h`

            error[E0114]: this rule is never reached: rule 2 fits every failure already
               --> belay.yaml:11:9
                |
             11 |       - { class: [timeout], do: stop }
                |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        "#]],
    );
    check(
        two(
            "    on_failure:\n      - { class: [timeouts], do: rollback }\n      - { do: retry }\n",
        ),
        expect![[r#"
            error[E0103]: unknown word `timeouts`
              --> belay.yaml:9:19
               |
             9 |       - { class: [timeouts], do: rollback }
               |                   ^^^^^^^^ did you mean `timeout`?

            error[E0103]: unknown word `rollback`
              --> belay.yaml:9:34
               |
             9 |       - { class: [timeouts], do: rollback }
               |                                  ^^^^^^^^ did you mean `roll_back`?

            error[E0103]: `retry` needs a value: write `{ retry: ... }`
               --> belay.yaml:10:15
                |
             10 |       - { do: retry }
                |               ^^^^^
        "#]],
    );
}

#[test]
fn headers_name_secrets_that_are_there() {
    let call = |authorization: &str| {
        let request = format!(
            "{{ url: \"https://example.org/drain\", header: {{ Authorization: \"{authorization}\" }} }}"
        );
        let steps = format!("    phases: [{{ name: all, before: [{{ run: {request} }}] }}]\n");
        two(&format!("{steps}    secrets: {{ TOKEN: \"env:TOKEN\" }}\n"))
    };
    check(call("Bearer ${TOKEN}"), expect![[""]]);
    check(call("$${NOT} a secret"), expect![[""]]);
    check(
        call("Bearer ${TOKN}"),
        expect![[r#"
        error[E0103]: there is no `TOKN` under `secrets`
          --> belay.yaml:8:104
           |
         8 |     phases: [{ name: all, before: [{ run: { url: "https://example.org/drain", header: { Authorization: "Bearer ${TOKN}" } } }] }]
           |                                                                                                        ^^^^^^^^^^^^^^^^ did you mean `${TOKEN}`?
    "#]],
    );
    check(
        call("Bearer ${TOKEN"),
        expect![[r#"
        error[E0103]: `${` begins the name of a secret and has no `}`; where it stands for itself it is `$${`
          --> belay.yaml:8:104
           |
         8 |     phases: [{ name: all, before: [{ run: { url: "https://example.org/drain", header: { Authorization: "Bearer ${TOKEN" } } }] }]
           |                                                                                                        ^^^^^^^^^^^^^^^^
    "#]],
    );
}
