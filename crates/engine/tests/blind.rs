//! Going back from what nobody can see: something was begun, and nobody has heard what became of it.

use belay_model::config::Strategy;
use belay_model::error::Class;
use belay_model::event::{Ask, Outcome, RollbackResult};
use belay_model::summary::Phase;
use belay_testkit::Hints::Prompt;
use belay_testkit::sim::play;
use belay_testkit::sim::story::{
    Act, Deed, Incident, Order, Place, Remedy, Story, Trouble, Weather,
};
use belay_testkit::{Fault, Kind, Scene, check_journal};

/// Release 2 has the traffic by now, and neither its answer came nor can anybody look. A way back planned from what was there
/// before would remove it under its users.
#[tokio::test(start_paused = true)]
async fn p4_what_may_have_the_traffic_by_now_is_not_removed_unseen() {
    for kind in [Kind::SideBySide, Kind::Swap] {
        let scene = Scene::of(kind, Strategy::BlueGreen, 2);
        scene.deploy(1).await;
        scene.work().await;
        let lost = Fault::AnswerLost(Class::Application);
        scene.world.faults([None, Some(lost)]);
        let before = scene.world.log().len();
        let id = scene.deploy(2).await;
        tokio::join!(scene.work(), async {
            while scene.world.log().len() < before + 2 {
                scene.pass(1).await;
            }
            scene.world.lock_out(Class::Authentication);
        });
        let summary = scene.summary(&id).await;
        assert_eq!(summary.phase, Phase::NeedsOperator, "{kind:?}");
        let why = summary.stuck.expect("it says why");
        assert!(why.contains("nobody knows what became of"), "{why}");
        let log = scene.world.log()[before..].to_vec();
        assert_eq!(log.len(), 2, "nothing is done unseen: {log:?}");
        assert_eq!(scene.serving(), Some(scene.record(2).group()));

        scene.world.let_in();
        scene.signal(&id, Ask::Retry).await;
        scene.work().await;
        check_journal(&scene.store.journal(&id));
        let rollback = RollbackResult::Complete;
        let residue = Vec::new();
        let complete = Some(Outcome::Failed { rollback, residue });
        assert_eq!(scene.summary(&id).await.outcome, complete);
        assert_eq!(scene.serving(), Some(scene.record(1).group()));
        assert_eq!(scene.world.breaches(), Vec::<String>::new());
    }
}

fn story(kind: Kind, broken: Vec<u32>, acts: Vec<Act>, troubles: Vec<Trouble>) -> Story {
    let place = Place {
        targets: vec![kind],
        instances: 3,
        broken,
        said: Vec::new(),
        faults: Vec::new(),
    };
    Story {
        weather: Weather::Passing,
        places: vec![place],
        workers: vec![Prompt],
        acts,
        incidents: troubles.into_iter().map(incident).collect(),
        answers: Vec::new(),
    }
}

fn incident(trouble: Trouble) -> Incident {
    Incident { worker: 0, trouble }
}

fn deploy(after_ms: u64, release: u32) -> Act {
    Act {
        after_ms,
        place: 0,
        deed: Deed::Deploy(Order::plain(release)),
    }
}

/// What a platform has accepted goes on, whether it can be followed or not: nothing else is begun before it is found out.
#[test]
fn i4_what_was_accepted_and_cannot_be_followed_may_have_happened() {
    for kind in [Kind::Swap, Kind::InPlace, Kind::Revisions, Kind::Resized] {
        for at_ms in 0..120 {
            let unreachable = vec![Trouble::NoPlatform(at_ms, 2_000)];
            let story = story(kind, Vec::new(), vec![deploy(0, 1)], unreachable);
            let breaches = play(&story).breaches;
            assert!(breaches.is_empty(), "{kind:?} {at_ms}: {breaches:#?}");
        }
    }
}

/// Release 2 never gets ready, and nobody sees how far it came: the next attempt looks first, and takes it for its own.
#[test]
fn i4_what_came_half_way_unseen_is_looked_at_before_it_is_tried_again() {
    for kind in [Kind::Swap, Kind::InPlace, Kind::Revisions, Kind::Resized] {
        for at_ms in (10_000..10_060).step_by(3) {
            let mut acts = vec![deploy(0, 1), deploy(10_000, 2)];
            if let Deed::Deploy(order) = &mut acts[1].deed {
                order.remedies = vec![(Class::Application, Remedy::TryAgain(3))];
            }
            let silent = vec![
                Trouble::NoAnswers(at_ms, 3_670),
                Trouble::NoStore(at_ms + 38, 73),
            ];
            let breaches = play(&story(kind, vec![2], acts, silent)).breaches;
            assert!(breaches.is_empty(), "{kind:?} {at_ms}: {breaches:#?}");
        }
    }
}
