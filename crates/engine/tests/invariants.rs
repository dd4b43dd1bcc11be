//! The invariants of the engine, each by a test of its name. ARCHITECTURE.md lists them.

use belay_engine::ports::{Batch, Store, StoreError, Writer};
use belay_engine::worker::{Stop, Worker};
use belay_model::config::{FirstFailure, Inconclusive, Strategy};
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::{Ask, Event, Finish, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::plan::Look;
use belay_model::policy::{Act, Rule};
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{canary, check_at, rolled_back};
use belay_testkit::{Fault, Scene, check_journal};
use std::collections::BTreeMap;

/// A scene in which release 1 is good and serves.
async fn with_one(strategy: Strategy) -> Scene {
    Scene::new(strategy, 4).with_good(1).await
}

async fn journal_of(scene: &Scene, id: &DeploymentId) -> Vec<Event> {
    let journal = scene.store.journal(id);
    check_journal(&journal);
    journal.into_iter().map(|entry| entry.event).collect()
}

#[tokio::test(start_paused = true)]
async fn i1_the_baseline_is_durable_with_or_before_the_first_start() {
    let scene = with_one(Strategy::BlueGreen).await;
    let id = scene.deploy(2).await;
    scene.work().await;
    let events = journal_of(&scene, &id).await;
    let planned = events
        .iter()
        .position(|event| matches!(event, Event::Planned { .. }))
        .expect("planned");
    let started = events
        .iter()
        .position(|event| matches!(event, Event::Started { .. }))
        .expect("started");
    assert!(planned < started);
    let Event::Planned { baseline, .. } = &events[planned] else {
        unreachable!()
    };
    let group = format!("group/{}", scene.record(1).group());
    assert!(
        baseline.keys().any(|key| *key == group),
        "the baseline holds what served: {baseline:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn i2_going_back_grows_switches_verifies_and_only_then_shrinks() {
    let scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Live, Said::Fail);
    let id = scene.deploy(2).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    let log = scene.world.log();
    let back = log
        .iter()
        .rposition(|line| line.starts_with("weights"))
        .expect("switched back");
    let gone = log
        .iter()
        .rposition(|line| line.starts_with("remove"))
        .expect("removed");
    assert!(back < gone, "{log:?}");
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
    assert_eq!(scene.world.groups(), [scene.record(1).group()]);
    journal_of(&scene, &id).await;
}

#[tokio::test(start_paused = true)]
async fn i3_no_forward_step_starts_once_a_rollback_is_planned() {
    let scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Live, Said::Fail);
    let id = scene.deploy(2).await;
    scene.work().await;
    let events = journal_of(&scene, &id).await;
    let planned = events
        .iter()
        .position(|event| matches!(event, Event::RollbackPlanned { .. }))
        .expect("planned");
    let forward = |event: &Event| matches!(event, Event::Started { step, .. } if step.plan == 0);
    assert!(!events[planned..].iter().any(forward));
}

#[tokio::test(start_paused = true)]
async fn i4_a_step_cut_off_half_way_is_settled_and_tried_again() {
    // Killed inside a grow: something was done, the step is idempotent, a new attempt follows.
    let scene = with_one(Strategy::BlueGreen).await;
    let id = scene.deploy(2).await;
    let point = scene_point(|| with_one(Strategy::BlueGreen), "apply", "inside").await;
    scene.crashes.kill_at(point);
    assert_eq!(scene.work().await, 1);
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
    let events = journal_of(&scene, &id).await;
    let unknown = |event: &&Event| {
        matches!(
            event,
            Event::Finished {
                finish: Finish::Unknown,
                ..
            }
        )
    };
    assert_eq!(events.iter().filter(unknown).count(), 1);
    let again = events
        .iter()
        .any(|event| matches!(event, Event::Started { attempt: 2, .. }));
    assert!(again, "{events:#?}");
}

/// Index of the first point of that kind in a deployment of release 2.
async fn scene_point<F: Future<Output = Scene>>(
    make: impl Fn() -> F,
    call: &str,
    place: &str,
) -> usize {
    let scene = make().await;
    scene.deploy(2).await;
    scene.crashes.kill_at(usize::MAX);
    scene.work().await;
    let seen = scene.crashes.seen();
    seen.iter()
        .position(|point| point.call == call && point.place == place)
        .expect("there is such a point")
}

#[tokio::test(start_paused = true)]
async fn i5_a_way_back_that_keeps_failing_waits_for_a_person_and_goes_on_with_retry() {
    let scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Live, Said::Fail);
    let id = scene.deploy(2).await;
    // Two forward effects, then the switch back is refused as often as it is tried.
    let refused = std::iter::repeat_n(Some(Fault::Refused(Class::Unknown)), 3);
    scene.world.faults([None, None].into_iter().chain(refused));
    scene.work().await;
    let stuck = scene.summary(&id).await;
    assert_eq!(stuck.phase, Phase::NeedsOperator, "{stuck:#?}");
    assert!(
        stuck
            .stuck
            .is_some_and(|why| why.contains("refused by the test"))
    );
    scene.signal(&id, Ask::Retry).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    journal_of(&scene, &id).await;
}

/// Someone takes the goal's last copies away while the rest is being removed: the way back is done, and its goal not met.
async fn copies_gone(scene: &Scene, id: &DeploymentId) {
    let stranger = async {
        while scene.summary(id).await.timeline.t6.is_none() {
            scene.store.changed(scene.store.generation()).await;
        }
        scene.world.remove_group(&scene.record(1).group());
    };
    tokio::join!(scene.work(), stranger);
    let stuck = scene.summary(id).await;
    let why = stuck.stuck.expect("it waits for a person");
    assert!(why.starts_with("the goal is not met"), "{why}");
    scene.signal(id, Ask::Retry).await;
    scene.work().await;
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
    assert_eq!(scene.world.groups(), [scene.record(1).group()]);
}

#[tokio::test(start_paused = true)]
async fn i13_retry_goes_to_a_goal_that_is_not_met_from_what_is_there() {
    let scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Live, Said::Fail);
    let id = scene.deploy(2).await;
    copies_gone(&scene, &id).await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    assert_eq!(scene.view().went_back.len(), 1, "it went back once");
    // So does a rollback that someone asked for: it is not turned round by that.
    let id = scene.deploy(3).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
    let back = scene.go_back(Some(1)).await;
    copies_gone(&scene, &back).await;
    assert_eq!(scene.summary(&back).await.outcome, Some(Outcome::Succeeded));
    journal_of(&scene, &back).await;
}

#[tokio::test(start_paused = true)]
async fn i5_skip_names_what_it_leaves_and_abandon_frees_the_lock() {
    for ask in [Ask::Skip, Ask::Abandon] {
        let scene = with_one(canary([10, 50])).await;
        scene.script.say(2, Look::Live, Said::Fail);
        let id = scene.deploy(2).await;
        let refused = std::iter::repeat_n(Some(Fault::Refused(Class::Unknown)), 3);
        // The last effect of the way back (removing release 2) is the one that is stuck.
        scene
            .world
            .faults([None, None, None].into_iter().chain(refused));
        scene.work().await;
        assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
        scene.signal(&id, ask.clone()).await;
        scene.work().await;
        let Some(Outcome::Failed { rollback, residue }) = scene.summary(&id).await.outcome else {
            panic!("it ended");
        };
        assert_eq!(rollback, RollbackResult::Incomplete);
        assert!(!residue.is_empty(), "{ask:?} names what stays");
        // The lock is free.
        let next = scene.deploy(3).await;
        scene.work().await;
        assert_eq!(scene.summary(&next).await.outcome, Some(Outcome::Succeeded));
    }
}

#[tokio::test(start_paused = true)]
async fn i6_an_old_epoch_cannot_append() {
    let scene = with_one(Strategy::BlueGreen).await;
    let id = scene.deploy(2).await;
    let claim = |epoch, after| Batch {
        deployment: id.clone(),
        writer: Writer::Claim { epoch, after },
        events: vec![(
            0,
            Event::Claimed {
                owner: format!("worker {epoch}"),
                epoch,
            },
        )],
        environment: Vec::new(),
        unmoved: Vec::new(),
    };
    let lease = async |name: &str| {
        let leases = scene.store.claim(&name.into(), &[], 0, 1).await;
        leases.expect("memory")[0].epoch
    };
    let first = lease("first").await;
    let append = |batch| scene.store.append(batch);
    append(claim(first, 1)).await.expect("the first claim");
    let second = lease("second").await;
    assert_eq!(second, first + 1);
    // From now on, before the second has said anything.
    let scope = scene.scope();
    let cleanup = scene.store.append_environment(&scope, Some(first), vec![]);
    assert!(matches!(cleanup.await, Err(StoreError::Fenced(_))));
    append(claim(second, 2)).await.expect("a takeover");
    let late = Batch {
        deployment: id.clone(),
        writer: Writer::Worker {
            epoch: first,
            after: 3,
        },
        events: vec![(0, Event::parked(None, "late".to_owned()))],
        environment: Vec::new(),
        unmoved: Vec::new(),
    };
    assert!(matches!(
        scene.store.append(late).await,
        Err(StoreError::Fenced(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn i6_a_worker_that_was_replaced_stops_and_appends_nothing_more() {
    let mut scene = with_one(canary([10, 50])).await;
    scene.inconclusive = Inconclusive::Ask;
    scene.script.say(2, Look::Live, Said::Inconclusive);
    let id = scene.deploy(2).await;
    let work = |name: &str| {
        let worker = Worker::new(scene.ports(), name);
        tokio::spawn(async move { worker.run().await })
    };
    let first = work("first");
    let claimed = |name| {
        let journal = scene.store.journal(&id);
        let by = |event: &Event| matches!(event, Event::Claimed { owner, .. } if owner == name);
        journal.iter().any(|entry| by(&entry.event))
    };
    while !claimed("first") {
        tokio::task::yield_now().await;
    }
    let second = work("second");
    let replaced = first.await.expect("no panic");
    assert!(
        matches!(replaced, Err(StoreError::Fenced(_))),
        "{replaced:?}"
    );
    scene.until_parked(&id).await;
    scene.signal(&id, Ask::Abort).await;
    assert_eq!(second.await.expect("no panic").expect("works"), Stop::Idle);
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    journal_of(&scene, &id).await;
}

#[tokio::test(start_paused = true)]
async fn i7_a_rollback_runs_the_record_as_it_was() {
    let scene = with_one(Strategy::BlueGreen).await;
    let id = scene.deploy(2).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
    let back = scene.go_back(None).await;
    scene.work().await;
    let summary = scene.summary(&back).await;
    assert_eq!(summary.outcome, Some(Outcome::Succeeded));
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
    let standing = |release| scene.view().records[&scene.record(release).hash()].standing;
    assert_eq!(standing(2), Standing::Quarantined);
    assert!(standing(1).is_good());
}

#[tokio::test(start_paused = true)]
async fn i7_every_way_back_takes_the_newest_seals() {
    let mut scene = with_one(canary([10, 50])).await;
    scene.inconclusive = Inconclusive::Ask;
    scene.script.say(2, Look::Live, Said::Inconclusive);
    let inside = scene.deploy(2).await;
    scene.work().await;
    let newest = scene.reseal(1, "blob_1").await;
    scene.signal(&inside, Ask::Abort).await;
    scene.work().await;
    scene.deploy(3).await;
    scene.work().await;
    let returns = scene.go_back(Some(1)).await;
    // Whoever asked sealed a newer value after the goal was chosen.
    let later = scene.reseal(1, "blob_2").await;
    scene.work().await;
    for (id, expect) in [(inside, newest), (returns, later)] {
        let journal = scene.store.journal(&id);
        let goal = journal
            .into_iter()
            .rev()
            .find_map(|entry| match entry.event {
                Event::RollbackPlanned { goal, .. } => goal,
                Event::Planned { goal, .. } => Some(goal),
                _ => None,
            });
        let goal = goal.expect("planned");
        let record = &goal.records[&scene.record(1).hash()];
        assert_eq!(record.sealed.as_ref(), Some(&expect), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn i8_inconclusive_is_never_pass() {
    let mut scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Live, Said::Inconclusive);
    let id = scene.deploy(2).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    // Where policy asks a person, it waits for one.
    scene.inconclusive = Inconclusive::Ask;
    scene.script.say(3, Look::Live, Said::Inconclusive);
    let id = scene.deploy(3).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    scene.signal(&id, Ask::Abort).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
}

/// It was promoted, and good until then: nothing says that it is bad, and nothing that it is good.
#[tokio::test(start_paused = true)]
async fn i8_what_a_bake_could_not_say_leaves_it_a_candidate() {
    let stop = Rule {
        on: Vec::new(),
        act: Act::Stop,
    };
    for rules in [vec![], vec![stop]] {
        let mut scene = with_one(Strategy::BlueGreen).await;
        scene.on_failure = rules;
        scene.script.say(2, Look::Bake, Said::Inconclusive);
        let id = scene.deploy(2).await;
        scene.work().await;
        assert!(scene.summary(&id).await.promoted_us.is_some());
        let known = scene.view().records.remove(&scene.record(2).hash());
        let known = known.expect("it was deployed");
        assert_eq!(known.standing, Standing::Candidate);
        assert_eq!(known.failures, 0, "it is not blamed");
        let why = known.reason.expect("it says why");
        assert!(
            scene
                .summary(&id)
                .await
                .cause
                .is_some_and(|cause| cause.contains(&why)),
            "{why}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn i9_a_rollback_can_itself_be_taken_back_and_a_failed_one_triggers_no_other() {
    let scene = with_one(Strategy::BlueGreen).await;
    scene.deploy(2).await;
    scene.work().await;
    let back = scene.go_back(None).await;
    scene.work().await;
    let undone = scene.undo(&back).await;
    scene.work().await;
    assert_eq!(
        scene.summary(&undone).await.outcome,
        Some(Outcome::Succeeded)
    );
    assert_eq!(scene.serving(), Some(scene.record(2).group()));
    // The quarantine is lifted with a reason, in the transaction that has the plan: not before, not later.
    let two = &scene.view().records[&scene.record(2).hash()];
    assert_eq!(
        (two.standing, &two.deployment),
        (Standing::Good, &Some(undone.clone()))
    );
    assert_eq!(
        two.reason.as_deref(),
        Some("test lifted it: dep_3 is taken back")
    );

    scene.script.say(1, Look::Live, Said::Fail);
    let fails = scene.go_back(Some(1)).await;
    scene.work().await;
    let summary = scene.summary(&fails).await;
    assert_eq!(summary.phase, Phase::NeedsOperator);
    let planned = |event: &Event| matches!(event, Event::RollbackPlanned { .. });
    assert!(!journal_of(&scene, &fails).await.iter().any(planned));
}

#[tokio::test(start_paused = true)]
async fn i9_a_rollback_that_is_turned_round_leads_to_what_it_left() {
    let scene = with_one(Strategy::BlueGreen).await;
    for release in [2, 3] {
        scene.deploy(release).await;
        scene.work().await;
    }
    let back = scene.go_back(Some(2)).await;
    // Growing is refused as often as it is tried: it waits for a person, with release 3 quarantined.
    let refused = std::iter::repeat_n(Some(Fault::Refused(Class::Unknown)), 3);
    scene.world.faults(refused);
    scene.work().await;
    assert_eq!(scene.summary(&back).await.phase, Phase::NeedsOperator);
    let three = || scene.view().records[&scene.record(3).hash()].clone();
    assert_eq!(three().standing, Standing::Quarantined);
    scene.signal(&back, Ask::Abort).await;
    scene.work().await;
    assert_eq!(scene.summary(&back).await.outcome, rolled_back());
    assert_eq!(scene.serving(), Some(scene.record(3).group()));
    assert!(three().standing.is_good());
    assert_eq!(three().reason.as_deref(), Some("test lifted it: because"));
}

#[tokio::test(start_paused = true)]
async fn i9_undoing_a_deployment_quarantines_what_it_brought_once_it_is_planned() {
    let scene = with_one(Strategy::BlueGreen).await;
    let id = scene.deploy(2).await;
    scene.work().await;
    let standing = || scene.view().records[&scene.record(2).hash()].standing;
    let undo = scene.undo(&id).await;
    assert_eq!(standing(), Standing::Baked, "nothing happened yet");
    scene.work().await;
    assert_eq!(scene.summary(&undo).await.outcome, Some(Outcome::Succeeded));
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
    assert_eq!(standing(), Standing::Quarantined);
}

#[tokio::test(start_paused = true)]
async fn i10_forward_a_foreign_change_waits_for_a_person() {
    let scene = with_one(canary([10, 50])).await;
    let id = scene.deploy(2).await;
    // Growing is held up for long enough that a stranger can change the weights before the switch.
    scene
        .world
        .faults([Some(Fault::AnswerLost(Class::Connectivity))]);
    let observe = scene_point(|| with_one(canary([10, 50])), "append", "after").await;
    scene.crashes.kill_at(observe);
    let stranger = BTreeMap::from([("stranger".to_owned(), 1000)]);
    let meddle = async {
        scene.crashes.killed().await;
        scene.world.set_weights(stranger.clone());
        scene.crashes.revive();
    };
    let worker = belay_engine::worker::Worker::new(scene.ports(), "first");
    let first = tokio::spawn(async move { worker.run().await });
    meddle.await;
    first.abort();
    scene.work().await;
    let summary = scene.summary(&id).await;
    let kinds: Vec<String> = scene
        .store
        .journal(&id)
        .iter()
        .map(|e| format!("{:?}", e.event).chars().take(90).collect())
        .collect();
    assert_eq!(summary.phase, Phase::NeedsOperator, "{kinds:#?}");
    assert_eq!(scene.world.weights(), stranger, "nothing was overwritten");
}

#[tokio::test(start_paused = true)]
async fn i10_going_back_a_foreign_change_is_reported_and_overwritten() {
    let scene = with_one(canary([10, 50])).await;
    let mut scene = scene;
    scene.inconclusive = Inconclusive::Ask;
    scene.script.say(2, Look::Live, Said::Inconclusive);
    let id = scene.deploy(2).await;
    scene.work().await;
    scene
        .world
        .set_weights(BTreeMap::from([(scene.record(2).group(), 1000)]));
    scene.signal(&id, Ask::Abort).await;
    scene.work().await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.outcome, rolled_back());
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
    assert!(
        summary
            .remarks
            .iter()
            .any(|remark| remark.contains("changed by someone else")),
        "{summary:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn i12_a_rollback_of_what_runs_is_a_signal_and_others_wait_their_turn() {
    let scene = with_one(canary([10, 50])).await;
    let id = scene.deploy(2).await;
    let queued = scene.deploy(3).await;
    scene.signal(&id, Ask::Abort).await;
    scene.work().await;
    // It had changed nothing: it ends without a plan.
    assert!(matches!(
        scene.summary(&id).await.outcome,
        Some(Outcome::Failed {
            rollback: RollbackResult::None,
            ..
        })
    ));
    let (first, second) = (scene.summary(&id).await, scene.summary(&queued).await);
    assert_eq!(second.outcome, Some(Outcome::Succeeded));
    let planned = scene
        .store
        .journal(&queued)
        .iter()
        .find_map(|entry| match entry.event {
            Event::Planned { .. } => Some(entry.at_us),
            _ => None,
        });
    assert!(
        planned > first.ended_us,
        "the second was planned when the first was over"
    );
}

#[tokio::test(start_paused = true)]
async fn i13_back_in_one_move_from_any_share() {
    let scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Bake, Said::Fail);
    let id = scene.deploy(2).await;
    let before = scene.world.log().len();
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    let log = scene.world.log().split_off(before);
    let switches: Vec<_> = log
        .iter()
        .filter(|line| line.starts_with("weights"))
        .collect();
    // 10 %, 50 %, 100 %, and one move back.
    assert_eq!(switches.len(), 4, "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_first_deployment_that_fails_is_removed() {
    let scene = Scene::default();
    scene.script.say(1, Look::Bake, Said::Fail);
    let id = scene.deploy(1).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    assert!(scene.world.groups().is_empty());
    assert!(scene.world.weights().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_first_deployment_that_fails_is_left_where_policy_says_so() {
    for look in [Look::Staged, Look::Bake] {
        let mut scene = Scene::default();
        scene.on_first_failure = FirstFailure::Leave;
        scene.checks = vec![check_at("staged")];
        scene.script.say(1, look, Said::Fail);
        let id = scene.deploy(1).await;
        scene.work().await;
        let summary = scene.summary(&id).await;
        let Some(Outcome::Failed { rollback, residue }) = &summary.outcome else {
            panic!("it failed: {summary:#?}");
        };
        assert_eq!(*rollback, RollbackResult::Limited);
        let group = scene.record(1).group();
        assert!(
            residue.len() == 1 && residue[0].contains(&group),
            "{residue:?}"
        );
        assert!(summary.cause.is_some_and(|cause| cause.contains("Fail")));
        assert_eq!(scene.world.groups(), [group], "it is left");
        let standing = scene.view().records[&scene.record(1).hash()].standing;
        assert_eq!(standing, Standing::Quarantined);
        let served = scene.view().serving().is_some();
        assert_eq!(served, look == Look::Bake, "what has the traffic serves");
        // The next release takes its place, and nothing of it stays.
        let next = scene.deploy(2).await;
        scene.work().await;
        assert_eq!(scene.summary(&next).await.outcome, Some(Outcome::Succeeded));
        assert_eq!(scene.world.groups(), [scene.record(2).group()]);
    }
}

#[tokio::test(start_paused = true)]
async fn someone_who_asks_to_go_back_is_not_asked_for_a_policy() {
    let mut scene = Scene::default();
    scene.on_first_failure = FirstFailure::Leave;
    scene.inconclusive = Inconclusive::Ask;
    scene.bake_ms = 60 * 60 * 1000;
    scene.script.say(1, Look::Bake, Said::Inconclusive);
    let id = scene.deploy(1).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    scene.signal(&id, Ask::Abort).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    assert!(scene.world.groups().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_quarantined_release_is_refused_with_nothing_changed() {
    let scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Live, Said::Fail);
    scene.deploy(2).await;
    scene.work().await;
    let log = scene.world.log();
    let again = scene.deploy(2).await;
    scene.work().await;
    let outcome = scene.summary(&again).await.outcome;
    assert!(
        matches!(
            outcome,
            Some(Outcome::Failed {
                rollback: RollbackResult::None,
                ..
            })
        ),
        "{outcome:?}"
    );
    assert_eq!(scene.world.log(), log);
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_warm_is_removed_when_its_time_is_over() {
    let scene = with_one(Strategy::BlueGreen).await;
    scene.deploy(2).await;
    scene.work().await;
    assert_eq!(scene.world.groups(), [scene.record(2).group()]);
    assert!(scene.view().cleanups.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_clean_up_that_was_broken_off_is_finished() {
    let scene = with_one(Strategy::BlueGreen).await;
    scene.deploy(2).await;
    // Grow and switch go well; the removal leaves half of the old group.
    scene
        .world
        .faults([None, None, Some(Fault::Half(Class::Connectivity))]);
    scene.work().await;
    assert_eq!(scene.world.groups(), [scene.record(2).group()]);
}
