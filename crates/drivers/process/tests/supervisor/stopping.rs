//! Stopping: gracefully, then hard, all of the group, and for good.

use std::path::Path;
use std::time::{Duration, Instant};

use belay_driver_process::Error;
use belay_driver_process::supervisor::{Desired, Ended, Ensured, Found, Phase, Supervised, sweep};

use crate::world::{EXE, World, kill_and_wait, ready, until, until_status};

#[tokio::test]
async fn graceful_within_the_timeout() {
    let world = World::new();
    let script = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done";
    let it = world
        .start(&world.spec("polite", &["sh", "-c", script]))
        .await;
    until("its trap is set", async || {
        it.output(9).contains(&"up".to_owned()).then_some(())
    })
    .await;
    let status = it.stop(None).await.unwrap();
    assert_eq!(
        (status.phase, status.desired),
        (Phase::Stopped, Desired::Stopped)
    );
    let exit = status.exits.last().unwrap();
    assert_eq!((&exit.how, exit.requested), (&Ended::Code(7), true));
    assert!(it.output(9).contains(&"bye".to_owned()));
    until("the supervisor is gone, too", async || {
        world.processes(it.dir()).is_empty().then_some(())
    })
    .await;
    assert_eq!(
        it.stop(None).await.unwrap().phase,
        Phase::Stopped,
        "stopping twice is the same as once"
    );
}

#[tokio::test]
async fn hard_after_the_timeout_with_everything_it_started() {
    let world = World::new();
    let script = "trap '' TERM; sleep 1000 & echo up; while :; do sleep 1000; done";
    let it = world
        .start(&world.spec("stubborn", &["sh", "-c", script]))
        .await;
    until("its trap is set", async || {
        it.output(9).contains(&"up".to_owned()).then_some(())
    })
    .await;
    let began = Instant::now();
    let status = it.stop(Some(Duration::from_millis(300))).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(status.exits.last().unwrap().how, Ended::Signal(9));
    until("no process is left", async || {
        world.processes(it.dir()).is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_shell_started_may_finish_though_the_shell_is_gone() {
    let world = World::new();
    let inner = "import signal,sys,time\ndef end(*a):\n time.sleep(0.3); print('finished', flush=True); sys.exit()\nsignal.signal(signal.SIGTERM, end); print('up', flush=True)\nwhile True: time.sleep(1)";
    let it = world
        .start(&world.spec("wrapped", &["sh", "-c", "python3 -c \"$0\"; true", inner]))
        .await;
    until("it is up", async || {
        it.output(9).contains(&"up".to_owned()).then_some(())
    })
    .await;
    it.stop(None).await.unwrap();
    assert_eq!(it.output(1), ["finished"]);
}

#[tokio::test]
async fn during_back_off() {
    let world = World::new();
    let mut spec = world.spec("looping", &["false"]);
    spec.timing.backoff_first_ms = 600_000;
    spec.timing.backoff_max_ms = 600_000;
    let it = world.start(&spec).await;
    until_status(&it, "back-off", |s| s.phase == Phase::Backoff).await;
    assert_eq!(it.stop(None).await.unwrap().phase, Phase::Stopped);
}

#[tokio::test]
async fn a_stop_lasts_until_the_next_start() {
    let world = World::new();
    let it = world.start(&world.spec("off", &["sleep", "1000"])).await;
    ready(&it).await;
    it.stop(None).await.unwrap();
    assert_eq!(it.ensure(Path::new(EXE)).await.unwrap(), Ensured::Stopped);
    let swept = sweep(&world.all(), Path::new(EXE)).await.unwrap();
    assert!(matches!(swept[0].found, Found::Ensured(Ensured::Stopped)));
    assert!(world.processes(it.dir()).is_empty());
    it.start(Path::new(EXE)).await.unwrap();
    assert_eq!(ready(&it).await.restarts, 1);
}

#[tokio::test]
async fn a_stop_without_a_supervisor_stops_the_command_itself() {
    let world = World::new();
    let it = world.start(&world.spec("orphan", &["sleep", "1000"])).await;
    let status = ready(&it).await;
    kill_and_wait(&status.supervisor.unwrap()).await;
    assert!(!it.status().await.unwrap().supervised);
    let stopped = it.stop(None).await.unwrap();
    assert_eq!(
        (stopped.phase, &stopped.exits.last().unwrap().how),
        (Phase::Stopped, &Ended::Unknown)
    );
    assert!(!status.child.unwrap().is_alive());
    assert!(world.processes(it.dir()).is_empty());
}

#[tokio::test]
async fn a_stop_whose_supervisor_was_killed_is_finished_by_the_next_one() {
    let world = World::new();
    let script = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let mut spec = world.spec("interrupted", &["sh", "-c", script]);
    spec.stop_timeout_ms = 200;
    let it = world.start(&spec).await;
    until("its trap is set", async || {
        it.output(9).contains(&"up".to_owned()).then_some(())
    })
    .await;
    let stopping = tokio::spawn({
        let it = it.clone();
        async move { it.stop(Some(Duration::from_secs(600))).await }
    });
    let status = until_status(&it, "stopping", |s| s.phase == Phase::Stopping).await;
    stopping.abort();
    let _ = stopping.await;
    kill_and_wait(&status.supervisor.unwrap()).await;
    assert!(status.child.as_ref().unwrap().is_alive());
    assert_eq!(it.ensure(Path::new(EXE)).await.unwrap(), Ensured::Finishing);
    until("it is gone", async || {
        (!status.child.as_ref().unwrap().is_alive()).then_some(())
    })
    .await;
    until_status(&it, "stopped", |s| s.phase == Phase::Stopped).await;
}

#[tokio::test]
async fn only_what_is_stopped_can_be_removed() {
    let world = World::new();
    let it = world
        .start(&world.spec("removed", &["sleep", "1000"]))
        .await;
    let status = ready(&it).await;
    assert!(matches!(
        it.clone().remove().await,
        Err(Error::NotStopped { .. })
    ));
    kill_and_wait(&status.supervisor.unwrap()).await;
    assert!(
        matches!(it.clone().remove().await, Err(Error::NotStopped { .. })),
        "the command still runs"
    );
    it.stop(None).await.unwrap();
    it.clone().remove().await.unwrap();
    assert!(!it.dir().exists());
    assert!(matches!(
        Supervised::at(it.dir()).status().await,
        Err(Error::Missing { .. })
    ));
}

#[tokio::test]
async fn who_is_about_to_leave_it_or_looks_at_it_is_waited_for() {
    let world = World::new();
    let it = world.start(&world.spec("left", &["sleep", "1000"])).await;
    it.stop(None).await.unwrap();
    let looks = std::fs::File::open(it.dir().join("supervisor.lock")).unwrap();
    until("its supervisor has left", async || {
        looks.try_lock_shared().ok()
    })
    .await;
    let (removed, ()) = tokio::join!(it.clone().remove(), async {
        tokio::task::yield_now().await;
        drop(looks);
    });
    removed.unwrap();
    assert!(!it.dir().exists());
}
