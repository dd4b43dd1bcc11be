//! How many instances a way back brings up, on every kind of platform that has such a number: as many as there are now, or as
//! the goal has, whichever is more, before users are moved; and what someone else scaled stays scaled.

use belay_model::config::{BackCapacity, Duration, Strategy};
use belay_model::error::Class;
use belay_model::event::{Ask, Entry, Event, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::policy::{Act, Rule};
use belay_model::summary::Phase;
use belay_testkit::parts::{phase, rolled_back, run};
use belay_testkit::{Before, Fault, Kind, Scene, judge};

/// Instances of a release, where nothing else is said.
const USUAL: u32 = 4;

const SCALED: [Kind; 4] = [
    Kind::SideBySide,
    Kind::Workers,
    Kind::InPlace,
    Kind::Resized,
];

/// What someone makes of the scale of what serves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hand {
    Nobody,
    Scales(u32),
}

/// One story: release 1 serves, then release 2, and someone scales it, or not; then it goes back.
#[derive(Clone, Copy, Debug)]
struct Story {
    /// Instances of release 2.
    second: u32,
    hand: Hand,
    /// Instances of release 1 before anybody is moved.
    up: u32,
    /// And in the end.
    stays: u32,
    /// It is told that someone scaled it.
    is_told: bool,
}

const STORIES: [Story; 7] = [
    Story {
        second: USUAL,
        hand: Hand::Nobody,
        up: USUAL,
        stays: USUAL,
        is_told: false,
    },
    // Scaled up by hand: brought up to that, and that stays.
    Story {
        second: USUAL,
        hand: Hand::Scales(10),
        up: 10,
        stays: 10,
        is_told: true,
    },
    // Scaled down by hand: what was there before.
    Story {
        second: USUAL,
        hand: Hand::Scales(1),
        up: USUAL,
        stays: USUAL,
        is_told: false,
    },
    // The deployment itself had more: enough for those who come, and then as it was.
    Story {
        second: 8,
        hand: Hand::Nobody,
        up: 8,
        stays: USUAL,
        is_told: false,
    },
    // And someone scaled since: not ours to take away.
    Story {
        second: 8,
        hand: Hand::Scales(10),
        up: 10,
        stays: 10,
        is_told: true,
    },
    Story {
        second: 8,
        hand: Hand::Scales(6),
        up: 6,
        stays: 6,
        is_told: true,
    },
    // The deployment had fewer.
    Story {
        second: 2,
        hand: Hand::Nobody,
        up: USUAL,
        stays: USUAL,
        is_told: false,
    },
];

/// How it is gone back.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Someone asks for it when it bakes: what was there before.
    Undo,
    /// Someone asks for it when it is over: the record that was good.
    Return,
}

/// Until something is to be gone back from, and scaled.
async fn begun(kind: Kind, story: Story, way: Way) -> (Scene, Option<DeploymentId>) {
    let mut scene = Scene::of(kind, Strategy::Basic, USUAL);
    scene.instances.insert(2, story.second);
    scene.deploy(1).await;
    scene.work().await;
    if way == Way::Undo {
        scene.bake_ms = 60 * 60 * 1000;
    }
    let second = scene.deploy(2).await;
    if way == Way::Undo {
        scene.work_for(60_000).await;
        assert_eq!(scene.summary(&second).await.phase, Phase::Baking);
    } else {
        scene.work().await;
    }
    assert_eq!(scene.world.asked_for(), Some(story.second), "{kind:?}");
    if let Hand::Scales(instances) = story.hand {
        scene.world.scale(instances);
    }
    (scene, Some(second).filter(|_| way == Way::Undo))
}

async fn go_back(scene: &Scene, open: Option<&DeploymentId>) -> DeploymentId {
    match open {
        Some(id) => {
            scene.signal(id, Ask::Abort).await;
            id.clone()
        }
        None => scene.go_back(Some(1)).await,
    }
}

/// What people are told when it is planned.
fn remarks(scene: &Scene, id: &DeploymentId) -> Vec<String> {
    let journal = scene.store.journal(id);
    let mut told = journal.iter().rev().filter_map(|entry| match &entry.event {
        Event::Planned { remarks, .. } | Event::RollbackPlanned { remarks, .. } => Some(remarks),
        _ => None,
    });
    told.next().cloned().unwrap_or_default()
}

async fn check(kind: Kind, story: Story, way: Way, kill_at: usize) -> bool {
    let (scene, open) = begun(kind, story, way).await;
    let done = scene.world.log().len();
    let before = Before::of(&scene);
    scene.crashes.kill_at(kill_at);
    let id = go_back(&scene, open.as_ref()).await;
    let killed = scene.work().await;
    let log = scene.world.log().split_off(done);
    let told = format!("{kind:?} {story:?} {way:?}, killed at {kill_at}: {log:#?}");
    let outcome = scene.summary(&id).await.outcome;
    let went_back = match way {
        Way::Return => Some(Outcome::Succeeded),
        Way::Undo => rolled_back(),
    };
    assert_eq!(outcome, went_back, "{told}");
    if way == Way::Return {
        let wrong = judge(&scene, &id, &before).await;
        assert!(wrong.is_empty(), "{told}: {wrong:#?}");
    }
    let first = scene.record(1).group();
    assert_eq!(serving(&scene), Some(first.clone()), "{told}");
    assert_eq!(scene.world.asked_for(), Some(story.stays), "{told}");
    let up = match kind {
        Kind::InPlace => format!("replace by {} of {first}", story.up),
        Kind::Resized => format!("resize {first} to {}", story.up),
        _ => format!("grow {first} to {}", story.up),
    };
    let at = |line: &str| log.iter().position(|it| it.contains(line));
    let brought = at(&up);
    // On side by side what was kept warm is there.
    let is_warm = kind == Kind::SideBySide && way == Way::Undo && story.up == USUAL;
    let moved = match kind {
        Kind::SideBySide => at("weights"),
        Kind::Workers => at("remove"),
        Kind::InPlace => brought,
        _ => at(&format!("resize {} to 0", scene.record(2).group())),
    };
    let is_up = brought.is_some() && brought <= moved;
    assert!(is_up || is_warm, "{up}; {told}");
    let lines = remarks(&scene, &id);
    let is_told = lines
        .iter()
        .any(|line| line.starts_with("capacity: changed by someone else: scaled to"));
    assert_eq!(is_told, story.is_told, "{lines:?}; {told}");
    killed > 0
}

#[tokio::test(start_paused = true)]
async fn as_many_as_are_needed_are_there_before_anybody_is_moved() {
    for kind in SCALED {
        for story in STORIES {
            for way in [Way::Undo, Way::Return] {
                check(kind, story, way, usize::MAX).await;
            }
        }
    }
}

/// With more than stays in the end there is one step more to be killed in.
#[tokio::test(start_paused = true)]
async fn killed_anywhere_it_is_the_same_capacity() {
    for kind in SCALED {
        for story in [STORIES[1], STORIES[3]] {
            for way in [Way::Undo, Way::Return] {
                let mut point = 0;
                while check(kind, story, way, point).await {
                    point += 1;
                }
                assert!(point > 10, "only {point} points in {kind:?} {way:?}");
            }
        }
    }
}

/// What was kept is no change by someone else to the next release, and it is kept there, too.
#[tokio::test(start_paused = true)]
async fn the_next_release_keeps_the_scale() {
    for kind in SCALED {
        let (scene, _) = begun(kind, STORIES[1], Way::Return).await;
        go_back(&scene, None).await;
        scene.work().await;
        let third = scene.deploy(3).await;
        scene.work().await;
        let summary = scene.summary(&third).await;
        assert_eq!(summary.outcome, Some(Outcome::Succeeded), "{kind:?}");
        assert_eq!(scene.world.asked_for(), Some(10), "{kind:?}");
        let lines = remarks(&scene, &third);
        let is_kept = lines.iter().any(|line| line.contains("that is kept"));
        assert!(is_kept, "{kind:?}: {lines:?}");
        // It is the same scale that its own way back brings up.
        go_back(&scene, None).await;
        scene.work().await;
        assert_eq!(scene.world.asked_for(), Some(10), "{kind:?}");
    }
}

/// A deployment that was left half-way says nothing of what is wanted: its own instances are not taken for a scale.
#[tokio::test(start_paused = true)]
async fn what_was_left_half_way_is_no_scale() {
    let mut was_more = false;
    for ms in (0..300).step_by(10) {
        let mut scene = Scene::of(Kind::Resized, Strategy::Rolling, USUAL);
        scene.deploy(1).await;
        scene.work().await;
        let half = scene.deploy(2).await;
        scene.work_for(ms).await;
        scene.signal(&half, Ask::Stop).await;
        scene.work().await;
        was_more |= scene.world.asked_for() > Some(USUAL);
        scene.strategy = Strategy::Basic;
        let last = scene.deploy(3).await;
        scene.work().await;
        let summary = scene.summary(&last).await;
        assert_eq!(summary.outcome, Some(Outcome::Succeeded), "{ms} ms");
        assert_eq!(scene.world.asked_for(), Some(USUAL), "{ms} ms");
    }
    assert!(was_more, "both have their part of it at no time");
}

/// An autoscaler is asked for no more and no fewer than it may give.
#[tokio::test(start_paused = true)]
async fn an_autoscalers_bounds_hold() {
    let cases = [
        (2, 6, 10, 6, "6 are kept, as the autoscaler has bounds"),
        (2, 20, 10, 10, "that is kept"),
        (5, 20, 4, 5, "5 instead of 4"),
        (1, 3, 3, 3, "3 instead of 4"),
    ];
    for (fewest, most, scaled, stays, line) in cases {
        let (scene, _) = begun(Kind::InPlace, STORIES[0], Way::Return).await;
        scene.world.autoscale(fewest, most);
        scene.world.scale(scaled);
        let id = go_back(&scene, None).await;
        scene.work().await;
        assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
        let told = remarks(&scene, &id);
        assert_eq!(scene.world.asked_for(), Some(stays), "{told:?}");
        assert!(told.iter().any(|it| it.contains(line)), "{told:?}");
    }
}

/// Users are moved as the instances for them get ready, and killed anywhere it is the same.
#[tokio::test(start_paused = true)]
async fn in_proportion_users_follow_the_instances() {
    for kind in [Kind::SideBySide, Kind::Resized] {
        let mut point = usize::MAX;
        loop {
            let mut scene = Scene::of(kind, Strategy::Basic, USUAL);
            scene.back_order.capacity = BackCapacity::Proportional;
            for release in [1, 2] {
                scene.deploy(release).await;
                scene.work().await;
            }
            scene.world.scale(8);
            let done = scene.world.log().len();
            let before = Before::of(&scene);
            scene.crashes.kill_at(point);
            let id = scene.go_back(None).await;
            let killed = scene.work().await;
            let wrong = judge(&scene, &id, &before).await;
            assert!(wrong.is_empty(), "{kind:?} at {point}: {wrong:#?}");
            assert_eq!(scene.world.asked_for(), Some(8), "{kind:?} at {point}");
            if point == usize::MAX {
                let log = scene.world.log().split_off(done);
                let (first, second) = (scene.record(1).group(), scene.record(2).group());
                let short = |line: &String| line.replace(&first, "r1").replace(&second, "r2");
                let log: Vec<String> = log.iter().map(short).collect();
                let expect: &[&str] = match kind {
                    Kind::SideBySide => &[
                        "grow r1 to 2",
                        "weights {\"r1\": 250, \"r2\": 750}",
                        "grow r1 to 4",
                        "weights {\"r1\": 500, \"r2\": 500}",
                        "grow r1 to 6",
                        "weights {\"r1\": 750, \"r2\": 250}",
                        "grow r1 to 8",
                        "weights {\"r1\": 1000}",
                        "remove r2",
                    ],
                    _ => &[
                        "resize r1 to 2",
                        "resize r2 to 6",
                        "resize r1 to 4",
                        "resize r2 to 4",
                        "resize r1 to 6",
                        "resize r2 to 2",
                        "resize r1 to 8",
                        "resize r2 to 0",
                        "delete r2",
                    ],
                };
                assert_eq!(log, expect);
                point = 0;
            } else if killed == 0 {
                break;
            } else {
                point += 1;
            }
        }
        assert!(point > 20, "only {point} points in {kind:?}");
    }
}

/// What is ready already takes its users at once, and keeps those that it has.
#[tokio::test(start_paused = true)]
async fn in_proportion_nobody_is_moved_the_wrong_way() {
    let mut scene = Scene::of(Kind::SideBySide, Strategy::BlueGreen, USUAL);
    scene.back_order.capacity = BackCapacity::Proportional;
    scene.deploy(1).await;
    scene.work().await;
    scene.bake_ms = 60 * 60 * 1000;
    let first = scene.record(1).group();
    let id = scene.deploy(2).await;
    scene.work_for(60_000).await;
    // Someone gives most of the users to the old one, and asks for more of the new one.
    let second = scene.record(2).group();
    scene
        .world
        .set_weights([(first.clone(), 600), (second, 400)].into());
    scene.world.scale(8);
    let done = scene.world.log().len();
    scene.signal(&id, Ask::Abort).await;
    scene.work().await;
    let log = scene.world.log().split_off(done);
    let shares: Vec<&String> = log.iter().filter(|it| it.starts_with("weights")).collect();
    assert!(!shares.is_empty(), "{log:?}");
    let is_less = |line: &&String| {
        [250, 500]
            .iter()
            .any(|share| line.contains(&format!("{first}\": {share}")))
    };
    assert!(!shares.iter().any(is_less), "{shares:?}");
}

/// Where users cannot be moved by shares, or there is no number of instances, it cannot be in proportion.
#[tokio::test(start_paused = true)]
async fn in_proportion_is_refused_where_it_cannot_be() {
    for kind in [Kind::Workers, Kind::InPlace, Kind::Swap, Kind::Revisions] {
        let mut scene = Scene::of(kind, Strategy::Basic, USUAL);
        scene.back_order.capacity = BackCapacity::Proportional;
        let id = scene.deploy(1).await;
        scene.work().await;
        let Some(Outcome::Failed { rollback, residue }) = scene.summary(&id).await.outcome else {
            panic!("{kind:?} did it");
        };
        assert_eq!(rollback, RollbackResult::None);
        assert!(
            residue[0].contains("in proportion"),
            "{kind:?}: {residue:?}"
        );
        assert!(scene.world.log().is_empty(), "{kind:?}");
    }
}

/// Goes back where the platform has no room for all of it: half of it is ready, and a person is asked.
async fn short_of_room(within: Option<u64>) -> (Scene, DeploymentId) {
    let mut scene = Scene::of(Kind::SideBySide, Strategy::Basic, USUAL);
    scene.back_order.capacity = BackCapacity::Ask;
    scene.back_order.ask_within = within.map(Duration::from_secs);
    for release in [1, 2] {
        scene.deploy(release).await;
        scene.work().await;
    }
    let tries = [Fault::Half(Class::Quota)].into_iter();
    let again = std::iter::repeat_n(Fault::Refused(Class::Quota), 7);
    scene.world.faults(tries.chain(again).map(Some));
    let id = scene.go_back(None).await;
    (scene, id)
}

fn short(outcome: Option<&Outcome>) -> &str {
    let Some(Outcome::Failed {
        rollback: RollbackResult::Incomplete,
        residue,
    }) = outcome
    else {
        panic!("it says what is missing: {outcome:?}");
    };
    assert_eq!(residue.len(), 1, "{residue:?}");
    &residue[0]
}

#[tokio::test(start_paused = true)]
async fn a_person_decides_whether_what_is_ready_will_do() {
    let (scene, id) = short_of_room(None).await;
    scene.work().await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.phase, Phase::NeedsOperator);
    let why = summary.stuck.expect("it says why");
    assert!(
        why.contains("`advance` goes on with what is ready"),
        "{why}"
    );
    assert_eq!(
        serving(&scene),
        Some(scene.record(2).group()),
        "nobody is moved"
    );

    scene.signal(&id, Ask::Advance).await;
    scene.work().await;
    let outcome = scene.summary(&id).await.outcome;
    let residue = short(outcome.as_ref());
    assert!(residue.contains("test said so: grow"), "{residue}");
    assert_eq!(serving(&scene), Some(scene.record(1).group()));
    assert_eq!(scene.world.asked_for(), Some(USUAL / 2), "what was ready");
    assert_eq!(scene.world.groups(), [scene.record(1).group()]);
}

#[tokio::test(start_paused = true)]
async fn a_person_may_try_for_all_of_it() {
    let (scene, id) = short_of_room(None).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    scene.signal(&id, Ask::Retry).await;
    scene.work().await;
    let outcome = scene.summary(&id).await.outcome;
    assert_eq!(outcome, Some(Outcome::Succeeded));
    assert_eq!(scene.world.asked_for(), Some(USUAL));
}

/// At three in the morning nobody answers.
#[tokio::test(start_paused = true)]
async fn where_nobody_answers_in_time_what_is_ready_will_do() {
    let (scene, id) = short_of_room(Some(60)).await;
    scene.work_for(10 * 60 * 1000).await;
    let summary = scene.summary(&id).await;
    let residue = short(summary.outcome.as_ref());
    assert!(
        residue.contains("nobody said otherwise in time"),
        "{residue}"
    );
    assert_eq!(serving(&scene), Some(scene.record(1).group()));
    assert_eq!(scene.world.asked_for(), Some(USUAL / 2));
}

/// Others wait for a person, and there is no such answer.
#[tokio::test(start_paused = true)]
async fn nobody_goes_on_with_less_who_was_not_asked() {
    let scene = Scene::of(Kind::SideBySide, Strategy::Basic, USUAL);
    for release in [1, 2] {
        scene.deploy(release).await;
        scene.work().await;
    }
    let refused = std::iter::repeat_n(Fault::Refused(Class::Quota), 8);
    scene.world.faults(refused.map(Some));
    let id = scene.go_back(None).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    scene.signal(&id, Ask::Advance).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    assert_eq!(serving(&scene), Some(scene.record(2).group()));
}

/// Who has all of the users, or does all of the work.
fn serving(scene: &Scene) -> Option<String> {
    let users = scene.world.users();
    let alone = users.iter().find(|(_, share)| **share == 1000);
    alone.map(|(name, _)| name.clone())
}

/// Told to go back while it goes back, in a state that nobody had planned: its own instances are nobody else's scale.
#[tokio::test(start_paused = true)]
async fn what_a_way_back_had_brought_up_is_no_scale_either() {
    let mut was_caught = false;
    for ms in (0..200).step_by(10) {
        let mut scene = Scene::of(Kind::Resized, Strategy::Basic, USUAL);
        scene.deploy(1).await;
        scene.work().await;
        // Both release 1 and 2 stay, and release 3 cannot take them away.
        let refused = Fault::Refused(Class::Authorisation);
        scene.world.faults([None, Some(refused.clone())]);
        let on = Vec::new();
        let act = Act::Ignore { as_passed: false };
        scene.on_failure = vec![Rule { on, act }];
        scene.deploy(2).await;
        scene.work().await;
        assert_eq!(scene.world.asked_for(), Some(2 * USUAL));
        scene.on_failure = Vec::new();
        scene.world.faults([None, Some(refused)]);
        let third = scene.deploy(3).await;
        let people = async {
            scene.until(&third, Phase::RollingBack).await;
            scene.pass(ms).await;
            if scene.summary(&third).await.outcome.is_none() {
                scene.signal(&third, Ask::Abort).await;
            }
        };
        tokio::join!(people, scene.work());
        let journal = scene.store.journal(&third);
        let is_back = |entry: &&Entry| matches!(entry.event, Event::RollbackPlanned { .. });
        was_caught |= journal.iter().filter(is_back).count() > 1;
        let lines = remarks(&scene, &third);
        let is_told = lines.iter().any(|line| line.contains("someone else"));
        assert!(!is_told, "{ms} ms: {lines:?}");
        assert_eq!(scene.world.asked_for(), Some(2 * USUAL), "{ms} ms");
    }
    assert!(was_caught, "it is over before anybody says so");
}

/// What a hotfix finds half-way is what Belay itself brought up.
#[tokio::test(start_paused = true)]
async fn what_a_hotfix_finds_half_way_is_no_scale() {
    let mut was_more = false;
    for ms in (0..200).step_by(10) {
        let mut scene = Scene::of(Kind::Resized, Strategy::Basic, USUAL);
        scene.deploy(1).await;
        scene.work().await;
        scene.deploy(2).await;
        scene.work_for(ms).await;
        was_more |= scene.world.asked_for() > Some(USUAL);
        // It fails before it moves anything.
        scene.phases = vec![phase(
            "all",
            Some("shop/test"),
            vec![run("migrate")],
            vec![],
        )];
        scene.runner.fails("migrate", 1, Class::Application);
        let hotfix = scene.hotfix(1).await.expect("the other one goes forward");
        scene.work().await;
        let summary = scene.summary(&hotfix).await;
        let lines = remarks(&scene, &hotfix);
        let is_told = lines.iter().any(|line| line.contains("someone else"));
        assert!(!is_told, "{ms} ms: {lines:?}");
        assert_eq!(scene.world.asked_for(), Some(USUAL), "{ms} ms: {summary:?}");
    }
    assert!(was_more, "both have their part of it at no time");
}
