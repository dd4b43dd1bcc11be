//! What was stored in older formats is read for ever.

use super::{Cause, Event};
use crate::config::{BackCapacity, BackOrder};
use crate::release::Record;

#[test]
fn format_1_is_read() {
    let created = r#"{"created":{
            "kind":"deploy","scope":{"service":"shop","environment":"production"},"record":null,"goal":null,
            "strategy":"basic","checks":[],"bake_ms":1,"warm_ms":2,"inconclusive":"ask","on_first_failure":"remove",
            "actor":"alice","reason":null}}"#;
    let Ok(Event::Created(inputs)) = serde_json::from_str(created) else {
        panic!("it is read: {:?}", serde_json::from_str::<Event>(created));
    };
    assert_eq!(inputs.keep_good, 5);
}

/// Where a release came from was not said before format 5.
#[test]
fn format_4_is_read() {
    let created = r#"{"created":{
            "kind":"deploy","scope":{"service":"shop","environment":"production"},"record":null,"goal":null,
            "strategy":"basic","checks":[],"bake_ms":1,"warm_ms":2,"keep_good":5,"inconclusive":"ask",
            "on_first_failure":"remove","hotfix":{"passes_freeze":true},"actor":"alice","reason":null,
            "back":{"trigger":"slow"}}}"#;
    let Ok(Event::Created(inputs)) = serde_json::from_str(created) else {
        panic!("it is read: {:?}", serde_json::from_str::<Event>(created));
    };
    assert_eq!(inputs.promotion, None);
}

/// Going back needed all of its capacity before format 6.
#[test]
fn format_5_is_read() {
    let order = r#"{"phases":"at_once","provisioning":"last","provisioning_order":"reverse"}"#;
    let read: BackOrder = serde_json::from_str(order).expect("it is read");
    assert_eq!(read.capacity, BackCapacity::Full);
    let written = serde_json::to_string(&read).expect("plain data");
    assert_eq!(written, order, "and who says nothing writes nothing new");
}

/// Nothing was said of where to, or of what made someone, before format 4.
#[test]
fn format_3_is_read() {
    let signal = r#"{"signal":{"actor":"alice","ask":"abort","reason":null}}"#;
    let Ok(Event::Signal { back, .. }) = serde_json::from_str(signal) else {
        panic!("it is read: {:?}", serde_json::from_str::<Event>(signal));
    };
    assert!(back.is_plain());
    let cause: Cause =
        serde_json::from_str(r#"{"request":{"actor":"alice","reason":null}}"#).expect("it is read");
    assert_eq!(cause.leads_to(), None);
}

/// A target had no name in the states, and a record had exactly one, before format 3. What was kept then is read, and
/// its content has the hash that it had.
#[test]
fn format_2_is_read() {
    let record = r#"{"format":1,"scope":{"service":"shop","environment":"production"},"release":1,
            "artifact":"sha256:00","config":{},"secrets":{},"sealed":null,
            "target":{"driver":"process","name":"shop/production","host":"here","settings":{"listen":"127.0.0.1:80"}}}"#;
    let record: Record = serde_json::from_str(record).expect("a record");
    assert_eq!(
        record.hash().as_str(),
        "a21fc355a8948f02b07c608e88d0c911d191dfc584c28eaf4f962a9fe544612b"
    );
    let hash = record.hash();
    let state = r#"{"format":1,"resources":{"route":{"spec":1,"facts":null,"health":"healthy"}}}"#;
    let goal = format!(
        r#"{{"want":{state},"records":{{"{hash}":{}}},"title":"release 1","record":"{hash}"}}"#,
        serde_json::to_string(&record).expect("plain data"),
    );
    let plan = r#"{"format":1,"phases":[{"name":"shop/production","target":"shop/production","steps":[]}]}"#;
    let planned = format!(
        r#"{{"planned":{{"plan":{plan},"baseline":{state},"baseline_goal":{goal},"goal":{goal}}}}}"#
    );
    let Ok(Event::Planned {
        baseline,
        goal,
        plan: read,
        ..
    }) = serde_json::from_str(&planned)
    else {
        panic!("it is read: {:?}", serde_json::from_str::<Event>(&planned));
    };
    assert_eq!(read.parallel, 1);
    for states in [&baseline, &goal.want] {
        let route = &states.of("shop/production").resources["route"];
        assert_eq!(route.spec, 1);
    }
    let back = format!(
        r#"{{"rollback_planned":{{"number":1,"cause":{{"request":{{"actor":"a","reason":null}}}},"goal":null,
                "plan":{plan},"before":{state},"remarks":[]}}}}"#
    );
    let Ok(Event::RollbackPlanned {
        before: Some(before),
        ..
    }) = serde_json::from_str(&back)
    else {
        panic!("it is read: {:?}", serde_json::from_str::<Event>(&back));
    };
    assert!(!before.of("shop/production").is_absent());
}
