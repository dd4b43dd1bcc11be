//! SIGKILL of the command, of its supervisor, of both; and a process table that lies.

use std::path::Path;

use belay_driver_process::supervisor::{
    Ended, Ensured, Found, Identity, Phase, Status, Supervised, sweep,
};

use crate::world::{EXE, World, kill, kill_and_wait, ready, until_status};

#[tokio::test]
async fn a_killed_command_is_started_again_and_that_is_recorded() {
    let world = World::new();
    let it = world.start(&world.server("victim")).await;
    let first = ready(&it).await.child.unwrap();
    kill(&first);
    let status = until_status(&it, "restarted", |s| {
        s.restarts == 1 && s.phase == Phase::Ready
    })
    .await;
    assert_ne!(status.child.unwrap(), first);
    let exit = &status.exits[0];
    assert_eq!(
        (&exit.how, exit.requested),
        (&Ended::Signal(9), false),
        "a stranger did it, and it shows"
    );
    assert!(exit.ran_ms > 0);
}

#[tokio::test]
async fn a_killed_supervisor_leaves_the_command_to_the_next_one() {
    let world = World::new();
    let it = world.start(&world.server("survivor")).await;
    let before = ready(&it).await;
    kill_and_wait(before.supervisor.as_ref().unwrap()).await;
    let between = it.status().await.unwrap();
    assert_eq!((between.supervised, &between.child), (false, &before.child));

    assert_eq!(it.ensure(Path::new(EXE)).await.unwrap(), Ensured::Started);
    assert_eq!(
        it.ensure(Path::new(EXE)).await.unwrap(),
        Ensured::Supervised
    );
    let after = ready(&it).await;
    assert_eq!(
        (&after.child, after.adopted, after.restarts),
        (&before.child, true, 0)
    );
    assert_eq!(
        world.processes(it.dir()).len(),
        2,
        "one supervisor, one command"
    );

    kill(&after.child.unwrap());
    let status = until_status(&it, "restarted", |s| {
        s.restarts == 1 && s.phase == Phase::Ready
    })
    .await;
    assert_eq!(
        (&status.exits[0].how, status.adopted),
        (&Ended::Unknown, false)
    );
}

#[tokio::test]
async fn both_killed_are_restored_by_a_sweep() {
    let world = World::new();
    let (a, b) = (
        world.start(&world.server("a")).await,
        world.start(&world.server("b")).await,
    );
    for it in [&a, &b] {
        let status = ready(it).await;
        kill_and_wait(status.supervisor.as_ref().unwrap()).await;
        kill_and_wait(status.child.as_ref().unwrap()).await;
        let seen = it.status().await.unwrap();
        assert_eq!((seen.phase, seen.child), (Phase::Failed, None));
    }
    let swept = sweep(&world.all(), Path::new(EXE)).await.unwrap();
    assert_eq!(
        swept
            .iter()
            .map(|s| s.id.as_deref().unwrap())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert!(
        swept
            .iter()
            .all(|s| matches!(s.found, Found::Ensured(Ensured::Started)))
    );
    for it in [&a, &b] {
        let status = ready(it).await;
        assert_eq!(
            (status.restarts, &status.exits[0].how),
            (1, &Ended::Unknown)
        );
    }
    assert!(
        sweep(&world.all().join("none"), Path::new(EXE))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_command_that_was_never_written_down_is_found_by_its_marks() {
    let world = World::new();
    let it = world.start(&world.server("unwritten")).await;
    let before = ready(&it).await;
    kill_and_wait(before.supervisor.as_ref().unwrap()).await;
    std::fs::remove_file(it.dir().join("status.json")).unwrap();
    it.ensure(Path::new(EXE)).await.unwrap();
    let after = ready(&it).await;
    assert_eq!((after.child, after.adopted), (before.child, true));
    assert_eq!(world.processes(it.dir()).len(), 2);
}

/// Stops a supervisor hard, puts `child` into the status it leaves, and starts the next one.
async fn forge(it: &Supervised, child: impl FnOnce(&Status) -> Identity) -> Status {
    let mut status = ready(it).await;
    kill_and_wait(status.supervisor.as_ref().unwrap()).await;
    kill_and_wait(status.child.as_ref().unwrap()).await;
    status.child = Some(child(&status));
    std::fs::write(
        it.dir().join("status.json"),
        serde_json::to_vec(&status).unwrap(),
    )
    .unwrap();
    it.ensure(Path::new(EXE)).await.unwrap();
    until_status(it, "restarted", |s| {
        s.restarts == 1 && s.phase == Phase::Ready
    })
    .await
}

#[tokio::test]
async fn a_pid_that_was_used_again_is_neither_adopted_nor_killed() {
    let world = World::new();
    let bystander = std::os::unix::process::CommandExt::process_group(
        std::process::Command::new("sleep").arg("1000"),
        0,
    )
    .spawn();
    let mut bystander = bystander.unwrap();
    let real = Identity::of(bystander.id()).unwrap();
    for (id, lie) in [
        (
            "earlier",
            Identity {
                start_ticks: real.start_ticks - 1,
                ..real.clone()
            },
        ),
        (
            "other-boot",
            Identity {
                boot_id: "00000000-0000-0000-0000-000000000000".to_owned(),
                ..real.clone()
            },
        ),
    ] {
        let it = world.start(&world.server(id)).await;
        let status = forge(&it, |_| lie.clone()).await;
        assert_ne!(status.child.as_ref().unwrap().pid, real.pid);
        assert!(!status.adopted);
        // The same without a supervisor.
        kill_and_wait(status.supervisor.as_ref().unwrap()).await;
        kill_and_wait(status.child.as_ref().unwrap()).await;
        let forged = Status {
            child: Some(lie),
            ..status
        };
        std::fs::write(
            it.dir().join("status.json"),
            serde_json::to_vec(&forged).unwrap(),
        )
        .unwrap();
        it.stop(None).await.unwrap();
        assert!(real.is_alive(), "a bystander was killed");
    }
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn many_who_ensure_at_once_get_one_supervisor_and_one_command() {
    let world = World::new();
    let it = world.start(&world.server("crowd")).await;
    let before = ready(&it).await;
    kill_and_wait(before.supervisor.as_ref().unwrap()).await;
    kill_and_wait(before.child.as_ref().unwrap()).await;
    let crowd: Vec<_> = (0..6)
        .map(|_| {
            let it = it.clone();
            tokio::spawn(async move { it.ensure(Path::new(EXE)).await })
        })
        .collect();
    for one in crowd {
        one.await.unwrap().unwrap();
    }
    ready(&it).await;
    crate::world::until("only two processes", async || {
        (world.processes(it.dir()).len() == 2).then_some(())
    })
    .await;
    assert_eq!(it.status().await.unwrap().restarts, 1);
}

#[tokio::test]
async fn what_a_killed_leader_left_in_its_group_goes_before_the_next_one_starts() {
    let world = World::new();
    // The shell leads; the server, which holds the port, is its child.
    let mut spec = world.server("led");
    spec.command = vec![
        "sh".into(),
        "-c".into(),
        "python3 -c \"$0\"; true".into(),
        crate::world::SERVER.into(),
    ];
    let it = world.start(&spec).await;
    kill(&ready(&it).await.child.unwrap());
    let status = until_status(&it, "restarted", |s| {
        s.restarts == 1 && s.phase == Phase::Ready
    })
    .await;
    assert_eq!(
        status.exits.len(),
        1,
        "the port was free again: {:?}",
        status.exits
    );
    assert_eq!(
        world.processes(it.dir()).len(),
        3,
        "supervisor, shell, server"
    );
}

#[tokio::test]
async fn a_start_after_a_failure_starts_afresh() {
    let world = World::new();
    let it = world
        .start(&world.spec("fixed", &["sh", "-c", "test -e fixed && exec sleep 1000"]))
        .await;
    assert_eq!(
        crate::world::not_ready(&it, 60_000).await.cause,
        belay_driver_process::supervisor::Cause::Exited
    );
    it.stop(None).await.unwrap();
    std::fs::write(world.all().with_file_name("fixed"), "").unwrap();
    it.start(Path::new(EXE)).await.unwrap();
    assert_eq!(ready(&it).await.exits_unready, 0);
}

#[tokio::test]
async fn a_torn_status_is_as_none() {
    let world = World::new();
    let it = world.start(&world.server("torn")).await;
    let before = ready(&it).await;
    kill_and_wait(before.supervisor.as_ref().unwrap()).await;
    std::fs::write(it.dir().join("status.json"), "").unwrap();
    assert!(!it.status().await.unwrap().supervised);
    it.ensure(Path::new(EXE)).await.unwrap();
    assert_eq!(ready(&it).await.child, before.child, "found by its marks");
}

/// The window between starting the command and writing that down, hit many times: there is never a second start.
#[tokio::test]
async fn a_supervisor_killed_at_any_moment_of_its_start_has_started_one_command_at_most() {
    let world = World::new();
    for delay_us in (0..12_000).step_by(300) {
        let mut spec = world.spec(
            &format!("after-{delay_us}"),
            &["sh", "-c", "echo started; exec sleep 1000"],
        );
        spec.timing.started_ms = 10;
        let it = world.create(&spec);
        let mut supervisor = std::process::Command::new(EXE)
            .arg("supervise")
            .arg(it.dir())
            .spawn()
            .unwrap();
        tokio::time::sleep(std::time::Duration::from_micros(delay_us)).await;
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        it.ensure(Path::new(EXE)).await.unwrap();
        let status = ready(&it).await;
        crate::world::until("it wrote its line", async || {
            (!it.output(9).is_empty()).then_some(())
        })
        .await;
        assert_eq!(
            (it.output(9).len(), status.restarts),
            (1, 0),
            "after {delay_us} us: {status:?}"
        );
        it.stop(None).await.unwrap();
    }
}
