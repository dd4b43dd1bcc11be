//! The steps of a move in words, with and without traffic.

use super::*;

/// Four instances of a release, on an address or without traffic.
fn shape(release: u32, listens: bool) -> Shape {
    let name = format!("r{release}");
    let group = Group {
        record: RecordHash::new(format!("{release:064}")),
        instances: 4,
        healthy: true,
        takes_traffic: listens,
    };
    let weight = listens.then(|| (name.clone(), 1000));
    Shape {
        groups: BTreeMap::from([(name, group)]),
        listen: listens.then(|| "127.0.0.1:8080".parse().expect("an address")),
        weights: weight.into_iter().collect(),
    }
}

/// One after the other, as a deployment does them.
fn check(from: &Shape, goal: &Shape, stages: &[Stage], expect: &[&str]) {
    let mut at = from.clone();
    let mut titles = Vec::new();
    for stage in stages {
        for effect in plan(&at, goal, *stage) {
            let params = serde_json::from_value(effect.params).expect("own parameters");
            after(&mut at, &params);
            titles.push(effect.title);
        }
    }
    assert_eq!(titles, expect);
    let is_met = diff(&goal.state(), &at.state()).is_met();
    let is_kept = stages.last().is_some_and(|stage| stage.old == Old::Keep);
    assert!(is_met || is_kept, "{at:?}");
}

fn stage(share: u32, old: Old) -> Stage {
    Stage {
        overwrites: false,
        share,
        capacity: share,
        old,
    }
}

fn rolling() -> [Stage; 2] {
    [stage(500, Old::Proportional), stage(1000, Old::Remove)]
}

#[test]
fn workers_are_replaced_without_a_switch() {
    let all = [stage(1000, Old::Remove)];
    check(
        &shape(1, false),
        &shape(2, false),
        &all,
        &["start 4 instances of r2", "stop r1"],
    );
    check(
        &shape(1, false),
        &shape(2, false),
        &rolling(),
        &[
            "start 2 instances of r2",
            "reduce r1 to 2 instances",
            "start 4 instances of r2",
            "stop r1",
        ],
    );
    check(&shape(1, false), &shape(1, false), &[Stage::BACK], &[]);
}

/// Workers that are not wanted any more do not stand by: they would go on working.
#[test]
fn an_address_comes_and_goes() {
    let kept = [stage(1000, Old::Keep)];
    let [start, switch, stop] = ["start 4 instances of r2", "all traffic to r2", "stop r1"];
    check(
        &shape(1, false),
        &shape(2, true),
        &kept,
        &[start, switch, stop],
    );
    let canary = [stage(500, Old::Keep), stage(1000, Old::Keep)];
    check(
        &shape(1, false),
        &shape(2, true),
        &canary,
        &["start 2 instances of r2", switch, start, stop],
    );
    let gone = "take the route away";
    check(
        &shape(1, true),
        &shape(2, false),
        &[Stage::BACK],
        &[start, gone, stop],
    );
    check(
        &shape(1, true),
        &shape(2, false),
        &rolling(),
        &["start 2 instances of r2", start, gone, stop],
    );
}

#[test]
fn what_takes_traffic_is_kept_as_before() {
    let [start, switch] = ["start 4 instances of r2", "all traffic to r2"];
    check(
        &shape(1, true),
        &shape(2, true),
        &[stage(1000, Old::Keep)],
        &[start, switch],
    );
    check(
        &shape(1, true),
        &shape(2, true),
        &rolling(),
        &[
            "start 2 instances of r2",
            "traffic: 50 % to r1, 50 % to r2",
            "reduce r1 to 2 instances",
            start,
            switch,
            "stop r1",
        ],
    );
}

/// Stored states and plans of before there were workers say nothing of traffic.
#[test]
fn what_was_stored_before_takes_traffic() {
    let state: State = serde_json::from_str(
        r#"{"format":1,"resources":{"group/r1":{"spec":{"record":"a","instances":1},"facts":null,"health":"unknown"}}}"#,
    )
    .expect("a state");
    assert!(Shape::of(&state).groups["r1"].takes_traffic);
    assert_eq!(Shape::of(&state).state(), state);
    let grow = r#"{"grow":{"group":"r1","record":"a","instances":1}}"#;
    let params: Params = serde_json::from_str(grow).expect("parameters");
    let Params::Grow { takes_traffic, .. } = &params else {
        panic!("{params:?}");
    };
    assert!(takes_traffic);
    assert_eq!(serde_json::to_string(&params).expect("plain data"), grow);
}

/// A group that was brought up beyond the goal's scale, for the load of the one that it replaces, is reduced when that is gone.
#[test]
fn what_was_brought_up_beyond_the_goal_is_taken_away_last() {
    for listens in [true, false] {
        let sized = |release, instances| {
            let mut shape = shape(release, listens);
            let groups = shape.groups.values_mut();
            groups.for_each(|group| group.instances = instances);
            shape
        };
        let (up, own) = (sized(1, 6), sized(1, 4));
        let mut at = sized(2, 6);
        let mut titles = Vec::new();
        for goal in [&up, &own] {
            for effect in plan(&at, goal, Stage::BACK) {
                let params = serde_json::from_value(effect.params).expect("own parameters");
                after(&mut at, &params);
                titles.push(effect.title);
            }
        }
        let switch = listens.then_some("all traffic to r1");
        let expect = ["start 6 instances of r1"].into_iter().chain(switch);
        let expect = expect.chain(["stop r2", "reduce r1 to 4 instances"]);
        assert_eq!(titles, expect.collect::<Vec<_>>());
        assert_eq!(at, own);
    }
}
