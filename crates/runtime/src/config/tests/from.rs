//! Where releases come from.

use expect_test::expect;

use super::{check, good};
use belay_model::config::FromStanding;

/// Three environments, each with these lines.
fn three(dev: &str, staging: &str, production: &str) -> String {
    let environment = |name: &str, port: u16, more: &str| {
        format!(
            "  {name}:\n    {more}\n    target: {{ process: {{ run: ./server, listen: \"127.0.0.1:{port}\" }} }}\n"
        )
    };
    [
        "service: shop\nrelease: { artifact: ./dist }\nenvironments:\n".to_owned(),
        environment("dev", 8080, dev),
        environment("staging", 8081, staging),
        environment("production", 8082, production),
    ]
    .concat()
}

#[test]
fn releases_come_from_where_they_are_good() {
    let text = three(
        "keep: { bake: 0s }",
        "from: dev",
        "from: staging\n    from_standing: baked",
    );
    check(&text, expect![[""]]);
    let production = &good(&text).config.environments["production"];
    assert_eq!(production.from.as_deref(), Some("staging"));
    assert_eq!(production.from_standing, Some(FromStanding::Baked));
}

#[test]
fn from_where_there_is_nothing() {
    check(
        three("queue: all", "from: def", "from: elsewhere"),
        expect![[r#"
            error[E0113]: unknown environment `def`
              --> belay.yaml:8:11
               |
             8 |     from: def
               |           ^^^ did you mean `dev`?

            error[E0113]: unknown environment `elsewhere`
               --> belay.yaml:11:11
                |
             11 |     from: elsewhere
                |           ^^^^^^^^^
                = note: other environments: `dev`, `staging`
        "#]],
    );
}

#[test]
fn round_and_round() {
    check(
        three("from: dev", "from: production", "from: staging"),
        expect![[r#"
            error[E0114]: releases of `dev` cannot come from `dev`
              --> belay.yaml:5:11
               |
             5 |     from: dev
               |           ^^^

            error[E0114]: releases would go round: staging from production from staging
              --> belay.yaml:8:11
               |
             8 |     from: production
               |           ^^^^^^^^^^

            error[E0114]: releases would go round: production from staging from production
               --> belay.yaml:11:11
                |
             11 |     from: staging
                |           ^^^^^^^
        "#]],
    );
    // Only those that are in the circle are told of it.
    check(
        three("from: staging", "from: dev", "from: staging"),
        expect![[r#"
            error[E0114]: releases would go round: dev from staging from dev
              --> belay.yaml:5:11
               |
             5 |     from: staging
               |           ^^^^^^^

            error[E0114]: releases would go round: staging from dev from staging
              --> belay.yaml:8:11
               |
             8 |     from: dev
               |           ^^^
        "#]],
    );
}

#[test]
fn baked_where_nothing_bakes() {
    check(
        three(
            "keep: { bake: 0s }",
            "from: dev\n    from_standing: baked",
            "from_standing: good",
        ),
        expect![[r#"
            error[E0114]: releases do not bake in `dev`: its `keep.bake` is 0s
              --> belay.yaml:9:20
               |
             9 |     from_standing: baked
               |                    ^^^^^

            error[E0114]: without `from` there is no place to be good in
               --> belay.yaml:12:5
                |
             12 |     from_standing: good
                |     ^^^^^^^^^^^^^ add `from:`
        "#]],
    );
}
