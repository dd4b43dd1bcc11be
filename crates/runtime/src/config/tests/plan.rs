//! What parses and cannot work.

use expect_test::expect;

use super::{Code, check, complaints, good, with};

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
fn impossible_hotfixes() {
    check(
        with(
            "    keep: { bake: 1m, warm: 2m }\n    hotfix: { strategy: { canary: [] }, bake: 3m }\n",
        ),
        expect![[r#"
            error[E0110]: a canary needs at least one step
              --> belay.yaml:7:27
               |
             7 |     hotfix: { strategy: { canary: [] }, bake: 3m }
               |                           ^^^^^^ add `- { to: 10%, for: 5m }`

            error[E0114]: the release before is kept for 2m, but a hotfix is watched for 3m
              --> belay.yaml:7:47
               |
             7 |     hotfix: { strategy: { canary: [] }, bake: 3m }
               |                                               ^^ make it at most `2m`
        "#]],
    );
}

#[test]
fn impossible_approvals() {
    check(
        with("    approve: { by: [ada, bob], count: 3, within: 0s }\n"),
        expect![[r#"
            error[E0103]: only 2 may say yes
              --> belay.yaml:6:39
               |
             6 |     approve: { by: [ada, bob], count: 3, within: 0s }
               |                                       ^

            error[E0103]: nobody answers within no time
              --> belay.yaml:6:50
               |
             6 |     approve: { by: [ada, bob], count: 3, within: 0s }
               |                                                  ^^
        "#]],
    );
    check(
        with("    approve: { count: 0 }\n"),
        expect![[r#"
        error[E0103]: without anyone who says yes nothing is asked
          --> belay.yaml:6:23
           |
         6 |     approve: { count: 0 }
           |                       ^ did you mean `1`?
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
            error[E0111]: there is no file or directory `dits`
              --> belay.yaml:2:22
               |
             2 | release: { artifact: ./dits }
               |                      ^^^^^^ did you mean `./dist`?
        "#]],
    );
    check(
        with("").replace("./server", "./serve"),
        expect![[r#"
            error[E0111]: there is no program `./serve` in `dist`
              --> belay.yaml:5:31
               |
             5 |     target: { process: { run: ./serve, listen: "127.0.0.1:8080" } }
               |                               ^^^^^^^ did you mean `./server`?
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
            error[E0111]: `dist/notes` is not executable
              --> belay.yaml:5:31
               |
             5 |     target: { process: { run: ./notes, listen: "127.0.0.1:8080" } }
               |                               ^^^^^^^ chmod +x dist/notes
        "#]],
    );
    check(with("").replace("./dist", "./dist/server"), expect![[""]]);
    check(
        with("").replace("./dist", "./dist/notes"),
        expect![[r#"
            error[E0111]: there is no program `./server`: the artifact is the file `dist/notes`
              --> belay.yaml:5:31
               |
             5 |     target: { process: { run: ./server, listen: "127.0.0.1:8080" } }
               |                               ^^^^^^^^ did you mean `./notes`?
        "#]],
    );
    check(
        with("secrets: { A: \"file:./tokn\" }\nverify: [{ command: ./probe }]\n"),
        expect![[r#"
            error[E0111]: there is no file `tokn`
              --> belay.yaml:6:15
               |
             6 | secrets: { A: "file:./tokn" }
               |               ^^^^^^^^^^^^^

            error[E0111]: there is no program `./probe` in `dist`
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
fn a_secret_in_a_duplicate_or_in_the_wrong_place_is_not_shown() {
    check(
        with("secrets: { A: \"env:A\", A: hunter2 }\n"),
        expect![[r#"
            error[E0106]: key `A` is there twice, first on line 6
              --> belay.yaml:6:24
               |
             6 | secrets: { A: "env:A", A: ******* }
               |                        ^ remove one of the two
        "#]],
    );
    check(
        with("secrets: hunter2\n"),
        expect![[r#"
        error[E0115]: `secrets` is a mapping from names to references, `env:NAME` or `file:PATH`
          --> belay.yaml:6:10
           |
         6 | secrets: *******
           |          ^^^^^^^
    "#]],
    );
    check(
        with("secrets:\n  A: |\n    hunter2\n  B: x\n"),
        expect![[r#"
            error[E0115]: a secret is a reference, `env:NAME` or `file:PATH`, never a value
              --> belay.yaml:8:5
               |
             8 |     *******
               |     ^^^^^^^ write `env:A` and set it where Belay runs

            error[E0115]: a secret is a reference, `env:NAME` or `file:PATH`, never a value
              --> belay.yaml:9:6
               |
             9 |   B: *
               |      ^ write `env:B` and set it where Belay runs
        "#]],
    );
}
