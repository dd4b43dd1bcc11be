//! What a user could see.

use crate::world::{Case, World, alter, code, succeeded};
use belay_driver_process::supervisor::Supervised;
use belay_model::back::Risk;
use belay_model::environment::Standing;
use belay_model::event::{Outcome, RollbackResult};
use belay_model::id::{ReleaseNumber, ServiceName};
use belay_model::summary::Phase;
use belay_runtime::{Accepted, Images, Released, Restorability, Retention, RollbackRequest};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

const SHORT: &str = "    keep: { bake: 100ms, warm: 100ms }\n";
const WARM: &str = "    strategy: blue_green\n    keep: { bake: 100ms, warm: 10m }\n";
const LONG: &str = "    keep: { bake: 10m }\n";

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn all() -> Vec<(&'static str, Case)> {
            vec![$((stringify!($name), |world| Box::pin($name(world)))),*]
        }
    };
}

cases![
    two_releases_then_back_then_taken_back,
    going_back_from_what_bakes_is_a_signal,
    an_altered_artifact_stops_a_rollback_before_it_changes_anything,
    an_undo_of_the_first_leads_to_nothing,
    a_first_that_fails_is_left_where_policy_says_so,
    secrets_are_sealed_and_missing_ones_are_named,
    an_unproven_release_needs_someone_to_accept_it,
    what_no_record_needs_is_removed,
    a_killed_worker_and_a_killed_proxy_supervisor_come_back,
    an_address_in_use_is_named,
    names_are_helped_along,
];

fn back() -> RollbackRequest {
    RollbackRequest {
        reason: Some("it is bad".to_owned()),
        ..RollbackRequest::default()
    }
}

async fn two_releases_then_back_then_taken_back(world: &World) {
    let belay = &world.belay;
    let (one, two) = (world.request("one", WARM), world.request("two", WARM));
    let plan = belay.plan(&one).await.expect("planned");
    assert_eq!((plan.release, plan.nothing_to_do), (None, false));
    assert!(
        !plan.steps.is_empty() && plan.back_to.contains("nothing"),
        "{plan:#?}"
    );
    assert!(
        belay
            .store()
            .releases(&world.scope.service)
            .await
            .expect("read")
            .is_empty()
    );

    succeeded(&world.deploy(&one).await);
    assert_eq!(world.get().await, "one");
    let again = belay.deploy(&one).await.expect("accepted");
    assert!(
        matches!(
            again,
            Accepted::NothingToDo {
                release: ReleaseNumber(1),
                ..
            }
        ),
        "{again:?}"
    );
    assert_eq!(code(belay.rollback(&world.scope, &back()).await), "E0206");
    assert!(!belay.ready(&world.scope, None).await.expect("read").ready);

    succeeded(&world.deploy(&two).await);
    assert_eq!(world.get().await, "two");

    let readiness = belay.ready(&world.scope, None).await.expect("read");
    assert!(readiness.ready && readiness.warm, "{readiness:?}");
    let preview = belay
        .preview(&world.scope, &back(), Some(&two.loaded))
        .await
        .expect("read");
    assert_eq!(preview.goal, "release 1");
    assert_eq!(preview.leaves, Some(ReleaseNumber(2)));
    assert!(preview.standing.expect("known").is_good() && preview.signal_to.is_none());
    assert_eq!(
        preview.restorability,
        Restorability::Exact {
            millis: readiness.predicted_ms
        }
    );
    assert_eq!(
        preview.steps[0].title.split(' ').next(),
        Some("all"),
        "{preview:#?}"
    );

    let accepted = belay
        .rollback(&world.scope, &back())
        .await
        .expect("accepted");
    let rolled_back = world.finish(&accepted).await;
    succeeded(&rolled_back);
    assert_eq!(world.get().await, "one");
    assert!(rolled_back.timeline.t4.is_some() && rolled_back.timeline.t7.is_some());
    assert_eq!(code(belay.deploy(&two).await), "E0205");

    let undo = RollbackRequest {
        undo: accepted.id().cloned(),
        ..back()
    };
    let taken_back = belay.rollback(&world.scope, &undo).await.expect("accepted");
    succeeded(&world.finish(&taken_back).await);
    assert_eq!(world.get().await, "two");
    assert_eq!(code(belay.rollback(&world.scope, &undo).await), "E0208");

    let status = belay.status().await.expect("read");
    let serving = status[0].serving.as_ref().expect("something serves");
    assert_eq!(
        (serving.release, serving.standing),
        (ReleaseNumber(2), Standing::Good)
    );
    let target = status[0].targets[&world.scope.to_string()]
        .clone()
        .expect("observed");
    let group = target
        .groups
        .iter()
        .find(|group| group.group == serving.group);
    let group = group.expect("its group is there");
    assert_eq!((group.ready, group.instances, group.weight), (1, 1, 1000));
    assert_eq!(target.listen, Some(world.listen.to_string()));
    let kinds: Vec<_> = belay.history(&world.scope, 10).await.expect("read");
    let kinds: Vec<_> = kinds.iter().map(|summary| summary.kind.as_str()).collect();
    assert_eq!(kinds, ["undo", "rollback", "deploy", "deploy"]);
    assert_eq!(
        belay
            .releases(&world.scope.service)
            .await
            .expect("read")
            .len(),
        2
    );
    assert!(
        !belay
            .logs(&world.scope, Some(&serving.group))
            .await
            .expect("read")
            .is_empty()
    );
}

async fn going_back_from_what_bakes_is_a_signal(world: &World) {
    let belay = &world.belay;
    succeeded(&world.deploy(&world.request("one", SHORT)).await);
    let two = world.request("two", LONG);
    let accepted = belay.deploy(&two).await.expect("accepted");
    let id = accepted.id().expect("new").clone();
    belay.ensure_worker().await.expect("a worker");
    world
        .until(&id, |summary| summary.phase == Phase::Baking)
        .await;
    assert_eq!(world.get().await, "two");
    let queued = belay
        .deploy(&world.request("three", SHORT))
        .await
        .expect("accepted");
    assert!(matches!(&queued, Accepted::New { behind, .. } if *behind == [id.clone()]));

    let other = RollbackRequest {
        to: Some(ReleaseNumber(2)),
        ..back()
    };
    let own = belay.rollback(&world.scope, &other).await;
    assert_eq!(code(own), "E0206", "it is what is gone back from");
    let preview = belay
        .preview(&world.scope, &back(), None)
        .await
        .expect("read");
    assert_eq!(preview.signal_to.as_ref(), Some(&id));
    assert_eq!(preview.release, Some(ReleaseNumber(1)));
    let ends: Vec<_> = preview.ends.iter().map(|queued| queued.release).collect();
    assert_eq!(ends, [Some(ReleaseNumber(3))], "{preview:#?}");

    let signalled = belay
        .rollback(&world.scope, &back())
        .await
        .expect("accepted");
    let ended = vec![queued.id().expect("new").clone()];
    assert_eq!(
        signalled,
        Accepted::Signal {
            id: id.clone(),
            ended
        }
    );
    // Asked twice is asked once, whether it is on its way or has arrived.
    let twice = belay.rollback(&world.scope, &back()).await;
    assert!(
        matches!(&twice, Ok(Accepted::Signal { .. })) || twice.is_err(),
        "{twice:?}"
    );
    let ended = world.finish(&signalled).await;
    let rollback = RollbackResult::Complete;
    let residue = Vec::new();
    assert_eq!(ended.outcome, Some(Outcome::Failed { rollback, residue }));
    let queued = world.finish(&queued).await;
    let rollback = RollbackResult::None;
    let residue = Vec::new();
    assert_eq!(queued.outcome, Some(Outcome::Failed { rollback, residue }));
    assert!(
        queued
            .cause
            .is_some_and(|why| why.contains("told to go back"))
    );
    assert_eq!(world.get().await, "one");
    assert_eq!(code(belay.deploy(&two).await), "E0205");

    let (service, release) = (&world.scope.service, ReleaseNumber(2));
    let reason = || "it was the network".to_owned();
    let lifted = belay
        .lift(service, None, release, reason())
        .await
        .expect("lifted");
    assert_eq!(lifted.len(), 1);
    assert_eq!(
        code(belay.lift(service, None, release, reason()).await),
        "E0218"
    );
}

async fn an_altered_artifact_stops_a_rollback_before_it_changes_anything(world: &World) {
    let belay = &world.belay;
    let one = world.deploy(&world.request("one", SHORT)).await;
    succeeded(&world.deploy(&world.request("two", SHORT)).await);
    world.until_view(|view| view.cleanups.is_empty()).await;
    let store = belay.store();
    let release = store.release_of(&world.scope.service, one.release.expect("one"));
    let artifact = release.await.expect("read").expect("there").artifact;
    let files = belay.artifacts().directory(&artifact).await.expect("whole");
    alter(&files.join("answer"), "uno");
    let before = belay.store().generation();
    let refused = belay.rollback(&world.scope, &back()).await;
    assert!(
        refused
            .as_ref()
            .is_err_and(|error| error.to_string().contains(artifact.as_str()))
    );
    assert_eq!(code(refused), "E0207");
    assert_eq!(belay.store().generation(), before);
    let readiness = belay.ready(&world.scope, None).await.expect("read");
    assert!(!readiness.ready && !readiness.reasons.is_empty());
    assert_eq!(world.get().await, "two");
}

async fn an_undo_of_the_first_leads_to_nothing(world: &World) {
    let belay = &world.belay;
    let one = world.request("one", SHORT);
    let first = belay.deploy(&one).await.expect("accepted");
    succeeded(&world.finish(&first).await);
    let undo = RollbackRequest {
        undo: first.id().cloned(),
        ..back()
    };
    let preview = belay
        .preview(&world.scope, &undo, None)
        .await
        .expect("read");
    assert_eq!(
        (preview.goal.as_str(), preview.release),
        ("nothing (as before)", None)
    );
    let undone = belay.rollback(&world.scope, &undo).await.expect("accepted");
    succeeded(&world.finish(&undone).await);
    assert!(tokio::net::TcpStream::connect(world.listen).await.is_err());
    let status = belay.status().await.expect("read");
    assert!(status[0].serving.is_none());
    assert_eq!(code(belay.deploy(&one).await), "E0205");
}

async fn a_first_that_fails_is_left_where_policy_says_so(world: &World) {
    let belay = &world.belay;
    let more = "    on_first_failure: leave\n    verify: [{ http: /, contains: uno, at: live }]\n";
    let bad = world.request("one", &format!("{SHORT}{more}"));
    let plan = belay.plan(&bad).await.expect("planned");
    let says = |remark: &String| remark.contains("on_first_failure");
    assert!(plan.remarks.iter().any(says), "{:?}", plan.remarks);
    let accepted = belay.deploy(&bad).await.expect("accepted");
    let summary = world.finish(&accepted).await;
    let Some(Outcome::Failed { rollback, residue }) = &summary.outcome else {
        panic!("it failed: {summary:#?}");
    };
    assert_eq!((*rollback, residue.len()), (RollbackResult::Limited, 1));
    assert!(summary.cause.is_some(), "{summary:#?}");
    assert_eq!(world.get().await, "one", "someone can look at it");
    let undo = RollbackRequest {
        undo: accepted.id().cloned(),
        ..back()
    };
    let undone = belay.rollback(&world.scope, &undo).await.expect("accepted");
    succeeded(&world.finish(&undone).await);
    assert!(tokio::net::TcpStream::connect(world.listen).await.is_err());
}

async fn secrets_are_sealed_and_missing_ones_are_named(world: &World) {
    let belay = &world.belay;
    let more = "    secrets:\n      TOKEN: env:HELLO_TOKEN\n      GREETING: file:greeting\n";
    let mut request = world.request("one", &format!("{SHORT}{more}"));
    // A file that is not there is a problem of the configuration already.
    assert_eq!(code(belay.deploy(&request).await), "E0201");
    fs::write(world.dir.join("greeting"), "-hello-\n").expect("written");
    assert_eq!(code(belay.deploy(&request).await), "E0203");
    request
        .env
        .insert("HELLO_TOKEN".to_owned(), "s3cret".to_owned());
    succeeded(&world.deploy(&request).await);
    assert_eq!(world.get().await, "one-hello-s3cret");
    // P8: no value lies in clear in anything durable.
    let holding = |text: &str| {
        // By a process of its own: closing a file of SQLite's here would give up the locks that this process has on it.
        let grep = std::process::Command::new("grep")
            .args(["-rlaF", text])
            .arg(belay.dir())
            .output();
        String::from_utf8(grep.expect("grep runs").stdout).expect("paths")
    };
    assert_ne!(holding("HELLO_TOKEN"), "", "it would be found");
    assert_eq!(holding("s3cret"), "");
    // Another value is other content, under the same number.
    request
        .env
        .insert("HELLO_TOKEN".to_owned(), "0ther!".to_owned());
    let summary = world.deploy(&request).await;
    succeeded(&summary);
    assert_eq!(
        (summary.release, world.get().await),
        (Some(ReleaseNumber(1)), "one-hello-0ther!".to_owned())
    );
    fs::write(world.dir.join("greeting"), "-hi-").expect("written");
    let preview = belay
        .preview(&world.scope, &back(), Some(&request.loaded))
        .await
        .expect("read");
    assert_eq!(preview.newer_secrets.len(), 1, "{preview:#?}");

    // I7: the variable is gone, so the sealed value is used; the file has a newer one, so that is.
    world.until_view(|view| view.cleanups.is_empty()).await;
    let accepted = belay
        .rollback(&world.scope, &back())
        .await
        .expect("accepted");
    succeeded(&world.finish(&accepted).await);
    assert_eq!(world.get().await, "one-hi-s3cret");
    // The other way, the variable has a newer value, which the worker cannot read itself.
    let undo = RollbackRequest {
        undo: accepted.id().cloned(),
        env: BTreeMap::from([("HELLO_TOKEN".to_owned(), "newest".to_owned())]),
        ..back()
    };
    let preview = belay.preview(&world.scope, &undo, None).await;
    let newer = preview.expect("read").newer_secrets;
    assert!(
        newer.len() == 2 && newer[1].starts_with("TOKEN: env:HELLO_TOKEN has another value"),
        "{newer:?}"
    );
    let accepted = belay.rollback(&world.scope, &undo).await.expect("accepted");
    succeeded(&world.finish(&accepted).await);
    assert_eq!(world.get().await, "one-hi-newest");
}

async fn an_unproven_release_needs_someone_to_accept_it(world: &World) {
    let belay = &world.belay;
    succeeded(&world.deploy(&world.request("one", SHORT)).await);
    // It ends before it begins, as no worker is there: nothing speaks against it, and nothing for it.
    world.work_once(Retention::default()).await;
    let two = belay
        .deploy(&world.request("two", SHORT))
        .await
        .expect("accepted");
    let ask = belay_model::event::Ask::Abort;
    belay
        .signal(two.id().expect("new"), ask, None)
        .await
        .expect("told");
    world.finish(&two).await;
    assert_eq!(world.get().await, "one");

    let to = Some(ReleaseNumber(2));
    let plain = RollbackRequest { to, ..back() };
    let refused = belay.rollback(&world.scope, &plain).await;
    let next = refused.as_ref().expect_err("refused").next();
    assert!(next[0].contains("--accept unproven"), "{next:?}");
    assert_eq!(code(refused), "E0206");
    let without_reason = RollbackRequest {
        accept: vec![Risk::Unproven],
        reason: None,
        ..plain.clone()
    };
    assert_eq!(
        code(belay.rollback(&world.scope, &without_reason).await),
        "E0206"
    );
    let accepts = RollbackRequest {
        accept: vec![Risk::Unproven],
        ..plain
    };
    let preview = belay
        .preview(&world.scope, &accepts, None)
        .await
        .expect("read");
    assert_eq!(preview.standing, Some(Standing::Candidate));
    assert!(preview.remarks[0].starts_with("WARNING"), "{preview:#?}");
    let accepted = belay
        .rollback(&world.scope, &accepts)
        .await
        .expect("accepted");
    let summary = world.finish(&accepted).await;
    succeeded(&summary);
    let reason = summary.reason.as_deref();
    assert_eq!(reason, Some("unproven, and accepted as such: it is bad"));
    assert_eq!(world.get().await, "two");
}

async fn what_no_record_needs_is_removed(world: &World) {
    let belay = &world.belay;
    let keep = "    keep: { bake: 100ms, warm: 100ms, good: 2 }\n";
    for answer in ["one", "two", "three", "four"] {
        succeeded(&world.deploy(&world.request(answer, keep)).await);
    }
    let store = belay.store();
    let releases = store.releases(&world.scope.service).await.expect("read");
    let there = || {
        let dir = belay.dir().join("artifacts");
        let is_there = |release: &&belay_model::release::Release| {
            dir.join(release.artifact.as_str().trim_start_matches("sha256:"))
                .exists()
        };
        let mut there: Vec<_> = releases
            .iter()
            .filter(is_there)
            .map(|one| one.number.0)
            .collect();
        there.sort_unstable();
        there
    };
    // Thirty days are kept whole.
    world.work_once(Retention::default()).await;
    assert_eq!(there(), [1, 2, 3, 4]);
    let nothing_young = Retention {
        days: 0,
        newest: 1,
        grace: Duration::ZERO,
    };
    let before = journals(world).await;
    assert_eq!(archived(world).await, 0);
    world.work_once(nothing_young).await;
    assert_eq!(there(), [3, 4]);
    // What the two came from is not in the archive either; what is there reads as before.
    assert_eq!(archived(world).await, before.len() - 2);
    assert_eq!(journals(world).await, before);
    assert_eq!(belay.check().await.expect("checked"), [""; 0]);

    let to_the_first = RollbackRequest {
        to: Some(ReleaseNumber(1)),
        ..back()
    };
    let gone = releases
        .iter()
        .find(|one| one.number.0 == 1)
        .expect("known");
    let before = store.generation();
    let refused = belay.rollback(&world.scope, &to_the_first).await;
    assert!(
        refused
            .as_ref()
            .is_err_and(|error| error.to_string().contains(gone.artifact.as_str())),
        "{refused:?}"
    );
    assert_eq!(code(refused), "E0207");
    assert_eq!(store.generation(), before, "nothing was changed");
    let accepted = belay
        .rollback(&world.scope, &back())
        .await
        .expect("accepted");
    succeeded(&world.finish(&accepted).await);
    assert_eq!(world.get().await, "three");
    // Deployed again from its source, the first is there again, under its number.
    let again = world.deploy(&world.request("one", keep)).await;
    succeeded(&again);
    assert_eq!(again.release, Some(ReleaseNumber(1)));
}

/// All journals, newest first.
async fn journals(world: &World) -> Vec<Vec<belay_model::event::Entry>> {
    let store = world.belay.store();
    let history = store.history(&world.scope, 100).await.expect("read");
    let mut journals = Vec::new();
    for summary in history {
        journals.push(store.events(&summary.id, 0).await.expect("read"));
    }
    journals
}

/// How many of them are in the archive.
async fn archived(world: &World) -> usize {
    let mut lines = Vec::new();
    world.belay.export(&mut lines).await.expect("exported");
    let lines = String::from_utf8(lines).expect("text");
    let first = |line: &&str| line.contains("\"archived_events\"") && line.contains("\"created\"");
    lines.lines().filter(first).count()
}

async fn a_killed_worker_and_a_killed_proxy_supervisor_come_back(world: &World) {
    use rustix::process::{Signal, kill_process};
    let belay = &world.belay;
    succeeded(&world.deploy(&world.request("one", SHORT)).await);
    let accepted = belay
        .deploy(&world.request("two", LONG))
        .await
        .expect("accepted");
    let id = accepted.id().expect("new").clone();
    belay.ensure_worker().await.expect("a worker");
    world
        .until(&id, |summary| summary.phase == Phase::Baking)
        .await;
    let supervised = Supervised::at(belay.dir().join("proxy/supervised"));
    let supervisor = supervised
        .status()
        .await
        .expect("known")
        .supervisor
        .expect("alive");
    let supervisor = i32::try_from(supervisor.pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    for pid in world
        .workers()
        .into_iter()
        .map(|(_, pid)| pid)
        .chain(supervisor)
    {
        kill_process(pid, Signal::KILL).expect("killed");
    }
    assert_eq!(world.get().await, "two");
    let signalled = belay
        .rollback(&world.scope, &back())
        .await
        .expect("accepted");
    let ended = world.finish(&signalled).await;
    assert!(matches!(
        ended.outcome,
        Some(Outcome::Failed {
            rollback: RollbackResult::Complete,
            ..
        })
    ));
    assert_eq!(world.get().await, "one");
    assert!(supervised.status().await.expect("known").supervised);
}

async fn an_address_in_use_is_named(world: &World) {
    let holder = tokio::net::TcpListener::bind(world.listen).await;
    let holder = holder.expect("bound");
    let summary = world.deploy(&world.request("one", SHORT)).await;
    assert!(
        matches!(summary.outcome, Some(Outcome::Failed { .. })),
        "{summary:#?}"
    );
    let failure = summary.failure.expect("a failure");
    assert!(
        failure.message.contains(&world.listen.to_string()),
        "{failure:?}"
    );
    assert!(failure.detail[0].contains("ss -ltnp"), "{failure:?}");
    drop(holder);
}

async fn names_are_helped_along(world: &World) {
    let belay = &world.belay;
    assert_eq!(code(belay.find_scope(None, None).await), "E0209");
    let mut request = world.request("one", SHORT);
    let accepted = belay.deploy(&request).await.expect("accepted");
    let id = accepted.id().expect("new");
    assert_eq!(
        belay.find_scope(None, None).await.expect("one"),
        world.scope
    );
    assert_eq!(code(belay.find_scope(Some("helo"), None).await), "E0209");
    let refused = belay
        .find_scope(Some("hello"), Some("prodution"))
        .await
        .expect_err("refused");
    assert_eq!(refused.next(), ["did you mean `production`?"]);
    assert_eq!(code(belay.find_scope(Some("other"), None).await), "E0209");

    let bare = id.as_str().trim_start_matches("dep_");
    for text in [id.as_str(), bare, &bare[..8], &bare[bare.len() - 6..]] {
        assert_eq!(belay.resolve_deployment(text).await.expect("found"), *id);
    }
    assert_eq!(code(belay.resolve_deployment("zz").await), "E0209");
    assert_eq!(code(belay.resolve_deployment("").await), "E0209");

    request.environment = "staging".to_owned();
    assert_eq!(code(belay.deploy(&request).await), "E0202");
    request.environment = "production".to_owned();
    request.released = Released::New {
        artifact: Some(world.dir.join("not-there")),
        images: Images::default(),
        commit: None,
    };
    assert_eq!(code(belay.deploy(&request).await), "E0204");
    let service = ServiceName::new("hello");
    assert_eq!(belay.releases(&service).await.expect("read").len(), 1);
    let ask = belay_model::event::Ask::Retry;
    assert_eq!(code(belay.signal(id, ask, None).await), "E0211");
}
