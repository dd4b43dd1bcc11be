//! What lies on disk: no secret in clear, bounded output, any path; and what a command sees of us.

use std::fs;
use std::path::Path;

use belay_driver_process::Error;
use belay_driver_process::supervisor::{Cause, KeyFile, Supervised};

use crate::world::{EXE, World, kill, kill_and_wait, not_ready, ready, until, until_status};

const SECRET: &str = "hunter2-in-clear";

#[tokio::test]
async fn secrets_reach_the_command_after_any_restart_and_lie_nowhere_in_clear() {
    let world = World::new();
    let mut spec = world.spec(
        "secretive",
        &["sh", "-c", "echo ${#TOKEN} $PUBLIC; exec sleep 1000"],
    );
    spec.key_file = Some(world.key.path().to_owned());
    spec.env.insert("PUBLIC".to_owned(), "shown".to_owned());
    let it = world.create_with(&spec, &[("TOKEN", SECRET)]);
    it.start(Path::new(EXE)).await.unwrap();
    let first = ready(&it).await;
    kill(first.child.as_ref().unwrap());
    let second = until_status(&it, "restarted", |s| s.restarts == 1 && s.child.is_some()).await;
    kill_and_wait(second.supervisor.as_ref().unwrap()).await;
    kill_and_wait(second.child.as_ref().unwrap()).await;
    it.ensure(Path::new(EXE)).await.unwrap();
    ready(&it).await;
    let expect = format!("{} shown", SECRET.len());
    until("three starts wrote a line", async || {
        (it.output(9).len() == 3).then_some(())
    })
    .await;
    assert!(
        it.output(9).iter().all(|line| *line == expect),
        "{:?}",
        it.output(9)
    );

    for entry in fs::read_dir(it.dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
    {
        let bytes = fs::read(&entry).unwrap();
        assert!(
            !bytes
                .windows(SECRET.len())
                .any(|part| part == SECRET.as_bytes()),
            "in clear in {}",
            entry.display()
        );
    }
    for process in world
        .processes(it.dir())
        .iter()
        .filter(|process| **process == second.supervisor.clone().unwrap())
    {
        let environ = fs::read(format!("/proc/{}/environ", process.pid)).unwrap();
        assert!(
            !environ
                .windows(SECRET.len())
                .any(|part| part == SECRET.as_bytes())
        );
    }
}

#[tokio::test]
async fn a_lost_key_is_said_and_found_again() {
    let world = World::new();
    let mut spec = world.spec("keyless", &["sleep", "1000"]);
    spec.timing.backoff_max_ms = 50;
    let key = world.all().with_file_name("other-key");
    let sealer = KeyFile::create(&key).unwrap();
    spec.key_file = Some(key.clone());
    let secrets = [("TOKEN".to_owned(), SECRET.to_owned())].into();
    let it = Supervised::create(world.all().join("keyless"), &spec, &secrets, &sealer).unwrap();
    let away = key.with_extension("away");
    fs::rename(&key, &away).unwrap();
    it.start(Path::new(EXE)).await.unwrap();
    let report = not_ready(&it, 60_000).await;
    assert_eq!(report.cause, Cause::NotStarted);
    assert!(report.why.contains("key file"), "{}", report.why);
    fs::rename(&away, &key).unwrap();
    until_status(&it, "started", |s| s.child.is_some()).await;

    spec.key_file = None;
    let refused = Supervised::create(world.all().join("no-key"), &spec, &secrets, &sealer);
    assert!(matches!(refused, Err(Error::Spec { .. })));
}

#[tokio::test]
async fn a_command_sees_its_own_environment_and_little_of_ours() {
    let world = World::new();
    let mut spec = world.spec("plain", &["sh", "-c", "env; exec sleep 1000"]);
    spec.port = Some(4711);
    spec.env.insert("LOG_LEVEL".to_owned(), "info".to_owned());
    let it = world.start(&spec).await;
    until("it wrote", async || {
        it.output(99)
            .iter()
            .any(|line| line.starts_with("PATH="))
            .then_some(())
    })
    .await;
    ready(&it).await;
    let seen = it.output(99);
    for expect in ["PORT=4711", "LOG_LEVEL=info", "BELAY_INSTANCE=plain"] {
        assert!(
            seen.contains(&expect.to_owned()),
            "{expect} is not in {seen:?}"
        );
    }
    assert!(
        !seen.iter().any(|line| line.starts_with("CARGO")),
        "{seen:?}"
    );
    assert_eq!(
        seen.iter()
            .filter(|line| line.starts_with("BELAY_"))
            .count(),
        2
    );
}

#[tokio::test]
async fn output_is_bounded_and_goes_on() {
    let world = World::new();
    let script = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.001; done";
    let mut spec = world.spec("talker", &["sh", "-c", script]);
    (spec.log_max_bytes, spec.log_keep, spec.timing.log_check_ms) = (2_000, 2, 10);
    let it = world.start(&spec).await;
    let old = it.output_path().with_file_name("output.log.2");
    until("two rotations", async || old.exists().then_some(())).await;
    let names = || {
        fs::read_dir(it.dir())
            .unwrap()
            .filter_map(|e| e.unwrap().file_name().into_string().ok())
    };
    assert_eq!(
        names()
            .filter(|name| name.starts_with("output.log"))
            .count(),
        3
    );
    for n in ["output.log.1", "output.log.2"] {
        assert!(
            fs::metadata(it.dir().join(n)).unwrap().len() <= 4_000,
            "{n}"
        );
    }
    let number = || {
        it.output(1)
            .pop()
            .and_then(|line| line.strip_prefix("line ")?.parse::<u64>().ok())
    };
    let seen = until("a line", async || number()).await;
    until("later lines", async || number().filter(|now| *now > seen)).await;
}

#[tokio::test]
async fn a_path_longer_than_a_socket_may_have_works() {
    let world = World::new();
    let spec = world.spec("deep", &["sleep", "1000"]);
    let dir = world.all().join("d".repeat(100)).join("e".repeat(100));
    let it = Supervised::create(&dir, &spec, &Default::default(), &world.key).unwrap();
    it.start(Path::new(EXE)).await.unwrap();
    assert!(ready(&it).await.supervised);
    it.stop(None).await.unwrap();
}

#[tokio::test]
async fn only_the_owner_may_look() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let it = world
        .start(&world.spec("private", &["sleep", "1000"]))
        .await;
    ready(&it).await;
    let mode = |name: &str| {
        fs::metadata(it.dir().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(""), 0o700);
    for name in [
        "spec.json",
        "status.json",
        "s.sock",
        "output.log",
        "supervisor.log",
    ] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_directory_is_created_once_and_unfinished_ones_are_finished() {
    let world = World::new();
    let spec = world.spec("once", &["sleep", "1000"]);
    fs::create_dir_all(world.all().join("once")).unwrap();
    fs::write(world.all().join("once/desired"), "\"stopped\"").unwrap();
    world.create(&spec);
    let again = Supervised::create(
        world.all().join("once"),
        &spec,
        &Default::default(),
        &world.key,
    );
    assert!(matches!(again, Err(Error::Exists { .. })));
    let missing = Supervised::at(world.all().join("other"))
        .start(Path::new(EXE))
        .await;
    assert!(matches!(missing, Err(Error::Missing { .. })));
}

#[tokio::test]
async fn a_newer_format_is_refused_and_named() {
    let world = World::new();
    let mut spec = world.spec("future", &["sleep", "1000"]);
    spec.format = 2;
    let it = world.create(&spec);
    let error = it.start(Path::new(EXE)).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Format {
                format: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_supervisor_that_cannot_start_says_why() {
    let world = World::new();
    let it = world.create(&world.spec("broken", &["sleep", "1000"]));
    fs::create_dir(it.dir().join("s.sock")).unwrap();
    let error = it.start(Path::new(EXE)).await.unwrap_err();
    assert!(error.to_string().contains("listen on"), "{error}");
    let error = it.start(Path::new("/no/such/belay")).await.unwrap_err();
    assert!(
        error.to_string().starts_with("run /no/such/belay"),
        "{error}"
    );
}

/// The futures go through boxed drivers and `tokio::spawn`.
const _: fn(&Supervised, &Path) = futures_can_be_sent;

fn futures_can_be_sent(it: &Supervised, exe: &Path) {
    fn send<T: Send>(_: T) {}
    send(it.start(exe));
    send(it.ensure(exe));
    send(it.status());
    send(it.wait_ready(None));
    send(it.stop(None));
    send(belay_driver_process::supervisor::sweep(exe, exe));
}
