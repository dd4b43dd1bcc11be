//! What was stored before is read, and goes on.

use super::Summary;
use crate::event::{Entry, Event, FORMAT};
use crate::id::StepId;

/// Summaries had their plan with them before they knew where in the journal it stands.
#[test]
fn a_summary_with_its_plan_is_read_and_goes_on() {
    let stored = r#"{"id":"dep_1","scope":{"service":"shop","environment":"test"},"kind":"deploy","release":1,
            "record":null,"actor":"ada","reason":null,"phase":"running","outcome":null,"created_us":1,"ended_us":null,
            "promoted_us":null,"seq":3,"step":null,"step_title":null,"steps":1,"cause":null,"back_to":null,"stuck":null,
            "verdict":null,"failure":null,"remarks":[],"timeline":{"t0":null,"t1":null,"t2":null,"t3":null,"t4":null,
            "t5":null,"t6":null,"t7":null},"plan_number":0,"plan":{"format":1,"phases":[{"name":"shop","target":"shop",
            "steps":[{"action":{"wait":{"ms":60000}},"promotes":true,"bake":false}]}]}}"#;
    let mut summary: Summary = serde_json::from_str(stored).expect("a summary");
    assert_eq!(summary.lacks_plan(), None);
    let started = Entry {
        seq: 4,
        at_us: 2,
        format: FORMAT,
        event: Event::Started {
            step: StepId { plan: 0, index: 0 },
            attempt: 1,
            fingerprint: String::new(),
            before: None,
        },
    };
    summary.apply(&started);
    assert_eq!(summary.step_title.as_deref(), Some("wait for 1m"));
    // It is kept until there is another plan.
    let text = serde_json::to_string(&summary).expect("text");
    assert_eq!(
        serde_json::from_str::<Summary>(&text).expect("again"),
        summary
    );
}
