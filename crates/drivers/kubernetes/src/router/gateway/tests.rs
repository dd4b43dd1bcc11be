use super::*;

const GROUPS: [&str; 2] = ["r7-1a2b3c4d", "r8-5e6f7a8b"];

fn route(rules: Value) -> Resource {
    let mut resource = Resource {
        spec: json!({ "spec": { "rules": rules } }),
        facts: json!({}),
        ..Resource::default()
    };
    normalise(&mut resource, &["api".to_owned()]);
    resource
}

fn made(resource: &Resource, weights: Value) -> Result<Value, String> {
    let mut rules = resource.spec["spec"]["rules"].clone();
    expand(&mut rules, &weights, &resource.facts[SERVICES])?;
    Ok(rules)
}

#[test]
fn backends_are_shares_and_shares_are_backends() {
    let filter = json!([{ "type": "RequestMirror" }]);
    let written = json!([
        { "matches": [{ "path": { "type": "Exact", "value": "/docs" } }], "backendRefs": [{ "name": "docs", "port": 80 }] },
        { "backendRefs": [{ "name": "api", "port": 80, "filters": filter }] },
    ]);
    let one = route(written.clone());
    assert_eq!(one.spec[WEIGHTS], json!({ LIVE: 1000 }));
    assert_eq!(made(&one, json!({ LIVE: 1000 })), Ok(written.clone()));
    let shares = json!({ GROUPS[0]: 750, GROUPS[1]: 250 });
    let both = made(&one, shares.clone()).expect("whole numbers");
    assert_eq!(both[0], written[0], "other rules are as they are");
    let backend = |nth: usize, weight: u32| {
        let name = groups::name("api", GROUPS[nth]);
        json!({ "name": name, "port": 80, "filters": filter, "weight": weight })
    };
    assert_eq!(
        both[1]["backendRefs"],
        json!([backend(0, 750), backend(1, 250)])
    );
    let again = route(both);
    assert_eq!(again.spec[WEIGHTS], shares);
    assert_eq!(again.spec["spec"], one.spec["spec"]);
}

#[test]
fn what_the_server_fills_in_is_not_said() {
    let written = json!([{ "backendRefs": [{ "name": "api", "port": 80 }] }]);
    let filled = json!([{
        "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
        "backendRefs": [{ "group": "", "kind": "Service", "name": "api", "port": 80, "weight": 1 }],
    }]);
    assert_eq!(route(written).spec, route(filled).spec);
    // One more that matches all sends all there.
    let at = |value: &str| json!({ "path": { "type": "PathPrefix", "value": value } });
    let matching =
        |matches: Value| route(json!([{ "matches": matches, "backendRefs": [{ "name": "api" }] }]));
    assert_ne!(
        matching(json!([at("/a"), at("/")])).spec,
        matching(json!([at("/a")])).spec
    );
}

#[test]
fn beside_other_backends_a_share_is_one_of_its_own_weight() {
    let of = |weight: u32| {
        route(
            json!([{ "backendRefs": [{ "name": "api", "weight": weight }, { "name": "old", "weight": 3 }] }]),
        )
    };
    let shares = json!({ GROUPS[0]: 750, GROUPS[1]: 250 });
    let both = made(&of(4), shares.clone()).expect("whole numbers");
    let weights: Vec<&Value> = both[0]["backendRefs"]
        .as_array()
        .expect("backends")
        .iter()
        .map(|it| &it["weight"])
        .collect();
    assert_eq!(weights, [3, 1, 3]);
    let why = made(&of(1), shares).expect_err("a quarter of one");
    assert!(why.contains("such as 1000"), "{why}");
}

#[test]
fn rules_that_share_in_different_ways_are_not_the_same() {
    let backend =
        |group: &str, weight: u32| json!({ "name": groups::name("api", group), "weight": weight });
    let uneven = route(json!([
        { "backendRefs": [backend(GROUPS[0], 1), backend(GROUPS[1], 1)] },
        { "backendRefs": [backend(GROUPS[0], 1)] },
    ]));
    assert!(uneven.spec[UNEVEN].is_array());
}

#[test]
fn the_goal_keeps_what_it_has_and_zero_is_zero() {
    let of = |pairs: &[(&str, u32)]| -> BTreeMap<String, u32> {
        pairs
            .iter()
            .map(|(name, weight)| ((*name).to_owned(), *weight))
            .collect()
    };
    let goal = of(&[("b", 1000)]);
    let check = |now: &[(&str, u32)], share: u32, expected: &[(&str, u32)]| {
        assert_eq!(shared(&of(now), &goal, share), of(expected));
    };
    check(&[("a", 1000)], 250, &[("a", 750), ("b", 250)]);
    check(&[("a", 750), ("b", 250)], 100, &[("a", 750), ("b", 250)]);
    check(
        &[("a", 333), ("c", 667)],
        100,
        &[("a", 300), ("b", 100), ("c", 600)],
    );
    check(&[("a", 1000), ("c", 0)], 1000, &[("b", 1000)]);
    check(&[], 100, &[("b", 1000)]);
}
