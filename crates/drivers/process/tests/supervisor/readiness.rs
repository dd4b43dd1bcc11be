//! When a command is ready, and what is said when it is not.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::time::{Duration, Instant};

use belay_driver_process::Error;
use belay_driver_process::supervisor::{Cause, Ended, Ensured, Phase, Readiness};

use crate::world::{EXE, World, free_port, not_ready, ready, until, until_status};

#[tokio::test]
async fn http_and_tcp_and_started_become_ready() {
    let world = World::new();
    let http = world.server("http");
    let tcp = belay_driver_process::supervisor::Spec {
        ready: Readiness::Tcp,
        ..world.server("tcp")
    };
    let started = world.spec("started", &["sleep", "1000"]);
    for spec in [http, tcp, started] {
        let it = world.start(&spec).await;
        let status = ready(&it).await;
        assert_eq!(
            (status.phase, status.supervised, status.restarts),
            (Phase::Ready, true, 0),
            "{}",
            spec.id
        );
        assert!(status.child.unwrap().is_alive());
    }
}

#[tokio::test]
async fn what_exits_at_once_fails_soon_with_its_last_lines() {
    let world = World::new();
    let mut spec = world.server("crash");
    spec.command = [
        "sh",
        "-c",
        "for n in $(seq 30); do echo line $n; done; echo no database >&2; exit 3",
    ]
    .map(String::from)
    .to_vec();
    let it = world.start(&spec).await;
    let began = Instant::now();
    let report = not_ready(&it, 60_000).await;
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "the whole timeout was waited out"
    );
    assert_eq!(report.cause, Cause::Exited);
    assert_eq!(report.status.exits.last().unwrap().how, Ended::Code(3));
    assert!(!report.status.exits.last().unwrap().requested);
    assert_eq!(report.output.len(), 20);
    assert_eq!(report.output.last().unwrap(), "no database");
    assert!(
        report
            .why
            .starts_with("the command exited with 3, 2 times in a row"),
        "{}",
        report.why
    );
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let world = World::new();
    let plain = world.all().with_file_name("plain");
    std::fs::write(&plain, "not a program").unwrap();
    let check = async |id: &str, command: &str, cwd: Option<&str>, expect: &str| {
        let mut spec = world.spec(id, &[command]);
        spec.cwd = cwd.map_or(spec.cwd, Into::into);
        let it = world.start(&spec).await;
        let report = not_ready(&it, 60_000).await;
        assert_eq!(report.cause, Cause::NotStarted);
        assert!(report.why.contains(expect), "{}", report.why);
        assert!(matches!(&report.status.exits[0].how, Ended::NotStarted(_)));
    };
    check("missing", "./nothing", None, "is it there").await;
    check("path", "no-such-program-anywhere", None, "not in PATH").await;
    check("plain", plain.to_str().unwrap(), None, "is it executable").await;
    check(
        "cwd",
        "true",
        Some("/no/such/place"),
        "working directory /no/such/place does not exist",
    )
    .await;
}

#[tokio::test]
async fn what_never_listens_times_out_with_the_last_answer() {
    let world = World::new();
    let mut spec = world.spec("deaf", &["sleep", "1000"]);
    spec.port = Some(free_port());
    spec.ready = Readiness::http("/");
    let it = world.start(&spec).await;
    let report = not_ready(&it, 400).await;
    assert_eq!(
        (report.cause, report.status.phase),
        (Cause::TimedOut, Phase::Starting)
    );
    assert!(report.why.contains("connection refused"), "{}", report.why);
    assert!(
        report.status.child.unwrap().is_alive(),
        "a timeout does not stop it"
    );
}

#[tokio::test]
async fn a_wrong_answer_is_not_ready_and_is_quoted() {
    let world = World::new();
    let mut spec = world.server("ill");
    spec.env.insert("ANSWER".to_owned(), "503".to_owned());
    let it = world.start(&spec).await;
    let status = until_status(&it, "an answer", |s| {
        s.last_answer.as_ref().is_some_and(|a| a.contains("503"))
    })
    .await;
    assert_eq!(status.phase, Phase::Starting);
    let report = not_ready(&it, 100).await;
    let expect = format!(
        "GET /health on port {} answered 503: the database is away",
        spec.port.unwrap()
    );
    assert!(report.why.ends_with(&expect), "{}", report.why);

    let mut spec = world.server("range");
    spec.env.insert("ANSWER".to_owned(), "401".to_owned());
    spec.ready = Readiness::Http {
        path: "/".to_owned(),
        from: 200,
        to: 499,
    };
    ready(&world.start(&spec).await).await;
}

#[tokio::test]
async fn listening_on_another_port_is_not_ready() {
    let world = World::new();
    let mut spec = world.server("elsewhere");
    let other = free_port();
    spec.env.insert("LISTEN".to_owned(), other.to_string());
    let it = world.start(&spec).await;
    until("it listens elsewhere", async || {
        std::net::TcpStream::connect(("127.0.0.1", other)).ok()
    })
    .await;
    let report = not_ready(&it, 300).await;
    assert!(report.why.contains("connection refused"), "{}", report.why);
}

#[tokio::test]
async fn a_stranger_on_the_port_is_not_taken_for_the_command() {
    let world = World::new();
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap().port();
    let mut spec = world.spec("robbed", &["sleep", "1000"]);
    (spec.port, spec.ready) = (Some(port), Readiness::Tcp);
    let it = world.start(&spec).await;
    let report = not_ready(&it, 400).await;
    let expect = format!("port {port} is answered by process {}", std::process::id());
    assert!(report.why.contains(&expect), "{}", report.why);

    spec.id = "allowed".to_owned();
    spec.any_listener = true;
    ready(&world.start(&spec).await).await;
}

#[tokio::test]
async fn what_stops_answering_is_unready_and_recovers_without_a_restart() {
    let world = World::new();
    let mut spec = world.server("moody");
    spec.timing.probe_ready_ms = 20;
    spec.timing.probe_timeout_ms = 200;
    let it = world.start(&spec).await;
    let child = ready(&it).await.child.unwrap();
    let pid = rustix::process::Pid::from_raw(child.pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let status = until_status(&it, "unready", |s| s.phase == Phase::Unready).await;
    assert!(status.message.unwrap().contains("no answer within 200 ms"));
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let status = until_status(&it, "ready again", |s| s.phase == Phase::Ready).await;
    assert_eq!((status.child.unwrap(), status.restarts), (child, 0));
}

#[tokio::test]
async fn what_is_not_restarted_ends_with_its_supervisor() {
    let world = World::new();
    for (id, command, phase) in [
        ("good", "true", Phase::Stopped),
        ("bad", "false", Phase::Failed),
    ] {
        let mut spec = world.spec(id, &[command]);
        spec.restart = false;
        let it = world.create(&spec);
        it.start(Path::new(EXE)).await.unwrap();
        let status = until_status(&it, "its end", |s| !s.supervised && s.exits.len() == 1).await;
        assert_eq!(status.phase, phase);
        assert_eq!(not_ready(&it, 1_000).await.cause, Cause::Exited);
        // A supervisor that has said all it had to may still be there for a moment.
        until("nobody is left", async || {
            world.processes(it.dir()).is_empty().then_some(())
        })
        .await;
        let ensured = it.ensure(Path::new(EXE)).await.unwrap();
        assert_eq!(
            ensured,
            Ensured::Stopped,
            "an ended command is not run again by a sweep"
        );
    }
}

#[tokio::test]
async fn a_specification_that_cannot_work_is_refused() {
    let world = World::new();
    let mut no_port = world.server("no-port");
    no_port.port = None;
    let no_command = world.spec("no-command", &[]);
    for spec in [no_port, no_command] {
        let made = belay_driver_process::supervisor::Supervised::create(
            world.all().join(&spec.id),
            &spec,
            &Default::default(),
            &world.key,
        );
        assert!(matches!(made, Err(Error::Spec { .. })));
    }
}

#[tokio::test]
async fn the_port_of_a_command_that_is_down_is_kept_from_other_belays() {
    let world = World::new();
    let mut spec = world.spec("down", &["sh", "-c", "exit 1"]);
    let port = free_port();
    spec.port = Some(port);
    spec.ready = Readiness::Tcp;
    let is_claimed = || {
        let name = SocketAddr::from_abstract_name(format!("belay-port-{port}")).unwrap();
        UnixListener::bind_addr(&name).is_err()
    };
    let it = world.start(&spec).await;
    until("its port is claimed", async || is_claimed().then_some(())).await;
    it.stop(None).await.unwrap();
    until("and let go", async || (!is_claimed()).then_some(())).await;
}
