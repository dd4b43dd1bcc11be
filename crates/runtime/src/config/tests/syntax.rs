//! Bytes and YAML, before any key is looked at.

use std::path::Path;

use expect_test::expect;

use super::{check, complaints, good, load, with};

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
fn control_characters_and_long_lines_do_not_reach_the_terminal() {
    let text = format!("service: \"\u{1b}[31m{}\"\nx\u{7}y: 1\n", "a".repeat(5000));
    let (_, rendered) = complaints(text.as_bytes(), None);
    assert!(!rendered.contains('\u{1b}'), "{rendered}");
    assert!(
        rendered.lines().all(|line| line.chars().count() < 400),
        "{rendered}"
    );
}
