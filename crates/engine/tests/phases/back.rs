//! How phases go back: in which order, with which steps of their own, and after they succeeded.

use belay_model::config::{BackOrder, BackPhases, Provisioning, ProvisioningOrder, Strategy};
use belay_model::error::Class;
use belay_model::event::{Outcome, PhaseInput, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::plan::{Action, Call, Look, Plan, Step};
use belay_model::policy::{Act, Rule};
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{phase, run};
use belay_testkit::{Scene, check_journal};

const PLACES: [&str; 3] = ["asia", "eu", "us"];

/// A part of a phase with a step before and a step behind.
fn part(name: &str, target: Option<&str>) -> PhaseInput {
    let of = target.unwrap_or(name);
    let before = vec![run(&format!("before-{of}"))];
    let after = target.map(|_| run(&format!("after-{of}")));
    phase(name, target, before, after.into_iter().collect())
}

/// Release 1 serves everywhere; then the scene is as `then` makes it.
async fn with_one(then: impl FnOnce(&mut Scene)) -> Scene {
    let mut scene = Scene::spread(Strategy::BlueGreen, 2, &PLACES)
        .with_good(1)
        .await;
    then(&mut scene);
    scene
}

/// Two that provision, one on two targets side by side, one on one.
fn four_phases(scene: &mut Scene) {
    scene.parallel = 2;
    scene.phases = vec![
        part("disk", None),
        part("net", None),
        part("far", Some("asia")),
        part("far", Some("eu")),
        part("near", Some("us")),
    ];
}

/// Its `run` steps and moves of traffic, in order.
fn told(plan: &Plan) -> Vec<String> {
    let told = |step: &Step| match &step.action {
        Action::Run(run) => match &run.call {
            Call::Command(line) => Some(line.as_str().to_owned()),
            Call::Http { .. } => None,
        },
        Action::Effect(effect) => {
            let is_switch = effect.wave == belay_model::plan::Wave::Switch;
            is_switch.then(|| "move".to_owned())
        }
        _ => None,
    };
    plan.steps().filter_map(told).collect()
}

async fn ends(scene: &Scene, id: &DeploymentId, rollback: RollbackResult) {
    let summary = scene.summary(id).await;
    let residue = Vec::new();
    let outcome = Some(Outcome::Failed { rollback, residue });
    assert_eq!(summary.outcome, outcome, "{summary:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_phase_is_wrapped_up_in_the_reverse_of_its_order() {
    let scene = with_one(four_phases).await;
    scene.runner.fails("after-us", 1, Class::Application);
    let id = scene.deploy_and_work(2).await;
    ends(&scene, &id, RollbackResult::Complete).await;
    let expected = [
        "un-after-us",
        "move",
        "un-before-us",
        "un-after-eu",
        "move",
        "un-before-eu",
        "un-after-asia",
        "move",
        "un-before-asia",
        "un-before-net",
        "un-before-disk",
    ];
    assert_eq!(told(&scene.last_plan(&id)), expected);
    assert_eq!(scene.serving_on(PLACES), [Some(1); 3]);
}

#[tokio::test(start_paused = true)]
async fn phases_follow_each_other_and_the_parts_of_one_go_side_by_side() {
    let scene = with_one(four_phases).await;
    let id = scene.deploy_and_work(2).await;
    let plan = scene.last_plan(&id);
    let after = plan.phases.iter().map(|phase| phase.after.clone());
    let after: Vec<_> = after.take(5).collect();
    let expected: [&[u16]; 5] = [&[], &[0], &[0, 1], &[0, 1], &[0, 1, 2, 3]];
    assert_eq!(after, expected);
    // Bakes are of targets, once each.
    let bakes = plan.phases[5..].iter();
    let bakes: Vec<_> = bakes.map(|phase| phase.name.clone()).collect();
    assert_eq!(bakes, PLACES);
    assert_eq!(scene.serving_on(PLACES), [Some(2); 3]);
}

#[tokio::test(start_paused = true)]
async fn this_phase_only_is_all_of_its_targets() {
    let scene = with_one(|scene| {
        four_phases(scene);
        // `far` comes last, so that something stays.
        scene.phases.rotate_right(1);
        for part in &mut scene.phases[3..] {
            part.on_failure = vec![Rule {
                on: Vec::new(),
                act: Act::RollBackPhase,
            }];
        }
    })
    .await;
    scene.runner.fails("after-eu", 1, Class::Application);
    let id = scene.deploy_and_work(2).await;
    ends(&scene, &id, RollbackResult::Limited).await;
    assert_eq!(scene.serving_on(PLACES), [Some(1), Some(1), Some(2)]);
    let back = told(&scene.last_plan(&id));
    assert!(back.contains(&"un-before-asia".to_owned()), "{back:?}");
    assert!(!back.contains(&"un-before-us".to_owned()), "{back:?}");
    // What stays is taken back when someone asks for it, and nothing twice.
    scene.runner.fails("none", 0, Class::Application);
    let undone = scene.undo(&id).await;
    scene.work().await;
    assert_eq!(scene.serving_on(PLACES), [Some(1); 3]);
    let back = told(&scene.last_plan(&undone));
    let ran: Vec<_> = back.iter().filter(|line| *line != "move").collect();
    assert_eq!(
        ran,
        [
            "un-before-net",
            "un-before-disk",
            "un-after-us",
            "un-before-us"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn all_at_once_where_the_plan_says_so() {
    for phases in [BackPhases::InTurn, BackPhases::AtOnce] {
        let scene = with_one(|scene| {
            four_phases(scene);
            scene.back_order.phases = phases;
        })
        .await;
        scene.script.say(2, Look::Bake, Said::Fail);
        let id = scene.deploy_and_work(2).await;
        ends(&scene, &id, RollbackResult::Complete).await;
        let plan = scene.last_plan(&id);
        let of = |name: &str| plan.phases.iter().find(|phase| phase.name == name);
        let (far, net) = (of("far").expect("it"), of("net").expect("it"));
        let at_once = phases == BackPhases::AtOnce;
        assert_eq!(far.after.is_empty(), at_once, "{far:#?}");
        assert_eq!(net.after, [0, 1, 2], "what provisions waits for all");
        assert_eq!(plan.parallel, if at_once { 5 } else { 2 });
        assert_eq!(scene.serving_on(PLACES), [Some(1); 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_provisions_goes_back_first_or_last_and_in_either_order() {
    use Provisioning::{First, Last};
    use ProvisioningOrder::{Reverse, Same};
    let (net, disk) = ("un-before-net", "un-before-disk");
    for (provisioning, provisioning_order, expected) in [
        (Last, Reverse, [net, disk]),
        (Last, Same, [disk, net]),
        (First, Reverse, [net, disk]),
        (First, Same, [disk, net]),
    ] {
        let scene = with_one(|scene| {
            four_phases(scene);
            scene.back_order = BackOrder {
                provisioning,
                provisioning_order,
                ..BackOrder::default()
            };
        })
        .await;
        scene.script.say(2, Look::Bake, Said::Fail);
        let before = 8;
        scene.deploy_and_work(2).await;
        let log = scene.runner.log();
        assert_eq!(log.len(), 2 * before, "{log:?}");
        let back = if provisioning == First {
            &log[before..before + 2]
        } else {
            &log[2 * before - 2..]
        };
        assert_eq!(back, expected, "{provisioning:?} {provisioning_order:?}");
        assert_eq!(scene.serving_on(PLACES), [Some(1); 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn steps_of_its_own_are_around_the_way_back_of_what_began() {
    let scene = with_one(|scene| {
        four_phases(scene);
        for part in &mut scene.phases {
            let name = part.target.clone().unwrap_or(part.name.clone());
            part.back_before = vec![run(&format!("un-begin-{name}"))];
            part.back_after = vec![run(&format!("un-end-{name}"))];
        }
    })
    .await;
    scene.runner.fails("after-asia", 1, Class::Application);
    let id = scene.deploy_and_work(2).await;
    ends(&scene, &id, RollbackResult::Complete).await;
    let back = told(&scene.last_plan(&id));
    let of = |part: &str| back.iter().filter(|line| line.ends_with(part)).count();
    assert_eq!(of("-us"), 0, "it never began: {back:?}");
    let asia = back
        .iter()
        .skip_while(|line| *line != "un-begin-asia")
        .take(5);
    let asia: Vec<_> = asia.collect();
    let expected = [
        "un-begin-asia",
        "un-after-asia",
        "move",
        "un-before-asia",
        "un-end-asia",
    ];
    assert_eq!(asia, expected);
}

#[tokio::test(start_paused = true)]
async fn what_was_run_is_taken_back_when_someone_goes_back_after_success() {
    let scene = with_one(four_phases).await;
    let named = |scene: &mut Scene, name: &str| {
        let mut phases = vec![part(name, None)];
        phases.extend(PLACES.map(|place| PhaseInput {
            before: Vec::new(),
            after: Vec::new(),
            ..part(place, Some(place))
        }));
        scene.phases = phases;
    };
    let mut scene = scene;
    named(&mut scene, "two");
    scene.deploy_and_work(2).await;
    named(&mut scene, "three");
    // What cannot be taken back is named.
    if let Action::Run(run) = &mut scene.phases[0].before[0].action {
        run.residue = Some("three stays".to_owned());
    }
    scene.deploy_and_work(3).await;
    // One that went back by itself has taken its own back.
    named(&mut scene, "four");
    scene.script.say(4, Look::Bake, Said::Fail);
    scene.deploy_and_work(4).await;
    let before = scene.runner.log().len();
    let back = scene.go_back(Some(1)).await;
    scene.work().await;
    check_journal(&scene.store.journal(&back));
    let summary = scene.summary(&back).await;
    assert_eq!(summary.outcome, Some(Outcome::Succeeded), "{summary:#?}");
    assert_eq!(
        scene.runner.log()[before..],
        ["un-before-three", "un-before-two"]
    );
    assert!(
        summary
            .remarks
            .contains(&"stays behind: three stays".to_owned())
    );
    assert_eq!(scene.serving_on(PLACES), [Some(1); 3]);
    // Each in the files of its own release.
    let plan = scene.last_plan(&back);
    let record = |step: &Step| match &step.action {
        Action::Run(run) => run.record.clone(),
        _ => None,
    };
    let records: Vec<_> = plan.steps().filter_map(record).collect();
    assert_eq!(records, [3, 2].map(|release| scene.record(release).hash()));

    // The next time there is nothing of theirs left to take back.
    let before = scene.runner.log().len();
    scene.phases.clear();
    scene.deploy_and_work(5).await;
    let back = scene.go_back(Some(1)).await;
    scene.work().await;
    let outcome = scene.summary(&back).await.outcome;
    assert_eq!(outcome, Some(Outcome::Succeeded));
    assert_eq!(scene.runner.log().len(), before);
}
