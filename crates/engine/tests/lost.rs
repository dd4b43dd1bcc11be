//! A step that its worker dies over each time: it is tried again only so often, whatever a rule says, and then it has failed
//! like any other, with a lost connection, and the rules decide.

use belay_model::config::Strategy;
use belay_model::error::Class;
use belay_model::event::{Ask, Event, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::plan::{Action, OnUnknown, Run, Step};
use belay_model::policy::{Act, Rule};
use belay_model::summary::{Phase, Summary};
use belay_testkit::parts::{command, phase, rolled_back};
use belay_testkit::{Scene, check_journal};

const PLACES: [&str; 2] = ["eu", "us"];
const IGNORE: Act = Act::Ignore { as_passed: false };
/// How often a step may be lost on the way forward.
const CAP: u32 = 3;

fn rules<const N: usize>(acts: [Act; N]) -> Vec<Rule> {
    let on = Vec::new;
    acts.map(|act| Rule { on: on(), act }).to_vec()
}

fn retry() -> Act {
    Act::Retry {
        times: 9,
        pause_ms: 10,
        factor: 1,
        longest_ms: 10,
    }
}

fn ask(within_ms: Option<u64>, then: Act) -> Act {
    let then = Box::new(then);
    Act::Ask { within_ms, then }
}

/// Release 2 comes to eu, and on us to a command that its worker dies over, so often.
async fn dies(times: u32, on_unknown: OnUnknown, on_failure: Vec<Rule>) -> (Scene, DeploymentId) {
    let scene = Scene::spread(Strategy::BlueGreen, 2, &PLACES);
    let mut scene = scene.with_good(1).await;
    let migrate = Step::of(Action::Run(Run {
        on_unknown,
        ..command("migrate")
    }));
    scene.phases = vec![
        phase("eu", Some("eu"), vec![], vec![]),
        phase("us", Some("us"), vec![migrate], vec![]),
    ];
    scene.on_failure = on_failure;
    scene.crashes.kill_each("run", "before", times);
    let id = scene.deploy(2).await;
    assert_eq!(scene.work().await, times);
    check_journal(&scene.store.journal(&id));
    (scene, id)
}

/// How often the command was begun.
fn begun(scene: &Scene, id: &DeploymentId) -> usize {
    let journal = scene.store.journal(id);
    let plans = journal.iter().find_map(|entry| match &entry.event {
        Event::Planned { plan, .. } => Some(plan),
        _ => None,
    });
    let is_it = |step: &Step| matches!(&step.action, Action::Run(_));
    let index = plans.expect("it was planned").steps().position(is_it);
    let begins = |event: &Event| matches!(event, Event::Started { step, .. } if step.plan == 0 && Some(usize::from(step.index)) == index);
    journal.iter().filter(|it| begins(&it.event)).count()
}

fn is_limited(summary: &Summary) -> bool {
    let outcome = &summary.outcome;
    matches!(outcome, Some(Outcome::Failed { rollback, .. }) if *rollback == RollbackResult::Limited)
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_fewer_times_is_tried_again_whatever_the_rules_say() {
    let (scene, id) = dies(CAP - 1, OnUnknown::Retry, rules([Act::Stop])).await;
    assert_eq!(scene.outcome(&id).await, Some(Outcome::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_too_often_goes_back_where_no_rule_is_about_it() {
    let other = Rule {
        on: vec![Class::Application],
        act: Act::Stop,
    };
    for rules in [vec![], vec![other], rules([Act::RollBack])] {
        let (scene, id) = dies(CAP, OnUnknown::Retry, rules).await;
        assert_eq!(scene.outcome(&id).await, rolled_back());
        assert_eq!(scene.serving_on(PLACES), [Some(1); 2]);
        let cause = scene.summary(&id).await.cause.expect("it went back");
        assert!(cause.contains("lost 3 times"), "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn else_it_is_left_as_it_is_or_its_phase_goes_back_as_the_rule_says() {
    let on_connectivity = Rule {
        on: vec![Class::Connectivity],
        act: Act::Stop,
    };
    let of_the_phase = rules([Act::RollBackPhase]);
    let late = rules([ask(Some(1000), Act::Stop)]);
    for rules in [vec![on_connectivity], of_the_phase, late] {
        let (scene, id) = dies(CAP, OnUnknown::Retry, rules.clone()).await;
        if scene.summary(&id).await.phase == Phase::NeedsOperator {
            scene.work_for(60_000).await;
        }
        let summary = scene.summary(&id).await;
        assert!(is_limited(&summary), "{rules:?}: {summary:#?}");
        assert_eq!(scene.serving_on(PLACES), [Some(2), Some(1)], "{rules:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_is_asked_and_may_have_it_tried_again() {
    let asks = rules([ask(None, Act::RollBack)]);
    let (scene, id) = dies(CAP, OnUnknown::Retry, asks).await;
    let stuck = scene.summary(&id).await.stuck.unwrap_or_default();
    assert!(stuck.contains("lost 3 times"), "{stuck}");
    // From here on it counts anew.
    scene.crashes.kill_each("run", "before", CAP - 1);
    scene.signal(&id, Ask::Retry).await;
    assert_eq!(scene.work().await, CAP - 1);
    assert_eq!(scene.outcome(&id).await, Some(Outcome::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn it_is_gone_past_and_named_in_the_end() {
    let late = ask(Some(1000), IGNORE);
    for act in [IGNORE, late] {
        let (scene, id) = dies(CAP, OnUnknown::Retry, rules([act])).await;
        if scene.summary(&id).await.phase == Phase::NeedsOperator {
            scene.work_for(60_000).await;
        }
        let summary = scene.summary(&id).await;
        assert_eq!(summary.outcome, Some(Outcome::Succeeded), "{summary:#?}");
        let [line] = &summary.ignored[..] else {
            panic!("{:?}", summary.ignored);
        };
        assert!(line.contains("lost 3 times"), "{line}");
        assert_eq!(scene.serving_on(PLACES), [Some(2); 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_does_not_have_it_kill_one_worker_after_the_other() {
    let (scene, id) = dies(CAP, OnUnknown::Retry, rules([retry()])).await;
    assert_eq!(scene.outcome(&id).await, rolled_back());
    assert_eq!(begun(&scene, &id), 3);
    // The next one decides.
    let (scene, id) = dies(CAP, OnUnknown::Retry, rules([retry(), Act::Stop])).await;
    assert!(is_limited(&scene.summary(&id).await));
    assert_eq!(begun(&scene, &id), 3);
    let (scene, id) = dies(CAP, OnUnknown::Retry, rules([retry(), IGNORE])).await;
    assert_eq!(scene.outcome(&id).await, Some(Outcome::Succeeded));
    assert_eq!(begun(&scene, &id), 3);
}

/// Cut off once, it may be half done.
#[tokio::test(start_paused = true)]
async fn so_does_the_next_rule_where_it_may_not_be_repeated_at_all() {
    for on_unknown in [OnUnknown::RollBack, OnUnknown::Ask] {
        let (scene, id) = dies(1, on_unknown, rules([retry(), Act::Stop])).await;
        assert!(is_limited(&scene.summary(&id).await), "{on_unknown:?}");
        assert_eq!(begun(&scene, &id), 1);
        let (scene, id) = dies(1, on_unknown, rules([retry(), IGNORE])).await;
        assert_eq!(scene.outcome(&id).await, Some(Outcome::Succeeded));
        assert_eq!(begun(&scene, &id), 1);
    }
}

/// The worker dies over the first move of release 2 as often as it may.
async fn dies_over_a_move(act: Act) -> (Scene, DeploymentId) {
    let mut scene = Scene::new(Strategy::BlueGreen, 2).with_good(1).await;
    scene.on_failure = rules([act]);
    scene.crashes.kill_each("apply", "before", CAP);
    let id = scene.deploy_and_work(2).await;
    (scene, id)
}

#[tokio::test(start_paused = true)]
async fn a_move_that_is_lost_too_often_is_one_that_failed() {
    let (scene, id) = dies_over_a_move(ask(None, Act::RollBack)).await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    scene.signal(&id, Ask::Retry).await;
    scene.work().await;
    assert_eq!(scene.outcome(&id).await, Some(Outcome::Succeeded));
    // Nothing of it is there: that it is gone past does not make a release of it.
    let (scene, id) = dies_over_a_move(IGNORE).await;
    let summary = scene.summary(&id).await;
    assert!(is_limited(&summary), "{summary:#?}");
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
}
