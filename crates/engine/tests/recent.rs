//! What happened last is read a few at a time, and others are asked for between two reads.

use belay_model::config::Strategy;
use belay_model::plan::{Plan, Step};
use belay_model::summary::Phase;
use belay_testkit::Scene;
use belay_testkit::parts::{phase, run};

/// What a way back takes back of what was run, in order.
fn taken_back(plan: &Plan) -> Vec<String> {
    let titles = plan.steps().map(Step::title);
    let own = titles.filter_map(|title| Some(title.strip_prefix("take back: run ")?.to_owned()));
    own.collect()
}

/// The second read is for 64, and four have been read.
#[tokio::test(start_paused = true)]
async fn however_many_are_asked_for_meanwhile_each_is_taken_back_once() {
    for others in [0, 60, 61, 90] {
        let mut scene = Scene::new(Strategy::BlueGreen, 2).with_good(1).await;
        for release in 2..8 {
            let step = run(&release.to_string());
            scene.phases = vec![phase("all", Some("shop/test"), vec![step], vec![])];
            scene.deploy_and_work(release).await;
        }
        scene.phases = Vec::new();
        let back = scene.go_back(Some(1)).await;
        scene.crashes.hold_at_look(1);
        let meanwhile = async {
            scene.crashes.held().await;
            for _ in 0..others {
                scene.deploy(8).await;
            }
            scene.crashes.let_go();
            scene.until(&back, Phase::Ended).await;
        };
        tokio::select! {
            _ = scene.work() => panic!("the others are done before it"),
            () = meanwhile => {}
        }
        let back = taken_back(&scene.last_plan(&back));
        assert_eq!(back, ["7", "6", "5", "4", "3", "2"], "{others}");
    }
}
