//! What a rule ignores or a person leaves out: named in the end, and no success where the release is not there because of it.

use belay_model::config::{CanaryStep, Percent, Strategy};
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::{Ask, Outcome, RollbackResult};
use belay_model::plan::Look;
use belay_model::policy::{Act, Rule};
use belay_model::summary::{Phase, Summary};
use belay_model::verdict::Outcome as Verdict;
use belay_testkit::parts::{check_at, phase, run};
use belay_testkit::{Fault, Kind, Scene, check_journal};

const IGNORE: Act = Act::Ignore { as_passed: false };
const PASS: Act = Act::Ignore { as_passed: true };

/// Release 1 is good and serves; what fails from then on, `act` says.
async fn with_one(strategy: Strategy, act: Act) -> Scene {
    let mut scene = Scene::new(strategy, 2);
    scene.deploy(1).await;
    scene.work().await;
    let on = Vec::new();
    scene.on_failure = vec![Rule { on, act }];
    scene
}

/// The apply of that number is refused.
fn refuse(scene: &Scene, number: usize) {
    let before = std::iter::repeat_n(None, number);
    let refused = Some(Fault::Refused(Class::Application));
    scene.world.faults(before.chain([refused]));
}

/// How release 2 ends, whether it is known to serve, and what it stands for.
async fn ends(scene: &Scene, ask: Option<Ask>) -> (Summary, bool, Standing) {
    let id = scene.deploy(2).await;
    scene.work().await;
    if let Some(ask) = ask {
        assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
        scene.signal_of("ada", &id, ask).await;
        scene.work().await;
    }
    check_journal(&scene.store.journal(&id));
    let (view, record) = (scene.view(), scene.record(2));
    let serves = view.serving().map(|known| known.record.hash()) == Some(record.hash());
    let standing = view.records[&record.hash()].standing;
    (scene.summary(&id).await, serves, standing)
}

fn unmet(summary: &Summary) -> Vec<String> {
    match &summary.outcome {
        Some(Outcome::Failed {
            rollback: RollbackResult::Limited,
            residue,
        }) => residue.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_not_there_is_no_success_whatever_is_ignored() {
    for act in [IGNORE, PASS] {
        for number in [0, 1] {
            let scene = with_one(Strategy::BlueGreen, act.clone()).await;
            refuse(&scene, number);
            let (summary, serves, standing) = ends(&scene, None).await;
            let lines = unmet(&summary);
            assert!(lines[0].starts_with("the goal is not met"), "{lines:?}");
            let why = "failed to";
            assert!(summary.ignored[0].contains(why), "{:?}", summary.ignored);
            assert_eq!((serves, standing), (false, Standing::Candidate));
            assert_eq!(summary.promoted_us, None);
            assert_eq!(scene.serving(), Some(scene.record(1).group()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nor_is_one_whose_move_a_person_left_out() {
    let ask = Act::Ask {
        within_ms: None,
        then: Box::new(Act::RollBack),
    };
    let scene = with_one(Strategy::BlueGreen, ask).await;
    refuse(&scene, 1);
    let (summary, serves, _) = ends(&scene, Some(Ask::Skip)).await;
    let lines = unmet(&summary);
    assert!(lines[1].starts_with("skipped by ada"), "{lines:?}");
    assert!(!serves);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_keep_the_release_away_is_named_beside_its_success() {
    // The old copies are not removed; the release is all there.
    let scene = with_one(Strategy::Rolling, IGNORE).await;
    refuse(&scene, 4);
    let (summary, serves, standing) = ends(&scene, None).await;
    assert_eq!(summary.outcome, Some(Outcome::Succeeded));
    assert_eq!(summary.ignored.len(), 1, "{:?}", summary.ignored);
    assert!(serves && standing.is_good(), "{standing}");
    assert_eq!(scene.world.groups(), [scene.record(2).group()]);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_ignored_is_named_and_one_that_counts_as_passed_is_not() {
    for (act, count) in [(IGNORE, 1), (PASS, 0)] {
        let mut scene = with_one(Strategy::BlueGreen, act).await;
        scene.phases = vec![phase(
            "all",
            Some("shop/test"),
            vec![run("migrate")],
            vec![],
        )];
        scene.runner.fails("migrate", 1, Class::Application);
        let (summary, serves, standing) = ends(&scene, None).await;
        assert_eq!(summary.outcome, Some(Outcome::Succeeded));
        assert_eq!(summary.ignored.len(), count, "{:?}", summary.ignored);
        assert!(serves && standing.is_good());
    }
}

/// On a platform that replaces in place the content is there, and no copy of it ever becomes ready.
#[tokio::test(start_paused = true)]
async fn a_release_that_is_there_and_serves_nobody_is_no_success() {
    for act in [IGNORE, PASS] {
        let mut scene = Scene::of(Kind::InPlace, Strategy::Rolling, 1);
        scene.world.break_release(scene.record(2).hash());
        let on = Vec::new();
        scene.on_failure = vec![Rule { on, act }];
        let (summary, ..) = ends(&scene, None).await;
        assert_eq!(scene.world.users().len(), 0);
        let lines = unmet(&summary);
        assert!(lines[0].ends_with("it never became ready"), "{lines:?}");
    }
}

/// Nor does the next one, which replaces it part by part, take what is not ready for someone else's doing.
#[tokio::test(start_paused = true)]
async fn what_was_left_unready_keeps_nobody_from_replacing_it() {
    let mut scene = Scene::of(Kind::Resized, Strategy::Rolling, 4);
    scene.world.break_release(scene.record(1).hash());
    scene.on_failure = vec![Rule {
        on: Vec::new(),
        act: IGNORE,
    }];
    let first = scene.deploy(1).await;
    scene.work().await;
    unmet(&scene.summary(&first).await);
    let (summary, serves, _) = ends(&scene, None).await;
    assert_eq!(summary.outcome, Some(Outcome::Succeeded));
    assert!(serves);
}

#[tokio::test(start_paused = true)]
async fn what_makes_way_for_a_hotfix_names_what_it_went_past() {
    let mut scene = with_one(Strategy::BlueGreen, IGNORE).await;
    scene.checks = vec![check_at("live")];
    scene.script.say(2, Look::Live, Verdict::Fail);
    scene.bake_ms = 60_000;
    let second = scene.deploy(2).await;
    scene.work_for(20_000).await;
    assert_eq!(scene.summary(&second).await.phase, Phase::Baking);
    let hotfix = scene.hotfix(3).await.expect("it bakes");
    scene.work().await;
    let summary = scene.summary(&second).await;
    assert_eq!(summary.outcome, Some(Outcome::Stopped));
    assert_eq!(summary.ignored.len(), 1, "{:?}", summary.ignored);
    let summary = scene.summary(&hotfix).await;
    assert_eq!(summary.outcome, Some(Outcome::Succeeded));
}

/// The swap left the old release in the stage, with the stage's share.
#[tokio::test(start_paused = true)]
async fn nor_is_one_that_shares_the_users_with_the_one_before() {
    let mut scene = Scene::of(Kind::Swap, Strategy::Basic, 1);
    scene.deploy(1).await;
    scene.work().await;
    let on = Vec::new();
    scene.on_failure = vec![Rule { on, act: IGNORE }];
    let to = Percent::from_percent(30);
    let hold = None;
    scene.strategy = Strategy::Canary(vec![CanaryStep { to, hold }]);
    // Into the stage, its share, the swap; and the share that is left.
    refuse(&scene, 3);
    let (summary, serves, standing) = ends(&scene, None).await;
    let lines = unmet(&summary);
    assert!(lines[0].contains("route"), "{lines:?}");
    assert_eq!((serves, standing), (false, Standing::Candidate));
}
