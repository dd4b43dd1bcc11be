//! A hotfix supersedes what runs, waits or bakes: the lock and the baseline pass to it in one transaction, and going back
//! from it leads to where the superseded one would have gone.

use belay_engine::queue;
use belay_model::config::{CanaryStep, Duration, Percent, Queue, Strategy};
use belay_model::environment::{Event as Said, Standing};
use belay_model::event::{Ask, Event, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::plan::Look;
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Verdict;
use belay_testkit::parts::{check_at, rolled_back};
use belay_testkit::{Before, Kind, Scene, check_journal, judge};

fn canary() -> Strategy {
    let step = |percent| CanaryStep {
        to: Percent::from_percent(percent),
        hold: Some(Duration::from_secs(60)),
    };
    Strategy::Canary(vec![step(10), step(50)])
}

/// The slowest that a kind of platform can do.
fn strategy(kind: Kind) -> Strategy {
    match kind {
        Kind::Workers | Kind::InPlace => Strategy::Rolling,
        _ => canary(),
    }
}

async fn with_one(kind: Kind) -> Scene {
    let mut scene = Scene::of(kind, strategy(kind), 4).with_good(1).await;
    scene.bake_ms = 60_000;
    scene
}

fn serves(scene: &Scene, release: u32) -> bool {
    scene.serving() == Some(scene.record(release).group())
}

/// Release 2 is on its way, and looked at with a share of the traffic.
async fn half_way(scene: &Scene) -> DeploymentId {
    let old = scene.deploy(2).await;
    scene.work_for(20_000).await;
    let share = scene.world.weights().get(&scene.record(2).group()).copied();
    assert_eq!(share, Some(100), "10 % of the traffic");
    old
}

/// Release 2 has all the traffic and is looked at.
async fn baking(scene: &Scene) -> DeploymentId {
    let old = scene.deploy(2).await;
    tokio::select! {
        _ = scene.work() => panic!("it ended"),
        () = scene.until(&old, Phase::Baking) => {}
    }
    assert!(serves(scene, 2));
    old
}

#[tokio::test(start_paused = true)]
async fn what_runs_makes_way_and_what_waits_is_replaced() {
    let scene = with_one(Kind::SideBySide).await;
    let old = half_way(&scene).await;
    let waiting = scene.deploy(4).await;
    let new = scene.hotfix(3).await.expect("it is taken");
    let asked_us = scene.summary(&new).await.created_us;
    scene.work().await;
    assert_eq!(scene.outcome(&old).await, Some(Outcome::Stopped));
    let replaced = Outcome::Replaced { by: new.clone() };
    assert_eq!(scene.outcome(&waiting).await, Some(replaced));
    assert_eq!(scene.outcome(&new).await, Some(Outcome::Succeeded));
    assert!(serves(&scene, 3));
    let (old, new) = (scene.summary(&old).await, scene.summary(&new).await);
    assert_eq!(old.superseded_by, Some(new.id.clone()));
    assert_eq!(new.supersedes, Some(old.id.clone()));
    assert_eq!(old.ended_us.map(|at| at > asked_us), Some(true));
    let waited_us = new.locked_us.expect("it had the lock") - asked_us;
    assert!(waited_us < 10_000_000, "the hold was not waited for");
    // Nothing of the release that made way is left, once its time is over.
    assert_eq!(scene.world.groups(), [scene.record(3).group()]);
    // It says nothing against a release that it was in the way.
    let known = &scene.view().records[&scene.record(2).hash()];
    assert_eq!(known.standing, Standing::Candidate);
}

#[tokio::test(start_paused = true)]
async fn going_back_from_it_leads_to_where_the_other_would_have_gone() {
    let scene = with_one(Kind::SideBySide).await;
    half_way(&scene).await;
    scene.script.say(3, Look::Live, Verdict::Fail);
    let new = scene.hotfix(3).await.expect("it is taken");
    scene.work().await;
    assert_eq!(scene.outcome(&new).await, rolled_back());
    assert!(serves(&scene, 1));
    assert_eq!(scene.world.groups(), [scene.record(1).group()]);

    // The same where it was promoted, and taken back later: never to what it superseded.
    let scene = with_one(Kind::SideBySide).await;
    baking(&scene).await;
    let new = scene.hotfix(3).await.expect("it is taken");
    scene.work().await;
    assert_eq!(scene.outcome(&new).await, Some(Outcome::Succeeded));
    let known = &scene.view().records[&scene.record(2).hash()];
    let why = known.reason.clone().unwrap_or_default();
    assert!(why.contains("before its bake was over"), "{known:?}");
    let undo = scene.undo(&new).await;
    scene.work().await;
    assert_eq!(scene.outcome(&undo).await, Some(Outcome::Succeeded));
    assert!(serves(&scene, 1));

    let scene = with_one(Kind::SideBySide).await;
    baking(&scene).await;
    scene.hotfix(3).await.expect("it is taken");
    scene.work().await;
    scene.go_back(None).await;
    scene.work().await;
    assert!(serves(&scene, 1));
}

#[tokio::test(start_paused = true)]
async fn asked_to_go_back_before_it_has_begun_anything_it_takes_back_what_it_took_over() {
    let scene = with_one(Kind::SideBySide).await;
    half_way(&scene).await;
    let new = scene.hotfix(3).await.expect("it is taken");
    let working = scene.work();
    tokio::pin!(working);
    // The moment in which it has the lock and nothing else.
    let has = |kind: fn(&Event) -> bool| {
        let journal = scene.store.journal(&new);
        journal.iter().any(|entry| kind(&entry.event))
    };
    loop {
        scene.crashes.hold_at(0);
        tokio::select! {
            biased;
            () = scene.crashes.held() => {}
            _ = &mut working => panic!("it ended"),
        }
        if has(|event| matches!(event, Event::Planned { .. })) {
            break;
        }
        scene.crashes.let_go();
    }
    assert!(!has(|event| matches!(event, Event::Started { .. })));
    scene.crashes.let_go();
    scene.signal(&new, Ask::Abort).await;
    working.await;
    assert_eq!(scene.outcome(&new).await, rolled_back());
    assert!(serves(&scene, 1));
    assert_eq!(scene.world.groups(), [scene.record(1).group()]);
}

#[tokio::test(start_paused = true)]
async fn a_hotfix_supersedes_a_hotfix_and_the_baseline_goes_on() {
    let scene = with_one(Kind::SideBySide).await;
    half_way(&scene).await;
    let second = scene.hotfix(3).await.expect("it is taken");
    scene.work_for(20_000).await;
    scene.script.say(4, Look::Live, Verdict::Fail);
    let third = scene.hotfix(4).await.expect("it is taken");
    scene.work().await;
    assert_eq!(scene.outcome(&second).await, Some(Outcome::Stopped));
    assert_eq!(scene.outcome(&third).await, rolled_back());
    assert!(serves(&scene, 1));
    assert_eq!(scene.world.groups(), [scene.record(1).group()]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_person_or_is_paused_makes_way_too() {
    for paused in [false, true] {
        let mut scene = with_one(Kind::SideBySide).await;
        let old = if paused {
            let old = half_way(&scene).await;
            scene.signal(&old, Ask::Pause).await;
            old
        } else {
            scene.inconclusive = belay_model::config::Inconclusive::Ask;
            scene.script.say(2, Look::Live, Verdict::Inconclusive);
            let old = scene.deploy(2).await;
            scene.work().await;
            assert_eq!(scene.summary(&old).await.phase, Phase::NeedsOperator);
            old
        };
        let new = scene.hotfix(3).await.expect("it is taken");
        scene.work().await;
        assert_eq!(scene.outcome(&old).await, Some(Outcome::Stopped));
        assert_eq!(scene.outcome(&new).await, Some(Outcome::Succeeded));
        assert!(serves(&scene, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_back_is_not_superseded() {
    let scene = with_one(Kind::SideBySide).await;
    let old = half_way(&scene).await;
    scene.signal(&old, Ask::Abort).await;
    let refused = scene.hotfix(3).await;
    assert!(
        matches!(&refused, Err(queue::Error::GoesBack(id)) if *id == old),
        "{refused:?}"
    );
    scene.work().await;
    assert_eq!(scene.outcome(&old).await, rolled_back());
    assert!(serves(&scene, 1));
    let back = with_one(Kind::SideBySide).await;
    back.deploy(2).await;
    back.work().await;
    back.go_back(None).await;
    assert!(matches!(
        back.hotfix(3).await,
        Err(queue::Error::GoesBack(_))
    ));
}

/// The word comes when it is too late: then it has its turn when the other is back.
#[tokio::test(start_paused = true)]
async fn what_goes_back_is_not_turned_round_half_way() {
    let scene = with_one(Kind::SideBySide).await;
    scene.script.say(2, Look::Live, Verdict::Fail);
    let old = scene.deploy(2).await;
    let new = scene.deploy(3).await;
    let working = scene.work();
    tokio::pin!(working);
    tokio::select! {
        biased;
        _ = &mut working => panic!("it ended"),
        () = scene.until(&old, Phase::RollingBack) => {}
    }
    let by = Some(new.clone());
    scene.signal(&old, Ask::Supersede { by }).await;
    working.await;
    assert_eq!(scene.outcome(&old).await, rolled_back());
    assert_eq!(scene.outcome(&new).await, Some(Outcome::Succeeded));
    assert!(serves(&scene, 3));
}

fn frozen() -> Said {
    Said::Frozen {
        actor: Some("ada".to_owned()),
        reason: "the big day".to_owned(),
        until_ms: None,
    }
}

/// A hotfix that may not go out changes nothing: what it was to supersede goes on, in the state in which it was.
#[tokio::test(start_paused = true)]
async fn one_that_cannot_go_out_leaves_the_other_as_it_was() {
    for paused in [false, true] {
        let scene = with_one(Kind::SideBySide).await;
        let old = half_way(&scene).await;
        if paused {
            scene.signal(&old, Ask::Pause).await;
        }
        scene.say(&scene.scope(), frozen()).await;
        let new = scene.hotfix(3).await.expect("it is taken");
        scene.work_for(10_000).await;
        assert_eq!(
            scene.outcome(&new).await,
            Some(Outcome::Failed {
                rollback: RollbackResult::None,
                residue: vec!["shop/test is frozen by ada: the big day".to_owned()],
            })
        );
        let expect = if paused {
            Phase::Paused
        } else {
            Phase::Running
        };
        let now = scene.summary(&old).await;
        assert_eq!((now.phase, now.superseded_by), (expect, None));
        if paused {
            scene.signal(&old, Ask::Resume).await;
        }
        scene.work().await;
        assert_eq!(scene.outcome(&old).await, Some(Outcome::Succeeded));
        assert!(serves(&scene, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn it_passes_a_freeze_where_the_policy_says_so() {
    let mut scene = with_one(Kind::SideBySide).await;
    half_way(&scene).await;
    scene.say(&scene.scope(), frozen()).await;
    scene.hotfix_passes_freeze = true;
    let new = scene.hotfix(3).await.expect("it is taken");
    scene.work().await;
    assert_eq!(scene.outcome(&new).await, Some(Outcome::Succeeded));
    assert!(serves(&scene, 3));
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_newer_one_does_not_take_its_place() {
    let mut scene = with_one(Kind::SideBySide).await;
    scene.queue = Queue::Latest;
    half_way(&scene).await;
    let hotfix = scene.hotfix(3).await.expect("it is taken");
    let newer = scene.deploy(4).await;
    scene.work().await;
    assert_eq!(scene.outcome(&hotfix).await, Some(Outcome::Succeeded));
    assert_eq!(scene.outcome(&newer).await, Some(Outcome::Succeeded));
}

/// What someone else did to the target meanwhile is theirs to judge (I10).
#[tokio::test(start_paused = true)]
async fn a_foreign_change_before_it_takes_over_waits_for_a_person() {
    let scene = with_one(Kind::SideBySide).await;
    let old = half_way(&scene).await;
    scene.world.meddle();
    let new = scene.hotfix(3).await.expect("it is taken");
    scene.work().await;
    assert_eq!(scene.outcome(&old).await, Some(Outcome::Stopped));
    let now = scene.summary(&new).await;
    assert_eq!(now.phase, Phase::NeedsOperator);
    assert!(now.stuck.is_some_and(|why| why.contains("someone else")));
}

/// What it supersedes is there and serves nobody: there is nothing to share the traffic with.
#[tokio::test(start_paused = true)]
async fn over_a_first_deployment_it_sends_nobody_to_nothing() {
    let mut scene = Scene::of(Kind::Swap, canary(), 2);
    scene.checks = vec![check_at("staged")];
    let old = scene.deploy(1).await;
    let staged = async {
        loop {
            if scene.world.groups().contains(&scene.record(1).group()) {
                return;
            }
            scene.pass(1).await;
        }
    };
    tokio::select! {
        _ = scene.work() => panic!("it ended"),
        () = staged => {}
    }
    let new = scene.hotfix(2).await.expect("it is taken");
    scene.work().await;
    assert_eq!(scene.outcome(&old).await, Some(Outcome::Stopped));
    assert_eq!(scene.outcome(&new).await, Some(Outcome::Succeeded));
    assert!(serves(&scene, 2));
    assert_eq!(scene.world.breaches(), Vec::<String>::new());
}

/// What was in flight when it was asked for, at every point of the old one's way.
async fn at_every_point(kind: Kind) {
    let mut superseded = 0;
    for point in 0.. {
        // In turn: that it is good is the simpler way.
        match at(kind, point % 3 == 0, point, None).await {
            Some(true) => superseded += 1,
            Some(false) => {}
            None => break,
        }
    }
    println!("{kind:?}: superseded at {superseded} points");
    assert!(superseded > 8, "{kind:?}: only {superseded}");
}

/// Kill -9 at every point from there on: what is handed over is handed over once.
async fn killed_at_every_point(kind: Kind) {
    for kill in 0.. {
        // Where the old one is in the middle of something.
        let made_way = at(kind, kill % 3 == 0, 11, Some(kill)).await;
        assert_eq!(made_way, Some(true));
        if KILLED.with(std::cell::Cell::get) == 0 && kill % 3 != 0 {
            println!("{kind:?}: killed at {kill} points");
            assert!(kill > 20, "{kind:?}: only {kill}");
            return;
        }
    }
}

macro_rules! every_point {
    ($check:ident: $($name:ident = $kind:ident),+) => {
        mod $check {
            use super::*;
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    super::$check(Kind::$kind).await;
                }
            )+
        }
    };
}

every_point! {
    at_every_point: side_by_side = SideBySide, without_traffic = Workers, swap = Swap, in_place = InPlace,
        revisions = Revisions, resized = Resized
}
every_point! {
    killed_at_every_point: side_by_side = SideBySide, swap = Swap, resized = Resized
}

thread_local! {
    static KILLED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// The hotfix comes when the old one is at that point; then a worker is killed at another one, perhaps. Whether the old one
/// made way; none: it has no such point.
async fn at(kind: Kind, is_good: bool, point: usize, kill: Option<usize>) -> Option<bool> {
    let mut scene = with_one(kind).await;
    scene.bake_ms = 5_000;
    if !is_good {
        scene.script.say(3, Look::Bake, Verdict::Fail);
    }
    let before = Before::of(&scene);
    let old = scene.deploy(2).await;
    let ask = async {
        let new = scene.hotfix(3).await.expect("nothing goes back");
        if let Some(kill) = kill {
            scene.crashes.kill_at(kill);
        }
        new
    };
    let (new, killed) = scene.work_and_hold(point, ask).await?;
    KILLED.with(|count| count.set(killed));
    let told = || {
        let journals = [&old, &new].map(|id| scene.store.journal(id));
        let log = scene.world.log();
        format!("{kind:?} {is_good} {point} {kill:?}\n{journals:#?}\n{log:#?}")
    };
    check_journal(&scene.store.journal(&old));
    let wrong = judge(&scene, &new, &before).await;
    let ended = scene.summary(&old).await.outcome;
    let made_way = match &ended {
        Some(Outcome::Stopped | Outcome::Replaced { .. }) => true,
        // It was over before it heard of it.
        Some(Outcome::Succeeded) => false,
        other => panic!("{other:?}\n{}", told()),
    };
    let expect = match (is_good, made_way) {
        (true, _) => 3,
        (false, true) => 1,
        (false, false) => 2,
    };
    assert!(serves(&scene, expect), "{:?}\n{}", scene.serving(), told());
    if made_way || is_good {
        assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), told());
    }
    let ends = |event: &Event| matches!(event, Event::Ended { .. });
    let journal = scene.store.journal(&old);
    let count = journal.iter().filter(|entry| ends(&entry.event)).count();
    assert_eq!(count, 1);
    Some(made_way)
}
